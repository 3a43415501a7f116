"""Growth of Reconstruction Clustering's time with the pixels, the groups and the batch."""

import json

import numpy as np
import scipy.stats
import tensorflow as tf

import tfbind
from benchmarks import _measure

_BASE = {"side": 28, "num_groups": 3, "batch": 250}
SIZES = {
    "side": (14, 20, 28, 40, 56),
    "num_groups": (2, 3, 4, 8, 16),
    "batch": (62, 125, 250, 500, 1000),
}
_AXES = {"side": "N, pixels", "num_groups": "K, groups", "batch": "B, images in the batch"}
_NAMES = {"side": "pixels", "num_groups": "groups", "batch": "batch"}


def run(sizes=None, hidden_units=500, num_iterations=10, rounds=10):
    """Returns a row an axis: the slope of log time over log size, at most 1 if linear or better.

    One compiled call is timed, not `predict`, whose fixed costs would flatten the slope. `noise`
    is twice the standard error of the fit over all sizes, and a tenth at most.
    """
    return [
        _slope(varied, values, hidden_units, num_iterations, rounds)
        for varied, values in (sizes or SIZES).items()
    ]


def _slope(varied, values, hidden_units, num_iterations, rounds):
    sides = {
        f"{varied} {value}": _call({**_BASE, varied: value}, hidden_units, num_iterations)
        for value in values
    }
    measured = _measure.interleaved(sides, rounds).values()
    times = [time.seconds for time in measured]
    cpu_times = [time.cpu_seconds for time in measured]
    sizes = [value**2 if varied == "side" else value for value in values]
    fit, cpu_fit = (
        scipy.stats.linregress(np.log(sizes), np.log(column)) for column in (times, cpu_times)
    )
    fixed = {key: value for key, value in _BASE.items() if key != varied}
    fixed_text = ", ".join(f"{_NAMES[key]} {_size(key, value)}" for key, value in fixed.items())
    return {
        "name": f"scaling_of_time_with_{_NAMES[varied]}",
        "unit": "slope",
        "value": float(fit.slope),
        "goal": 1.0,
        "at_most": True,
        "noise": min(2 * float(fit.stderr), 0.1),
        "slope_of_cpu_time": float(cpu_fit.slope),
        "intercept": float(fit.intercept),
        "fit_range": [sizes[0], sizes[-1]],
        "sizes": sizes,
        "times": times,
        "axis": _AXES[varied],
        "fixed": fixed_text,
    }


def _size(key, value):
    return f"{value}x{value}" if key == "side" else value


def _call(settings, hidden_units, num_iterations):
    """Returns a function that runs one compiled call with random weights on random images."""
    shape = (settings["side"], settings["side"], 1)
    model = tfbind.ReconstructionClustering(
        tfbind.DenoisingAutoencoder(shape, hidden_units=hidden_units, activation="tanh"),
        settings["num_groups"],
        num_iterations,
        seed=0,
    )
    random = np.random.default_rng(0)
    images = tf.constant(random.random((settings["batch"], *shape)) < 0.2)
    images = tf.cast(images, tf.float32)
    compiled = tf.function(model.call, jit_compile=True)
    return lambda: compiled(images)["confidence"].numpy()


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
