"""Which files are images, by their names, and what to do about the others."""

import os

from PIL import features

AVIF = "avif" in features.modules and features.check("avif")  # not in every Pillow
_READ = "bmp gif jfif jpe jpeg jpg pbm pgm png pnm ppm tif tiff webp" + " avif" * AVIF
SUFFIXES = frozenset(f".{kind}" for kind in _READ.split())

# Pictures too, of cameras, phones and drawing programs, but no decoder is here.
_OTHERS = (
    "heic heif hif avif jxl jp2 j2k jpx jxr "
    "3fr arw cr2 cr3 crw dng nef nrw orf pef raf raw rw2 srw x3f "
    "ai cdr dcm dds eps exr hdr ico kra psb psd svg tga wmf xcf"
)
_CONVERTIBLE = frozenset(f".{kind}" for kind in _OTHERS.split()) - SUFFIXES
NONE = "without a suffix"
_LONGEST = 9  # characters of a suffix; what is longer is part of a name


def suffix(name):
    """What tells the kind of a file, in lower case with its dot; "" where nothing does.

    >>> suffix("IMG_1.JPG"), suffix("Dr. Who"), suffix("README")
    ('.jpg', '', '')
    """
    end = os.path.splitext(name)[1].lower()
    return end if end[1:].isalnum() and len(end) <= _LONGEST else ""


def advice(kinds):
    """What a user may do about files of these kinds that were passed over, or ""."""
    others = sorted(_CONVERTIBLE & set(kinds))
    parts = [f"convert {', '.join(others)} to .jpg or .png"] if others else []
    if NONE in kinds:
        parts.append("name images that have no suffix as .jpg or .png")
    return "; ".join(parts)
