"""What `fit` traces before the first step of a preset: operations, and seconds."""

import json
import time

import numpy as np
import tensorflow as tf

from tfbind.training import presets

PRESETS = {  # name: shape of an example
    "rc-shapes": (28, 28, 1),
    "rc-shapes-restarts": (28, 28, 1),
    "ladder-mnist-100": (28, 28, 1),
    "tagger-shapes-cpu": (20, 20, 1),
    "untapped-mnist": (28, 28, 1),
    "untapped-mnist-marginal": (28, 28, 1),
    "amm-mnist-cpu": (28, 28, 1),
    "samm-mnist-100-cpu": (28, 28, 1),
}
_LABELS = ("label", "unfeatured_label")


def run(names=tuple(PRESETS), rounds=3):
    """Returns one dict a preset: the operations of its step, and the least of the rounds' times."""
    return [_trace(name, rounds) for name in names]


def _trace(name, rounds):
    preset = presets.get(name)
    model = preset.build(PRESETS[name])
    batch = batch_of(model, preset.batch_size)
    times = []
    for _ in range(rounds + 1):  # the first loads what the others use
        step = tf.function(model.train_step, autograph=False)
        start = time.perf_counter()
        graph = step.get_concrete_function(batch).graph.as_graph_def()
        times.append(time.perf_counter() - start)
    size = len(graph.node) + sum(len(each.node_def) for each in graph.library.function)
    return {
        "name": f"trace_{name}",
        "unit": "operations",
        "value": size,
        "goal": None,
        "trace_seconds": min(times[1:]),
    }


def batch_of(model, rows):
    """Returns a batch of zeros with all that `model` learns from."""
    keys = {"image"}
    if model.learns_from == "label":
        keys |= {"label", "unlabeled_image", "unfeatured_label"} & model.fields(True).keys()
    images = tf.zeros([rows, *model.event_shape])
    labels = tf.zeros([rows], tf.int32)
    return {key: labels if key in _LABELS else images for key in sorted(keys)}


if __name__ == "__main__":
    print(json.dumps(run(), indent=2, default=np.float64))
