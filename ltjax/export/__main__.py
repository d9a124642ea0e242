"""A trained network for other programs: `python -m ltjax.export RUN --to onnx`."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Literal, get_args

import tyro

from ltjax.mistake import Mistake
from ltjax.runtime.command import exit_code, parsed

_KINDS = Literal["safetensors", "npz", "onnx", "photo", "posterior"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """Writes one row of a finished run as files that need no ltjax, and a model card.

    safetensors and npz hold weights under torchvision's names, or timm's, the
    classifier folded into one layer; onnx a graph from uint8 pixels to logits and
    probabilities, photo the same from one photograph of any size, which the graph
    scales and crops itself; posterior the Gaussian over the weights, to draw from with
    NumPy alone.

    Every file is read back and compared with the run on generated images:
      python -m ltjax.export runs/digits_lt-seed0 --to onnx --to safetensors

    Formats of the same row are added to a folder; its model card tells of all.

    Exit codes: 0 done, 1 a file differs, 2 a mistake or used-up memory, in one line,
    130 stopped by Ctrl-C.
    """

    run: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="RUN")]]
    """Folder of a finished run, or of the runs of --seeds: each of them is written."""
    to: tyro.conf.UseAppendAction[tuple[_KINDS, ...]] = ()
    """A format; for several, --to is given several times."""
    classifier: str | None = None
    """The row, as swa/la or swa/srepr/b. None: swa/srepr, or the nearest to it."""
    out: Path | None = None
    """Folder to write; of several seeds, each in its own there. None: RUN/export."""
    overwrite: bool = False
    """Make formats that are there again; replace the export of another row whole."""


def main(args):
    """Runs one command line; returns the exit code."""
    command = parsed(Command, "export", args)

    def work():
        if not command.to:
            kinds = ", ".join(get_args(_KINDS))
            raise Mistake(f"--to is not given; give one or more of {kinds}")
        # Imported late: --help and a typo need no JAX.
        from ltjax.export.story import export_seeds

        export_seeds(
            command.run,
            command.to,
            command.classifier,
            command.out,
            command.overwrite,
        )

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
