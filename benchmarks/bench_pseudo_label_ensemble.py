"""Kingdra's ensemble: a training step against its matrix products, members at once or in turn."""

import json

import numpy as np
import tensorflow as tf

from benchmarks import _measure
from tfbind.training import presets
from tfbind.training.preset import Part

_EVENT_SHAPE = (28, 28, 1)
# Preset, widths of the hidden layers, images in the batch.
FORMS = {
    "paper_600_64": ("kingdra-mnist", 600, 64),
    "paper_600_256": ("kingdra-mnist", 600, 256),
    "paper_1200_64": ("kingdra-mnist", 1200, 64),
    "paper_1200_256": ("kingdra-mnist", 1200, 256),
    "views_512_250": ("kingdra-mnist-invariant", 512, 250),
}


def run(forms=None, num_members=5, rounds=3):
    """Returns two rows a form: how much of a step its products are, and what one by one gains.

    Args:
        forms: Name to preset, width and batch size; None for `FORMS`.
        num_members: Integer M.
        rounds: Of each step.
    """
    rows = []
    for name, (preset, width, batch_size) in (forms or FORMS).items():
        models = {
            side: _model(preset, width, num_members, batched)
            for side, batched in (("batched", True), ("one_by_one", False))
        }
        rows += _form_rows(f"pseudo_label_ensemble_{name}", models, batch_size, rounds)
    return rows


def _model(name, width, num_members, batched):
    preset = presets.get(name)
    own = {"hidden_units": (width, width), "num_members": num_members, "batched": batched}
    settings = {**preset.model.settings, **own}
    return preset.changed(model=Part(preset.model.name, **settings)).build(_EVENT_SHAPE)


def _form_rows(name, models, batch_size, rounds):
    sides = {side: _step(model, batch_size) for side, model in models.items()}
    sides["matmuls"] = _matmuls(models["one_by_one"], batch_size)
    times = _measure.interleaved(sides, rounds)
    gigaflops = _gigaflops(models["batched"], batch_size)
    rates = {
        "gigaflops": gigaflops,
        "matmuls_gigaflops_a_second": gigaflops / times["matmuls"].seconds,
        "milliseconds_a_member": 1000 * times["one_by_one"].seconds / models["batched"].num_members,
    }
    return [
        _measure.compare(f"{name}_matmuls_over_step", times, "matmuls", "one_by_one", **rates),
        _measure.compare(f"{name}_batched_over_one_by_one", times, "batched", "one_by_one"),
    ]


def _step(model, batch_size):
    """Returns a function that trains on one batch as `fit` does, pseudo-labels included."""
    model.prepare_labels(batch_size)
    images = np.random.default_rng(0).random((batch_size, *_EVENT_SHAPE)).astype("float32")
    batch = {"image": tf.constant(images), "index": tf.range(batch_size)}
    return lambda: model.train_on_batch(batch)


def _passes(model):
    """Returns the shapes of the kernels of each pass through a member, and if these have gradients.

    The probe of the virtual adversarial noise is differentiated by its input alone.
    """
    ladder = model.ladder
    encoder = [tuple(w.shape[1:]) for w in ladder.encoder_kernels.values()]
    down = sorted(ladder.decoder_kernels, reverse=True)
    decoder = [tuple(ladder.decoder_kernels[layer].shape[1:]) for layer in down]
    passes = [(encoder, True), (encoder + decoder, True)]
    return passes + [(encoder, False), (encoder, True)] * bool(model.adversarial_weight)


def _gigaflops(model, batch_size):
    sums = [
        (3 if trained else 2) * sum(a * b for a, b in shapes) - trained * np.prod(shapes[0])
        for shapes, trained in _passes(model)
    ]
    return 2e-9 * batch_size * model.num_members * float(sum(sums))


def _matmuls(model, batch_size):
    """Returns a function that does the matrix products of a training step, member by member."""
    arguments = [
        [
            (tf.random.normal([batch_size, shapes[0][0]]), [_weights(shape) for shape in shapes])
            for shapes, _ in _passes(model)
        ]
        for _ in range(model.num_members)
    ]
    trained = [each for _, each in _passes(model)]

    @tf.function(jit_compile=True)
    def products(arguments):
        return [
            _there_and_back(x, kernels, each)
            for passes in arguments
            for (x, kernels), each in zip(passes, trained, strict=True)
        ]

    return lambda: products(arguments)[0][0].numpy()


def _there_and_back(x, kernels, trained):
    """Returns the gradients of the kernels, or that of the input."""
    inputs = [x]
    for w in kernels:
        inputs.append(inputs[-1] @ w)
    back, gradients = inputs.pop(), []
    for number, (h, w) in reversed(list(enumerate(zip(inputs, kernels, strict=True)))):
        if trained:
            gradients.append(tf.matmul(h, back, transpose_a=True))
        if number or not trained:
            back = tf.matmul(back, w, transpose_b=True)
    return gradients or [back]


def _weights(shape):
    return tf.random.normal(shape) / shape[0] ** 0.5  # products neither overflow nor vanish


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
