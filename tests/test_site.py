"""The documentation has a page for every public module, and needs no network."""

import importlib
import re
import runpy
from pathlib import Path

import pytest
import yaml

import ltjax

ROOT = Path(__file__).parent.parent
PACKAGE = Path(ltjax.__file__).parent
HOOK = runpy.run_path(str(ROOT / "docs" / "api_pages.py"))
PAGES = HOOK["pages"](PACKAGE)
SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text())


def test_every_public_module_has_its_place():
    found = re.findall(r"^::: (\S+)$", "\n".join(PAGES.values()), re.M)
    modules = {
        ".".join(("ltjax", *file.relative_to(PACKAGE).with_suffix("").parts))
        for file in PACKAGE.rglob("*.py")
        if not file.name.startswith("_")
    }
    assert sorted(found) == sorted(modules)


def test_a_new_module_appears_and_a_private_one_does_not(tmp_path):
    package = tmp_path / "ltjax"
    rooms = "room/__init__", "room/new", "room/_own", "room/nook/__init__"
    for name in ("__init__", "door", "_own", *rooms):
        file = package / f"{name}.py"
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_text(f'"""The {name}."""\n')
    pages = HOOK["pages"](package)
    packages = "ltjax", "ltjax.room", "ltjax.room.nook"
    assert list(pages) == ["api/index.md", *(f"api/{name}.md" for name in packages)]
    assert "::: ltjax.door\n" in pages["api/ltjax.md"]
    assert "::: ltjax.room.new\n" in pages["api/ltjax.room.md"]
    assert "_own" not in "".join(pages.values())


def test_what_a_package_exports_is_where_the_page_says():
    text = PAGES["api/ltjax.losses.md"]
    links = dict(re.findall(r"\[`(\w+)`\]\[([\w.]+)\]", text))
    assert links.keys() == set(importlib.import_module("ltjax.losses").__all__)
    for name, place in links.items():
        module = importlib.import_module(place.rpartition(".")[0])
        assert getattr(module, name).__module__ == module.__name__


def test_examples_of_docstrings_become_code():
    lines = ["Words.", "", ">>> f(1)", "1", "", "More.", "", ">>> f(2)", "2"]
    code = ["```pycon", ">>> f(1)", "1", "```", ""], ["```pycon", ">>> f(2)", "2"]
    wanted = ["Words.", "", *code[0], "More.", "", *code[1], "```", ""]
    assert HOOK["fenced"](lines) == wanted
    assert HOOK["fenced"](["a > b", ""]) == ["a > b", "", ""]


def test_every_example_is_on_its_page():
    lines = (ROOT / "docs" / "examples.md").read_text().splitlines()
    shown = {line for line in lines if "8<" in line or "8 <" in line}
    files = (ROOT / "examples").glob("*.py")
    assert shown == {f'--8<-- "examples/{file.name}"' for file in files}


@pytest.mark.parametrize("folder", sorted(PACKAGE.rglob("__init__.py")))
def test_every_package_says_what_it_is(folder):
    assert HOOK["summary"](folder)


def test_the_site_has_every_page_and_only_those():
    listed = list(uris(SITE["nav"]))
    files = [file.name for file in (ROOT / "docs").glob("*.md")]
    assert sorted(listed) == sorted([*files, "index.md", "api/index.md"])
    assert SITE["nav"][-1] == {"API": "api/index.md"}  # where the hook adds pages


def uris(entries):
    """The pages of a navigation, those of its sections too."""
    for entry in entries:
        (value,) = entry.values()
        yield from [value] if isinstance(value, str) else uris(value)


def test_the_site_takes_nothing_from_the_network():
    assert SITE["theme"]["font"] is False
    assert "http" not in (ROOT / "mkdocs.yml").read_text()


def test_the_front_page_is_the_readme():
    readme, front = (ROOT / "README.md").read_text(), HOOK["front"]()
    assert front.splitlines()[0] == "# ltjax"
    assert len(front.splitlines()) == len(readme.splitlines())
    assert "](images.md)" in front
    assert "docs/images.md" in readme
    assert not re.findall(r"\]\(docs/|\]: docs/", front)
    back = HOOK["on_page_markdown"]("[front page](../README.md)", page=None)
    assert back == "[front page](index.md)"


def test_the_guide_is_on_the_front_page_and_its_pages_are_short():
    (guide,) = (entry["Guide"] for entry in SITE["nav"] if "Guide" in entry)
    readme = (ROOT / "README.md").read_text()
    for uri in [*uris(guide), "design.md", "srepr.md"]:
        assert f"](docs/{uri})" in readme
        assert len((ROOT / "docs" / uri).read_text().splitlines()) <= 150


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == ltjax.__version__
    (paper,) = citation["references"]
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert paper["title"] in readme
    assert paper["identifiers"][0]["value"].removeprefix("arXiv:") in readme


def test_the_workflow_calls_the_checks():
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    (job,) = yaml.safe_load(text)["jobs"].values()
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    assert [step["run"] for step in job["steps"] if "run" in step] == ["bash .ci/run"]
