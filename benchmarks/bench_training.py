"""Training of the denoising autoencoder in `fit` against the matrix products of its steps."""

import json

import numpy as np
import tensorflow as tf

from benchmarks import _measure
from tfbind.data import pipelines
from tfbind.layers import SaltAndPepperNoise
from tfbind.training import presets


def run(num_images=9000, hidden_units=500, epochs=5, rounds=5, num_draws=50):
    """Returns the rows: `fit` in three ways over its matmuls, and the noise with two generators.

    A step's products are two forward and three backward: nobody needs the input's gradient.
    """
    preset = presets.get("rc-shapes").changed(hidden_units=hidden_units)
    random = np.random.default_rng(0)
    images = 255 * (random.random((num_images, 28, 28, 1)) < 0.2).astype("uint8")
    steps = len(images) // preset.batch_size
    times = _measure.interleaved(
        {
            "matmuls": _matmuls(preset, steps, epochs),
            "fit": _fit_pipeline(preset, images, epochs, jit_compile=True),
            "fit_jit_auto": _fit_pipeline(preset, images, epochs, jit_compile="auto"),
            "fit_numpy": _fit_numpy(preset, images, epochs),
        },
        rounds,
    )
    return [
        _row("training_fit_over_matmuls", times, "fit", steps * epochs, goal=2.0, at_most=True),
        _row("training_fit_jit_auto_over_matmuls", times, "fit_jit_auto", steps * epochs),
        _row("training_fit_numpy_over_matmuls", times, "fit_numpy", steps * epochs),
        _random_numbers(preset, num_draws, rounds),
    ]


def _row(name, times, side, num_steps, **more):
    """Returns the comparison of `side` with the matmuls, with what a step and a second hold."""
    batch_size = presets.get("rc-shapes").batch_size
    return _measure.compare(
        name,
        times,
        side,
        "matmuls",
        images_per_second=num_steps * batch_size / times[side].seconds,
        milliseconds_a_step=1000 * times[side].seconds / num_steps,
        matmuls_milliseconds_a_step=1000 * times["matmuls"].seconds / num_steps,
        **more,
    )


def _autoencoder(preset, jit_compile):
    model = preset.build((28, 28, 1)).autoencoder
    model.compile(preset.optimizer.make(), jit_compile=jit_compile)
    return model


def _fit_pipeline(preset, images, epochs, jit_compile):
    """Returns a function that trains as `tfbind.training.run` does: one execution an epoch."""
    model = _autoencoder(preset, jit_compile)
    dataset, steps = pipelines.epochs(images, preset.batch_size, preset.seed)
    model.steps_per_execution = steps
    return lambda: model.fit(
        dataset, epochs=epochs, steps_per_epoch=steps, shuffle=False, verbose=0
    )


def _fit_numpy(preset, images, epochs):
    """Returns a function that trains as in a first try: an array, one step an execution."""
    model = _autoencoder(preset, jit_compile=True)
    images = images.astype("float32") / 255
    return lambda: model.fit(images, batch_size=preset.batch_size, epochs=epochs, verbose=0)


def _matmuls(preset, steps, epochs):
    """Returns a function that does the matrix products of all steps, no more."""
    pixels, hidden = 28 * 28, preset.setting("hidden_units").value
    batches = tf.random.normal([steps, preset.batch_size, pixels])
    weights = tf.random.normal([pixels, hidden]), tf.random.normal([hidden, pixels])

    @tf.function(jit_compile=True)
    def products(batches, w_1, w_2):
        def step(index, *_):
            x = batches[index]
            code = x @ w_1
            output = code @ w_2
            back = tf.matmul(output, w_2, transpose_b=True)
            gradients = [tf.matmul(x, back, transpose_a=True)]
            gradients += [tf.matmul(code, output, transpose_a=True)]
            return index + 1, *gradients

        start = tf.constant(0), tf.zeros_like(w_1), tf.zeros_like(w_2)
        return tf.while_loop(lambda index, *_: index < steps, step, start)

    return lambda: [products(batches, *weights)[1].numpy() for _ in range(epochs)]


def _random_numbers(preset, num_draws, rounds):
    """Returns how many times as long salt and pepper takes with TensorFlow's choice of generator.

    That choice, "auto_select", is as quick as Philox while the numbers alone are asked for. It is
    slow once XLA fuses the draw with what uses it.
    """
    images = tf.zeros([preset.batch_size, 28, 28, 1])
    probability = preset.setting("probability").value
    noise = SaltAndPepperNoise(probability, seed=0)

    @tf.function(jit_compile=True)
    def automatic(seed):
        draw = tf.random.stateless_uniform(images.shape, seed)
        salted = tf.where(draw < probability / 2, 1.0, images)
        return tf.where((draw >= probability / 2) & (draw < probability), 0.0, salted)

    philox = tf.function(lambda seed: noise.corrupt(images, seed), jit_compile=True)
    draws = [tf.constant([0, draw]) for draw in range(num_draws)]
    times = _measure.interleaved(
        {
            "auto_select": lambda: [automatic(seed).numpy() for seed in draws],
            "philox": lambda: [philox(seed).numpy() for seed in draws],
        },
        rounds,
    )
    return _measure.compare(
        "training_noise_auto_select_over_philox",
        times,
        "auto_select",
        "philox",
        numbers_a_draw=int(np.prod(images.shape)),
        auto_select_milliseconds_a_draw=1000 * times["auto_select"].seconds / num_draws,
        philox_milliseconds_a_draw=1000 * times["philox"].seconds / num_draws,
    )


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
