"""The picture of the house: rooms by floor, and the imports between them.

    python experiments/house.py
    python experiments/house.py --write

A room is a file or a package of `ltjax/`. Read from the source text, late imports too.
The second command writes the part of docs/design.md between its marks. Needs nothing
but Python. Ends with 1 if an arrow runs up, or between rooms of a floor.
"""

import ast
import itertools
import sys
from collections import Counter
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "ltjax"
PAGE = PACKAGE.parent / "docs" / "design.md"
_BEGIN, _END = "<!-- house -->\n", "<!-- /house -->"

# From the top, as in docs/design.md. A room may import what lies on lower floors.
FLOORS = {
    7: ("main",),
    6: (
        "run",
        "seeds",
        "replay",
        "inspect",
        "predict",
        "export",
        "route",
        "clustering",
    ),
    5: ("stages", "report"),
    4: ("workdir",),
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


def modules(package=PACKAGE):
    """The files of all rooms; those of `configs/` are for users to edit: no room."""
    files = sorted(package.rglob("*.py"))
    return [file for file in files if room_of(file, package) != "configs"]


def arrows(package=PACKAGE):
    """How often a room imports another: {(room, other): imports}."""
    found = Counter()
    for path in modules(package):
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
    files = Counter(room_of(path, package) for path in modules(package))
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


def sentence(room, package=PACKAGE):
    """What a room's docstring begins with, in one line."""
    folder = package / room
    file = folder / "__init__.py" if folder.is_dir() else package / f"{room}.py"
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    words = " ".join(text.split("\n\n")[0].split())
    return words.split(": `")[0].rstrip(".") + "."  # without the command of a door


def described(package=PACKAGE):
    """The lines of the page: the floors, and a table of their rooms."""
    found = arrows(package)
    names = {
        room: f"{room}/" if (package / room).is_dir() else f"{room}.py"
        for room in itertools.chain(*FLOORS.values())
    }
    yield "```"
    for number, named in FLOORS.items():
        yield f"{number}   {'   '.join(names[room] for room in named)}"
    yield from ("```", "", "| floor | room | in one sentence | imports |")
    yield "| --- | --- | --- | --- |"
    for number, named in FLOORS.items():
        for room in named:
            below = sorted(other for one, other in found if one == room)
            imports = ", ".join(below) or "–"
            text = sentence(room, package)
            yield f"| {number} | `{names[room]}` | {text} | {imports} |"


def filled(text):
    """The page's text with the part between the marks made anew."""
    head, rest = text.split(_BEGIN)
    return "\n".join([head + _BEGIN.rstrip(), *described(), _END + rest.split(_END)[1]])


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print("\n".join(picture()))
    sys.exit(1 if wrong(arrows()) else 0)
