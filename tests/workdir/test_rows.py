import pytest

from ltjax.mistake import Mistake
from ltjax.workdir.rows import choose


def results(*names):
    """Results with the rows of these names."""
    rows = [(*name.split("/"), "", "")[:3] for name in names]
    keys = ("backbone", "classifier", "variant")
    return {"rows": [dict(zip(keys, row)) for row in rows]}


ALL = ("sgd/none", "sgd/la", "swa/none", "swa/la", "swa/srepr", "swa/srepr/b")


@pytest.mark.parametrize(
    ("names", "wanted", "found"),
    [
        (ALL, None, "swa/srepr"),
        (ALL, "sgd/la", "sgd/la"),
        (ALL, "swa/srepr/b", "swa/srepr/b"),
        (ALL[:4], None, "swa/la"),
        (("sgd/la", "swa/none", "swa/ncm", "swa/crt"), None, "swa/crt"),
        (("sgd/la", "swa/none", "swa/ncm"), None, "swa/ncm"),
        (("sgd/la", "swa/none"), None, "swa/none"),
    ],
)
def test_the_row_that_leaves(names, wanted, found):
    row = choose("runs/x", results(*names), wanted)
    assert str(row) == found


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (
            "swa/lda",
            "--classifier swa/lda is no row of runs/x, which has sgd/none, sgd",
        ),
        ("srepr", "--classifier srepr is no row of runs/x"),
        ("", "--classifier  is no row"),
        ("swa/sreprr", "; did you mean swa/srepr?"),
    ],
)
def test_a_row_that_cannot(wanted, words):
    with pytest.raises(Mistake) as caught:
        choose("runs/x", results(*ALL), wanted)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
