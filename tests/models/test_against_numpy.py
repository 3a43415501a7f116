"""Reconstruction Clustering against a plain NumPy loop, image for image."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tfbind import models

from . import numpy_clustering

NUM_ITERATIONS = 10
TIE = 1e-5  # closer than that, and rounding decides which cluster gets a pixel


def random_weights(random, num_pixels, num_hidden):
    """Returns float32 W1, b1, W2, b2 of a net whose reconstructions are neither flat nor sure."""
    shapes = (num_pixels, num_hidden), (num_hidden,), (num_hidden, num_pixels), (num_pixels,)
    scales = 2 / num_pixels**0.5, 0.1, 4 / num_hidden**0.5, 0.1
    return [
        (scale * random.standard_normal(shape)).astype("float32")
        for scale, shape in zip(scales, shapes, strict=True)
    ]


def problem(seed, num_groups, event_shape=(8, 8, 1), num_hidden=20, num_images=16):
    """Returns binary images, starting assignments and weights."""
    random = np.random.default_rng(seed)
    images = (random.random((num_images, *event_shape)) < 0.4).astype("float32")
    start = np.abs(random.standard_normal((num_images, num_groups, *event_shape[:-1])))
    start = (start / start.sum(axis=1, keepdims=True)).astype("float32")
    return images, start, random_weights(random, int(np.prod(event_shape)), num_hidden)


def make(weights, num_groups, event_shape=(8, 8, 1), *, activation="relu", **settings):
    """Makes the library's model and gives it the weights from outside."""
    autoencoder = models.DenoisingAutoencoder(
        event_shape, hidden_units=weights[0].shape[1], activation=activation
    )
    model = models.ReconstructionClustering(autoencoder, num_groups, NUM_ITERATIONS, **settings)
    model.set_weights(weights)
    return model


def run_numpy(images, start, weights, activation, **settings):
    """Runs the NumPy loop on every image, in float32 as the authors did."""
    reconstruct = numpy_clustering.autoencoder(weights, activation)
    return [
        numpy_clustering.cluster(x.ravel(), gamma.reshape(len(gamma), -1), reconstruct, **settings)
        for x, gamma in zip(images, start, strict=True)
    ]


def assert_same(outputs, runs, images, hard):
    """Asserts assignments within 1e-4, image for image, but where NumPy was close to a tie."""
    found = np.asarray(outputs["assignments"]).reshape(len(runs), *runs[0].assignments.shape)
    compared = 0
    for image, assignments, run in zip(images, found, runs, strict=True):
        # A tie on a set pixel decides what follows; one on an empty pixel that pixel alone.
        if hard and run.margins[image.ravel() != 0].min() < TIE:
            continue
        pixels = run.margins > TIE if hard else slice(None)
        np.testing.assert_allclose(assignments[:, pixels], run.assignments[:, pixels], atol=1e-4)
        compared += 1
    assert compared >= len(runs) // 2


@pytest.mark.parametrize("assignment", ["soft", "hard"])
@pytest.mark.parametrize(
    ("activation", "num_groups"),
    [("relu", 3), ("tanh", 3), ("sigmoid", 3), ("relu", 2), ("tanh", 12)],
)
def test_assignments_and_likelihood(activation, num_groups, assignment, test_seed):
    hard = assignment == "hard"
    images, start, weights = problem(test_seed, num_groups)
    model = make(weights, num_groups, activation=activation, assignment=assignment)
    runs = run_numpy(images, start, weights, activation, num_iterations=NUM_ITERATIONS, hard=hard)
    outputs = model({"image": images, "initial_assignments": start})
    assert_same(outputs, runs, images, hard)

    trace = model.trace(images, start)
    assert_same({"assignments": trace["assignments"][-1]}, runs, images, hard)
    history = np.asarray(trace["log_likelihoods"]).T
    assert history.shape == (len(images), 2 * NUM_ITERATIONS + 1)
    for found, run in zip(history, runs, strict=True):
        if not hard or run.margins.min() > TIE:
            np.testing.assert_allclose(found, run.log_likelihoods, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(outputs["log_likelihood"], history[:, -1], rtol=1e-5)


@pytest.mark.parametrize("assignment", ["soft", "hard"])
def test_estimated_mixing_weights(assignment, test_seed):
    images, start, weights = problem(test_seed, 3)
    model = make(weights, 3, assignment=assignment, estimate_weights=True)
    runs = run_numpy(
        images,
        start,
        weights,
        "relu",
        num_iterations=NUM_ITERATIONS,
        hard=assignment == "hard",
        estimate=True,
    )
    outputs = model({"image": images, "initial_assignments": start})
    assert_same(outputs, runs, images, assignment == "hard")
    if assignment == "soft":
        found = np.asarray(outputs["assignments"]).mean(axis=(2, 3))
        np.testing.assert_allclose(found, [run.weights for run in runs], atol=1e-4)
        fixed = make(weights, 3)({"image": images, "initial_assignments": start})
        assert np.abs(fixed["assignments"] - outputs["assignments"]).max() > 0.01


def test_the_size_of_the_paper_under_xla(test_seed):
    event_shape = (28, 28, 1)
    images, start, weights = problem(test_seed, 3, event_shape, num_hidden=500, num_images=8)
    model = make(weights, 3, event_shape, activation="tanh")
    runs = run_numpy(images, start, weights, "tanh", num_iterations=NUM_ITERATIONS, hard=False)
    run = tf.function(model, jit_compile=True)
    outputs = run({"image": tf.constant(images), "initial_assignments": tf.constant(start)})
    assert_same(outputs, runs, images, hard=False)


def test_flat_examples_and_images_are_the_same_to_it(test_seed):
    images, start, weights = problem(test_seed, 3)
    expected = make(weights, 3)({"image": images, "initial_assignments": start})
    flat = make(weights, 3, event_shape=(64,))(
        {"image": images.reshape(-1, 64), "initial_assignments": start.reshape(-1, 3, 64)}
    )
    for key in expected:
        found = np.asarray(flat[key]).reshape(expected[key].shape)
        np.testing.assert_allclose(found, expected[key], atol=1e-5, rtol=1e-5)


def test_gaussian_likelihood(test_seed):
    """Real-valued data: densities as SciPy has them."""
    scale, num_iterations = 1.0, 5

    class Normal:
        @staticmethod
        def density(x, y):
            return scipy.stats.norm.pdf(x, y, scale)

        @staticmethod
        def log_density(x, y):
            return scipy.stats.norm.logpdf(x, y, scale)

    random = np.random.default_rng(test_seed)
    rows = random.standard_normal((10, 12)).astype("float32")
    start = random.dirichlet([1, 1, 1], (10, 12)).transpose(0, 2, 1).astype("float32")
    w1, b1, w2, b2 = random_weights(random, 12, 9)
    autoencoder = models.DenoisingAutoencoder(
        (12,), hidden_units=9, activation="tanh", likelihood="gaussian"
    )
    model = models.ReconstructionClustering(autoencoder, 3, num_iterations)
    raw_scale = np.log(np.expm1(scale))
    autoencoder.observation.untransformed_scale.assign(raw_scale)
    autoencoder.encoder.set_weights([w1, b1])
    autoencoder.decoder.set_weights([w2, b2])

    trace = model.trace(rows, start)
    for index, (x, gamma) in enumerate(zip(rows, start, strict=True)):
        run = numpy_clustering.cluster(
            x,
            gamma,
            lambda shares: np.tanh(shares @ w1 + b1) @ w2 + b2,
            num_iterations,
            likelihood=Normal,
            hard=False,
        )
        np.testing.assert_allclose(trace["assignments"][-1][index], run.assignments, atol=1e-4)
        found = np.asarray(trace["log_likelihoods"])[:, index]
        np.testing.assert_allclose(found, run.log_likelihoods, rtol=1e-4, atol=1e-3)
