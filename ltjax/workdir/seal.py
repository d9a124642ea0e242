"""Checksums of files in a record that is written last, and what is wrong with them."""

import errno
import hashlib
import json
import os


def damage(record, number, checksums):
    """What is wrong with files, in words, or None.

    `record` is their JSON file, of the format `number`. `checksums(content)` gives the
    name in words, the file and the checksum of each that it tells of.
    """
    try:
        content = json.loads(record.read_text(encoding="utf-8"))
        found, told = content["format"], list(checksums(content))
    except FileNotFoundError:
        return "it has no record, so it was never finished"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "its record cannot be read"
    if found != number:
        return f"its format is {found}, not {number}"
    for name, file, digest in told:
        try:
            same = checksum(file) == digest
        except FileNotFoundError:
            return f"{name} is missing"
        except OSError as error:
            # Not what may pass, such as too many open files.
            if error.errno not in (errno.EIO, errno.EISDIR, errno.ENOTDIR):
                raise
            return f"{name} cannot be read: {error.strerror}"
        if not same:
            return f"{name} is not what was written"
    return None


def checksum(file, sync=False):
    """The SHA-256 of a file; with `sync` it is on the disk before."""
    with file.open("r+b" if sync else "rb") as content:  # or Windows syncs nothing
        if sync:
            os.fsync(content.fileno())
        return hashlib.file_digest(content, "sha256").hexdigest()
