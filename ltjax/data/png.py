"""The chunks of a PNG file that its pixels need."""

import zlib

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_FRAME = 12  # bytes of a chunk besides its body: length, kind, checksum
# Besides the critical ones: transparency, orientation, frames.
_NEEDED = frozenset((b"tRNS", b"eXIf", b"acTL", b"fcTL", b"fdAT"))
_TEXTS = frozenset((b"tEXt", b"zTXt", b"iTXt"))
# Texts in which an orientation may stand, where there is no eXIf.
_TURNS = frozenset((b"XML:com.adobe.xmp", b"Raw profile type exif"))
_MOST = 2**20  # bytes of such a text, decompressed


def needed(data):
    """The bytes of a PNG without the chunks that no pixel needs; others unchanged.

    Colour profiles and texts may grow a thousandfold where they are decompressed, so
    that decoders refuse the whole file; here they stay compressed. What an orientation
    may stand in is kept, once and up to a mebibyte. Files that are cut or damaged are
    left so from there on: the decoder tells.
    """
    if not data.startswith(_SIGNATURE):
        return data
    kept, texts, start, at = [], set(), 0, len(_SIGNATURE)
    while at + _FRAME <= len(data):
        length, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        end = at + _FRAME + length
        if not kind.isalpha() or end > len(data):
            break
        if not _is_needed(kind, memoryview(data)[at + 8 : end - 4], texts):
            kept.append(memoryview(data)[start:at])
            start = end
        at = end
    return b"".join((*kept, memoryview(data)[start:])) if kept else data


def _is_needed(kind, body, texts):
    """Whether a chunk is; `texts` are the keywords that were kept, and grows."""
    if kind[:1].isupper() or kind in _NEEDED:
        return True
    # A keyword has at most 79 bytes.
    keyword = bytes(body[:80]).partition(b"\0")[0]
    if kind not in _TEXTS or keyword not in _TURNS - texts:
        return False
    texts.add(keyword)
    return len(body) <= _MOST and _grows_little(kind, bytes(body[len(keyword) + 1 :]))


def _grows_little(kind, text):
    """Whether what follows the keyword has a mebibyte at most, decompressed."""
    if kind == b"tEXt" or (kind == b"iTXt" and not text.startswith(b"\1")):
        return True
    # A zTXt has its method before the text; an iTXt a flag, a method, two words.
    packed = text[1:] if kind == b"zTXt" else text[2:].split(b"\0", 2)[-1]
    inflater = zlib.decompressobj()
    try:
        inflater.decompress(packed, _MOST)
    except zlib.error:
        return False
    return not inflater.unconsumed_tail
