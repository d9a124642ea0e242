"""From a photograph of any size to the pixels of a network, inside an ONNX graph.

The one thing that `ltjax.data.shape` does with Pillow, for programs that have neither:
both axes are weighted sums, by a triangle as wide as the scale, of far larger pictures
first by means over blocks; pixels are rounded after each axis. Scalars are doubles, as
Pillow's are. Needs the package onnxscript.
"""

import numpy as np
from onnx import compose, inliner, numpy_helper
from onnxscript import UINT8, script
from onnxscript import opset21 as op

from ltjax.data import crops


@script(default_opset=op)
def _block(scale):
    """Of how many pixels a mean is taken before the triangle."""
    return op.Max(op.Floor(scale / 2.0), scale * 0.0 + 1.0)


@script(default_opset=op)
def _covered(length, other, own, across):
    """How `decoding.fitted` sees an axis, see `_weights`."""
    part = op.Min(length, other * own / across)
    scale, begin = part / own, (length - part) / 2.0
    first, last = length * 0.0, op.Identity(length)
    means = _block(scale) > 1.0
    low = op.Max(op.Floor(begin - scale / 2.0), first)
    high = op.Min(op.Ceil(begin + part + scale / 2.0), last)
    return op.Where(means, low, first), op.Where(means, high, last), scale, begin


@script(default_opset=op)
def _tested(length, other, own, side):
    """How `crops.plain` sees an axis of which both ends may go, see `_weights`."""
    short = op.Min(length, other)
    first = op.Floor(op.Max(length - short * 4.0, short * 0.0) / 2.0)
    last = length - first
    whole = op.Floor((last - first) * side / short)
    scale = (last - first) / whole
    return first, last, scale, first + op.Round((whole - own) / 2.0) * scale


@script(default_opset=op)
def _weights(length, first, last, scale, begin, own):
    """What each of `length` pixels gives to each of `own`: [length, own], sums of 1.

    Those of `first` to `last` are looked at, `scale` for one of the result, whose edge
    is at `begin`.
    """
    zero, block = length * 0.0, _block(scale)
    one = zero + 1.0
    at = op.Range(zero, length, one)
    number = op.Floor((at - first) / block)
    # The last block may be a short one.
    held = op.Max(op.Min(block, last - first - number * block), one)
    share = op.Where(op.And(at >= first, at < last), one / held, zero)
    centre = (op.Range(zero, own, one) + 0.5) * scale + begin
    ends = op.Constant(value_ints=[1])
    away = op.Unsqueeze(number + 0.5, ends) - (centre - first) / block
    triangle = op.Max(one - op.Abs(away) / op.Max(scale / block, one), zero)
    weights = triangle * op.Unsqueeze(share, ends)
    return op.Cast(weights / op.ReduceSum(weights, op.Constant(value_ints=[0])), to=1)


@script(default_opset=op)
def _scaled(photo, rows, columns):
    """Three layers [3, h, w] of whole numbers, by the weights of both axes."""
    layers = op.Cast(op.Transpose(photo, perm=[2, 0, 1]), to=1)
    narrow = op.Floor(op.MatMul(layers, columns) + 0.5)
    return op.Floor(op.MatMul(op.Transpose(rows, perm=[1, 0]), narrow) + 0.5)


@script(default_opset=op)
def _sides(photo):
    """Height and width, doubles."""
    height, width, _ = op.Split(op.Cast(op.Shape(photo), to=11), num_outputs=3)
    return op.Squeeze(height), op.Squeeze(width)


@script(default_opset=op)
def _grey(layers):
    """Red, green and blue [3, h, w] to a grey layer, as ITU-R 601 in 16 bits has it."""
    red, green, blue = op.Split(op.Cast(layers, to=7), num_outputs=3)
    return op.Cast((red * 19595 + green * 38470 + blue * 7471 + 32768) / 65536, to=1)


@script(default_opset=op)
def _same(layers):
    return op.Identity(layers)


def before(model, shape):
    """The model of `images` with the way from a photograph before it."""
    way = pixels(shape)
    way.ir_version = model.ir_version
    # No name of one is that of another.
    names = {"rename_inputs": False, "rename_outputs": False}
    way = compose.add_prefix(way, "photo/", **names)
    joint = [(way.graph.output[0].name, "images")]
    return compose.merge_models(way, model, io_map=joint)


def pixels(shape):
    """The graph from `photo`, uint8 [H, W, 3], to `images`, uint8 [1, h, w, ch].

    Of a `data.shape.Shape`, as an onnx.ModelProto; photographs are upright and RGB.
    """
    height, width = shape.height, shape.width
    side = crops.tested_side(shape.recipe())
    # How an axis is seen, its length, and what it depends on besides.
    axis, sizes = _covered, (height, width, width, height)
    if side != height:
        axis, sizes = _tested, (height, side, width, side)
    doubles = (numpy_helper.from_array(np.float64(size)) for size in sizes)
    tall, for_tall, wide, for_wide = doubles
    coloured = {1: _grey, 3: _same}[shape.channels]

    @script(default_opset=op)
    def photograph(photo):
        h, w = _sides(photo)
        rows = op.Constant(value=tall)
        first, last, scale, begin = axis(h, w, rows, op.Constant(value=for_tall))
        down = _weights(h, first, last, scale, begin, rows)
        columns = op.Constant(value=wide)
        first, last, scale, begin = axis(w, h, columns, op.Constant(value=for_wide))
        across = _weights(w, first, last, scale, begin, columns)
        layers = _scaled(photo, down, across)
        image = op.Cast(op.Transpose(coloured(layers), perm=[1, 2, 0]), to=2)
        return op.Unsqueeze(image, op.Constant(value_ints=[0]))

    made = photograph.to_model_proto(
        input_types=[UINT8["H", "W", 3]],
        output_types=[UINT8[1, height, width, shape.channels]],
    )
    return inliner.inline_local_functions(made)
