"""How much of the machine's rate of matrix products a training step of each preset reaches."""

import json

import tensorflow as tf

from benchmarks import _measure, _products
from benchmarks.bench_tracing import PRESETS, batch_of
from tfbind.training import presets

_PRESETS = {**PRESETS, "kingdra-mnist": (28, 28, 1)}


def run(names=tuple(_PRESETS), side=1024, rounds=5):
    """Returns one row a preset: products a second of its step over those of one large product.

    The large one is TensorFlow's own, oneDNN's on most processors; steps are compiled by XLA, as
    training does. Both are measured in CPU time, which other jobs disturb least.

    Args:
        names: Of the presets.
        side: Integer, rows and columns of the large product.
        rounds: Of each preset.
    """
    return [_share(name, side, rounds) for name in names]


def _share(name, side, rounds):
    preset = presets.get(name)
    model = preset.build(_PRESETS[name])
    batch = batch_of(model, preset.batch_size)
    traced = tf.function(model.train_step, autograph=False).get_concrete_function(batch)
    gigaflops = _products.gigaflops(traced.graph)
    step, product = (lambda: model.train_on_batch(batch)), _product(side)
    times = _measure.interleaved({"product": product, "step": step}, rounds)
    product_rate = 2e-9 * side**3 / times["product"].cpu_seconds
    step_rate = gigaflops / times["step"].cpu_seconds
    return {
        "name": f"gemm_share_{name}",
        "unit": "ratio",
        "value": step_rate / product_rate,
        "goal": None,
        "gigaflops_a_step": gigaflops,
        "product_gigaflops_a_second": product_rate,
        "step_gigaflops_a_second": step_rate,
        "step_cpu_milliseconds": 1000 * times["step"].cpu_seconds,
    }


def _product(side):
    a, b = tf.random.normal([side, side]), tf.random.normal([side, side])
    multiply = tf.function(tf.matmul)
    return lambda: multiply(a, b).numpy()


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
