"""Reconstruction Clustering against a plain NumPy loop and against its matrix products alone."""

import json
import os
import time

import numpy as np
import tensorflow as tf
import threadpoolctl

from benchmarks import _measure
from tfbind.data import _scenes, pipelines, shapes
from tfbind.training import presets

_BATCH_SIZE = 250  # two cores are busy with it, and its arrays stay in the cache
_OTHER_BATCH_SIZES = (100, 500, 1000)


def run(num_images=1000, hidden_units=500, epochs=5, rounds=7, numpy_rounds=3):
    """Returns the rows: `predict`, as a user calls it, over either reference.

    Raises:
        RuntimeError: If `predict` and the NumPy loop group differently.
    """
    preset = presets.get("rc-shapes").changed(hidden_units=hidden_units)
    model = _trained(preset, num_images, epochs)
    images = draw_shapes(num_images, 3)
    agreement = _agreement(model, images)
    predict = _predict(model, images, _BATCH_SIZE)
    threads = _best_num_threads(model, images)
    numpy_times = _measure.interleaved(
        {"numpy_loop": lambda: numpy_loop(model, images, threads), "predict": predict},
        numpy_rounds,
    )
    times = _measure.interleaved(
        {
            "matmuls": _matmuls(model, num_images),
            "compiled_call": _compiled_call(model, images),
            "predict": predict,
            **{f"predict_{size}": _predict(model, images, size) for size in _OTHER_BATCH_SIZES},
        },
        rounds,
    )
    return [
        _measure.compare(
            "rc_numpy_loop_over_predict", numpy_times, "numpy_loop", "predict",
            goal=8.0, numpy_threads=threads, **agreement,
        ),
        _measure.compare(
            "rc_predict_over_matmuls", times, "predict", "matmuls",
            goal=1.5, at_most=True, batch_size=_BATCH_SIZE,
            other_batch_sizes={n: times[f"predict_{n}"]._asdict() for n in _OTHER_BATCH_SIZES},
        ),
        _measure.compare("rc_compiled_call_over_matmuls", times, "compiled_call", "matmuls"),
    ]  # fmt: skip


def draw_shapes(num_images, num_objects):
    """Draws images of the Shapes data set, float32 `[num_images, 28, 28, 1]` in {0, 1}."""
    rng = np.random.default_rng(num_objects)
    kinds = rng.integers(len(shapes.BITMAPS), size=(num_images, num_objects))
    scenes = _scenes.draw_scenes(rng, (28, 28), _scenes.pad_bitmaps(shapes.BITMAPS), kinds)
    return np.concatenate([images for images, _ in scenes])[..., None].astype("float32")


def numpy_loop(model, images, num_threads=1):
    """Groups one image after the other as the paper's Algorithm 1 says, soft, in float32.

    Returns:
        float32 `[n, K, P]`, gamma after the last iteration.
    """
    weights = model.autoencoder.get_weights()
    start = model.default_start.reshape(model.num_groups, -1)
    with threadpoolctl.threadpool_limits(num_threads, "blas"):
        return np.stack(
            [_numpy_group(x.ravel(), start, weights, model.num_iterations) for x in images]
        )


def _numpy_group(x, gamma, weights, num_iterations):
    w_1, b_1, w_2, b_2 = weights
    for _ in range(num_iterations):
        code = np.tanh((gamma * x) @ w_1 + b_1)
        y = 1 / (1 + np.exp(-(code @ w_2 + b_2)))
        p = x * y + (1 - x) * (1 - y)
        gamma = p / p.sum(axis=0)
    return gamma


def _best_num_threads(model, images, num_images=20):
    """Returns the number of threads that suits the NumPy loop: its products are small."""
    seconds = {}
    for num_threads in (1, os.cpu_count()):
        start = time.perf_counter()
        numpy_loop(model, images[:num_images], num_threads)
        seconds[num_threads] = time.perf_counter() - start
    return min(seconds, key=seconds.get)


def _trained(preset, num_images, epochs):
    """Returns the preset's model after a short training, so that it has groups to find."""
    model = preset.build((28, 28, 1))
    images = draw_shapes(9 * num_images, 1)
    dataset, steps = pipelines.epochs(images, preset.batch_size, preset.seed)
    _measure.progress("  training the autoencoder")
    model.fit(dataset, epochs=epochs, steps_per_epoch=steps, shuffle=False, verbose=0)
    return model


def _agreement(model, images):
    """Compares the answers: the loop's rounding differs and is fed back, so not to the last bit."""
    expected = numpy_loop(model, images)
    answer = model.predict(images, batch_size=_BATCH_SIZE, verbose=0)["assignments"]
    answer = answer.reshape(expected.shape)
    same = float(np.mean(np.abs(answer - expected) < 1e-3))
    if not same >= 0.999:
        raise RuntimeError(f"`predict` and the NumPy loop agree on {same:.2%} of all assignments.")
    return {
        "assignments_within_1e-3": same,
        "median_abs_difference": float(np.median(np.abs(answer - expected))),
        "max_abs_difference": float(np.max(np.abs(answer - expected))),
    }


def _predict(model, images, batch_size):
    return lambda: model.predict(images, batch_size=batch_size, verbose=0)


def _compiled_call(model, images):
    """Returns a function that runs the model on tensors, without what `predict` adds."""
    compiled = tf.function(model.call, jit_compile=True)
    batches = [
        tf.constant(images[start : start + _BATCH_SIZE])
        for start in range(0, len(images), _BATCH_SIZE)
    ]
    return lambda: [compiled(batch)["confidence"].numpy() for batch in batches]


def _matmuls(model, num_images):
    """Returns a function that does the matrix products of all images and iterations, no more."""
    pixels, hidden = model.autoencoder.get_weights()[0].shape
    # Random, and scaled so that ten products neither overflow nor vanish.
    x = tf.random.normal([num_images * model.num_groups, pixels])
    w_1 = tf.random.normal([pixels, hidden]) / pixels**0.5
    w_2 = tf.random.normal([hidden, pixels]) / hidden**0.5

    @tf.function(jit_compile=True)
    def products(x, w_1, w_2):
        for _ in range(model.num_iterations):
            x = (x @ w_1) @ w_2
        return x

    return lambda: products(x, w_1, w_2).numpy()


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
