"""An ensemble of ladders does what its members would do alone, in both of its forms."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbind import layers, losses, seeds
from tfbind.layers._ladder_parts import Path

UNITS, MEMBERS = (5, 8, 6, 3), 4
WEIGHTS = (10.0, 1.0, 0.5, 2.0)
SETTINGS = [
    {},
    {"normalization": "layer", "combinator": "gauss_stable_v", "lowest_reconstruction": 2},
    {
        "top_gain": False,
        "top_normalization": False,
        "kernel_initializer": "glorot_normal",
        "decoder_top_input": "logits",
    },
]


def single(settings, test_seed):
    """A ladder whose weights are all away from where they start."""
    ladder = layers.Ladder(UNITS, noise=(0.3, 0.0, 0.2, 0.1), num_passes=2, **settings)
    ladder.build()
    random = np.random.default_rng(test_seed)
    for weight in ladder.trainable_variables:
        weight.assign_add(0.5 * random.standard_normal(weight.shape))
    return ladder


def ensemble(singles, batched):
    config = singles[0].get_config() | {"num_members": len(singles), "batched": batched}
    ladder = layers.Ladder.from_config(config)
    ladder.build()
    each = [member.get_weights() for member in singles]
    ladder.set_weights([np.stack(weights) for weights in zip(*each, strict=True)])
    return ladder


@pytest.fixture(params=SETTINGS, ids=["default", "layer", "kingdra"])
def singles(request, test_seed):
    return [single(request.param, test_seed + m) for m in range(MEMBERS)]


@pytest.fixture(params=[True, False], ids=["batched", "one by one"])
def members(request, singles):
    return ensemble(singles, request.param)


def inputs(test_seed, rows=11):
    """Each member sees other rows."""
    random = np.random.default_rng(test_seed)
    return random.random((MEMBERS, rows, UNITS[0])).astype("float32")


def passes(ladder, x, seed):
    """Both paths, the costs and their gradient, and an update of every statistic."""
    statistics = {"index": 1, "update": True}
    with tf.GradientTape() as tape:
        clean, noisy = ladder.encode(x, **statistics), ladder.encode(x, seed)
        reconstructions = ladder.decode(noisy, **statistics)
        weights = [
            0.0 if z is None else weight for z, weight in zip(reconstructions, WEIGHTS, strict=True)
        ]
        costs = losses.denoising_costs(reconstructions, clean, weights)
        loss = tf.add_n([tf.reduce_mean(cost, axis=-1) for cost in costs.values()])
        loss += tf.reduce_mean(noisy.activations[-1][..., 0], axis=-1)
    gradients = tape.gradient(loss, ladder.trainable_variables)  # the sum over the members'
    return clean, noisy, reconstructions, costs, gradients


def assert_close(found, expected, tolerance=1e-5):
    """Compares nested values, whose None agree."""
    tf.nest.assert_same_structure(found, expected)
    for value, other in zip(tf.nest.flatten(found), tf.nest.flatten(expected), strict=True):
        assert (value is None) == (other is None)
        if value is not None:
            scale = np.abs(other).max()
            np.testing.assert_allclose(value, other, rtol=tolerance, atol=tolerance * scale)


def stack(members):
    """Stacks what is nested alike for each member."""
    return tf.nest.map_structure(lambda *own: None if own[0] is None else np.stack(own), *members)


def weights_of(ladder):
    return [weight.numpy() for weight in ladder.weights]


def test_members_do_what_they_would_alone(members, singles, test_seed):
    x, seed = inputs(test_seed), seeds.fold(3)
    own = seeds.split(seed, MEMBERS)
    np.testing.assert_array_equal(own[2], tf.random.fold_in(seed, 2, alg="philox"))
    found = passes(members, x, seed)
    expected = [passes(singles[m], x[m], own[m]) for m in range(MEMBERS)]
    assert_close(found, stack(expected), tolerance=1e-4)
    assert_close(weights_of(members), stack(map(weights_of, singles)))


@pytest.mark.parametrize("singles", [{}], indirect=True)
def test_population_statistics_of_members_are_their_own(members, singles, test_seed):
    for batch in range(3):
        x = inputs(test_seed + batch)
        members.encode(x, index=0, update=True)
        for m, member in enumerate(singles):
            member.encode(x[m], index=0, update=True)
    assert_close(members(x).numpy(), stack([member(x[m]) for m, member in enumerate(singles)]))
    members.reset_statistics()
    members.encode(inputs(test_seed), index=0, update=True)
    for member, own in zip(singles, inputs(test_seed), strict=True):
        member.reset_statistics()
        member.encode(own, index=0, update=True)
    assert_close(weights_of(members), stack(map(weights_of, singles)))


def test_paths_together_are_paths_one_by_one(members, singles, test_seed):
    """The values, their gradient and the statistics, of a single ladder and of an ensemble."""
    few, many = inputs(test_seed, rows=4), inputs(test_seed, rows=9)
    check_paths_together(members, few, many)
    check_paths_together(singles[0], few[0], many[0])


def check_paths_together(ladder, few, many):
    update = {"index": 1, "update": True}
    paths = [Path(few, seeds.fold(1)), Path(many, None, update), Path(many, seeds.fold(2))]
    start, found = weights_of(ladder), []
    for encode in (
        ladder.encode_all,
        lambda paths: [ladder.encode(p[0], p[1], **p[2]) for p in paths],
    ):
        ladder.set_weights(start)
        with tf.GradientTape() as tape:
            encodings = encode(paths)
            loss = tf.add_n([tf.reduce_sum(tf.sin(e.logits)) for e in encodings])
        gradients = tape.gradient(loss, list(ladder.encoder_kernels.values()))
        found.append((encodings, gradients, weights_of(ladder)))
    assert_close(*found, tolerance=1e-4)


@pytest.mark.parametrize("singles", [{}], indirect=True)
def test_members_may_share_their_inputs(members, test_seed):
    x = inputs(test_seed)[0]
    shared, repeated = (
        members.encode(rows, seeds.fold(1)) for rows in (x, np.stack([x] * MEMBERS))
    )
    assert_close(shared, repeated)
    noise = (shared.laterals[0] - x).numpy()
    assert np.abs(noise[0] - noise[1]).max() > 0.01
    assert members(x).shape == members.compute_output_shape(x.shape) == (MEMBERS, 11, 3)
    assert members.compute_output_shape((MEMBERS, 11, 5)) == (MEMBERS, 11, 3)


@pytest.mark.parametrize("singles", [{}], indirect=True)
def test_both_forms_run_compiled(singles, test_seed):
    x = inputs(test_seed)
    found = []
    for batched in (True, False):
        members = ensemble(singles, batched)
        run = tf.function(members.encode, jit_compile=True, autograph=False)
        found.append(run(x, update=True))
    assert_close(*found)


@pytest.mark.parametrize("initializer", ["fan_in_normal", "glorot_normal"])
def test_members_start_from_draws_of_their_own_with_the_spread_of_a_single_ladder(initializer):
    ladder = layers.Ladder((400, 100, 300), num_members=3, kernel_initializer=initializer)
    ladder.build()
    for kernels in (ladder.encoder_kernels, ladder.decoder_kernels):
        for kernel in kernels.values():
            _, fan_in, fan_out = kernel.shape
            fan = fan_in if initializer == "fan_in_normal" else (fan_in + fan_out) / 2
            spread = kernel.numpy().std(axis=(1, 2))
            np.testing.assert_allclose(spread, fan**-0.5, rtol=5 / (2 * fan_in * fan_out) ** 0.5)
            assert abs(np.corrcoef(kernel.numpy().reshape(3, -1))[0, 1]) < 0.03


@pytest.mark.parametrize("singles", [{}], indirect=True)
def test_in_a_saved_model(members, tmp_path, test_seed):
    x = inputs(test_seed)[0]
    model = keras.Sequential([keras.layers.Input((5,)), members])
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(x), model(x))


@pytest.mark.parametrize("shape", [(3, 7, 5), (4, 7, 6), (7, 6), (4, 1, 7, 5)])
def test_inputs_of_another_shape_are_refused(shape):
    ladder = layers.Ladder(UNITS, num_members=MEMBERS)
    ladder.build()
    with pytest.raises(ValueError, match=r"`inputs` must have shape \(4, n, 5\). Received: shape"):
        ladder.encode(np.zeros(shape, "float32"))
