"""Pages of runs, as HTML and in a browser."""

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import browser
import pytest
import written

from ltjax.mistake import Mistake
from ltjax.report import __main__ as report
from ltjax.report import comparison, page

SECTIONS = (
    *("rows", "classes", "calibration", "refusal", "confusion", "examples"),
    "tail",
    "dispersion",
)
SECTIONS += ("training", "every-class", "made")
EVIL = "<script>alert('$x_{')</script>&\"猫"


class Reader(HTMLParser):
    """Refuses what is not nested; collects text, ids and what is linked to."""

    VOID = ("meta", "link", "br", "img")

    def __init__(self, text):
        super().__init__()
        self.open, self.text, self.ids, self.links, self.tags = [], [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append((tag, attributes))
        if tag not in self.VOID:
            self.open.append(tag)
        self.ids += filter(None, [attributes.get("id")])
        names = ("href", "src", "xlink:href")
        self.links += [attributes[name] for name in names if name in attributes]

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text.append(data.strip())


def sections(text):
    return re.findall(r'<h2 id="([^"]*)"', text)


def check(text):
    """What holds for every page; returns its `Reader`."""
    reader = Reader(text)
    for link in reader.links:
        assert link.startswith(("#", "data:")), link
        if link.startswith("#"):
            assert link[1:] in reader.ids
    # What a diagram is clipped by has the same id wherever it is the same.
    anchors = [each for each in reader.ids if re.fullmatch("[a-z]+(-[a-z0-9]+)?", each)]
    assert len(set(anchors)) == len(anchors)
    assert not re.search(r"url\((?!#)|@import|<script|\bnan\b|None", text)
    for svg in re.findall(r"<svg.*?</svg>", text, re.S):
        assert ET.fromstring(svg).attrib["aria-label"]
        assert "<text" in svg  # not drawn as paths
    for tag, attributes in reader.tags:
        if tag == "img":
            assert attributes["alt"]
    return reader


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return written.write(tmp_path_factory.mktemp("page") / "run")


def test_a_page_has_every_section_and_every_figure(run):
    text = page.of_run(run)
    assert tuple(sections(text)) == SECTIONS
    seen = " ".join(check(text).text)
    for row in run.results["rows"]:
        assert f"{row['acc']['all']:.2f}" in seen
        assert f"{row['nll']:.3f}" in seen
    assert "SWA + SRepr is right on" in seen
    assert text.count("<img") == 3 * 6 + 3 * 6 + sum(
        len(kinds["surest mistakes"]) for kinds in run.chosen.values()
    ) + (4 * 6 + 3)
    assert len(text) < 600_000
    assert page.of_run(run) == text


def test_the_rarest_classes_are_shown_with_what_they_are_taken_for(run):
    text = page.of_run(run)
    part = text[text.index('id="tail"') : text.index('id="dispersion"')]
    rarest = re.findall(r"<h3>class (\d): (\d+) to train on", part)
    assert rarest == [("4", "3"), ("3", "9"), ("2", "40"), ("1", "90"), ("0", "300")]
    (*_, said) = run.predicted.values()
    said = said.label[run.labels == 4]
    assert f"{(said == 4).sum()} of 20 test images are right" in part
    for other in set(said) - {4}:
        assert f"{(said == other).sum()} taken for class {other}" in part


SETS = {
    "row": "swa-la",
    "asked": 0.9,
    "calibration": 30,
    "splits": 20,
    "groups": {"few": {"coverage": 0.875, "size": 2.25}, "many": None},
}


def test_names_of_users_are_only_text_and_sets_are_shown(tmp_path):
    names = [f"{number} {EVIL}" for number in range(5)]
    run = written.write(tmp_path / f"{EVIL[9:14]}", class_names=names)
    run = run._replace(
        results={**run.results, "changes": [{"at": EVIL, "differences": [EVIL]}]},
        classes={**run.classes, "coverage": SETS},
    )
    text = page.of_run(run)
    assert "coverage" in sections(text)
    reader = check(text)
    assert {"87.5 %", "2.25"} <= set(reader.text)
    assert any("of images, by SWA + LA: one half" in text for text in reader.text)
    assert any(names[4] in text for text in reader.text)
    assert any(names[0] in attributes.get("alt", "") for _, attributes in reader.tags)


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"counts": (300, 200, 150)}, ()),  # no medium, no few
        ({"counts": (9, 0)}, ()),  # a class that was not trained on
        ({"methods": ()}, ()),
        ({"methods": ("srepr",)}, ()),
        ({"counts": tuple(range(400, 20, -1)), "each": 1}, ()),
        (
            {"keep": False},
            ("calibration", "refusal", "confusion", "examples", "tail"),
        ),
    ],
)
def test_what_is_missing_leaves_a_sensible_page(tmp_path, changes, missing):
    text = page.of_run(written.write(tmp_path / "run", **changes))
    check(text)
    assert sections(text) == [each for each in SECTIONS if each not in missing]


def test_each_expert_has_its_figures_beside_their_mean(run):
    alone = [
        {"acc": {**row["acc"], "all": 12.25 + at}, "nll": 7.5, "ece": 0.5, "brier": 1.5}
        for at, row in enumerate(run.results["rows"][:2])
    ]
    first = {**run.results["rows"][0], "experts": alone}
    results = {**run.results, "rows": [first, *run.results["rows"][1:]]}
    text = page.of_run(run._replace(results=results))
    assert sections(text)[:2] == ["rows", "experts"]
    seen = check(text).text
    at = seen.index("SGD, expert 2")
    assert seen[at + 1 : seen.index("SGD, mean of their logits")].count("13.25") == 1
    mean = seen[seen.index("SGD, mean of their logits") :]
    assert f"{first['acc']['all']:.2f}" in mean[: len(page.table.COLUMNS) * 2]


def test_a_run_without_rows_has_a_page(run):
    bare = run._replace(
        results={**run.results, "rows": [], "seconds": {}},
        **{"classes": {}, "epochs": {}, "predicted": {}, "images": {}},
    )
    text = page.of_run(bare)
    check(text)
    assert sections(text) == ["made"]


def test_seeds_have_means_and_settings_differences(tmp_path):
    runs = [
        written.write(tmp_path / f"{lr}-{seed}", seed=seed, lr=lr)
        for lr in (0.1, 0.2)
        for seed in (1, 0)
    ]
    found = comparison.settings(runs)
    assert [each.name for each in found] == ["made (1)", "made (2)"]
    assert [[run.results["seed"] for run in each.runs] for each in found] == 2 * [
        [0, 1]
    ]
    text = comparison.of_settings(found)
    seen = " ".join(check(text).text)
    assert "config.classifier.lr was 0.1, now 0.2" in seen
    last = [run.results["rows"][6] for run in runs[:2]]
    assert {row["classifier"] for row in last} == {"srepr"}
    low, high = sorted(row["nll"] for row in last)
    # Of two numbers the deviation is their distance over the root of 2.
    assert f"{(low + high) / 2:.3f} ± {(high - low) / 2**0.5:.3f}" in seen
    one = comparison.of_settings(comparison.settings(runs[:2]))
    check(one)
    assert "settings" not in sections(one)
    assert "differences" in sections(one)


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"counts": (300, 90, 40, 9, 3, 0)}, "classes were 5, are 6: '5' is new"),
        ({"class_names": list("abcde")}, "class 0 was '0', is 'a'"),
        (
            {"counts": (300, 90), "class_names": list("ab"), "data": "d1"},
            "classes were 5, are 2: 'a' is new",
        ),
    ],
)
def test_runs_of_other_classes_are_not_compared(tmp_path, capsys, other, says):
    written.write(tmp_path / "a", keep=False)
    written.write(tmp_path / "b", seed=1, keep=False, **other)
    words = [*(str(tmp_path / name) for name in "ab"), "--out", str(tmp_path / "x")]
    assert report.main(words) == 2
    err = capsys.readouterr().err
    assert err == (
        f"ltjax: {tmp_path / 'b'} has other classes than {tmp_path / 'a'} ({says}); "
        "only runs of the same classes can be compared\n"
    )
    assert not (tmp_path / "x").exists()


def test_runs_of_other_data_are_not_compared(tmp_path):
    runs = [written.write(tmp_path / d, data=d, seed=s) for s, d in enumerate("ab")]
    with pytest.raises(Mistake, match="b has other images"):
        comparison.settings(runs)
    with pytest.raises(Mistake, match="give each run once"):
        comparison.settings(runs[:1] * 2)


@pytest.mark.skipif(browser.CHROMIUM is None, reason="needs Chromium")
def test_a_browser_shows_pages_of_any_width_without_a_word(tmp_path):
    names = ["a" * 80, "b c " * 30, "猫", "d", "e"]
    runs = [
        written.write(tmp_path / f"r{s}", seed=s, class_names=names) for s in (0, 1)
    ]
    pages = {
        "one": page.of_run(
            runs[0]._replace(classes={**runs[0].classes, "coverage": SETS})
        ),
        "two": comparison.of_settings(comparison.settings(runs)),
    }
    with browser.browser(tmp_path / "profile") as tab:
        for name, text in pages.items():
            path = tmp_path / f"{name}.html"
            path.write_text(text.replace("<details>", "<details open>"))
            for width in (400, 1280):
                events = tab.open(path, width)
                said = {event["method"] for event in events}
                assert not said & set(browser.COMPLAINTS), events
                assert tab.value("document.documentElement.scrollWidth") == width
                assert tab.value(OUTSIDE) == []
                sent = browser.requests(events)
                assert [s for s in sent if not s.startswith("data:")] == [path.as_uri()]


# Texts of diagrams that leave them.
OUTSIDE = """
[...document.querySelectorAll('svg')].flatMap(svg => {
  const box = svg.getBoundingClientRect();
  return [...svg.querySelectorAll('text')].filter(text => {
    const inner = text.getBoundingClientRect();
    return inner.left < box.left - 1.5 || inner.right > box.right + 1.5
      || inner.top < box.top - 1.5 || inner.bottom > box.bottom + 1.5;
  }).map(text => text.textContent);
})
"""
