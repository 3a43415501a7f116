"""What views and the cycle teach beside the game: the terms, whom they reach, their weights."""

import keras
import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from tfbind import layers, losses, metrics
from tfbind.layers._corruption import Corruption
from tfbind.models._joint import Triple
from tfbind.models.adversarial_mixture import AdversarialMixture
from tfbind.models.invariant_adversarial_mixture import InvariantAdversarialMixture
from tfbind.models.semi_supervised_adversarial_mixture import SemiSupervisedAdversarialMixture

from .adversarial_toys import (
    BATCH,
    COMPONENTS,
    IMAGES,
    LATENT,
    compiled,
    dull_decoder,
    make,
    network_to,
    some_triples,
    terms_of,
)

SEED = tf.constant([1, 2])


class Scaled(Corruption):
    """One factor a view, so that what was done can be told."""

    def corrupt(self, inputs, seed):
        return inputs * self.factor(seed)

    @staticmethod
    def factor(seed):
        return tf.random.stateless_uniform([], seed, 0.5, 1.5, alg="philox")


def invariant(**settings):
    return make(InvariantAdversarialMixture, **{"corruption": Scaled(seed=0), **settings})


def entropy(p):
    return -(p * np.log(p)).sum(axis=-1)


def divergence(p, q):
    return (p * np.log(p / q)).sum(axis=-1)


@pytest.mark.parametrize("given", [None, (1.0, 2.0, 3.0, 2.0)])
def test_the_cost_of_examples_and_their_views(given):
    """In NumPy: of information with an even marginal or a given one, and of divergences."""
    class_encoder = network_to(2 * COMPONENTS, 3)
    model = invariant(class_encoder=class_encoder, class_probabilities=given)
    kernel, bias = (weight.numpy() for weight in class_encoder.weights)
    shares = np.full(COMPONENTS, 0.25) if given is None else np.array(given) / sum(given)
    one, other = (
        scipy.special.softmax((images @ kernel + bias)[:, :COMPONENTS], axis=1)
        for images in (IMAGES, Scaled.factor(SEED).numpy() * IMAGES)
    )
    both = np.concatenate([one, other])
    expected = entropy(both).mean() + 4 * divergence(both.mean(axis=0), shares)
    expected += (divergence(one, other) + divergence(other, one)).mean() / 2
    found = model.invariance_cost(tf.constant(IMAGES), SEED)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_sure_components_of_the_right_size_cost_nothing():
    logits = keras.layers.Lambda(lambda x: tf.pad(20.0 * x, [[0, 0], [0, COMPONENTS]]))
    model = InvariantAdversarialMixture(
        (COMPONENTS,),
        COMPONENTS,
        LATENT,
        class_encoder=keras.Sequential([keras.layers.Input((COMPONENTS,)), logits]),
        corruption=layers.AdditiveGaussianNoise(0.1, seed=0),
        factorization="independent",
        hidden_units=(5,),
    )
    sure = np.tile(np.eye(COMPONENTS, dtype="float32"), (5, 1))
    assert float(model.invariance_cost(tf.constant(sure), SEED)) == pytest.approx(0.0, abs=1e-2)
    assert float(model.invariance_cost(tf.constant(sure[:1]), SEED)) > 5.0  # one of four alone


def test_views_teach_the_class_encoder_alone():
    model = invariant()
    with tf.GradientTape() as tape:
        cost = model.invariance_cost(tf.constant(IMAGES), SEED)
    slopes = tape.gradient(cost, model.trainable_variables)
    own = {id(weight) for weight in model.class_encoder.trainable_variables}
    touched = {
        id(v) for v, x in zip(model.trainable_variables, slopes, strict=True) if x is not None
    }
    assert touched
    assert touched <= own


def test_the_cycle_is_what_the_class_encoder_makes_of_generated_examples():
    class_encoder = network_to(2 * COMPONENTS, 3)
    model = invariant(class_encoder=class_encoder)
    _, generated = some_triples(model)
    kernel, bias = (weight.numpy() for weight in class_encoder.weights)
    log_q = scipy.special.log_softmax((generated.image @ kernel + bias)[:, :COMPONENTS], axis=1)
    expected = -(generated.label.numpy() * log_q).sum(axis=1)
    np.testing.assert_allclose(model.cycle_cost(generated), expected, rtol=1e-5)


def test_the_cycle_teaches_the_decoder_and_leaves_statistics_as_they_are():
    model = invariant()
    before = [weight.numpy() for weight in model.class_encoder.non_trainable_variables]
    with tf.GradientTape() as tape, model._running(training=True):
        labels = tf.one_hot([0, 1, 2, 3], COMPONENTS)
        latent = model.prior_mean(labels)
        generated = Triple(model.decode(labels, latent), labels, latent)
        cost = losses.batch_mean(model.cycle_cost(generated))
    slopes = tape.gradient(cost, model.decoder.trainable_variables)
    assert all(np.abs(slope).max() > 0 for slope in slopes[-2:])
    after = [weight.numpy() for weight in model.class_encoder.non_trainable_variables]
    np.testing.assert_array_equal(np.concatenate(after), np.concatenate(before))


def test_the_game_is_that_of_the_paper():
    parts = {"decoder": dull_decoder(), "class_encoder": network_to(2 * COMPONENTS, 3)}
    keras.utils.set_random_seed(1)
    expected = terms_of(make(AdversarialMixture, **parts), training=True)
    keras.utils.set_random_seed(1)
    found = terms_of(invariant(invariance_weight=2.0, cycle_weight=3.0, **parts), training=True)
    beside = {name: found.pop(name) for name in ("invariance_cost", "cycle_cost")}
    more = found["loss"] - expected["loss"]
    assert more == pytest.approx(2 * beside["invariance_cost"] + 3 * beside["cycle_cost"], rel=1e-4)
    assert {**found, "loss": 0} == pytest.approx({**expected, "loss": 0}, rel=1e-5)


def test_nothing_is_distorted_in_evaluation():
    model = compiled(invariant())
    assert "invariance_cost" not in model.evaluate(IMAGES, return_dict=True, verbose=0)
    assert "invariance_cost" in model.fit(IMAGES, verbose=0).history


def test_terms_without_weight_are_not_there():
    model = compiled(invariant(invariance_weight=0.0, cycle_weight=0.0, corruption=None))
    logs = model.fit(IMAGES, verbose=0).history
    assert not {"invariance_cost", "cycle_cost"} & logs.keys()


def test_the_weight_of_the_cycle_rises():
    model = compiled(invariant(cycle_weight=2.0, cycle_steps=4), rate=0.0)
    found = []
    for _ in range(6):
        found.append(float(model.players()[0].weights["cycle_cost"]))
        model.train_on_batch(IMAGES)
    np.testing.assert_allclose(found, [0.0, 0.5, 1.0, 1.5, 2.0, 2.0])


def test_labels_and_views_go_together():
    model = make(
        SemiSupervisedAdversarialMixture,
        label_weight=1.0,
        corruption=Scaled(seed=0),
        invariance_weight=2.0,
        cycle_weight=3.0,
    )
    found = terms_of(model, BATCH, training=True)
    beside = {"invariance_cost": 2.0, "cycle_cost": 3.0, "cross_entropy": 1.0}
    plain = found["generator_loss"] + found["discriminator_loss"] + 10 * found["gradient_penalty"]
    more = sum(weight * found[name] for name, weight in beside.items())
    assert found["loss"] == pytest.approx(plain + more, rel=1e-5)


def test_it_comes_back_from_its_config():
    noise = layers.AdditiveGaussianNoise(0.2, seed=4)
    model = invariant(corruption=noise, invariance_weight=3.0, cycle_weight=0.5, cycle_steps=7)
    other = InvariantAdversarialMixture.from_config(model.get_config())
    assert other.get_config() == model.get_config()
    assert other.corruption.stddev == 0.2
    assert (other.invariance_weight, other.cycle_weight, other.cycle_steps) == (3.0, 0.5, 7)


def test_views_alone_tell_long_clouds_apart():
    """Which lie side by side, so that distances would cut them the other way."""
    random = np.random.default_rng(0)
    labels = np.arange(300) % 3
    points = random.normal(size=(300, 2)) * [0.1, 3.0] + np.stack([labels - 1.0, 0 * labels], 1)
    points = tf.constant(points, tf.float32)
    keras.utils.set_random_seed(0)
    model = InvariantAdversarialMixture(
        (2,), 3, 2, corruption=Along(seed=0), hidden_units=(32,), output_activation="linear"
    )
    optimizer = keras.optimizers.Adam(0.02)
    weights = model.class_encoder.trainable_variables
    for step in range(100):
        with tf.GradientTape() as tape, model._running(training=True):
            cost = model.invariance_cost(points, tf.constant([0, step]))
        optimizer.apply(tape.gradient(cost, weights), weights)
    clusters = tf.argmax(model(points)["probabilities"], axis=1)
    assert metrics.clustering_accuracy(labels, clusters) > 0.95


class Along(Corruption):
    """Moves points along the clouds."""

    def corrupt(self, inputs, seed):
        return inputs + [0.0, 2.0] * tf.random.stateless_normal(tf.shape(inputs), seed)


def with_normalization(**settings):
    encoder = keras.Sequential(
        [
            keras.layers.Input((6,)),
            keras.layers.Dense(8),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(6),
        ]
    )
    noise = layers.AdditiveGaussianNoise(0.1, seed=0)
    model = InvariantAdversarialMixture(
        (6,), 3, 2, class_encoder=encoder, corruption=noise, hidden_units=(8,), seed=0
    )
    model.compile(keras.optimizers.Adam(0.05, **settings), jit_compile=False)
    return model


def test_averaged_weights_get_statistics_of_their_own():
    images = np.random.default_rng(0).random((40, 6)).astype("float32")
    model = with_normalization(use_ema=True, ema_momentum=0.9)
    model.fit(images, batch_size=10, epochs=3, verbose=0)
    dense, norm, _ = model.class_encoder.layers
    hidden = dense(images).numpy()
    np.testing.assert_allclose(norm.moving_mean, hidden.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(norm.moving_variance, hidden.var(axis=0), atol=1e-5)
    model.calibrate(images, batch_size=10)
    parts = hidden.reshape(4, 10, -1)
    np.testing.assert_allclose(norm.moving_mean, hidden.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(norm.moving_variance, parts.var(axis=1).mean(axis=0), atol=1e-5)
    assert norm.momentum == 0.99


def test_averages_are_known_inside_of_an_optimizer_that_scales():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = with_normalization(use_ema=True)
    finally:
        keras.config.set_dtype_policy("float32")
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert model.needs_calibration
    images = np.random.default_rng(0).random((20, 6)).astype("float32")
    history = model.fit(images, batch_size=10, verbose=0).history
    assert np.isfinite(history["loss"]).all()


@pytest.mark.slow
def test_last_weights_keep_their_moving_statistics():
    assert not with_normalization().needs_calibration
    assert not compiled(invariant()).needs_calibration  # nothing to take statistics of


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"corruption": None}, "`corruption` must be a noise layer .* have invariance_weight=0."),
        ({"corruption": 3}, "`corruption` must be a noise layer of `tfbind.layers` or None."),
        ({"factorization": "latent_first"}, "`factorization` must be 'class_first' or 'indepen"),
        ({"invariance_weight": -1.0}, r"`invariance_weight` must be a number in \[0, inf\)."),
        ({"cycle_weight": -1.0}, r"`cycle_weight` must be a number in \[0, inf\)."),
        ({"cycle_steps": 0}, "`cycle_steps` must be an integer >= 1."),
    ],
)
def test_bad_arguments(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        invariant(**settings)
