"""Command line of a run: `python -m ltjax.main --config configs/digits_lt.py`."""

import contextlib
import dataclasses
import errno
import sys
from functools import partial

from rich.console import Console

from ltjax import seeds
from ltjax.config.command import read
from ltjax.config.kind import told
from ltjax.mistake import Mistake
from ltjax.runtime import command as commands
from ltjax.runtime import shortage
from ltjax.runtime.stopping import Stopped, asked_to_stop
from ltjax.workdir import events

# A disk that is full or may not be written to, which its user can put right.
DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM}


def main(args):
    """Runs one command line; returns the exit code.

    0: done. 2: a mistake of the user, a full disk or used-up memory. 143 or 130:
    stopped by SIGTERM or SIGINT. 75: stopped by `--stop-after-minutes`. Flags
    that there are not, and `--help`, leave by `SystemExit`.
    """
    out = None
    try:
        config, out, command = read(args)
        with asked_to_stop(command.stop_after_minutes) as stopping:
            _begin(command)
            if command.seeds is not None and _unlabelled(config):
                raise Mistake(
                    "--seeds is for runs with labels: clusters of two seeds have other "
                    "numbers; give --seed, one after another"
                )
            if command.explain and _unlabelled(config):
                raise Mistake("--explain is for runs with labels, which make mistakes")
            if command.seeds is None:
                _run(config, out, command, stopping, command.quiet)
            else:
                seeds.run_all(config, command, args, stopping, _run)
    except Stopped as stopped:
        print(
            f"ltjax: stopped after {stopped}; all is saved, the same command goes on",
            file=sys.stderr,
        )
        return stopped.code
    except seeds.Failed as failed:
        print(f"ltjax: {failed}", file=sys.stderr)
        return failed.code
    except Mistake as mistake:
        print(f"ltjax: {mistake}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno not in DISK:
            raise
        print(
            f"ltjax: {error.filename or out}: {error.strerror}; what was saved before "
            "is kept, the same command goes on from there",
            file=sys.stderr,
        )
        return 2
    except (RuntimeError, MemoryError) as error:
        line = shortage.told(error)
        if line is None:
            raise
        print(
            f"ltjax: {line}; what was saved before is kept, the same command goes on "
            "from there, other settings with --accept-changes",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print("ltjax: stopped; the same command goes on from there", file=sys.stderr)
        return 130
    return 0


# JAX is imported late: --help and a typo need none.


def _begin(command):
    """What a process does once, before its runs."""
    from ltjax.report import tensorboard
    from ltjax.runtime import hosts

    if command.log:
        tensorboard.check_installed()
    hosts.join(**dataclasses.asdict(command.hosts))


def _unlabelled(config):
    return told(config.objective, "labelled") is False


def _run(config, out, command, stopping, show):
    """The results of one run; with `show` its table is printed, whatever is quiet."""
    from ltjax.report import tensorboard
    from ltjax.runtime import hosts

    if _unlabelled(config):
        from ltjax.clustering.sheet import table
        from ltjax.clustering.story import run
    else:
        from ltjax.report.table import table
        from ltjax.run import run

        run = partial(run, explain=command.explain)

    logs = command.log and hosts.first()
    with tensorboard.Board(out) if logs else contextlib.nullcontext() as board:
        results = run(
            config,
            out,
            Console(quiet=True) if command.quiet else None,
            stage_one=command.stage_one,
            accept_changes=command.accept_changes,
            stopping=stopping,
            track=board,
        )
        if board:
            events.guarded(board.conclude)(results)
    if show and hosts.first():
        Console().print(table(results))
    return results


if __name__ == "__main__":
    commands.prepare_jax()
    sys.exit(main(sys.argv[1:]))
