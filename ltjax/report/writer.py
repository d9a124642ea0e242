"""Files of a run folder that are read by machines."""

import json
import os


class Writer:
    """Appends events to a file, one JSON object a line, on disk when `write` returns."""

    def __init__(self, path):
        self._file = path.open("a")

    def write(self, event):
        """Appends one event, a dict ready for JSON."""
        self._file.write(json.dumps(event) + "\n")
        self._file.flush()

    def close(self):
        """Closes the file."""
        self._file.close()


def write_json(path, value):
    """Writes a JSON file in one step: it is there whole or not at all."""
    part = path.with_name(path.name + ".part")
    with part.open("w") as file:
        json.dump(value, file, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
