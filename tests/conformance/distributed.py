"""Trains the models of the registry under a strategy, in a process of its own.

    python -m tests.conformance.distributed FOLDER none,mirrored NAME...

A strategy needs devices, and workers their addresses, before TensorFlow begins. The weights go to
`FOLDER/NAME-STRATEGY.npz`; with "refusals" the sentences of all that is refused to `refusals.json`.
"workers" are those of `TF_CONFIG`. Noise is a function of the example, so that it is the same
whoever draws it.
"""

import dataclasses
import functools
import json
import pathlib
import sys

import keras
import numpy as np
import tensorflow as tf

from tfbind import _replicas, layers, models, seeds
from tfbind.models._calibration import CalibratedModel, Calibration
from tfbind.models._relabeling import Relabeling, RelabelingModel

from .registry import REGISTRY

_BATCH, _ROWS, _STEPS, _EPOCHS = 8, 16, 2, 3


def _online(event_shape):
    noise = layers.AdditiveGaussianNoise(0.1, seed=1)
    return models.SelfLabeling(
        event_shape, 3, num_heads=2, units=(4, 6), num_online_epochs=2, augmentation=noise
    )


def _with_all_costs(event_shape):
    return models.PseudoLabelEnsemble(
        event_shape,
        3,
        2,
        hidden_units=(8,),
        denoising_weights=(10.0, 1.0, 0.1),
        information="dot_product",
        adversarial_weight=1.0,
        first_epochs=1,
        round_epochs=1,
    )


def _further(name, variant, make):
    return dataclasses.replace(_entry(name), variant=variant, make=make)


def _entry(name):
    return next(entry for entry in ENTRIES if entry.name == name)


ENTRIES = list(REGISTRY)
ENTRIES += [
    _further("SelfLabeling", "online", _online),
    _further("PseudoLabelEnsemble", "costs", _with_all_costs),
]


def _devices():
    (cpu,) = tf.config.list_physical_devices("CPU")
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, two)


@functools.cache  # two of them in one process take each other's tensors for their own
def _mirrored():
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


_STRATEGIES = {
    "none": tf.distribute.get_strategy,
    "mirrored": _mirrored,
    "workers": tf.distribute.MultiWorkerMirroredStrategy,
}


def _quiet_noise():
    """Makes noise a function of the example: of its place in the batch of all replicas."""

    def draw(shape):
        shape = tf.convert_to_tensor(shape)
        sizes, here = tf.get_static_value(shape), _BATCH // _replicas.number()
        axis = 0 if sizes is None else int(sizes[0] % here > 0)  # after the members, if they lead
        times = tf.one_hot(axis, shape.shape[0], _replicas.number(), 1, dtype=tf.int32)
        drawn = tf.random.stateless_normal(shape * times, [1, 2], alg="philox")
        rows = _replicas.place() * shape[axis] + tf.range(shape[axis])
        return tf.gather(drawn, rows, axis=axis)

    def uniform(shape, seed, low=0.0, high=1.0):
        return low + (high - low) * 0.5 * (1.0 + tf.math.erf(draw(shape) / 2.0**0.5))

    seeds.normal = lambda shape, seed: draw(shape)
    seeds.uniform = uniform


def _dataset(arrays):
    """Returns the batches of arrays in their order, again and again; what is short goes round."""

    def batch(step):
        rows = step * _BATCH + tf.range(_BATCH, dtype=tf.int64)
        return {name: tf.gather(array, rows % len(array)) for name, array in arrays.items()}

    return tf.data.Dataset.range(_STEPS).repeat().map(batch)


def train(entry, strategy):
    """Returns a model trained on the entry's data, and what `fit` logged."""
    with strategy.scope():
        keras.utils.set_random_seed(1)
        model = entry.make(entry.event_shapes[0])
        if isinstance(model, models.SemiSupervisedAdversarialMixture):
            model.gradient_penalty = 0.0  # at points between examples that are paired by place
        model.compile(keras.optimizers.SGD(0.05))
    x = entry.fit_arguments(entry.event_shapes[0], _ROWS)["x"]
    arrays = x if isinstance(x, dict) else {"image": x}
    dataset = _dataset(arrays)
    callbacks = []
    if isinstance(model, RelabelingModel):
        callbacks.append(Relabeling(arrays["image"]))
    if isinstance(model, CalibratedModel) and model.needs_calibration:
        callbacks.append(Calibration(dataset.take(_STEPS)))
    settings = {"epochs": _EPOCHS, "steps_per_epoch": _STEPS, "verbose": 0}
    history = model.fit(dataset, shuffle=False, callbacks=callbacks, **settings).history
    return model, history


def _scores(entry, model):
    """Returns what `evaluate` finds on rows that do not divide evenly, by a pipeline."""
    found = entry.evaluate_arguments(entry.event_shapes[0], 13)
    y = () if "y" not in found else (found["y"],)
    data = (found["x"], *y) if y else found["x"]
    dataset = tf.data.Dataset.from_tensor_slices(data).batch(6)
    return model.evaluate(dataset, verbose=0, return_dict=True)


def _write(folder, name, entry):
    model, history = train(entry, _STRATEGIES[name]())
    weights = {f"w{i:03d}": weight for i, weight in enumerate(model.get_weights())}
    logs = {f"fit {key}": values for key, values in history.items()}
    logs |= {f"evaluate {key}": value for key, value in _scores(entry, model).items()}
    inputs = entry.inputs(entry.event_shapes[0], 5)
    outputs = model.predict(inputs, batch_size=2, verbose=0)
    outputs = {f"predict {key}": value for key, value in outputs.items()}
    np.savez(folder / f"{entry.name}-{name}.npz", **weights, **logs, **outputs)


def _refusals():
    """Returns the sentence of everything that cannot work."""
    images = np.random.default_rng(0).random((12, 6)).astype("float32")
    strategy = _mirrored()
    entry = _entry("DenoisingAutoencoder")
    outside = entry.make((6,))
    optimizer = keras.optimizers.SGD()
    with strategy.scope():
        model = entry.make((6,))
        model.compile("sgd")
    endless = tf.data.Dataset.from_tensor_slices(images).repeat()

    def refused(function, *arguments, **settings):
        try:
            with strategy.scope():
                function(*arguments, **settings)
        except ValueError as error:
            return str(error)

    def half():
        keras.config.set_dtype_policy("mixed_float16")
        try:
            entry.make((6,)).compile("sgd")
        finally:
            keras.config.set_dtype_policy("float32")

    sgd = keras.optimizers.SGD
    return {
        "made outside": refused(outside.compile, "sgd"),
        "optimizer outside": refused(model.compile, optimizer),
        "clipping": refused(lambda: model.compile(sgd(global_clipnorm=1.0))),
        "accumulating": refused(lambda: model.compile(sgd(gradient_accumulation_steps=2))),
        "half": refused(half),
        "steps": refused(model.compile, "sgd", steps_per_execution=2),
        "xla": refused(model.compile, "sgd", jit_compile=True),
        "fit": refused(lambda: (model.compile("sgd"), model.fit(images, batch_size=5, verbose=0))),
        "rest": refused(model.fit, images[:11], batch_size=4, verbose=0),
        "dataset": refused(model.fit, endless.batch(5, drop_remainder=True), verbose=0),
        "unknown": refused(model.fit, endless.take(9).batch(4), verbose=0),
        "one batch": refused(model.train_on_batch, images),
        "generator": refused(model.fit, iter([images]), verbose=0),
    }


def _noise():
    """Returns what two replicas draw: the seed of a step, and that of a layer of the user's own."""
    strategy = _mirrored()
    with strategy.scope():
        dropout = keras.layers.Dropout(0.5)
        model = _entry("DenoisingAutoencoder").make_with((6,), dropout)
        model.compile("sgd")

    def draw():
        seed = model.step_seed(training=True)
        model._reseed(seed)
        return seed, dropout(tf.ones((1, 64)), training=True)

    seed, dropped = strategy.run(tf.function(draw, autograph=False))
    local = strategy.experimental_local_results
    return [[each.numpy().tolist() for each in local(found)] for found in (seed, dropped)]


def main(folder, strategies, *names):
    folder = pathlib.Path(folder)
    if "workers" not in strategies:
        _devices()
    noise = _noise() if "refusals" in strategies else None
    _quiet_noise()
    for entry in map(_entry, names):
        for strategy in strategies.split(","):
            if strategy in _STRATEGIES:
                _write(folder, strategy, entry)
    if "refusals" in strategies:
        found = {"noise": noise, **_refusals()}
        (folder / "refusals.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
