"""One iteration of Tagger; `tests/models/test_tagger_against_numpy.py` runs it against NumPy."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbind import layers

PIXELS, GROUPS, UNITS = 12, 3, (9, 6, 4)


def make(test_seed=0, **settings):
    """A small step whose weights are all away from where they start."""
    step = layers.TaggerStep(UNITS, **settings)
    step.build((None, PIXELS, 1))
    random = np.random.default_rng(test_seed)
    for weight in step.trainable_variables:
        weight.assign_add(0.4 * random.standard_normal(weight.shape))
    return step


def problem(test_seed, rows=6):
    """Returns binary pixels `[B, P, 1]`, and means `[B, K, P, 1]` and assignments that differ."""
    random = np.random.default_rng(test_seed)
    x = tf.constant(random.random((rows, PIXELS, 1)) < 0.4, tf.float32)
    z = tf.constant(random.random((rows, GROUPS, PIXELS, 1)), tf.float32)
    m = tf.constant(random.standard_normal((rows, GROUPS, PIXELS)), tf.float32)
    return x, z, tf.nn.softmax(m, axis=1)


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("noise", [0.05, 0.2, 0.4])
def test_binary_modelling_error_is_a_gradient(noise, grey, test_seed):
    """Of log sum_k m_k q(x|z_k), with respect to z; for a grey x of its mean over what x may be."""
    step = make(noise=noise)
    x, z, m = problem(test_seed, rows=20)
    if grey:
        x = tf.constant(np.random.default_rng(test_seed).random(x.shape), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(z)
        on = noise + (1 - 2 * noise) * z  # that a pixel is seen as 1
        seen = [tf.reduce_sum(m[..., None] * p, axis=1) for p in (on, 1 - on)]
        log_mixture = tf.reduce_sum(x * tf.math.log(seen[0]) + (1 - x) * tf.math.log(seen[1]))
    expected = tape.gradient(log_mixture, z)
    state = step.initial_state(x, m, 0.26)._replace(means=z)
    np.testing.assert_allclose(step.modelling_error(x, state), expected, rtol=1e-5, atol=1e-5)


def test_initial_state(test_seed):
    x, _, m = problem(test_seed)
    state = make().initial_state(x, tf.reshape(m, [6, GROUPS, 3, 4]), 0.3)
    assert (state.means == 0.3).numpy().all() and (state.fed == 0.3).numpy().all()
    assert state.means.shape == (6, GROUPS, PIXELS, 1)
    np.testing.assert_array_equal(state.assignments, m)
    np.testing.assert_array_equal(state.top, np.zeros((6, GROUPS, 4)))


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_shares_sum_to_one(likelihood, test_seed):
    step = make(likelihood=likelihood)
    x, z, m = problem(test_seed)
    state = step(x, step.initial_state(x, m, 0.26)._replace(means=z))
    ratio = step.likelihood_ratio(x, state)
    assert float(tf.reduce_min(ratio)) >= 0
    for shares in (state.assignments, ratio):
        np.testing.assert_allclose(tf.reduce_sum(shares, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("normalization", ["batch", "layer"])
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_the_network_is_the_same_for_all_groups(likelihood, normalization, test_seed):
    step = make(likelihood=likelihood, normalization=normalization)
    x, z, m = problem(test_seed)
    state = step.initial_state(x, m, 0.26)._replace(means=z, fed=z)
    order = [2, 0, 1]
    expected = step(x, state)
    found = step(x, type(state)(*(tf.gather(part, order, axis=1) for part in state)))
    for name, one, other in zip(found._fields, found, expected, strict=True):
        other = tf.gather(other, order, axis=1)
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("theta", [-30.0, -1.0, 0.0, 0.5, 1.0, 30.0])
def test_variance(theta):
    step = layers.TaggerStep(UNITS, likelihood="gaussian")
    step.build((None, PIXELS, 1))
    assert float(step.variance) == pytest.approx(1 + np.sqrt(2), rel=1e-6)
    step.untransformed_variance.assign(theta)
    root = np.sqrt(theta**2 + 1)
    expected = theta + root if theta > 0 else 1 / (root - theta)
    assert float(step.variance) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("variance", [0.01, 1.0, 5.0])
def test_the_variance_starts_where_it_is_told(variance):
    step = layers.TaggerStep(UNITS, likelihood="gaussian", initial_variance=variance)
    step.build((None, PIXELS, 1))
    assert float(step.variance) == pytest.approx(variance, rel=1e-4)


def test_statistics_are_those_of_a_pass_and_can_be_forgotten(test_seed):
    step = make(num_passes=2)
    x, _, m = problem(test_seed)
    state = step.initial_state(x, m, 0.26)
    step(x, state, index=1, update=True)
    untouched = step(x, state, index=0, population=True)
    moved = step(x, state, index=1, population=True)
    assert np.abs(untouched.means - moved.means).max() > 1e-3
    counts = [layer.count for layer in step.standardizations.values()]
    assert [count.numpy().tolist() for count in counts] == [[0, 1]] * 3
    step.reset_statistics()
    assert not any(count.numpy().any() for count in counts)
    assert not any(x.count.numpy().any() for x in step.ladder.encoder_standardizations.values())


def test_config_round_trip():
    step = make(likelihood="gaussian", equations="paper", num_passes=2, dtype="mixed_bfloat16")
    again = layers.TaggerStep.from_config(step.get_config())
    assert again.get_config() == step.get_config()
    again.build((None, PIXELS, 1))
    assert [w.shape for w in again.weights] == [w.shape for w in step.weights]
    assert again.ladder.compute_dtype == "bfloat16"


def test_the_same_seed_gives_the_same_weights(test_seed):
    """In the order in which they are made, which trained results depend on."""
    made = []
    for _ in range(2):
        keras.utils.set_random_seed(test_seed)
        made.append(make().get_weights())
    for one, other in zip(*made, strict=True):
        np.testing.assert_array_equal(one, other)
    keras.utils.set_random_seed(test_seed)
    expected = keras.initializers.RandomNormal(stddev=(4 * PIXELS) ** -0.5)((4 * PIXELS, UNITS[0]))
    keras.utils.set_random_seed(test_seed)
    step = layers.TaggerStep(UNITS)
    step.build((None, PIXELS, 1))
    np.testing.assert_array_equal(step.hidden_kernel, expected)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"units": 9}, "`units` must be a tuple of two integers or more. Received: units=9."),
        ({"units": (9, 2.5)}, "`units` must be an integer >= 1. Received: units=2.5."),
        (
            {"likelihood": "poisson"},
            "`likelihood` must be one of 'bernoulli', 'gaussian'. Received: likelihood='poisson'.",
        ),
        ({"noise": 0}, "`noise` must be a number in (0, inf). Received: noise=0."),
        (
            {"noise": 0.5},
            "`noise` must be a number in (0, 0.5) for binary data, where 0.5 leaves nothing of "
            "the image. Received: noise=0.5.",
        ),
        (
            {"initial_variance": 0, "likelihood": "gaussian"},
            "`initial_variance` must be a number in (0, inf). Received: initial_variance=0.",
        ),
        ({"normalization": "group"}, "`normalization` must be one of 'batch', 'layer'. Received"),
        ({"combinator": "mlp"}, "`combinator` must be one of 'gauss', 'gauss_stable_v'. Received"),
        ({"equations": "mine"}, "`equations` must be one of 'code', 'paper'. Received"),
        ({"num_passes": 0}, "`num_passes` must be an integer >= 1. Received: num_passes=0."),
    ],
)
def test_bad_arguments(settings, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        layers.TaggerStep(**{"units": UNITS, **settings})
