"""The picture of the house: rooms by floor, and the imports between them.

    python experiments/house.py

A room is a file or a package of `ltjax/`. Read from the source text, late imports too.
Needs nothing but Python. Ends with 1 if an arrow runs up, or between rooms of a floor.
"""

import ast
import sys
from collections import Counter
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "ltjax"

# From the top, as in docs/design.md. A room may import what lies on lower floors.
FLOORS = {
    7: ("main",),
    6: ("run", "seeds", "replay", "inspect", "predict", "export", "route"),
    5: ("stages", "report"),
    4: ("workdir", "configs"),
    3: ("config",),
    2: ("data", "models", "representation", "classifier", "runtime"),
    1: ("losses", "evaluation", "posterior", "mistake", "machine"),
}


def floor_of(room):
    """The number of a room's floor; None of a room that has none."""
    return next((number for number, rooms in FLOORS.items() if room in rooms), None)


def room_of(path, package=PACKAGE):
    """The first part of a module's name."""
    return path.relative_to(package).parts[0].removesuffix(".py")


def imported(source):
    """Rooms that a source text imports, at any place in it, one for each import."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            first, *rest = name.split(".")
            if first == "ltjax" and rest and not rest[0].startswith("__"):
                yield rest[0]


def arrows(package=PACKAGE):
    """How often a room imports another: {(room, other): imports}."""
    found = Counter()
    for path in sorted(package.rglob("*.py")):
        room = room_of(path, package)
        for other in imported(path.read_text(encoding="utf-8")):
            if other != room and room != "__init__":
                found[room, other] += 1
    return found


def wrong(pairs):
    """Those of the arrows that do not run to a lower floor."""
    return [
        (room, other)
        for room, other in sorted(pairs)
        if not (floor_of(other) or 9) < (floor_of(room) or 0)
    ]


def picture(package=PACKAGE):
    """The lines that show it all."""
    found = arrows(package)
    files = Counter(room_of(path, package) for path in package.rglob("*.py"))
    rooms = [room for room in files if room != "__init__"]
    packages = [room for room in rooms if (package / room).is_dir()]
    lost = [room for room in rooms if floor_of(room) is None]
    for number, named in FLOORS.items():
        shown = (
            f"{room}/ ({files[room]})" if room in packages else f"{room}.py"
            for room in named
        )
        yield f"{number}   {'   '.join(shown)}"
    yield ""
    for named in FLOORS.values():
        for room in named:
            below = sorted(other for one, other in found if one == room)
            yield f"{room:15} -> {', '.join(below) or '-'}"
    yield ""
    yield (
        f"{len(packages)} packages, {len(rooms) - len(packages)} files, {len(FLOORS)} "
        f"floors, {len(found)} arrows between rooms"
    )
    if lost:
        yield f"on no floor: {', '.join(sorted(lost))}"
    up = [f"{room} -> {other}" for room, other in wrong(found)]
    yield f"arrows that do not run down: {', '.join(up) or 'none'}"


if __name__ == "__main__":
    print("\n".join(picture()))
    sys.exit(1 if wrong(arrows()) else 0)
