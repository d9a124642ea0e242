"""How a run was made: its seconds, versions, changes and config."""

import json

from ltjax.config import record
from ltjax.report import markup


def of_run(run):
    """All of it, of a `results.Results`."""
    seconds = run.results["seconds"]
    if seconds:
        rows = [(stage, span(value)) for stage, value in seconds.items()]
        total = [("all", span(sum(seconds.values())))]
        yield markup.table("Time of each stage", ("stage", "time"), [rows, total])
    yield markup.heading("With what")
    yield markup.table("With what", ("what", "which"), [list(_facts(run))], words=(1,))
    changes = run.results.get("changes", [])
    if changes:
        yield markup.heading("Changes that were accepted on the way")
        lines = (f"{c['at']}: {d}" for c in changes for d in c["differences"])
        yield markup.verbatim("\n".join(lines))
    yield from of_config(run.config)


def of_config(config):
    """The whole config."""
    text = json.dumps(record.to_json(config), indent=1, ensure_ascii=False)
    yield markup.details("The whole config", markup.verbatim(text))


def _facts(run):
    data = run.results["dataset"]
    yield "data", f"{data['name']}, fingerprint {run.identity.get('data', '-')}"
    if data.get("manifest"):
        difference = data["manifest"]["difference"]
        told = f", but {difference}" if difference else _compared(data["manifest"])
        yield "manifest", data["manifest"]["name"] + told
    if data.get("shared"):
        yield "shared", f"{data['shared']} test images are training images, too"
    if run.versions:
        first, last = run.versions[0], run.versions[-1]
        yield "begun", first["started"]
        if len(run.versions) > 1:
            yield "gone on with", f"{last['started']}, process {len(run.versions)}"
        yield "commit", str(last["commit"])
        devices = last["devices"]
        kinds = (f"{devices.count(kind)} {kind}" for kind in dict.fromkeys(devices))
        yield "devices", ", ".join(kinds)
        if "processor" in last:
            yield "processor", last["processor"]
        yield "Python", last["python"]
        yield from last["packages"].items()


def _compared(manifest):
    """To what a data set was found to be that of the manifest."""
    known = manifest.get("compared", ())
    if "images" in known:
        to = ", to the pixel"
    elif "list" in known:
        to = ", by its list of images"
    else:
        to = ", by counts"
    return to + ", before images were held out" * ("holdout" in manifest)


def span(seconds):
    """A time in words."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
