"""The untapped VAE: a training step against its matrix products, and what its variants cost."""

import json

import keras
import numpy as np
import tensorflow as tf

from benchmarks import _measure
from tfbind import seeds
from tfbind.training import presets

_EVENT_SHAPE = (28, 28, 1)
_M2 = {"reverse": False}


def run(changes=None, batch_size=10_000, variants_batch_size=1000, rounds=5):
    """Returns the rows: products over step, and each variant's step over that of M2.

    Args:
        changes: Settings that differ from those of the preset `untapped-mnist`, as a dict.
        batch_size: Examples of each kind in the step that is timed against its products.
        variants_batch_size: Those in the steps of the variants, one of which needs ten times the
            memory.
        rounds: Of either.
    """
    preset = presets.get("untapped-mnist").changed(**(changes or {}))
    return [
        *_product_rows(preset, batch_size, rounds),
        *_variant_rows(preset, variants_batch_size, rounds),
    ]


def _product_rows(preset, batch_size, rounds):
    model = preset.build(_EVENT_SHAPE)
    sides = {
        "matmuls": _matmuls(model, batch_size),
        "matmuls_without_xla": _matmuls(model, batch_size, jit_compile=False),
        "step": _step(preset, batch_size),
        "step_without_xla": _step(preset, batch_size, jit_compile=False),
        "draw": _draw(batch_size),
    }
    times = _measure.interleaved(sides, rounds)
    gigaflops = _gigaflops(model, batch_size)
    return [
        _measure.compare(
            "untapped_vae_matmuls_over_step",
            times,
            "matmuls",
            "step",
            matmuls_gigaflops_a_second=gigaflops / times["matmuls"].seconds,
            draw_of_imagined_images_seconds=times["draw"].seconds,
        ),
        _measure.compare(
            "untapped_vae_matmuls_over_step_without_xla",
            times,
            "matmuls_without_xla",
            "step_without_xla",
            matmuls_gigaflops_a_second=gigaflops / times["matmuls_without_xla"].seconds,
        ),
    ]


def _variant_rows(preset, batch_size, rounds):
    """Returns how many times as long as M2's the steps of the others take, on as many examples."""
    settings = {
        "m2": _M2,
        "reverse_bound": {},
        "sum_over_classes": {**_M2, "marginalize": True},
        "sum_and_marginal": {"reverse": "marginal", "marginalize": True},
    }
    sides = {
        name: _step(preset.changed(**changes), batch_size) for name, changes in settings.items()
    }
    times = _measure.interleaved(sides, rounds)
    return [
        _measure.compare(f"untapped_vae_step_{name}_over_m2", times, name, "m2")
        for name in settings
        if name != "m2"
    ]


def _step(preset, batch_size, jit_compile=True):
    """Returns a function that trains on one batch as `fit` does, optimiser and metrics included."""
    model = preset.build(_EVENT_SHAPE)
    model.compile(model.optimizer, jit_compile=jit_compile)
    model.optimizer.build(model.trainable_variables)  # else the step is traced twice
    batch = _batch(preset, batch_size)
    return lambda: model.train_on_batch(batch)


def _batch(preset, batch_size):
    random = np.random.default_rng(0)
    images = random.random((2, batch_size, *_EVENT_SHAPE)) < 0.2
    sizes = preset.task.num_seen, preset.task.num_classes
    seen, every = (random.integers(0, k, batch_size) for k in sizes)
    return {
        "image": tf.constant(images[0], tf.float32),
        "label": tf.constant(seen, tf.int32),
        "unlabeled_image": tf.constant(images[1], tf.float32),
        "unfeatured_label": tf.constant(every, tf.int32),
    }


def _draw(batch_size):
    """Returns a function that draws the pixels of the imagined images, by itself."""

    @tf.function(jit_compile=True)
    def draw(seed):
        return seeds.uniform([batch_size, *_EVENT_SHAPE], seed)

    return lambda: draw(tf.constant([1, 2])).numpy()


def _kernels(model):
    """Returns the shapes of the weights of each network, which are all that is multiplied.

    The encoder's two heads, side by side, count as one.
    """
    classifier, encoder, decoder = (
        [tuple(each.kernel.shape) for each in part.layers if isinstance(each, keras.layers.Dense)]
        for part in (model.classifier, model.encoder, model.decoder)
    )
    return classifier, [*encoder[:-2], (encoder[-1][0], 2 * model.latent_dim)], decoder


def _gigaflops(model, batch_size):
    classifier, encoder, decoder = _kernels(model)
    trained = [(classifier, 3, False), (encoder, 3, False), (decoder, 2, True)]
    products = sum(
        times * (3 * _size(kernels) - (0 if to_input else _size(kernels[:1])))
        for kernels, times, to_input in trained
    )
    return 2e-9 * batch_size * (products + _size(decoder))


def _size(kernels):
    return sum(a * b for a, b in kernels)


def _matmuls(model, batch_size, jit_compile=True):
    """Returns a function that does the matrix products of one training step, no more.

    Images with labels, without, and imagined ones each go through classifier and encoder and back,
    the first two through the decoder and back too, and labels without images through the decoder.
    All that comes out is returned, so that no product can be left out.
    """
    classifier, encoder, decoder = (list(map(_random, shapes)) for shapes in _kernels(model))
    inputs = [
        [_random((batch_size, kernels[0].shape[0])) for kernels in (classifier, encoder, decoder)]
        for _ in range(3)
    ]

    @tf.function(jit_compile=jit_compile)
    def products(inputs, classifier, encoder, decoder):
        found = []
        for number, (image, image_and_label, code) in enumerate(inputs):
            found += _there_and_back(image, classifier)
            found += _there_and_back(image_and_label, encoder)
            if number < 2:
                found += _there_and_back(code, decoder, to_input=True)
            else:
                found += [_there(code, decoder)[-1]]
        return found

    return lambda: products(inputs, classifier, encoder, decoder)[0].numpy()


def _random(shape):
    return tf.random.normal(shape) / shape[0] ** 0.5  # products neither overflow nor vanish


def _there(x, kernels):
    tensors = [x]
    for kernel in kernels:
        tensors.append(tensors[-1] @ kernel)
    return tensors


def _there_and_back(x, kernels, to_input=False):
    """Returns the gradients of all kernels, and of `x` if asked, for a gradient at the end."""
    *tensors, back = _there(x, kernels)
    gradients = []
    for number, (tensor, kernel) in reversed(list(enumerate(zip(tensors, kernels, strict=True)))):
        gradients.append(tf.matmul(tensor, back, transpose_a=True))
        if number or to_input:
            back = tf.matmul(back, kernel, transpose_b=True)
    return [*gradients, back] if to_input else gradients


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
