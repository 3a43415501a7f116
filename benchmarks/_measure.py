"""Times the sides of a comparison in turns, and runs one benchmark in a process of its own."""

import importlib
import json
import math
import os
import resource
import statistics
import sys
import time
from typing import NamedTuple

_FIELDS = ("name", "unit", "value", "goal")


class Time(NamedTuple):
    """What one side took, over all rounds."""

    seconds: float  # of the fastest round: other jobs on the machine only ever add to it
    median_seconds: float
    cpu_seconds: float  # of all threads together, in the round with the least


def interleaved(sides, rounds):
    """Times the functions `sides`, a dict, in turns (A B A B ...), after one call of each.

    In its turn a side runs once before it is timed: the threads of the side before, which keep
    spinning for a while, and cold caches are nobody's own cost.

    Returns:
        A dict with a `Time` for each side.
    """
    for name, side in sides.items():
        progress(f"  compiling and warming up: {name}")
        side()
    measured = {name: [] for name in sides}
    for number in range(rounds):
        progress(f"  round {number + 1} of {rounds}")
        for name, side in sides.items():
            side()
            measured[name].append(_timed(side))
    return {name: _summary(times) for name, times in measured.items()}


def _timed(function):
    start, cpu_start = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - start, time.process_time() - cpu_start


def _summary(rounds):
    seconds, cpu_seconds = zip(*rounds, strict=True)
    return Time(min(seconds), statistics.median(seconds), min(cpu_seconds))


def compare(name, times, numerator, denominator, **more):
    """Returns the row that says how many times as long one side takes as the other."""
    over, under = times[numerator], times[denominator]
    return {
        "name": name,
        "unit": "ratio",
        "value": over.seconds / under.seconds,
        "goal": None,
        f"{numerator}_seconds": over.seconds,
        f"{denominator}_seconds": under.seconds,
        "ratio_of_medians": over.median_seconds / under.median_seconds,
        "ratio_of_cpu_time": over.cpu_seconds / under.cpu_seconds,
        **more,
    }


def judged(row):
    """Returns `row` with the verdict: name, unit, value, goal, met and all the rest as details.

    A value counts as meeting an upper limit if it does so within the row's `noise`.
    """
    value, goal = row["value"], row["goal"]
    if goal is None:
        met = None
    elif row.get("at_most", False):
        met = value - row.get("noise", 0.0) <= goal
    else:
        met = value >= goal
    details = {key: entry for key, entry in row.items() if key not in _FIELDS}
    return {**{field: row[field] for field in _FIELDS}, "met": met, "details": details}


def progress(text):
    """Says on standard error what is going on; standard output is for results."""
    print(text, file=sys.stderr, flush=True)


def peak_megabytes():
    """Returns the largest resident size of this process so far, or its parent's if that is larger.

    The parent, `python -m benchmarks`, imports no TensorFlow and stays small.
    """
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kilobytes on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def step_memory(name, model, megabytes):
    """Returns the row of what a training step of `model` adds to the memory of the process."""
    weights = 4e-6 * sum(math.prod(w.shape) for w in model.trainable_variables)
    return {
        "name": f"{name}_step_peak_memory",
        "unit": "MB, compilation included",
        "value": megabytes,
        "goal": None,
        "weights_megabytes": weights,
        "weights_gradients_and_moments_megabytes": 4 * weights,
    }


def main(name):
    """Runs the benchmark `name` in this process and prints its rows as JSON."""
    results = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever else libraries print
    module = importlib.import_module(f"benchmarks.bench_{name}")
    baseline = peak_megabytes()
    rows = module.run()
    memory = {
        "name": f"{name}_peak_memory",
        "unit": "MB above the imports",
        "value": peak_megabytes() - baseline,
        "goal": None,
        "imports_megabytes": baseline,
    }
    with os.fdopen(results, "w") as stream:
        json.dump([judged(row) for row in (*rows, memory)], stream)


if __name__ == "__main__":
    main(sys.argv[1])
