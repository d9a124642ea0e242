"""What the site has beside the files of docs/: a hook of MkDocs.

The front page is README.md. The API pages are made from what is in the package: one for
the modules that lie in `ltjax/` itself and one for each sub-package, with every public
module on it. The package is read, not imported, here and by mkdocstrings.
"""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "ltjax"
README = PACKAGE.parent / "README.md"


def on_config(config):
    """Puts the pages below "API" in the navigation; examples become blocks of code."""
    made = [{title(uri): uri} for uri in pages() if uri != "api/index.md"]
    config.nav[-1] = {"API": [{"All packages": "api/index.md"}, *made]}
    config.markdown_extensions.append(extension())
    return config


def on_files(files, config):
    """Adds the pages to those that lie in docs/."""
    from mkdocs.structure.files import File

    for uri, text in {"index.md": front(), **pages()}.items():
        files.append(File.generated(config, uri, content=text))
    return files


def on_page_markdown(markdown, **_):
    """Lets links from a page to the README lead to the front page."""
    return markdown.replace("](../README.md)", "](index.md)")


def front(readme=README):
    """The front page: the README, its links seen from docs/."""
    text = readme.read_text(encoding="utf-8")
    return text.replace("](docs/", "](").replace("]: docs/", "]: ")


def extension():
    """A Markdown extension that fences the examples of docstrings."""
    from markdown.extensions import Extension
    from markdown.preprocessors import Preprocessor

    class Examples(Preprocessor):
        def run(self, lines):
            return fenced(lines)

    class Fences(Extension):
        def extendMarkdown(self, md):  # noqa: N802
            # After white space is normalised (30), before fences are read (25).
            md.preprocessors.register(Examples(md), "examples", 27)

    return Fences()


def fenced(lines):
    """The lines, with fences around what begins with `>>>` and ends with a blank."""
    made, inside = [], False
    for line in [*lines, ""]:
        if line.startswith(">>>") and not inside:
            made, inside = [*made, "```pycon"], True
        elif inside and not line.strip():
            made, inside = [*made, "```"], False
        made.append(line)
    return made


def title(uri):
    """What the navigation calls a page: the package's name."""
    return Path(uri).stem


def pages(package=PACKAGE):
    """The Markdown of every API page by its place in docs/, the list of them first."""
    found = (file.parent for file in sorted(package.glob("*/**/__init__.py")))
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
