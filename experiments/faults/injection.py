r"""Kills runs at random instants, damages what they saved, and compares bit for bit.

    python experiments/faults/injection.py --config digits_lt --kills 100 --seed 0 \
        --out fault_injection.json

One run is left alone. Others, of the same config, are killed (`kill -9`) at random
instants, a third of them while something is being saved, and started again by the same
command until they have finished; in between, what `faults.py` knows is done to them.
Every finished run is compared with the first: rows, figures per class, losses, and all
arrays of all checkpoints. The last line is `kills N, differences D`; the exit code is 0
without a difference, 1 with one. Flags that are not named here are the run's.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import faults
import jax
import numpy as np

from ltjax import machine
from ltjax.config import file as config_file
from ltjax.mistake import Mistake
from ltjax.runtime.command import exit_code
from ltjax.workdir import checkpoint, events, files, versions
from ltjax.workdir.files import write_json

# Seconds that no run takes; one that does hangs.
_PATIENCE = 1200
# Kills between two rounds of all other faults.
_ROUND = 30
# In every folder that orbax has finished writing.
_BY_ORBAX = "_CHECKPOINT_METADATA"


def read(args):
    """The flags of a command line, and those of the run."""
    first, *_ = __doc__.splitlines()
    parser = argparse.ArgumentParser(description=first.lstrip('r"'), allow_abbrev=False)
    add = parser.add_argument
    add("--config", required=True, help="config file of the runs")
    add("--kills", type=int, default=5, help="how many runs are killed")
    add("--seed", type=int, default=0, help="of the instants and the damages")
    add("--out", type=Path, help="JSON file for the report")
    add("--work", type=Path, help="folder for the runs; by default one that is deleted")
    flags, rest = parser.parse_known_args(args)
    if flags.kills < 1:
        raise Mistake(f"--kills is {flags.kills}; it must be at least 1")
    if flags.out and not flags.out.absolute().parent.is_dir():
        raise Mistake(f"--out {flags.out} lies in no folder; make it first")
    config_file.read(flags.config)
    return flags, rest


class Runs:
    """Starts the same command again and again, in one folder or another."""

    def __init__(self, config, rest, work):
        """`rest` are flags of the run; all runs share a compilation cache in `work`."""
        self._args = ["--config", str(config), *rest]
        self._log = work / "log.txt"
        settings = {
            "JAX_PLATFORMS": "cpu",
            "JAX_COMPILATION_CACHE_DIR": str(work / "cache"),
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        self._env = {**os.environ, **settings}

    def _command(self, out, program):
        return (sys.executable, "-c", program, *self._args, "--out", str(out))

    def start(self, out, program=faults.PROGRAM):
        """A process of the run in `out`; the log has what it says."""
        with self._log.open("wb") as log:
            command = self._command(out, program)
            return subprocess.Popen(command, stdout=log, stderr=log, env=self._env)

    def finish(self, out, program=faults.PROGRAM):
        """The exit code of a run that is left alone, and what it said on stderr."""
        ended = subprocess.run(
            self._command(out, program),
            capture_output=True,
            text=True,
            env=self._env,
            timeout=_PATIENCE,
        )
        return ended.returncode, ended.stderr

    def refused(self, out, program=faults.PROGRAM):
        """Whether a run ends with one line and exit code 2; None if it just ends."""
        code, said = self.finish(out, program)
        if code == 0:
            return None
        told = sum(line.startswith("ltjax: ") for line in said.splitlines())
        well = code == 2 and told == 1 and "Traceback" not in said
        if not well:
            print(f"exit code {code}, and it said: {said}", flush=True)
        return well

    def until(self, out, text, program=faults.PROGRAM):
        """Whether a run says the text; it is killed as soon as it has."""
        process = self.start(out, program)
        while process.poll() is None and text not in self.said():
            time.sleep(0.05)
        process.kill()
        process.wait()
        return text in self.said()

    def said(self):
        """What the process that was started last has said."""
        return self._log.read_text(encoding="utf-8", errors="replace")


def kill(runs, out, rng, seconds):
    """Starts the run in `out` and kills it within so many seconds, or in a save.

    None if it ended before, else where it was.
    """
    in_save = rng.random() < 1 / 3
    before = unfinished(out)
    process, begin = runs.start(out), time.monotonic()
    # When the next save is, nobody knows: it is waited for, and a little longer.
    until = begin + rng.uniform(0, seconds)
    while process.poll() is None and time.monotonic() < begin + _PATIENCE:
        if time.monotonic() >= until and (not in_save or unfinished(out) - before):
            time.sleep(rng.uniform(0, 0.02))
            break
        time.sleep(0.001 if in_save else 0.01)
    process.kill()
    code = process.wait()
    if code not in (0, -signal.SIGKILL):
        raise RuntimeError(f"a run ended with {code}: {runs.said()}")
    if code == 0:
        return None
    saving, after = bool(unfinished(out) - before), time.monotonic() - begin
    return {"stage": stage(out), "saving": saving, "seconds": round(after, 2)}


def unfinished(out):
    """The checkpoints that are begun and not finished, by name and time of birth.

    What an earlier process left is set aside by the next one, under another name.
    """
    found = set()
    for place, folders, names in os.walk(out / "checkpoints"):
        place = Path(place)
        tmp = [name for name in folders if "orbax-checkpoint-tmp" in name]
        found |= {(str(place / name), inode(place / name)) for name in tmp}
        whole = _BY_ORBAX not in names or faults.RECORD in names
        if not whole and not place.name.endswith(".damaged"):
            found.add((str(place), inode(place)))
    return found


def inode(path):
    """What tells a folder from an earlier one of its name."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:  # it was renamed just now
        return None


def stage(out):
    """The stage that a run was in, by what it had told last."""
    if (out / "results.json").exists():
        return "report"
    if not (out / "config.json").exists():
        return "start"
    epochs = files.read_json(out / "config.json")["config"]["optim"]["epochs"]
    for event in reversed(events.events(out)):
        if event["event"] == "epoch":
            done = event["epoch"] == epochs
            return f"{'features of' if done else 'training'} {event['backbone']}"
        if event["event"] == "features":
            return f"features of {event['name'].split('/')[0]}"
        if event["event"] in ("row", "head_epoch"):
            return f"heads of {event['row'].split('-')[0]}"
    return "first epoch of sgd"


def differences(out, whole):
    """Names what two finished runs do not share, bit for bit; seconds aside."""
    ours, theirs = (_figures(run) | _told(run) | _arrays(run) for run in (out, whole))
    names = dict.fromkeys([*ours, *theirs])
    return [name for name in names if ours.get(name) != theirs.get(name)]


def _figures(out):
    names = "results.json", "classes.json"
    return {name: _timeless(files.read_json(out / name)) for name in names}


def _timeless(tree):
    if isinstance(tree, dict):
        return {k: _timeless(v) for k, v in tree.items() if k != "seconds"}
    return [_timeless(item) for item in tree] if isinstance(tree, list) else tree


def _told(out):
    """The last event of each kind and place; a kill may have one told twice."""
    names = ("event", "backbone", "epoch", "row", "name")
    return {
        f"told of {' '.join(str(event[n]) for n in names if n in event)}": _timeless(
            event
        )
        for event in events.events(out)
        if event["event"] != "save"  # when that is, the clock decides
    }


def _arrays(out):
    """Bytes, shape and type of every array that a finished run uses, by its name."""
    made, found = out / "checkpoints", {}
    for place in faults.places(out):
        tree = checkpoint.load_as_saved(place)
        for path, leaf in jax.tree.leaves_with_path(tree):
            name = f"{place.relative_to(made)}{jax.tree_util.keystr(path)}"
            leaf = np.asarray(leaf)
            found[name] = str(leaf.dtype), leaf.shape, leaf.tobytes()
    for file in sorted(made.glob("features/*/*.npy")):
        name = str(file.relative_to(made))
        found[name] = file.with_suffix(".json").exists(), file.read_bytes()
    return found


def inject(flags, rest, work):
    """Kills, damages, compares; returns the report."""
    rng = np.random.default_rng(flags.seed)
    runs, begin = Runs(flags.config, rest, work), time.monotonic()
    whole = work / "whole"
    # The second one has all compiled, as those that are killed.
    for out in (work / "first", whole):
        started = time.monotonic()
        code, said = runs.finish(out)
        if code:
            raise Mistake(f"the run that is left alone ends with {code}: {said}")
    seconds = time.monotonic() - started
    print(f"a run takes {seconds:.1f} s", flush=True)
    kills, met, plan, number = [], [], [], 0
    wrong = [f"first: {name}" for name in differences(work / "first", whole)]

    def compared(out):
        found = (out / "results.json").exists()
        if found:
            wrong.extend(f"{out.name}: {name}" for name in differences(out, whole))
        return found

    while len(kills) < flags.kills or plan:
        out = work / f"run{number}"
        seen = kill(runs, out, rng, seconds)
        if seen and len(kills) < flags.kills:
            if len(kills) % _ROUND == 0:
                plan += rng.permutation(list(faults.FAULTS)).tolist()
            kills.append(seen)
            print(f"kill {len(kills)}: {seen}", flush=True)
        if seen and plan and not (out / "results.json").exists():
            told = faults.FAULTS[plan[0]](runs, out, rng)
            if told is not None:
                print(f"{plan[0]}: {'told' if told else 'NOT TOLD'}", flush=True)
                met.append((plan.pop(0), told))
        number += compared(out)
    out = work / f"run{number}"
    if out.exists():
        runs.finish(out)
        number += compared(out)
    wrong += [f"{name} was not told" for name, told in met if not told]
    return {
        "commit": versions.commit(),
        "versions": {"jax": jax.__version__},
        "processor": machine.processor(),
        "config": Path(flags.config).name,
        "flags": rest,
        "seed": flags.seed,
        "seconds_of_a_run": seconds,
        "seconds": time.monotonic() - begin,
        "runs": number,
        "kills": len(kills),
        "kills_by_stage": dict(Counter(kill["stage"] for kill in kills)),
        "kills_in_a_save": sum(kill["saving"] for kill in kills),
        "faults": dict(Counter(name for name, _ in met)),
        "differences": wrong,
    }


def main(args):
    """Runs one command line; returns the exit code."""
    differ = []
    code = exit_code(lambda: differ.extend(report(args)), "injection")
    return code or int(bool(differ))


def report(args):
    """Does what a command line asks for and writes the report; the differences."""
    flags, rest = read(args)
    with tempfile.TemporaryDirectory() as temporary:
        work = flags.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        found = inject(flags, rest, work.absolute())
    if flags.out:
        write_json(flags.out, found)
    for name in found["differences"]:
        print(f"difference: {name}")
    print(f"kills {found['kills']}, differences {len(found['differences'])}")
    return found["differences"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
