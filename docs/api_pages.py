"""The API pages of the site, made from what is in the package: a hook of MkDocs.

One page for the modules that lie in `ltjax/` itself and one for each sub-package, with
every public module on it. The package is read, not imported, here and by mkdocstrings.
"""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "ltjax"


def on_config(config):
    """Puts the pages below "API" in the navigation."""
    made = [{title(uri): uri} for uri in pages() if uri != "api/index.md"]
    config.nav[-1] = {"API": ["api/index.md", *made]}
    return config


def on_files(files, config):
    """Adds the pages to those that lie in docs/."""
    from mkdocs.structure.files import File

    for uri, text in pages().items():
        files.append(File.generated(config, uri, content=text))
    return files


def title(uri):
    """What the navigation calls a page: the package's name."""
    return Path(uri).stem


def pages(package=PACKAGE):
    """The Markdown of every API page by its place in docs/, the list of them first."""
    found = (file.parent for file in sorted(package.glob("*/__init__.py")))
    packages = [package, *(folder for folder in found if folder.name[0] != "_")]
    made = {f"api/{name(folder, package)}.md": folder for folder in packages}
    rows = [
        f"| [`{title(uri)}`]({title(uri)}.md) | {summary(folder / '__init__.py')} |"
        for uri, folder in made.items()
    ]
    listing = ["# API", *LISTING, *rows]
    return {
        "api/index.md": "\n".join(listing) + "\n",
        **{uri: page(folder, package) for uri, folder in made.items()},
    }


LISTING = (
    "",
    "Whoever imports functions needs `losses`, `posterior`, `classifier`, `evaluation`",
    "and `data.longtail`: pure functions of arrays and trees, which know no model, no",
    "file and no config. `ltjax` itself holds the stages of a run and its doors.",
    "",
    "| package | |",
    "| --- | --- |",
)


def page(folder, package):
    """The page of one package: what it exports, then its modules in turn."""
    full = name(folder, package)
    lines = [f"# `{full}`", "", summary(folder / "__init__.py"), ""]
    links = [
        f"[`{public}`][{name(folder, package)}.{module}.{public}]"
        for public, module in exported(folder / "__init__.py").items()
    ]
    if links:
        lines += [f"From `{full}` itself can be imported {', '.join(links)}.", ""]
    for file in sorted(folder.glob("*.py")):
        if file.name[0] != "_":
            lines += [f"::: {full}.{file.stem}", ""]
    return "\n".join(lines)


def name(folder, package):
    """The dotted name of a package by its folder."""
    return ".".join((package.name, *folder.relative_to(package).parts))


def summary(file):
    """The first paragraph of a file's docstring, in one line."""
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split())


def exported(file):
    """The module of each name that a package imports from its own modules."""
    found = {}
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            module = node.module.split(".")[-1]
            found |= {alias.name: module for alias in node.names}
    return dict(sorted(found.items()))
