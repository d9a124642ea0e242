"""The lines of result files, by seed and by row."""

import json
import re
from pathlib import Path

import row_tables

from ltjax.mistake import Mistake
from ltjax.workdir.rows import Row

RESULTS = Path(__file__).parent / "results"


def lines_of(file, seeds):
    """The lines of a result file by seed; refuses what would mix or miss something."""
    path = RESULTS / file
    if not path.exists():
        raise Mistake(f"{path.name} does not exist in {RESULTS}; make it first")
    try:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        kinds = sorted({(line["config"], line["settings"]) for line in lines})
        data = sorted({line["data"] for line in lines})
    except (ValueError, KeyError, TypeError) as error:
        raise Mistake(f"{path.name} is cut or damaged: {error!r}") from error
    if len(kinds) > 1:
        names = ", ".join(f"{config} ({digest})" for config, digest in kinds)
        raise Mistake(f"{path.name} mixes configs: {names}; a table has one")
    if len(data) > 1:
        raise Mistake(f"{path.name} mixes data: {', '.join(data)}; a table has one set")
    found = {}
    for line in lines:
        found.setdefault(line["seed"], []).append(line)
    more = sorted(found.keys() - set(seeds))
    if more:
        raise Mistake(f"{path.name} has seed {more[0]}, which the page leaves out")
    missing = [seed for seed in seeds if seed not in found]
    if missing:
        listed = ", ".join(map(str, missing))
        raise Mistake(f"{path.name} lacks seed {listed} of the {len(seeds)} asked for")
    return {seed: found[seed] for seed in seeds}


def of_rows(by_seed):
    """{row: [its line of each seed]}, in the order of the file."""
    rows = {}
    for seed, lines in by_seed.items():
        for line in lines:
            row = Row.of(line)
            of_seeds = rows.setdefault(row, {})
            if seed in of_seeds:
                raise Mistake(f"row {row.key} stands twice in seed {seed}")
            of_seeds[seed] = line
    for row, of_seeds in rows.items():
        for seed in by_seed:
            if seed not in of_seeds:
                raise Mistake(f"row {row.key} lacks seed {seed}")
    return row_tables.distinct(
        {row: list(of_seeds.values()) for row, of_seeds in rows.items()}
    )


def provenance(by_seed):
    """Which commits, devices and, where they tell, processors made the lines."""
    lines = [line for lines in by_seed.values() for line in lines]
    # A dirty tree is told, too.
    commits = sorted(
        {re.sub(r"(\w{7})\w*", r"\1", str(line["commit"])) for line in lines}
    )
    devices = sorted({line["device"] for line in lines})
    # Lines of earlier versions tell of none.
    processors = sorted({line.get("processor") or "not told" for line in lines})
    told = f"; processor {' or '.join(processors)}"
    told = "" if processors == ["not told"] else told
    return (
        f"{seeds_in_words(by_seed).capitalize()}; device {', '.join(devices)}{told}; "
        f"commit {', '.join(commits)}."
    )


def seeds_in_words(by_seed):
    """seeds 0, 1, 2, of lines by seed."""
    word = "seed" if len(by_seed) == 1 else "seeds"
    return f"{word} {', '.join(map(str, by_seed))}"
