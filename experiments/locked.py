"""Writes the digests of CIFAR-100's images into its manifests.

    python experiments/locked.py --train cifar100_train.npz --test cifar100_test.npz

The files hold the whole set in official order. Which of its rows a manifest means, its
`list` tells: nothing is written where that is another one.
"""

import argparse
import json
from pathlib import Path

from ltjax.data import longtail, manifest, sources

FACTORS = (10, 50, 100, 200)
FOLDER = Path(manifest.__file__).parent / "manifests"


def locked(train, test, factor):
    """The manifest of CIFAR-100 at a factor, with what is known of its images."""
    known = manifest.find("cifar100_lt", factor)
    rows = longtail.kept(train, known["classes"], factor)
    if manifest.digest(rows) != known["list"]:
        raise SystemExit(f"{known['name']}: another list; give the official order")
    kept = longtail.taken(train, rows)
    images = {
        name: manifest.of_classes(split.image, split.label, known["classes"])
        for name, split in (("images", kept), ("test_images", test))
    }
    return {**known, "image": list(train.image.shape[1:]), **images}


def text(found):
    """A manifest as its file has it: a field a line."""
    fields = (
        f" {json.dumps(name)}: {json.dumps(value)}"
        for name, value in found.items()
        if name != "name"
    )
    return "{\n" + ",\n".join(fields) + "\n}\n"


def main(args=None):
    """Writes the manifests of all factors."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", required=True)
    parser.add_argument("--test", required=True)
    paths = parser.parse_args(args)
    # The lists are of the draw, whatever ranks the file has.
    train = sources.npz_split(paths.train)._replace(rank=None)
    test = sources.npz_split(paths.test)
    for factor in FACTORS:
        found = locked(train, test, factor)
        (FOLDER / f"{found['name']}.json").write_text(text(found))


if __name__ == "__main__":
    main()
