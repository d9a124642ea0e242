"""The picture of a run's page that README.md shows.

    python experiments/documents/picture.py runs/digits_lt-seed0

Takes two parts of `report.html` as Chromium shows them, and writes
docs/figures/page.png. Needs a `chromium` in the PATH.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageChops, ImageOps

PICTURE = Path(__file__).parents[2] / "docs" / "figures" / "page.png"
WIDTH, TALL = 900, 3000  # of the window; what is white around it is cut off
_MARGIN = 24
# Left out: all but accuracy by class and reliability of all and of the last group.
_STYLE = """<style>
nav, .lead, section:not(:has(> #classes, > #calibration)), #calibration ~ h3,
#calibration ~ h3 ~ *, .panels > :not(:first-child, :last-child) { display: none }
</style></head>"""


def parts(page):
    """The page with its title and what the picture has of it."""
    return page.replace("</head>", _STYLE, 1)


def shown(page):
    """What a browser shows of a page."""
    with tempfile.TemporaryDirectory() as folder:
        html, png = Path(folder) / "page.html", Path(folder) / "page.png"
        html.write_text(page, encoding="utf-8")
        window = f"--window-size={WIDTH},{TALL}", "--hide-scrollbars"
        command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", *window]
        command += [f"--screenshot={png}", html.as_uri()]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        with Image.open(png) as image:
            return image.convert("RGB")


def trimmed(image):
    """The image in a frame of one width."""
    white = Image.new("RGB", image.size, "white")
    left, top, right, bottom = ImageChops.difference(image, white).getbbox()
    inner = image.crop((left, top, right, bottom))
    return ImageOps.expand(ImageOps.expand(inner, _MARGIN, "white"), 1, "#d0d7de")


if __name__ == "__main__":
    if not shutil.which("chromium"):
        sys.exit("there is no chromium in the PATH")
    report = Path(sys.argv[1]) / "report.html"
    picture = trimmed(shown(parts(report.read_text(encoding="utf-8"))))
    picture.quantize(64).save(PICTURE, optimize=True)
    print(PICTURE, picture.size, PICTURE.stat().st_size, "bytes")
