"""What `python -m ltjax.inspect` shows of a set of images."""

from rich import box
from rich.table import Table
from rich.text import Text

_MOST_CLASSES = 24  # rows of the table of classes
_MOST_PATHS = 5  # paths shown of each kind

_BUSY = 2  # times as long: other programs take the processors


def show(console, found, shown):
    """Prints the findings; `shown(path)` makes one printable line of a path."""

    def say(text):
        console.print(Text(text), soft_wrap=True)

    say(
        f"{found['name']}: {found['images']} images of {found['classes']} classes; "
        f"imbalance factor {found['imbalance_factor']:.3g}, Gini {found['gini']:.3f}"
    )
    console.print(_classes(found, shown))
    for line in (
        *_split(found),
        *_sizes(found),
        *_known(found, shown),
        *_warnings(found, shown),
    ):
        say(line)
    if "estimate" in found:
        for line in _estimate(found):
            say(line)


def _classes(found, shown):
    """The table of classes, the largest first; of many the middle is left out."""
    proposal = found["proposal"]
    order = sorted(found["counts"], key=found["counts"].get, reverse=True)
    half = _MOST_CLASSES // 2
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    grid.add_column("class", overflow="fold")
    for name in ("images", "to train", "to test", "group"):
        grid.add_column(name, justify="right", no_wrap=True)
    groups = {name: g for g, names in proposal["groups"].items() for name in names}
    for at, name in enumerate(order):
        if len(order) > _MOST_CLASSES and half <= at < len(order) - half:
            if at == half:
                grid.add_row(f"... {len(order) - 2 * half} classes", *4 * ["..."])
            continue
        counts = (found["counts"], proposal["train"], proposal["test"])
        cells = [str(of[name]) for of in counts]
        grid.add_row(Text(shown(name)), *cells, groups[name])
    grid.add_section()
    sums = (sum(of.values()) for of in (found["counts"], *_sides(proposal)))
    grid.add_row("all", *map(str, sums), "")
    return grid


def _sides(proposal):
    return proposal["train"], proposal["test"]


def _split(found):
    groups = found["proposal"]["groups"].items()
    sizes = ", ".join(f"{len(names)} {group}" for group, names in groups)
    yield f"classes: {sizes} (more than 100, 20 to 100, fewer than 20 to train on)"
    yield found["proposal"]["rule"]
    yield _spared(found["proposal"])


def _spared(proposal):
    """Whether images are held out, and what for."""
    held = proposal["validation"]
    if held:
        return (
            f"held out of training, to choose SRepr's alpha on: {held:,} of the images "
            "to train on, a tenth of each class of 5 or more"
        )
    return (
        "SRepr's alpha is a usual one: to choose it takes 100 images to spare, a tenth "
        "of those to train on, of half of the classes"
    )


def _sizes(found):
    pixels = found["pixels"]
    widths, heights = ("{} to {}, median {}".format(*_ends(pixels[n])) for n in _AXES)
    yield f"pixels: width {widths}; height {heights}"
    modes = ", ".join(f"{count} {mode}" for mode, count in found["modes"].items())
    others = set(found["modes"]) - {"RGB"}
    yield f"modes: {modes}" + ("; all become 8-bit RGB" if others else "")
    if found["transparent"]:
        yield (
            f"{found['transparent']} images have transparent pixels, which become "
            "white; --data.background takes another colour"
        )
    yield from _depths(found)
    if found["animated"]:
        yield f"{found['animated']} files have several frames; the first is taken"
    if found["turned"]:
        yield f"{found['turned']} images are turned upright by their EXIF tag"
    if found["passed_over"]:
        parts = (f"{count} {what}" for what, count in found["passed_over"].items())
        yield f"passed over: {', '.join(parts)}"
    yield from (f"  {note}" for note in found["notes"])


def _known(found, shown):
    """What is told of the columns of a CSV."""
    for each in found.get("meta", ()):
        missing = f", missing in {each['missing']:,} rows" if each["missing"] else ""
        what = f"{shown(each['column'])}: {each['words']}{missing}"
        why = each["left_out"]
        yield f"beside the image, {what}" + (f"; left out, it {why}" if why else "")


def _depths(found):
    """What is told of pixels of more than 8 bits."""
    if found["reduced"]:
        yield f"{found['reduced']} images have colours of 16 bits; the upper 8 are read"
    if found["deep"]:
        low, high = found["deep_range"]
        proposed = found["proposal"]["range"]
        scale = "the upper 8 of 16 bits are read"
        if proposed:
            scale = "proposed: data.range {:g} to {:g}, of those to train on".format(
                *proposed
            )
        yield (
            f"{found['deep']} grey images have more than 8 bits, with values {low:g} "
            f"to {high:g}; {scale}"
        )


_AXES = ("width", "height")


def _ends(values):
    least, median, most = values
    return least, most, median


def _warnings(found, shown):
    skipped = [f"{shown(f['path'])} ({f['reason']})" for f in found["skipped"]]
    yield from _listed("files that cannot be read and will be skipped", skipped)
    plain = map(shown, found["one_colour"])
    yield from _listed("images of one colour, transparent parts white", list(plain))
    for kind, words in (
        ("duplicates", "groups of equal pictures"),
        ("duplicates_across_classes", "of these, groups in several classes"),
        ("duplicates_across_splits", "of these, groups in several splits"),
    ):
        groups = [" = ".join(map(shown, group)) for group in found[kind]]
        yield from _listed(words, groups)
    if found["near_copies"]:
        yield (
            f"pairs that are nearly the same: {found['near_copies']:,}; a split may "
            "divide them, --page shows those of two classes or splits"
        )
    for kind, words in (
        ("near_copies_across_classes", "near copies in two classes"),
        ("near_copies_across_splits", "near copies in two splits"),
    ):
        pairs = [" ~ ".join(map(shown, pair)) for pair in found[kind]]
        yield from _listed(words, pairs)
    runs = [
        f"{shown(run[0])} to {shown(run[-1])}: {len(run)}" for run in found["bursts"]
    ]
    yield from _listed(
        "bursts, names that count up and pictures that are alike; keep each in one "
        "split: --group",
        runs,
    )
    for words, names in (
        ("classes without an image that can be read", found["empty_classes"]),
        ("classes with no images to train on", found["one_split_only"]["test"]),
        ("classes with no images to test on", found["one_split_only"]["train"]),
    ):
        yield from _listed(words, [shown(name) for name in names])
    alike = [" and ".join(map(shown, names)) for names in found["alike_names"]]
    yield from _listed("class names that look alike", alike)


def _listed(words, items):
    if items:
        yield f"{words}: {len(items)}"
        yield from (f"  {item}" for item in items[:_MOST_PATHS])
        if len(items) > _MOST_PATHS:
            yield f"  ... and {len(items) - _MOST_PATHS} more"


# What it is worth is told of images on which it was measured: docs/pretrained.md.
_BEGUN = (
    "  it begins with weights of ImageNet, whose last parts learn; on CIFAR-100-LT, of "
    "photographs,",
    "  that was worth 11 points of accuracy (the head alone) to 20 over new weights; "
    "--no-pretrained proposes these",
)


def _estimate(found):
    size = found["proposal"]["size"]
    model, epochs = found["proposal"]["network"], found["proposal"]["epochs"]
    told = found["estimate"]
    seconds, held = told["seconds"], told["bytes"]
    yield (
        f"proposed: {size} pixels a side, {model}, {epochs} epochs for each of two "
        "backbones"
    )
    if found["proposal"]["pretrained"]:
        yield from _BEGUN
    yield (
        f"  about {_span(seconds['total'])} on this device ({told['device']}), left "
        f"alone: compiling {_span(seconds['compiling'])}, training "
        f"{_span(seconds['representation'])}, features {_span(seconds['features'])}"
        + (f", outputs {_span(seconds['outputs'])}" if "outputs" in seconds else "")
    )
    yield (
        f"  about {_bytes(held['device'])} on the device, and "
        f"{_bytes(held['host'])} on the host while the images are read"
    )
    yield f"  ({told['how']})"
    if told["busy"] is not None and told["busy"] > _BUSY:
        yield (
            f"  the processors have other work now, and the steps took "
            f"{told['busy']:.1f} times as long"
        )


def _span(seconds):
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _bytes(count):
    return f"{count / 2**20:.0f} MiB" if count < 2**30 else f"{count / 2**30:.1f} GiB"
