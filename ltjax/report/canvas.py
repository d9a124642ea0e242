"""What diagrams are drawn on: figures of one style, and the SVG that comes of them."""

import contextlib
import io
import re
from html import escape

import matplotlib
from matplotlib.figure import Figure

from ltjax.report import parts

INK, SOFT = "#1b1f24", "#57606a"
# Inches; a page shows them about one and a half times as large. A panel is as wide as
# a phone, so that its text can be read there.
_PANEL, _WIDE = 3.4, 5.2
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "ltjax",  # the same page from the same run
    "text.parse_math": False,
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": SOFT,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e8eb",
    "grid.linewidth": 0.6,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.linewidth": 1.4,
    "lines.markersize": 3.5,
    "legend.facecolor": "white",
    "legend.edgecolor": "none",
    "legend.framealpha": 0.85,
    "legend.borderpad": 0.1,
    "legend.handlelength": 2.4,
}


@contextlib.contextmanager
def panel(height):
    """A context of a figure that stands beside others; height in inches."""
    with matplotlib.rc_context(_STYLE):
        yield Figure((_PANEL, height))


@contextlib.contextmanager
def wide(height):
    """A context of a figure as wide as the text."""
    with matplotlib.rc_context({**_STYLE, "font.size": 9}):
        yield Figure((_WIDE, height))


def svg(figure, label):
    """The figure as an element of a page; `label` says what it shows, in words.

    To be called in the figure's context. Text stays text, in the page's font. It is
    one of the `parts` of a page.
    """
    file = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(file, format="svg", metadata=nothing)
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", text, flags=re.S)
    # Several figures on a page would have the same ids; none of these is referred to.
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r"'DejaVu Sans'[^;\"]*", "system-ui, sans-serif", text)
    box = re.search(r'viewBox="([^"]*)"', text)[1]
    kind = ' class="wide"' if figure.get_figwidth() > _PANEL else ""
    head = f'<svg{kind} viewBox="{box}" role="img" aria-label="{escape(label)}"'
    names = 'xmlns="http://www.w3.org/2000/svg"'
    links = 'xmlns:xlink="http://www.w3.org/1999/xlink"'
    whole = f"{head} {names} {links}>"
    text = re.sub(r"<svg[^>]*>", lambda _: whole, text, count=1).rstrip()
    parts.drawn(figure, label, text)
    return text
