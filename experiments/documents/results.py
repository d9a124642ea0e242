"""The lines of result files, by seed and by row."""

import json
import re
from pathlib import Path

from tabular import HEADLINE

from ltjax.mistake import Mistake
from ltjax.workdir.rows import Row

RESULTS = Path(__file__).parents[1] / "results"


def lines(file):
    """The lines of a result file."""
    path = RESULTS / file
    if not path.exists():
        raise Mistake(f"{path.name} does not exist in {RESULTS}; make it first")
    return [json.loads(line) for line in path.read_text().splitlines()]


def figures(file):
    """What a result file of one value has."""
    return json.loads((RESULTS / file).read_text())


def by_seed(file, seeds):
    """The lines of a result file by seed; refuses what would mix or miss something."""
    found = lines(file)
    kinds = sorted({(line["config"], line["settings"]) for line in found})
    if len(kinds) > 1:
        names = ", ".join(f"{config} ({digest})" for config, digest in kinds)
        raise Mistake(f"{file} mixes configs: {names}; a table has one")
    data = sorted({line["data"] for line in found})
    if len(data) > 1:
        raise Mistake(f"{file} mixes data: {', '.join(data)}; a table has one set")
    ours = {}
    for line in found:
        ours.setdefault(line["seed"], []).append(line)
    more = sorted(ours.keys() - set(seeds))
    if more:
        raise Mistake(f"{file} has seed {more[0]}, which the page leaves out")
    missing = ", ".join(str(seed) for seed in seeds if seed not in ours)
    if missing:
        raise Mistake(f"{file} lacks seed {missing} of the {len(seeds)} asked for")
    return {seed: ours[seed] for seed in seeds}


def of_rows(by_seed):
    """{row: [its line of each seed]}, in the order of the file."""
    rows = {}
    for seed, lines in by_seed.items():
        for line in lines:
            row = Row.of(line)
            # By its three names: no table here is of metadata.
            of_seeds = rows.setdefault(row[:3], {})
            if seed in of_seeds:
                raise Mistake(f"row {row.key} stands twice in seed {seed}")
            of_seeds[seed] = line
    for row, of_seeds in rows.items():
        for seed in by_seed.keys() - of_seeds.keys():
            raise Mistake(f"row {Row(*row).key} lacks seed {seed}")
    found = {row: list(of_seeds.values()) for row, of_seeds in rows.items()}
    # But the headline's repetition under the name of its form.
    headline = [line["nll"] for line in found.get(HEADLINE, [])]
    return {
        row: lines
        for row, lines in found.items()
        if not (row[2].startswith("c-") and [a["nll"] for a in lines] == headline)
    }


def provenance(by_seed):
    """Which commits, devices and, where they tell, processors made the lines."""
    lines = [line for lines in by_seed.values() for line in lines]

    def every(name):
        return sorted({str(line.get(name) or "not told") for line in lines})

    # A dirty tree is told, too.
    commits = sorted({re.sub(r"(\w{7})\w*", r"\1", one) for one in every("commit")})
    # Lines of earlier versions tell of no processor.
    told = f"; processor {' or '.join(every('processor'))}"
    told = "" if every("processor") == ["not told"] else told
    return (
        f"{seeds_in_words(by_seed).capitalize()}; "
        f"device {', '.join(every('device'))}{told}; commit {', '.join(commits)}."
    )


def seeds_in_words(by_seed):
    """seeds 0, 1, 2, of lines by seed."""
    word = "seed" if len(by_seed) == 1 else "seeds"
    return f"{word} {', '.join(map(str, by_seed))}"
