"""Standardisation against NumPy, and population statistics as averages over batches."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbind import layers

EPSILON = 1e-10
RANDOM = np.random.default_rng(0)
# Of unequal sizes and scales, so that no two ways of averaging agree.
BATCHES = [
    (RANDOM.standard_normal((rows, 3)) * (1 + i) + i).astype("float32")
    for i, rows in enumerate((2, 5, 9))
]


def make(kind="batch", **settings):
    layer = layers.Standardization(kind, **settings)
    layer.build((None, 3))
    return layer


def population(layer, index=0):
    return layer.mean[index].numpy(), layer.variance[index].numpy()


def assert_population(layer, mean, variance, index=0):
    np.testing.assert_allclose(layer.mean[index], mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(layer.variance[index], variance, rtol=1e-4)


def averages(batches):
    """Means and variances with Bessel's correction, every batch as good as any other."""
    return (
        np.mean([batch.mean(axis=0) for batch in batches], axis=0),
        np.mean([batch.var(axis=0, ddof=1) for batch in batches], axis=0),
    )


@pytest.mark.parametrize("shape", [(7, 3), (2, 7, 3)])
@pytest.mark.parametrize("kind", ["batch", "layer"])
def test_formula(kind, shape, test_seed):
    x = np.random.default_rng(test_seed).standard_normal(shape).astype("float32") * 3 + 2
    axis = -1 if kind == "layer" else tuple(range(len(shape) - 1))
    mean, variance = x.mean(axis, keepdims=True), x.var(axis, keepdims=True)
    standardized, used_mean, used_variance = make(kind).standardize(x)
    np.testing.assert_allclose(standardized, (x - mean) / np.sqrt(variance + EPSILON), atol=1e-5)
    np.testing.assert_allclose(used_mean, mean, atol=1e-5)
    np.testing.assert_allclose(used_variance, variance, rtol=1e-5)


def test_a_constant_stays_finite():
    np.testing.assert_array_equal(make()(tf.fill([4, 3], 2.5)), np.zeros((4, 3)))


def test_layer_normalization_has_no_statistics():
    layer = make("layer")
    assert layer.weights == []
    x = BATCHES[1]
    np.testing.assert_array_equal(layer(x, population=True, update=True), layer(x))
    layer.reset()


def test_population_statistics_are_averages():
    layer = make()
    np.testing.assert_allclose(layer(BATCHES[1], population=True), BATCHES[1], rtol=1e-6)
    for batch in BATCHES:
        np.testing.assert_allclose(layer(batch, update=True), layer(batch), atol=1e-6)
    mean, variance = averages(BATCHES)
    assert_population(layer, mean, variance)
    found = layer(BATCHES[1], population=True)
    np.testing.assert_allclose(found, (BATCHES[1] - mean) / np.sqrt(variance), rtol=1e-4, atol=1e-5)


def test_rows_of_a_higher_rank_count_for_the_correction():
    layer, x = make(), BATCHES[2].reshape(3, 3, 3)
    layer(x, update=True)
    assert_population(layer, *averages(BATCHES[2:]))


def test_every_pass_has_its_own():
    layer = make(num_passes=3)
    layer(BATCHES[0], index=0, update=True)
    layer(BATCHES[1], index=2, update=True)
    layer(BATCHES[2], index=2, update=True)
    assert_population(layer, *averages(BATCHES[:1]), index=0)
    assert_population(layer, 0, 1, index=1)
    assert_population(layer, *averages(BATCHES[1:]), index=2)


def test_reset_starts_a_new_average():
    layer = make()
    layer(BATCHES[0], update=True)
    layer.reset()
    layer(BATCHES[1], update=True)
    layer(BATCHES[2], update=True)
    assert_population(layer, *averages(BATCHES[1:]))


def test_a_tiny_variance_is_not_lost_beside_the_one_it_replaces():
    layer, x = make(), 1e-5 * BATCHES[2]
    layer(x, update=True)
    np.testing.assert_allclose(layer.variance[0], x.var(axis=0, ddof=1), rtol=1e-4)


def test_after_a_few_batches_the_average_moves():
    """With a momentum of 1/2 the first two batches count alike, and then the last for a half."""
    layer = make(momentum=0.5)
    for batch in BATCHES:
        layer(batch, update=True)
    first_two, last = averages(BATCHES[:2]), averages(BATCHES[2:])
    assert_population(layer, *((a + b) / 2 for a, b in zip(first_two, last, strict=True)))


def test_an_average_can_be_plain_for_ever():
    layer = make(momentum=0.5)
    for batch in BATCHES:
        layer(batch, update="average")
    assert_population(layer, *averages(BATCHES))


def test_reading_does_not_write():
    layer = make()
    layer(BATCHES[0], update=True)
    before = population(layer)
    layer(BATCHES[1])
    layer(BATCHES[1], population=True)
    layer(BATCHES[1], population=True, update=True)
    np.testing.assert_array_equal(population(layer), before)


@pytest.mark.parametrize("shape", [(2, 7, 3), (2, 5, 4, 3)])
@pytest.mark.parametrize("kind", ["batch", "layer"])
def test_members_have_statistics_of_their_own(kind, shape, test_seed):
    scale = np.arange(1, 3).reshape([2] + [1] * (len(shape) - 1))
    x = (np.random.default_rng(test_seed).random(shape) * scale).astype("float32")
    members, alone = make(kind, num_members=2, num_passes=3), []
    found = [*members.standardize(x, 1, update=True), members(x, index=1, population=True)]
    for own in x:
        single = make(kind, num_passes=3)
        alone.append(
            [*single.standardize(own, 1, update=True), single(own, index=1, population=True)]
        )
        alone[-1] += [weight.numpy() for weight in single.weights]
    found += [weight.numpy() for weight in members.weights]
    for value, expected in zip(found, map(np.stack, zip(*alone, strict=True)), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5)
    members.reset()


def test_config_round_trip():
    layer = layers.Standardization(
        "batch", num_passes=2, num_members=3, epsilon=1e-3, momentum=0.9, name="norm"
    )
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert keras.saving.get_registered_name(type(layer)) == "tfbind>Standardization"


def test_in_a_sequential_model(tmp_path):
    model = keras.Sequential([keras.layers.Input((3,)), layers.Standardization()])
    model.layers[0](BATCHES[2], update=True)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert_population(again.layers[0], *averages(BATCHES[2:]))


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"kind": "group"}, "`kind` must be one of 'batch', 'layer'. Received: kind='group'."),
        ({"num_passes": 0}, "`num_passes` must be an integer >= 1. Received: num_passes=0."),
        ({"num_members": 0}, "`num_members` must be an integer >= 1. Received: num_members=0."),
        ({"epsilon": 0}, r"`epsilon` must be a number in \(0, inf\). Received: epsilon=0."),
        ({"momentum": -1}, r"`momentum` must be a number in \[0, 1"),
        ({"momentum": 1.5}, r"`momentum` must be a number in \[0, 1"),
    ],
)
def test_bad_arguments(settings, match):
    with pytest.raises(ValueError, match=match):
        layers.Standardization(**settings)
