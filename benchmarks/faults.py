"""Kills trainings at random moments, and compares what they end with.

    python -m benchmarks.faults kingdra sela --kills 100

For each system, all of them if none is named, a training of seconds is left alone. Others are
killed (SIGKILL) after a random time, again and again until they end, and their weights compared
with those of the first; once there were as many kills as asked, the last is left to end. A row says
how many kills met the training before its first step, in its steps, while it labelled its
examples, wrote a checkpoint, or wrote what it leaves; after how many the folder could not be
read or the next training did not go on; and how many trainings ended, and how many of these with
the same weights, to the bit.

One process loads TensorFlow and compiles the steps; the trainings are its forks, so that a kill
costs seconds.
"""

import argparse
import contextlib
import functools
import math
import multiprocessing
import os
import pathlib
import random
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks._small import SMALL
from tfbind import training
from tfbind.models._relabeling import Relabeling
from tfbind.training import Preset, Run
from tfbind.training.checkpoint import Checkpoint

_PHASES = ("start", "steps", "labelling", "checkpoint", "final write")
_HEAD = ("System", "Kills", *_PHASES, "Unreadable", "Did not go on", "Ended", "Bit-identical")
_START, _STEPS, _LABELLING, _CHECKPOINT, _FINAL = range(len(_PHASES))
# A fork keeps what its parent has loaded; none of it may have run an operation before.
_FORKS = multiprocessing.get_context("fork")


def main(arguments: list[str] | None = None) -> None:
    """Runs what the command line asks for; exits with 1 if a run was damaged or ended otherwise."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("systems", nargs="*", metavar="SYSTEM", help=f"of {', '.join(SMALL)}")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--minutes", type=float, default=math.inf, help="a system at most")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    print(f"| {' | '.join(_HEAD)} |\n|{'---|' * len(_HEAD)}", flush=True)
    rows = []
    for system in options.systems or SMALL:
        end = time.monotonic() + 60 * options.minutes
        rows.append(_faults(SMALL[system], options.kills, end, random.Random(options.seed)))
        print(f"| {system} | {' | '.join(map(str, rows[-1]))} |", flush=True)
    sys.exit(any(bad or stuck or same < ended for *_, bad, stuck, ended, same in rows))


def _faults(preset: Preset, kills: int, end: float, draws: random.Random) -> tuple[int, ...]:
    """Returns a row of the table, without the name; after the time `end` nothing more is killed."""
    with tempfile.TemporaryDirectory() as scratch, _compiled(f"{scratch}/steps") as keep:
        alone, killed = pathlib.Path(scratch) / "alone", pathlib.Path(scratch) / "killed"
        first = Trial(preset, alone)
        if not first.ends():
            raise RuntimeError(f"The training of {preset.name!r} did not end.")
        keep()
        met, unreadable, stuck, ended, same = [0] * len(_PHASES), 0, 0, 0, 0
        while True:
            trial = Trial(preset, killed)
            goes_on = sum(met) < kills and time.monotonic() < end
            if goes_on and trial.is_killed_after(draws.uniform(0.0, first.seconds)):
                met[trial.phase] += 1
                unreadable += not _is_readable(killed, preset)
                continue
            if trial.ends():
                ended += 1
                same += _in_fork(_are_equal, alone, killed)
            else:
                stuck += 1
            shutil.rmtree(killed)
            if not goes_on:
                return sum(met), *met, unreadable, stuck, ended, same


class Trial:
    """A training in a process of its own, which may be killed.

    Args:
        preset: What is trained.
        folder: Its run folder.
    """

    def __init__(self, preset: Preset, folder: pathlib.Path) -> None:
        self._phase = _FORKS.Value("i", _START, lock=False)
        self._start = time.monotonic()
        self._process = _FORKS.Process(target=_train, args=(preset, folder, self._phase))
        self._process.start()

    @property
    def phase(self) -> int:
        """What it was at last, an index of `_PHASES`."""
        return self._phase.value

    def is_killed_after(self, seconds: float) -> bool:
        """Kills it after some time; returns whether it was still at work."""
        self._process.join(seconds)
        was_at_work = self._process.is_alive()
        self._process.kill()
        self._process.join()
        return was_at_work

    def ends(self) -> bool:
        """Waits for its end; returns whether nothing went wrong."""
        self._process.join()
        self.seconds = time.monotonic() - self._start
        return self._process.exitcode == 0


def _train(preset: Preset, folder: pathlib.Path, phase: Any) -> None:
    warnings.filterwarnings("error", message=".*was damaged")  # no kill may do that
    _silence()
    _tell(phase, Checkpoint, "on_train_begin", _STEPS, _STEPS)
    _tell(phase, Checkpoint, "save", _CHECKPOINT, _STEPS)
    _tell(phase, Relabeling, "on_epoch_begin", _LABELLING, _STEPS)
    _tell(phase, Run, "finish", _FINAL, _FINAL)
    training.train(preset, folder, checkpoint_interval=0.0, verbose=0)


def _tell(phase: Any, owner: type, name: str, during: int, after: int) -> None:
    """Makes a method say when it is at work."""
    method = vars(owner)[name]

    @functools.wraps(method)
    def told(*args: Any, **kwargs: Any) -> Any:
        phase.value = during
        result = method(*args, **kwargs)
        phase.value = after
        return result

    setattr(owner, name, told)


def _in_fork(function: Callable[..., bool], *args: Any) -> bool:
    """Returns what a function says that runs operations of TensorFlow."""
    process = _FORKS.Process(target=lambda: (_silence(), sys.exit(not function(*args))))
    process.start()
    process.join()
    return process.exitcode == 0


def _silence() -> None:
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stderr.fileno())


@contextlib.contextmanager
def _compiled(folder: str):
    """Lets processes share what XLA has compiled.

    Yields a function that ends the writing: a killed process could leave half of a file.
    """
    flags = f"--tf_xla_persistent_cache_directory={folder}"
    os.environ["TF_XLA_FLAGS"] = flags
    try:
        yield lambda: os.environ.update(TF_XLA_FLAGS=f"{flags} --tf_xla_persistent_cache_read_only")
    finally:
        del os.environ["TF_XLA_FLAGS"]


def _is_readable(folder: pathlib.Path, preset: Preset) -> bool:
    """Whether a folder is not there yet, or says what it is of and, if finished, loads."""
    if not (folder / "preset.json").exists():
        return True
    run = Run(folder)
    if run.preset != preset:
        return False
    return not run.is_finished or bool(run.metrics and run.history) and _in_fork(_loads, folder)


def _loads(folder: pathlib.Path) -> bool:
    return bool(Run(folder).load().weights)


def _are_equal(folder: pathlib.Path, other: pathlib.Path) -> bool:
    pairs = zip(Run(folder).load().get_weights(), Run(other).load().get_weights(), strict=True)
    return all(np.array_equal(one, two) for one, two in pairs)


if __name__ == "__main__":
    main()
