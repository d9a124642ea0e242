"""A page in HTML: one file that needs no other, no script and no network.

Functions take plain text and escape it; `inner`, `diagrams` and the pieces of sections
are HTML.
"""

import base64
import io
from html import escape

from PIL import Image

from ltjax.report import parts

_STYLE = """
:root { color-scheme: light; --ink: #1b1f24; --soft: #57606a; --line: #d0d7de; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 1rem 1rem 4rem; color: var(--ink);
  background: #fff; font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .5rem 0; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; border-top: 1px solid var(--line);
  padding-top: 1rem; }
h3 { font-size: 1rem; margin: 1.25rem 0 .25rem; }
p { max-width: 46rem; margin: .5rem 0; }
.lead { font-size: 1.05rem; }
.soft, figcaption { color: var(--soft); font-size: .875rem; }
a { color: #0550ae; }
nav { font-size: .875rem; line-height: 2; }
nav a { margin-right: 1rem; white-space: nowrap; }
figure { margin: 1rem 0; }
.panels { display: grid; gap: .5rem 1.5rem;
  grid-template-columns: repeat(auto-fit, minmax(min(21rem, 100%), 1fr)); }
svg { display: block; width: 100%; height: auto; max-width: 28rem; }
svg.wide { max-width: 42rem; }
.scroll { overflow-x: auto; max-width: 100%; }
table { border-collapse: collapse; font-size: .875rem; line-height: 1.35;
  font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .6rem; text-align: right; white-space: nowrap; }
th { font-weight: 600; }
thead th { border-bottom: 1px solid var(--ink); }
tbody th { font-weight: 400; text-align: left; position: sticky; left: 0;
  background: #fff; }
th:first-child, .words { text-align: left; }
td.words { white-space: normal; min-width: 8rem; }
tbody + tbody tr:first-child > * { border-top: 1px solid var(--line); }
b { font-weight: 700; }
.faces { display: flex; flex-wrap: wrap; gap: .5rem; margin: .25rem 0; padding: 0;
  list-style: none; }
.faces li { width: 5.2rem; font-size: .75rem; line-height: 1.25; }
.faces img { display: block; width: 4.5rem; height: auto; image-rendering: pixelated;
  border: 1px solid var(--line); }
summary { cursor: pointer; color: #0550ae; }
pre { overflow-x: auto; font-size: .8rem; line-height: 1.35; }
@media print {
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav { display: none; }
  .scroll { overflow: visible; }
  figure, tr, h2, h3 { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  tbody th { position: static; }
}
"""


FILE = "report.html"
REFRESH = 'http-equiv="refresh"'
# How a page begins, by which it is known.
START = "<!doctype html>\n<!-- a page of ltjax -->"


class Bold(str):
    """A cell of a table that stands out."""


def paged(title, below, summary, sections, refresh=None):
    """A whole page: title, the line below it, a paragraph, and sections.

    `sections` maps ids to headings and pieces of HTML; one without pieces is left out.
    A browser looks at it again after `refresh` seconds.
    """
    found = {at: (name, list(inner)) for at, (name, inner) in sections.items()}
    found = {at: (name, inner) for at, (name, inner) in found.items() if inner}
    links = " ".join(
        f'<a href="#{at}">{escape(name)}</a>' for at, (name, _) in found.items()
    )
    return "\n".join(
        (
            f'{START}\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            *([f'<meta {REFRESH} content="{refresh:g}">'] if refresh else []),
            # Without an icon a browser would ask for one.
            f'<link rel="icon" href="data:,">\n<title>{escape(title)}</title>',
            f"<style>{_STYLE}</style>\n</head>\n<body>",
            f"<header>\n<h1>{escape(title)}</h1>\n{paragraph(below, 'soft')}",
            f"{paragraph(summary, 'lead') if summary else ''}</header>",
            f'<nav aria-label="Contents">{links}</nav>\n<main>',
            *(
                "\n".join((f'<section>\n<h2 id="{at}">{escape(name)}</h2>', *inner))
                + "\n</section>"
                for at, (name, inner) in found.items()
            ),
            "</main>\n</body>\n</html>\n",
        )
    )


def paragraph(text, kind=None):
    """A paragraph; `kind` is a class of the style."""
    attribute = f' class="{kind}"' if kind else ""
    return f"<p{attribute}>{escape(text)}</p>"


def heading(text):
    """A heading within a section."""
    return f"<h3>{escape(text)}</h3>"


def details(summary, *inner):
    """What is unfolded by a click."""
    return f"<details><summary>{escape(summary)}</summary>\n{''.join(inner)}</details>"


def verbatim(text):
    """Text as it is, in lines."""
    return f"<pre>{escape(text)}</pre>"


def figure(caption, *diagrams):
    """Diagrams beside each other, as many as there is room for."""
    inner = "\n".join(diagrams)
    panels = f'<div class="panels">{inner}</div>' if len(diagrams) > 1 else inner
    return f"<figure>\n{panels}\n<figcaption>{escape(caption)}</figcaption>\n</figure>"


def table(name, head, groups, notes="", words=()):
    """A table that scrolls by itself where the screen is narrow.

    `groups` are lists of rows, between which there are lines. The first cell of a row
    is its heading. `words` are the numbers of columns that hold no figures.
    """
    groups = [list(rows) for rows in groups]
    parts.tabled(name, head, groups, words)
    heads = "".join(
        f'<th scope="col"{_words(at in words)}>{escape(cell)}</th>'
        for at, cell in enumerate(head)
    )
    bodies = "\n".join(
        f"<tbody>\n{''.join(_row(row, words) for row in rows)}</tbody>"
        for rows in groups
        if rows
    )
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(name)}">\n'
        f"<table><thead><tr>{heads}</tr></thead>\n{bodies}\n</table>\n</div>"
        # Not a caption, which would scroll with the table.
        + (f"\n{paragraph(notes, 'soft')}" if notes else "")
    )


def faces(images):
    """Small images in a row: (uint8 [h, w, ch], what it shows, lines below it)."""
    items = (
        f'<li><img alt="{escape(alt)}" src="{_png(image)}">'
        f"{'<br>'.join(map(escape, lines))}</li>"
        for image, alt, lines in images
    )
    return f'<ul class="faces">{"".join(items)}</ul>'


def _row(cells, words):
    name, *others = cells
    found = "".join(
        f"<td{_words(at in words)}>{_cell(cell)}</td>"
        for at, cell in enumerate(others, 1)
    )
    return f'<tr><th scope="row">{_cell(name)}</th>{found}</tr>\n'


def _cell(cell):
    return f"<b>{escape(cell)}</b>" if isinstance(cell, Bold) else escape(cell)


def _words(are):
    return ' class="words"' if are else ""


def _png(image):
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
