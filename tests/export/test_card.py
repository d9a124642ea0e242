"""The model card, as a reader finds it."""

import re

import pytest

from ltjax.export import card

DATA = {
    "name": "birds",
    "classes": 3,
    "train": 130,
    "test": 30,
    "counts": [101, 25, 4],
}
ROW = {
    "acc": {"many": 90.0, "medium": 50.5, "few": None, "all": 71.25},
    "nll": 0.4321,
    "ece": 0.02,
    "brier": 0.3,
}


def about(*files, **changes):
    return {
        "seed": 3,
        "architecture": "resnet50",
        "model": {"name": "resnet50"},
        "trained_in": "float32",
        "backbone": "swa",
        "classifier": "swa/srepr",
        "prior": "equal shares of the classes",
        "classes": ["a|b", "<c>", "d\ne"],
        "image": [224, 224, 3],
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "background": None,
        "range": None,
        "versions": {"ltjax": "0.1.0", "jax": "0.10.2"},
        "checked_on": 16,
        "files": {f: {"bytes": 2**20, "largest_difference": 2e-6} for f in files},
        **changes,
    }


def test_what_a_card_says():
    text = card.text(about("model.safetensors", "model.onnx"), ROW, DATA)
    titles = re.findall(r"^## (.*)$", text, re.M)
    assert titles == [
        *("Licence", "Figures", "Input and output", "Files", "How to load it"),
        *("Intended use, and limits", "Training images of each class", "Versions"),
    ]
    for line in (
        "| 90.00 | 50.50 | - | 71.25 | 0.432 | 0.020 | 0.300 |",
        "| `model.onnx` | 1.00 MiB | 2e-06 |",
        "224 x 224 pixels of 3 channels",
        "mean 0.485, 0.456, 0.406 and std 0.229, 0.224, 0.225",
        "uint8 [N, 224, 224, 3]",
        'timm.create_model("resnet50", in_chans=3, num_classes=3)',
        "on 130 images of 3 classes, 101 of the largest and 4 of the smallest",
        "Its probabilities assume equal shares of the classes; where",
        "seed 3",
        "ltjax 0.1.0, jax 0.10.2",
    ):
        assert line in text
    assert text.count("```") == 4
    assert "posterior" not in text.split("## How to load")[1].split("##")[0]


def test_how_files_become_8_bit_is_told():
    assert "transparent" not in card.text(about(), ROW, DATA)
    assert "Grey" not in card.text(about(), ROW, DATA)
    text = card.text(about(background="black", range=[0, 4095.5]), ROW, DATA)
    assert "8-bit. What is transparent is put before black. Grey values of more" in text
    assert "so that 0 becomes 0 and 4095.5 255. Normalised" in text


def test_class_names_are_cells_and_no_markup():
    text = card.text(about("model.npz"), ROW, DATA)
    for row in (r"| 0 | a\|b | 101 |", r"| 1 | \<c\> | 25 |", "| 2 | d e | 4 |"):
        assert row in text.splitlines()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"classifier": "swa/none"}, "with the classifier that they were trained"),
        (
            {"classifier": "sgd/la", "backbone": "sgd"},
            "last weights, with a classifier",
        ),
        ({"classifier": "swa/srepr/b"}, "re-trained on draws"),
        ({"trained_in": "bfloat16"}, "tested in bfloat16; this is float32."),
        ({"model": {"name": "resnet50", "trained": ["head"]}}, "are not in it"),
    ],
)
def test_what_it_is_depends_on_the_row(changes, words):
    assert words in card.text(about("posterior.npz", **changes), ROW, DATA)


def test_of_many_classes_both_ends_are_shown():
    counts = list(range(1000, 0, -1))
    data = {**DATA, "classes": 1000, "counts": counts}
    names = [f"n{label}" for label in range(1000)]
    text = card.text(about("model.onnx", classes=names), ROW, data)
    rows = [line for line in text.splitlines() if re.match(r"\| \d+ \| n", line)]
    assert len(rows) == 200
    assert rows[0] == "| 0 | n0 | 1000 |"
    assert rows[-1] == "| 999 | n999 | 1 |"
    assert "The 100 largest and the 100 smallest" in text


def test_a_card_is_renewed_where_it_tells_of_files():
    old = card.text(about("model.npz"), ROW, DATA)
    new = card.text(about("model.npz", "model.onnx"), ROW, DATA)
    assert old != new
    assert card.renewed(old, new) == card.renewed(new, new) == new
    assert card.renewed("", new) == new
    # What its owner has written, or left out.
    mine = old.replace("**Not chosen yet.**", "CC0.").replace("## Figures", "## Mine")
    found = card.renewed(mine, new)
    wanted = new.replace("**Not chosen yet.**", "CC0.").replace("## Figures", "## Mine")
    assert found == wanted
    assert card.renewed(mine.replace("\n", "\r\n"), new).count("## Files") == 1
    bare = card.renewed("Read the paper.\n", new)
    assert bare.startswith("Read the paper.\n\n## Files\n")
    assert "InferenceSession" in bare
    twice = new + new[new.index("## Files") :]
    assert card.renewed(twice, new).count("## Files") == 2
    assert "## Versions" not in bare
