"""Convolutions whose gradients are written out for a CPU."""

from functools import partial

import jax


def plain(x, kernel, stride=1, groups=1):
    """The convolution padded by half its size, with the gradients that JAX derives.

    x [B, H, W, in], kernel [size, size, in, out] to [B, ceil(H / stride), ..., out].
    """
    half = (kernel.shape[0] // 2, kernel.shape[0] // 2)
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(stride, stride),
        padding=(half, half),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


def inside(x, kernel, stride=1):
    """The convolution without padding, with the gradients that JAX derives.

    x [B, H, W, in], kernel [size, size, in, out] to [B, (H - size) // stride + 1, ...].
    """
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(stride, stride),
        padding="VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def derived(x, kernel, dy, stride, of=plain):
    """The gradients (dx, dkernel) of `plain`, or of another, that JAX derives."""
    return jax.vjp(partial(of, stride=stride), x, kernel)[1](dy)


def written_on_cpu(gradients, of=plain):
    """Builds `convolve(x, kernel, stride)`: `plain` with its own gradients on a CPU.

    There they are `gradients(x, kernel, dy, stride)`, elsewhere the derived ones. XLA's
    CPU compiler puts the derived gradients into the layout of its fast kernels at the
    top level only: inside a `scan` they run in a scalar loop, 40 to 50 times slower.
    """

    @partial(jax.custom_vjp, nondiff_argnums=(2,))
    def convolve(x, kernel, stride):
        return of(x, kernel, stride)

    def forward(x, kernel, stride):
        return of(x, kernel, stride), (x, kernel)

    def backward(stride, saved, dy):
        return jax.lax.platform_dependent(
            *saved,
            dy,
            cpu=partial(gradients, stride=stride),
            default=partial(derived, stride=stride, of=of),
        )

    convolve.defvjp(forward, backward)
    return convolve
