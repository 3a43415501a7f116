"""Trains for half an hour and watches the memory of the training.

    python -m benchmarks.soak rc-tiny sela-tiny --minutes 30

The trainings run side by side, each in a process of its own, which evaluates and writes a
checkpoint after every epoch. A line a minute has the resident memory of each in MB. At the end
they are stopped. It exits with 1 if one of them stopped before, or held more than
`--bound` MB more than after the warm-up, the first fifth of the time.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time

_TRAIN = """
import sys
from tfbind import training
from tfbind.training import presets

name, folder = sys.argv[1:]
preset = presets.get(name).changed(max_epochs=10**7)
if preset.patience is not None:
    preset = preset.changed(patience=10**7)
training.train(preset, folder, checkpoint_interval=0.0, verbose=0)
"""
_WARM_UP = 0.2  # of the time: programs are compiled, and allocators find their sizes
_BOUND = 32.0  # MB


def main(arguments: list[str] | None = None) -> None:
    """Runs what the command line asks for; exits with 1 if a training stopped or grew."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("presets", nargs="+")
    parser.add_argument("--minutes", type=int, default=30)
    parser.add_argument("--bound", type=float, default=_BOUND, help="MB (default: %(default)s)")
    options = parser.parse_args(arguments)
    rows = _soaked(options.presets, options.minutes)
    after = rows[max(1, round(_WARM_UP * len(rows))) - 1 :]
    grown = [max(sizes) - sizes[0] for sizes in zip(*after, strict=True)]
    for preset, megabytes in zip(options.presets, grown, strict=True):
        print(f"{preset} grew by {megabytes:.1f} MB after the warm-up, {options.bound:g} at most.")
    sys.exit(any(megabytes > options.bound for megabytes in grown))


def _soaked(presets: list[str], minutes: int) -> list[list[float]]:
    """Trains, and returns a row a minute: the resident memory of each training in MB."""
    print(f"| Minute | {' | '.join(presets)} |\n|---|{'---|' * len(presets)}", flush=True)
    rows: list[list[float]] = []
    with tempfile.TemporaryDirectory() as scratch:
        trainings = [_begin(preset, f"{scratch}/{preset}") for preset in presets]
        try:
            for minute in range(1, minutes + 1):
                time.sleep(60)
                rows.append(list(map(_megabytes, trainings)))
                sizes = " | ".join(f"{size:.0f}" for size in rows[-1])
                print(f"| {minute} | {sizes} |", flush=True)
        finally:
            for training in trainings:
                training.terminate()
                training.wait()
    return rows


def _begin(preset: str, folder: str) -> subprocess.Popen:
    command = [sys.executable, "-c", _TRAIN, preset, folder]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def _megabytes(training: subprocess.Popen) -> float:
    """Returns the resident memory of a training, which must still be at work."""
    if training.poll() is not None:
        raise RuntimeError(f"A training stopped with exit code {training.returncode}.")
    pages = pathlib.Path(f"/proc/{training.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
