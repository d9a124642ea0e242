"""The table of a routed run: what each number of experts is worth, and costs."""

from rich import box
from rich.table import Table
from rich.text import Text

from ltjax.report.table import figure, text

_FIGURES = ("many", "medium", "few", "all", "NLL", "ECE")


def table(found):
    """A rich table of what `ltjax.route.story.route` found; it needs 71 columns."""
    grid = Table(
        title=Text(f"{found['row']}, {found['images']:,} test images"),
        caption=Text("\n".join(notes(found))),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
    )
    grid.add_column("row", no_wrap=True, min_width=15)
    for name in (*_FIGURES, "M MACs"):
        grid.add_column(name, justify="right", no_wrap=True, min_width=6)
    for row in found["rows"]:
        cells = [text(name, figure(row, name)[0]) for name in _FIGURES]
        grid.add_row(row["name"], *cells, f"{row['macs'] / 1e6:.4g}")
    return grid


def notes(found):
    """What the table's words mean, who was routed where, and how fast, in lines."""
    shares = ", ".join(f"{100 * share:.1f}" for share in found["stopped"])
    speed = {
        name: f"{found['images'] / seconds:,.0f} images/s"
        for name, seconds in found["seconds"].items()
    }
    yield "accuracy in %; NLL in nats; ECE a fraction; M MACs: millions of"
    yield "multiply-accumulates of an image, where it is routed the router's too"
    numbers = ", ".join(str(number + 1) for number in range(found["experts"]))
    yield f"seen by {numbers} experts: {shares} % of the images"
    yield f"measured: {speed['routed']} routed, {speed['whole']} by all experts"
    yield f"({found['at_once']} at once, compiled before, {found['device']})"
