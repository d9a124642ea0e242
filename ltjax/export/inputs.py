"""What a card says of a network's second input, and tables of a card."""

from ltjax.data import columns
from ltjax.data.meta import Part


def known(about):
    """What the second input is made of, number by number."""
    if "meta" not in about:
        return ""
    lines, first = [], 0
    for part in map(_part, about["meta"]):
        last = first + part.width
        span = str(first) if part.width == 1 else f"{first} to {last - 1}"
        lines.append([span, cell(columns.in_words(part)), cell(_learned(part))])
        first = last
    return (
        f"\n\nA second input is what is known beside the image, {first} numbers; zeros "
        "where nothing is, all of a row in the table at a time.\n\n"
        + table(["numbers", "what", "of"], lines)
        + "\n\n"
    )


def _part(fields):
    """The `meta.Part` of what `export.json` holds of it."""
    names = {name: tuple(fields[name]) for name in ("columns", "known")}
    return Part(**{**fields, **names})


def _learned(part):
    """What a part's numbers are, in the words of `ltjax.data.meta`."""
    return {
        "place": "cos(lat) cos(lon), cos(lat) sin(lon), sin(lat)",
        "time": "sin and cos of 2 pi month / 12, of 2 pi hour / 24",
        "day": "sin and cos of 2 pi day / 365.25, of 2 pi seconds / 86400",
        "category": "1 for one of " + ", ".join(part.known),
        "number": f"(x - {part.mean:.6g}) / {part.deviation:.6g}",
    }.get(part.kind, "")


def table(head, rows):
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(text):
    """Text that ends no cell and is no markup."""
    line = " ".join(text.split())
    for mark in "\\`*_[]<>|#":
        line = line.replace(mark, "\\" + mark)
    return line
