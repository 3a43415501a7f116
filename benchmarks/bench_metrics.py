"""Batched adjusted mutual information against the loop over scikit-learn, in one process."""

import json
import statistics
import time

import numpy as np
import sklearn.metrics
import tensorflow as tf

from tfbind import metrics

CASES = {  # name: (images, side, true groups, predicted groups, goal)
    "ami_1000_images_28x28_3_groups": (1000, 28, 3, 3, 20.0),
    "ami_1000_images_20x20_12_groups": (1000, 20, 12, 12, 20.0),
}
NUM_ROUNDS = 5


def run():
    """Returns one dict a case: how many times faster the batched score is, and both times.

    Each round times the scikit-learn loop and the batched score next to each other, so that other
    jobs on the machine slow both; the value is the median of the rounds' ratios. Compilation is
    not timed, it is reported as `compile_seconds`.
    """
    return [_compare(name, *case) for name, case in CASES.items()]


def _compare(name, num_images, side, num_true, num_pred, goal):
    groups_true, groups_pred = _groups(num_images, side, num_true, num_pred)
    on_device = tf.constant(groups_true), tf.constant(groups_pred)
    compiled = tf.function(
        lambda true, pred: metrics.adjusted_mutual_information(true, pred, num_true, num_pred),
        jit_compile=True,
    )
    _, compile_seconds = _timed(lambda: compiled(*on_device).numpy())
    rounds = []
    for _ in range(NUM_ROUNDS):
        expected, slow = _timed(lambda: _scikit_learn(groups_true, groups_pred))
        score, fast = _timed(lambda: compiled(*on_device).numpy())
        rounds.append((slow / fast, slow, fast))
    ratio, slow, fast = (statistics.median(column) for column in zip(*rounds, strict=True))
    return {
        "name": name,
        "unit": "ratio",
        "value": ratio,
        "goal": goal,
        "scikit_learn_seconds": slow,
        "tfbind_seconds": fast,
        "compile_seconds": compile_seconds,
        "max_abs_difference": float(np.max(np.abs(score - expected))),
    }


def _groups(num_images, side, num_true, num_pred):
    rng = np.random.default_rng(0)
    groups_true = rng.integers(0, num_true + 1, (num_images, side, side), dtype="int32")
    noise = rng.integers(0, num_pred, groups_true.shape, dtype="int32")
    agree = rng.random(groups_true.shape) < 0.7
    return groups_true, np.where(agree, np.maximum(groups_true - 1, 0) % num_pred, noise)


def _scikit_learn(groups_true, groups_pred):
    return [
        sklearn.metrics.adjusted_mutual_info_score(
            true[true != 0], pred[true != 0], average_method="max"
        )
        for true, pred in zip(groups_true, groups_pred, strict=True)
    ]


def _timed(function):
    start = time.perf_counter()
    result = function()
    return result, time.perf_counter() - start


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
