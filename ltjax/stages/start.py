"""Where the training of a network starts: which weights train, and which are given."""

from typing import NamedTuple

from ltjax.config.join import begun_anew
from ltjax.config.kind import told
from ltjax.mistake import Mistake
from ltjax.models import layouts, partition, pretrained
from ltjax.models.network import Network
from ltjax.models.pretrained import Pretrained
from ltjax.stages import keys
from ltjax.workdir import files


class Start(NamedTuple):
    """A network, and what is known of its weights before it is trained."""

    net: Network  # less its trunk
    pretrained: Pretrained
    trained: tuple  # words of the names of what trains; (): everything


def of(model, classes, channels, widths=(), side=None):
    """The `Start` of a model config, for images of so many channels.

    `widths` are those of the pieces of metadata that it is given; (): none. `side` are
    pixels that images are scaled to; None: as the model tells.
    """
    model = beside(model, classes, widths)
    inner = told(model, "inner")
    if inner is not None:
        alone = of(inner, classes, channels, side=side)
        known = pretrained.within(alone.pretrained, "body")
        return Start(model.joined(alone.net), known, model.trained)
    trained = told(model, "trained") or ()
    if isinstance(trained, str):
        raise Mistake(f"model.trained is {trained!r}; it must be a tuple of words")
    net, known = model.make(classes), pretrained.none()
    side = side or told(model, "side")
    path = told(model, "pretrained")
    if path is not None:
        path = pretrained.located(path, told(model, "package"), told(model, "name"))
        known = pretrained.read(path, net.features, trained, channels, side or 32)
        model.suits(known.layout, path)
        own = layouts.MOMENTS.get(told(model, "moments"), known.moments)
        known = known._replace(moments=own)
    known = pretrained.scaled(known, side)
    return Start(pretrained.above(net, known), known, trained)


def beside(model, classes, widths):
    """The model that takes metadata of these widths, too; as it is, of none."""
    asked = widths and told(model, "beside") is not None
    # One that takes metadata already is asked if it takes these.
    if asked and (told(model, "meta") or "meta" not in model.make(classes).takes):
        return model.beside(widths)
    return model


def begin(start, key, inputs):
    """The variables that train, and the fixed ones, of a network that takes `inputs`.

    Raises `Mistake` for a word of `trained` that is in no name.
    """
    # Not compiled as a whole: a generator takes long to compile, and one by one
    # those of equal shape, and of the other backbone, are compiled once.
    variables = pretrained.begin(start.net.init(key, *inputs), start.pretrained)
    partition.check(start.trained, variables, start.pretrained.below)
    return partition.split(variables, start.trained)


def given(start, seed, inputs):
    """The fixed variables alone, as the run of a seed has them; {} where all train."""
    if not start.trained:
        return {}
    return begin(start, keys.keys(seed).init, inputs)[1]


def again(out, config, classes, channels, widths=()):
    """The `Start` of the run in `out`: of weights that it moved nothing is needed.

    Raises `Mistake` where those that it did not move are not here any more.
    """
    model = config.model
    if not model.trained:
        side = told(model, "side")
        return of(begun_anew(model), classes, channels, widths, side)
    start = of(model, classes, channels, widths)
    digest = files.read_json(out / "config.json")["run"]["pretrained"]
    if start.pretrained.digest != digest:
        raise Mistake(
            f"model.pretrained {model.pretrained} is not the file that {out} began with"
        )
    return start
