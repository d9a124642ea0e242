"""A run's folder at work: what is said, written down, kept, and asked."""

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from ltjax.runtime import hosts, progress
from ltjax.workdir import checkpoint, claim, events, lock, versions
from ltjax.workdir.cache import Cache
from ltjax.workdir.series import Series


class Voice(NamedTuple):
    """Who is told of a run, and who may stop it."""

    console: Console
    stopping: Callable | None = None  # () -> the exit code to stop with, or None
    track: Callable | None = None  # (event) -> None, of every event that is written

    def say(self, line):
        """Prints a line as it is; a terminal may break it between words."""
        wide = not self.console.is_terminal
        self.console.print(line, soft_wrap=wide, highlight=False, markup=False)


class Workdir:
    """The folder of a run that this process has claimed."""

    def __init__(self, path, made, settings, voice, writer):
        """`made` is what checkpoints tell, `settings` a config's `checkpoint`."""
        self.path, self.made, self.settings = path, made, settings
        self._voice, self._writer = voice, writer

    def say(self, line):
        """Prints a line as it is; a terminal may break it between words."""
        self._voice.say(line)

    def event(self, **fields):
        """Appends an event to `metrics.jsonl`."""
        self._writer.write(fields)

    def asked(self):
        """The exit code with which the run was asked to stop, or 0.

        Of several processes any may have been asked; all have to come here.
        """
        code = self._voice.stopping() if self._voice.stopping else 0
        return max(hosts.gathered(code or 0))

    def stage(self, label, total, done=0):
        """A context of a stage's bar, or lines; see `progress.stage`."""
        return progress.stage(self._voice.console, label, total, done)

    def series(self, name, keep=None):
        """The checkpoints of one training; `keep` is that of the settings, if None."""
        return Series(self, name, self.settings.keep if keep is None else keep)

    def cache(self, name):
        """Trees that are made one after another, and kept in one checkpoint."""
        return Cache(self, name)

    def holds(self, path):
        """Whether something is saved at `path` and whole.

        What is damaged is told, set aside, and to be made again.
        """
        wrong = None
        if path.exists():
            wrong = checkpoint.damage(path)
        found, wrong = hosts.gathered([path.exists(), wrong])[0]
        if wrong:
            self.say(f"{path} cannot be used: {wrong}")
            hosts.by_first(lambda: checkpoint.set_aside(path))
        return found and not wrong


def finished(out, run, accept, say):
    """The results of the finished run in `out`, or None.

    `run` is the `identity.of_run` of what is to be in it. Raises `Mistake` where it
    holds anything else, unless the differences are accepted.
    """
    hosts.agree("config or data", lambda: json.dumps(run))
    changed = hosts.together(lambda: claim.check(out, run, accept))
    found = claim.results(out, say) if hosts.first() and not changed else None
    return hosts.gathered(found)[0]


@contextlib.contextmanager
def opened(out, config, run, accept, voice):
    """A context of the `Workdir` of this run, which no other process has meanwhile.

    `run` is the config's `identity.of_run`. Raises `Mistake`, with nothing written,
    where the folder is another's.
    """
    with contextlib.ExitStack() as stack:

        def claimed():
            stack.enter_context(lock.held(out))
            claim.claim(out, config, run, accept)
            versions.record_versions(out, voice.say)

        hosts.by_first(claimed)
        first = hosts.first()
        heard = voice.track if first else None
        file = out / "metrics.jsonl" if first else Path(os.devnull)
        writer = stack.enter_context(events.Writer(file, heard))
        yield Workdir(out, claim.made(run), config.checkpoint, voice, writer)
