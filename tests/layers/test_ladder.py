"""The ladder's parts; `tests/models/test_ladder_network.py` runs it against NumPy."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbind import layers, seeds
from tfbind.layers._ladder_parts import linear

UNITS = (5, 8, 6, 3)


def make(units=UNITS, **settings):
    ladder = layers.Ladder(units, **settings)
    ladder.build()
    return ladder


def inputs(rows=7, seed=0):
    return np.random.default_rng(seed).random((rows, UNITS[0])).astype("float32")


@pytest.mark.parametrize(("combinator", "share"), [("gauss", 0.0), ("gauss_stable_v", 0.5)])
@pytest.mark.parametrize("normalization", ["batch", "layer"])
def test_reconstructions_at_the_start(normalization, combinator, share):
    ladder = make(combinator=combinator, normalization=normalization, noise=0.3)
    noisy = ladder.encode(inputs(), seeds.fold(0))
    for z, found in zip(noisy.laterals, ladder.decode(noisy), strict=True):
        np.testing.assert_allclose(found, share * z.numpy(), atol=1e-6)


@pytest.mark.parametrize("lowest", range(len(UNITS) + 1))
def test_which_layers_reconstruct(lowest):
    ladder = make(lowest_reconstruction=lowest)
    found = ladder.decode(ladder.encode(inputs()))
    expected = [None if i < lowest else width for i, width in enumerate(UNITS)]
    assert [None if z is None else z.shape[1] for z in found] == expected
    kernels = [w.shape for w in ladder.weights if w.name.startswith("decoder_kernel")]
    assert kernels == [UNITS[i : i + 2][::-1] for i in range(lowest, len(UNITS) - 1)]


def test_gamma_and_no_decoder_at_all_share_the_encoder():
    gamma = [w.name for w in make(lowest_reconstruction=3).trainable_variables]
    plain = [w.name for w in make(lowest_reconstruction=4).trainable_variables]
    assert set(gamma) - set(plain) == {"combinator_3"}
    assert not set(plain) - set(gamma)


def test_the_weights_are_normal_with_a_variance_of_one_by_fan_in():
    ladder = make((400, 100, 300))
    for kernels in (ladder.encoder_kernels, ladder.decoder_kernels):
        for kernel in kernels.values():
            fan_in, size = kernel.shape[0], np.prod(kernel.shape)
            sums = float(tf.reduce_sum(kernel)), float(tf.reduce_sum(kernel**2))
            assert abs(sums[0]) < 5 * (size / fan_in) ** 0.5
            assert sums[1] == pytest.approx(size / fan_in, rel=5 * (2 / size) ** 0.5)
    for bias in ladder.biases.values():
        np.testing.assert_array_equal(bias, 0)
    np.testing.assert_array_equal(ladder.gain, 1)


def test_noise_comes_after_standardization_with_a_stddev_for_each_layer():
    """Layers of noise alone: the difference to the clean layer below is exactly the noise."""
    stddevs = (0.5, 0.0, 2.0, 0.1)
    ladder = make(noise=stddevs)
    x = inputs(4000)
    clean, noisy = ladder.encode(x), ladder.encode(x, seeds.fold(3))
    added = [noisy.laterals[0] - clean.laterals[0]]
    for layer in (1, 2, 3):
        below = noisy.activations[layer - 1].numpy() @ ladder.encoder_kernels[layer].numpy()
        without = (below - below.mean(axis=0)) / below.std(axis=0)
        added.append(noisy.laterals[layer] - without)
    for noise, stddev in zip(added, stddevs, strict=True):
        standard_error = stddev / (2 * int(tf.size(noise))) ** 0.5
        spread = float(tf.math.reduce_std(noise))
        assert abs(spread - stddev) < 5 * standard_error + 1e-5
    drawn = [added[i].numpy()[:, :3].ravel() for i in (0, 2, 3)]
    for one, other in itertools.combinations(drawn, 2):
        assert abs(np.corrcoef(one, other)[0, 1]) < 5 / one.size**0.5


def test_a_seed_repeats_the_noise_and_none_means_none():
    ladder = make(noise=0.3)
    first, again, other = (ladder.encode(inputs(), seeds.fold(i)).logits for i in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.01
    np.testing.assert_array_equal(ladder.encode(inputs()).laterals[0], inputs())


def test_a_row_is_alone_when_it_is_called():
    ladder = make()
    for seed in range(3):
        ladder.encode(inputs(20, seed), update=True)
    x = inputs()
    expected = ladder(x)
    for row, alone in enumerate(x):
        np.testing.assert_allclose(ladder(alone[None])[0], expected[row], atol=1e-6)
    assert np.abs(expected - ladder.encode(x).activations[-1]).max() > 0.01
    np.testing.assert_allclose(expected, ladder.encode(x, population=True).activations[-1])


def test_a_reset_forgets_every_layer():
    """One batch after the reset makes the population statistics those of that batch."""
    ladder = make(num_passes=2)
    everywhere = {"index": 1, "update": True}
    for seed in (0, 1):
        ladder.reset_statistics()
        ladder.decode(ladder.encode(inputs(9, seed), **everywhere), **everywhere)
    expected = make(num_passes=2)
    expected.set_weights(ladder.get_weights())
    expected.reset_statistics()
    expected.decode(expected.encode(inputs(9, 1), **everywhere), **everywhere)
    for one, other in zip(ladder.weights, expected.weights, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-5, atol=1e-6)


def test_other_activations_and_no_gain():
    ladder = make((5, 4, 3), activation="tanh", top_activation="sigmoid", top_gain=False)
    assert "gain" not in [weight.name for weight in ladder.weights]
    encoding = ladder.encode(inputs())
    np.testing.assert_allclose(encoding.activations[1], np.tanh(encoding.laterals[1]), atol=1e-6)
    expected = 1 / (1 + np.exp(-encoding.laterals[2].numpy()))
    np.testing.assert_allclose(encoding.activations[2], expected, atol=1e-6)


def test_a_top_without_normalization(test_seed):
    """The top is what the product gives, plus noise; the layers below are standardised."""
    ladder = make(top_normalization=False, top_gain=False, noise=(0.0, 0.0, 0.0, 0.5))
    clean, noisy = ladder.encode(inputs(), update=True), ladder.encode(inputs(), seeds.fold(1))
    expected = clean.activations[2].numpy() @ ladder.encoder_kernels[3].numpy()
    np.testing.assert_allclose(clean.laterals[3], expected, atol=1e-5)
    np.testing.assert_array_equal(clean.logits, clean.laterals[3])
    assert (clean.means[3], clean.variances[3]) == (None, None)
    assert np.abs(noisy.laterals[3] - expected).max() > 0.1
    np.testing.assert_allclose(np.mean(clean.laterals[2], axis=0), 0, atol=1e-5)
    assert ladder.decode(noisy)[3].shape == (7, 3)
    ladder.reset_statistics()


@pytest.mark.parametrize("top_input", ["activation", "logits"])
def test_what_enters_the_decoder_from_above(top_input):
    """With a4 = 1 and all else 0 the combinator passes on what enters, standardised."""
    ladder = make(decoder_top_input=top_input, noise=0.3)
    ladder.combinators[3].assign(np.eye(10)[3][:, None] * np.ones((1, 3)))
    noisy = ladder.encode(inputs(), seeds.fold(0))
    u = (noisy.activations[-1] if top_input == "activation" else noisy.logits).numpy()
    expected = (u - u.mean(axis=0)) / u.std(axis=0)
    np.testing.assert_allclose(ladder.decode(noisy)[3], expected, atol=1e-4)


def test_glorot_normal_kernels_are_those_of_keras(test_seed):
    keras.utils.set_random_seed(test_seed)
    ladder = make(kernel_initializer="glorot_normal")
    keras.utils.set_random_seed(test_seed)
    kernels = [*ladder.encoder_kernels.values(), *ladder.decoder_kernels.values()]
    for kernel in kernels:
        expected = keras.initializers.GlorotNormal()(kernel.shape)
        np.testing.assert_array_equal(kernel.numpy(), expected)


def test_kernels_start_as_draws_of_one_seed_each(test_seed):
    """In the order of creation, so that the seed of a run that was published still gives it."""
    keras.utils.set_random_seed(test_seed)
    ladder = make()
    keras.utils.set_random_seed(test_seed)
    for kernel in [*ladder.encoder_kernels.values(), *ladder.decoder_kernels.values()]:
        draw = keras.initializers.RandomNormal(stddev=kernel.shape[0] ** -0.5)
        np.testing.assert_array_equal(kernel.numpy(), draw(kernel.shape))


@pytest.mark.parametrize("num_members", [None, 3])
@pytest.mark.parametrize(("policy", "digits"), [("mixed_bfloat16", 8), ("mixed_float16", 11)])
def test_mixed_precision_is_close_to_float32(policy, digits, num_members):
    """Products are of numbers of so many binary digits; all else is float32."""
    exact = make((5, 64, 32, 3), noise=0.3, num_members=num_members)
    mixed = make((5, 64, 32, 3), noise=0.3, num_members=num_members, dtype=policy)
    mixed.set_weights(exact.get_weights())
    found, expected = [], []
    for ladder, values in ((mixed, found), (exact, expected)):
        noisy = ladder.encode(inputs(40), seeds.fold(0), update=True)
        values += [*noisy.laterals, *noisy.activations, noisy.logits, *ladder.decode(noisy)]
        values += [weight.value for weight in ladder.non_trainable_variables]
    for value, other in zip(found, expected, strict=True):
        assert value.dtype == tf.float32
        np.testing.assert_allclose(value, other, atol=2.0 ** (6 - digits))
    assert any(np.any(value != other) for value, other in zip(found, expected, strict=True))


def test_linear_takes_an_ensemble_of_kernels():
    random = np.random.default_rng(0)
    h, kernel = random.random((3, 4, 5)), random.random((3, 5, 2))
    found = linear(h.astype("float32"), kernel.astype("float32"), "float32")
    np.testing.assert_allclose(found, [a @ b for a, b in zip(h, kernel, strict=True)], rtol=1e-5)


def test_linear_multiplies_in_the_dtype_it_is_told():
    h, kernel = inputs(), np.ones((5, 2), "float32")
    found = linear(h, kernel, "bfloat16")
    assert found.dtype == tf.float32
    np.testing.assert_array_equal(tf.cast(tf.cast(found, "bfloat16"), "float32"), found)
    np.testing.assert_allclose(found, h @ kernel, rtol=0.02)


def test_config_round_trip():
    ladder = layers.Ladder(
        UNITS,
        activation="tanh",
        top_activation="linear",
        top_gain=False,
        top_normalization=False,
        noise=(0.1, 0.2, 0.3, 0.4),
        normalization="layer",
        kernel_initializer="glorot_normal",
        combinator="gauss_stable_v",
        decoder_top_input="logits",
        lowest_reconstruction=1,
        num_passes=2,
        num_members=3,
        batched=False,
        name="ladder",
    )
    again = layers.Ladder.from_config(ladder.get_config())
    assert again.get_config() == ladder.get_config()


def test_in_a_sequential_model(tmp_path):
    model = keras.Sequential([keras.layers.Input((5,)), layers.Ladder(UNITS, noise=0.3)])
    ladder = model.layers[0]
    ladder.decode(ladder.encode(inputs(), update=True), update=True)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(inputs()), model(inputs()))
    for one, other in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy(), err_msg=one.path)
    assert model.compute_output_shape((2, 5)) == (2, 3)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        (
            {"units": 5},
            r"`units` must be a tuple of two integers or more. Received: units=5\.",
        ),
        ({"units": (5,)}, r"`units` must be a tuple of two integers or more. Received: units=\(5"),
        ({"units": (5, 0)}, r"`units` must be an integer >= 1. Received: units=0\."),
        ({"noise": -1}, r"`noise` must be a number in \[0, inf\). Received: noise=-1\."),
        (
            {"noise": (0.1, 0.2)},
            r"`noise` must be a number or one for each of the 4 layers. Received: noise=\(0.1, 0",
        ),
        ({"normalization": "group"}, "`normalization` must be one of 'batch', 'layer'. Received"),
        ({"combinator": "mlp"}, "`combinator` must be one of 'gauss', 'gauss_stable_v'. Received"),
        (
            {"lowest_reconstruction": -1},
            "`lowest_reconstruction` must be an integer >= 0. Received: lowest_reconstruction=-1",
        ),
        (
            {"lowest_reconstruction": 5},
            "`lowest_reconstruction` must be an integer <= 4, which means none. Received: lowest",
        ),
        (
            {"kernel_initializer": "ones"},
            "`kernel_initializer` must be one of 'fan_in_normal', 'glorot_normal'. Received",
        ),
        (
            {"decoder_top_input": "top"},
            "`decoder_top_input` must be one of 'activation', 'logits'. Received",
        ),
        ({"num_members": 0}, "`num_members` must be an integer >= 1. Received: num_members=0"),
        ({"num_passes": 0}, "`num_passes` must be an integer >= 1. Received: num_passes=0"),
        ({"activation": "rely"}, "rely"),
    ],
)
def test_bad_arguments(settings, match):
    with pytest.raises(ValueError, match=match):
        layers.Ladder(**{"units": UNITS, **settings})
