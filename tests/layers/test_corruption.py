"""Noise layers: how often they hit, the formula for a given seed, and seeds that differ."""

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tfbind import layers, seeds

SIZE = 40_000
LAYERS = {
    "salt": lambda **kwargs: layers.SaltAndPepperNoise(0.3, **kwargs),
    "flip": lambda **kwargs: layers.BitFlipNoise(0.3, **kwargs),
    "masking": lambda **kwargs: layers.MaskingNoise(0.3, **kwargs),
    "gaussian": lambda **kwargs: layers.AdditiveGaussianNoise(0.3, **kwargs),
}


@pytest.fixture(params=LAYERS)
def make(request):
    return LAYERS[request.param]


def assert_rate(hits, probability):
    """Asserts that so many hits are what a binomial variable might give once in 10 000 tests."""
    low, high = scipy.stats.binom.interval(1 - 1e-4, hits.size, probability)
    assert low <= hits.sum() <= high


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("probability", [0.1, 0.6])
def test_salt_and_pepper_hits_half_and_half(probability, jit_compile):
    layer = layers.SaltAndPepperNoise(probability, seed=1)
    grey = tf.fill([SIZE], 0.25)
    noisy = tf.function(layer, jit_compile=jit_compile)(grey, training=True).numpy()
    assert set(np.unique(noisy)) == {0.0, 0.25, 1.0}
    assert_rate(noisy == 1, probability / 2)
    assert_rate(noisy == 0, probability / 2)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_bit_flips(value, jit_compile):
    layer = layers.BitFlipNoise(0.2, seed=1)
    noisy = tf.function(layer, jit_compile=jit_compile)(tf.fill([SIZE], value), training=True)
    assert set(np.unique(noisy)) == {0.0, 1.0}
    assert_rate(noisy.numpy() != value, 0.2)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_gaussian_noise_is_normal(jit_compile):
    layer = layers.AdditiveGaussianNoise(0.5, seed=1)
    noisy = tf.function(layer, jit_compile=jit_compile)(tf.fill([SIZE], 2.0), training=True)
    assert scipy.stats.kstest(noisy, scipy.stats.norm(2.0, 0.5).cdf).pvalue > 1e-4


def test_noise_hits_pixels_independently():
    """Neighbours in a row or a column are hit together as often as chance has it."""
    hits = layers.SaltAndPepperNoise(0.3, seed=1)(tf.fill([200, 200], 0.5), training=True) != 0.5
    hits = hits.numpy()
    assert_rate((hits[1:] & hits[:-1])[::2], 0.09)
    assert_rate((hits[:, 1:] & hits[:, :-1])[:, ::2], 0.09)


def test_the_formula_for_a_given_seed():
    seed, x = seeds.fold(1, 2), np.random.default_rng(0).random((3, 50)).astype("float32")
    draw = seeds.uniform(x.shape, seed).numpy()
    salted = layers.SaltAndPepperNoise(0.4).corrupt(x, seed)
    expected = np.where(draw < 0.2, 1, np.where(draw < 0.4, 0, x))
    np.testing.assert_array_equal(salted, expected)
    flipped = layers.BitFlipNoise(0.4).corrupt(x, seed)
    np.testing.assert_allclose(flipped, np.where(draw < 0.4, 1 - x, x), atol=1e-6)
    masked = layers.MaskingNoise(0.4).corrupt(x, seed)
    np.testing.assert_array_equal(masked, np.where(draw < 0.4, 0, x))
    noisy = layers.AdditiveGaussianNoise(0.4).corrupt(x, seed)
    np.testing.assert_allclose(noisy, x + 0.4 * seeds.normal(x.shape, seed).numpy(), atol=1e-6)


@pytest.mark.parametrize(("probability", "expected"), [(0.0, [0.5, 0.5]), (1.0, [0.0, 1.0])])
def test_none_or_all(probability, expected):
    noisy = layers.SaltAndPepperNoise(probability, seed=0)(tf.fill([1000], 0.5), training=True)
    assert [float(tf.reduce_min(noisy)), float(tf.reduce_max(noisy))] == expected
    flipped = layers.BitFlipNoise(probability)(tf.zeros([1000]), training=True)
    np.testing.assert_array_equal(flipped, np.full(1000, probability, "float32"))


def test_every_call_has_noise_of_its_own_and_a_seed_repeats_it(make):
    x = np.full((4, 100), 0.25, "float32")
    first, again = make(seed=3), make(seed=3)
    calls = [first(x, training=True).numpy() for _ in range(3)]
    assert (calls[0] != calls[1]).any() and (calls[1] != calls[2]).any()
    np.testing.assert_array_equal([again(x, training=True).numpy() for _ in range(3)], calls)
    assert (make(seed=4)(x, training=True).numpy() != calls[0]).any()


def test_it_passes_data_on_when_not_training(make):
    x, layer = np.random.default_rng(0).random((2, 3)).astype("float32"), make()
    np.testing.assert_array_equal(layer(x), x)
    np.testing.assert_array_equal(layer(x, training=False), x)


def test_config_round_trip(make):
    layer = make(seed=5, name="noise")
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    x = np.full((2, 50), 0.25, "float32")
    np.testing.assert_array_equal(again(x, training=True), layer(x, training=True))
    assert keras.saving.get_registered_name(type(layer)).startswith("tfbind>")


def test_in_a_sequential_model(make, tmp_path):
    """Noise in `fit`, none in `predict`, and the file brings it back."""
    model = keras.Sequential([keras.layers.Input((6,)), make(), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).random((8, 6)).astype("float32")
    model.fit(x, x[:, :1], verbose=0)
    np.testing.assert_allclose(model.predict(x, verbose=0), model.layers[1](x), atol=1e-6)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.layers[0].get_config() == model.layers[0].get_config()
    np.testing.assert_array_equal(again(x), model(x))


@pytest.mark.parametrize(
    ("make_bad", "match"),
    [
        (lambda: layers.SaltAndPepperNoise(1.1), r"`probability` must be a number in \[0, 1\]"),
        (lambda: layers.MaskingNoise(-0.1), r"`probability` must be a number in \[0, 1\]"),
        (lambda: layers.BitFlipNoise("half"), r"Received: probability='half'\."),
        (lambda: layers.BitFlipNoise(float("nan")), r"Received: probability=nan\."),
        (lambda: layers.AdditiveGaussianNoise(-0.1), r"`stddev` must be a number in \[0, inf\)"),
    ],
)
def test_bad_arguments(make_bad, match):
    with pytest.raises(ValueError, match=match):
        make_bad()
