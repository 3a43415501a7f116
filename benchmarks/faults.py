"""Kills trainings at random moments, and compares what they end with.

    python -m benchmarks.faults kingdra-tiny sela-tiny --kills 20

For each preset one training is left alone. Others are killed (SIGKILL) after a random time, again
and again until they end, and their weights compared with those of the first; once there were as
many kills as asked, the last is left to end. A row says how often one was killed before its first
step, in training, and while a file was half written; whether its folder could always be read; and
whether all ended with the same weights, to the bit.
"""

import argparse
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np

from tfbind.training import Run

_TRAIN = (
    "import sys; from tfbind import training; from tfbind.training import presets\n"
    "training.train(presets.get(sys.argv[1]), sys.argv[2], checkpoint_interval=0.0, verbose=0)\n"
)


def main(arguments: list[str] | None = None) -> None:
    """Runs what the command line asks for; exits with 1 if a run was damaged or ended otherwise."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("presets", nargs="+")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    print(
        "| Preset | Kills | before | in training | half written | Folder readable | Same weights |"
    )
    print("|---|---|---|---|---|---|---|")
    sound = True
    for preset in options.presets:
        row = _faults(preset, options.kills, random.Random(options.seed))
        sound = sound and row[-2:] == ("always", "yes")
        print(f"| `{preset}` | {' | '.join(map(str, row))} |", flush=True)
    sys.exit(not sound)


def _faults(preset: str, kills: int, draws: random.Random) -> tuple:
    with tempfile.TemporaryDirectory() as scratch:
        alone, killed = pathlib.Path(scratch) / "alone", pathlib.Path(scratch) / "killed"
        start = time.monotonic()
        _finish(preset, alone)
        longest = time.monotonic() - start
        moments = {"before": 0, "in training": 0, "half written": 0}
        readable, same = True, True
        while sum(moments.values()) < kills:
            process = _begin(preset, killed)
            if _outlived(process, draws.uniform(0.0, longest)):
                process.send_signal(signal.SIGKILL)
                process.wait()
                moments[_moment(killed)] += 1
                readable = readable and _is_readable(killed, preset)
            else:
                same = same and _are_equal(alone, killed)
                shutil.rmtree(killed)
        _finish(preset, killed)
        same = same and _are_equal(alone, killed)
        folder = "always" if readable else "NO"
        return kills, *moments.values(), folder, "yes" if same else "NO"


def _begin(preset: str, folder: pathlib.Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", _TRAIN, preset, str(folder)], stderr=subprocess.DEVNULL
    )


def _finish(preset: str, folder: pathlib.Path) -> None:
    if _begin(preset, folder).wait():
        raise RuntimeError(f"The training of {preset!r} did not end in {str(folder)!r}.")


def _outlived(process: subprocess.Popen, seconds: float) -> bool:
    """Whether a process is still at work after some time."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return True
    return False


def _moment(folder: pathlib.Path) -> str:
    names = [path.name for path in folder.glob("**/*")] if folder.exists() else []
    if any("partial" in name for name in names):
        return "half written"
    return "in training" if "preset.json" in names else "before"


def _is_readable(folder: pathlib.Path, preset: str) -> bool:
    """Whether a folder is not there yet, or says what it is of and, if finished, loads."""
    if not (folder / "preset.json").exists():
        return True
    run = Run(folder)
    if run.is_finished:
        run.load()
    return run.preset.name == preset


def _are_equal(folder: pathlib.Path, other: pathlib.Path) -> bool:
    pairs = zip(Run(folder).load().get_weights(), Run(other).load().get_weights(), strict=True)
    return all(np.array_equal(one, two) for one, two in pairs)


if __name__ == "__main__":
    main()
