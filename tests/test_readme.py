"""The README and the pages of docs/: their tables, examples, commands and links."""

import importlib
import re
import runpy
import shlex
import sys
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from ltjax import main
from ltjax.classifier import srepr
from ltjax.losses import cross_entropy
from ltjax.mistake import Mistake
from ltjax.posterior import swag
from ltjax.runtime import command

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "experiments" / "documents"))

import documents  # noqa: E402
import trials  # noqa: E402


@pytest.mark.parametrize("document", documents.DOCUMENTS)
def test_tables_are_those_of_the_result_files(document):
    text = (ROOT / document).read_text()
    assert documents.filled(text) == text


def test_every_table_has_a_place_and_no_mark_is_forgotten():
    marks = [
        mark
        for document in documents.DOCUMENTS
        for mark in re.findall(r"<!-- /(\w+) -->", (ROOT / document).read_text())
    ]
    assert sorted(marks) == sorted([*documents.TABLES, "house"])


class Features(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Dense(6)(x)
        return nn.relu(nn.BatchNorm(use_running_average=not train)(x))


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [
    block
    for page in PAGES
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.S)
]


def example(name):
    """The one example in a page that has this name in it."""
    (found,) = (block for block in BLOCKS if name in block)
    return found


def test_the_front_page_is_short_and_begins_with_two_commands():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 180
    assert re.findall(r"```\n(.*?)```", text, re.S)[0] == (
        "pip install -e . && python -m ltjax.main --config configs/digits_lt.py\n"
        "pip install -e '.[test]' && pytest\n"
    )


def test_every_example_is_run_by_a_test():
    assert [example("srepr.loss"), example("wandb")] == BLOCKS


def test_example_of_a_head():
    z = jax.random.normal(jax.random.key(0), (3, 20, 4))
    labels, counts = jnp.arange(20) % 3, np.array([7, 7, 6])
    names = {"z": z, "labels": labels, "counts": counts}
    exec(example("srepr.loss"), names)
    new = srepr.init(jax.random.key(0), 4, 3)
    assert names["loss"](names["head"]) < 0.9 * names["loss"](new)


def test_example_of_a_tracker(monkeypatch):
    heard = []
    wandb = types.SimpleNamespace(init=lambda **_: None, log=heard.append)
    monkeypatch.setitem(sys.modules, "wandb", wandb)

    def run(config, out, track):
        track({"event": "epoch"})

    monkeypatch.setattr("ltjax.run.run", run)
    exec(example("wandb"), {"config": None})
    assert heard == [{"event": "epoch"}]


def test_the_pipeline_of_examples_runs():
    names = runpy.run_path(str(ROOT / "examples" / "srepr_pipeline.py"))
    images, labels = jax.random.normal(jax.random.key(2), (20, 4)), jnp.arange(20) % 3
    params = Features().init(jax.random.key(3), images)["params"]
    posterior = swag.init(params, rank=20)
    for epoch in range(3):
        snapshot = jax.tree.map(lambda leaf, e=epoch: 1.01**e * leaf, params)
        posterior = swag.update(posterior, snapshot)
    apply, counts = Features().apply, np.array([7, 7, 6])

    def retrain(steps):
        return names["retrain"](
            jax.random.key(4), posterior, apply, images, labels, counts, 2, steps
        )

    def nll(mean, head):
        return cross_entropy(srepr.logits(head, apply(mean, images)), labels).mean()

    begun, trained = retrain(0), retrain(50)
    jax.tree.map(np.testing.assert_array_equal, trained[0]["params"], posterior.mean)
    assert nll(*trained) < 0.9 * nll(*begun)


def commands(text):
    """Door and words of each `python -m ltjax.DOOR ...` in the blocks of a page."""
    for block in re.findall(r"^```[^\n]*\n(.*?)^```$", text, re.S | re.M):
        for line in block.replace("\\\n", " ").splitlines():
            # Some stand in the quotes of another command, some after a variable.
            found = re.search(r"python -m ltjax\.(\w+)([^\"]*)", line)
            if found:
                yield found[1], shlex.split(found[2], comments=True)


COMMANDS = [
    (page.name, *command) for page in PAGES for command in commands(page.read_text())
]


def known(words):
    """The words, with a config that is there in place of one that is the reader's."""
    there = {
        f"configs/{file.name}" for file in (ROOT / "ltjax" / "configs").glob("*.py")
    }
    for before, word in zip(["", *words], words):
        if before == "--config" and word.partition(":")[0] not in there:
            assert "/" not in word
            word = "configs/digits_lt.py"
        yield word.replace("I", "0") if before == "--hosts.index" else word


@pytest.mark.parametrize(
    ("door", "words"), [pytest.param(*c[1:], id=" ".join(c[:2])) for c in COMMANDS]
)
def test_every_command_is_understood(monkeypatch, door, words):
    monkeypatch.chdir(ROOT)
    if door == "main":
        assert main.read(list(known(words)))
    else:
        module = importlib.import_module(f"ltjax.{door}.__main__")
        assert command.parsed(module.Command, door, words)


def test_a_flag_that_is_not_there_is_found():
    words = "run new \\\n    --out x.csv --sampels 3  # so"
    ((door, words),) = commands(f"```\npython -m ltjax.predict {words}\n```\n")
    assert words == ["run", "new", "--out", "x.csv", "--sampels", "3"]
    with pytest.raises((SystemExit, Mistake)):
        command.parsed(
            importlib.import_module("ltjax.predict.__main__").Command, door, words
        )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    links = re.findall(r"\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)$", text, re.M)
    for link in map("".join, links):
        place = link.partition("#")[0]
        if place and "://" not in place and not place.startswith("api/"):
            assert (page.parent / place).exists(), link


def test_ways_to_learn_are_compared_where_all_else_is_equal():
    def line(way, lr, nll, ece):
        row = {"classifier": "la", "variant": "", "weight_decay": 1e-4}
        return {**row, "experts": way, "lr": lr, "nll": nll, "ece": ece}

    found = trials._both_ways(
        [
            line("alone", 0.1, 3.0, 0.1),
            line("together", 0.1, 2.0, 0.2),
            line("alone", 0.5, 2.0, 0.1),
            line("together", 0.5, 2.0, 0.1),
            line("together", 2.0, 1.0, 0.0),  # without its like
        ]
    )
    assert found.startswith("Of 2 choices that were fitted both ways")
    assert "lower NLL in 1 and the lower ECE in 0." in found
