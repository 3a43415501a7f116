"""The adversarial mixture: its losses, who learns from what, what it infers and generates."""

import functools

import keras
import numpy as np
import pytest
import scipy.special
import sklearn.datasets
import tensorflow as tf

from tfbind import losses, metrics, seeds
from tfbind.models import adversarial_networks as networks
from tfbind.models._joint import between
from tfbind.models._quick_layers import Dropout
from tfbind.models.adversarial_mixture import AdversarialMixture

from .adversarial_toys import (
    BRIGHTNESS,
    COMPONENTS,
    DARK,
    IMAGES,
    LATENT,
    SHAPE,
    compiled,
    dull_decoder,
    inputs_of,
    linear_discriminator,
    make,
    network_to,
    softplus,
    some_triples,
    terms_of,
)


@pytest.fixture(scope="module")
def model():
    """For tests that read it and do not train it."""
    return compiled(make())


# The losses.


@pytest.mark.parametrize("factorization", networks.FACTORIZATIONS)
def test_losses_of_a_linear_discriminator(factorization):
    """Labels sum to one and the latent is not looked at, so that no noise is left."""
    model = make(
        factorization=factorization,
        decoder=dull_decoder(),
        discriminator=linear_discriminator(),
        gradient_penalty=7.0,
    )
    inferred = IMAGES @ BRIGHTNESS + 0.7 - 0.3
    generated = DARK @ BRIGHTNESS + 0.7 - 0.3
    norm = np.sqrt((BRIGHTNESS**2).sum() + COMPONENTS * 0.7**2)
    game = softplus(-inferred).mean() + softplus(generated)
    for training in (False, True):
        found = terms_of(model, training=training)
        assert found["gradient_norm"] == pytest.approx(norm, rel=1e-5)
        assert found["discriminator_loss"] == pytest.approx(game, rel=1e-5)
        assert found["gradient_penalty"] == pytest.approx((norm - 1) ** 2, rel=1e-5)
        expected = softplus(inferred).mean() + softplus(-generated)
        assert found["generator_loss"] == pytest.approx(expected, rel=1e-5)
        both = game + 7 * (norm - 1) ** 2 + expected
        assert found["loss"] == pytest.approx(both, rel=1e-5)
        assert found["inferred_accuracy"] == pytest.approx((inferred > 0).mean())
        assert found["generated_accuracy"] == (generated < 0)


def test_evaluate_reports_the_same():
    model = compiled(make(decoder=dull_decoder(), discriminator=linear_discriminator()))
    expected = terms_of(model)
    found = model.evaluate(IMAGES, batch_size=3, return_dict=True, verbose=0)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-5), name


def test_the_loss_of_a_side():
    inferred, generated = tf.constant([2.0, -1.0]), tf.constant([0.5])
    p, q = scipy.special.expit([2.0, -1.0]), scipy.special.expit([0.5])
    expected = -np.log(p).mean() - np.log(1 - q).mean()
    assert float(losses.adversarial_loss(inferred, generated)) == pytest.approx(expected, rel=1e-6)
    swapped = -np.log(q).mean() - np.log(1 - p).mean()
    assert float(losses.adversarial_loss(generated, inferred)) == pytest.approx(swapped, rel=1e-6)
    assert np.isfinite(losses.adversarial_loss(tf.constant([-200.0]), tf.constant([200.0])))


def test_swapping_the_joint_distributions_flips_the_game():
    """A discriminator that takes each for the other turns every loss into the other side's."""
    weights = {"on_image": BRIGHTNESS, "on_label": 0.7, "on_latent": 0.4, "bias": -0.3}
    turned = {name: -value for name, value in weights.items()}
    one, other = (
        terms_of(
            _same_start(discriminator=linear_discriminator(**each), gradient_penalty=0.0),
        )
        for each in (weights, turned)
    )
    assert one["discriminator_loss"] != pytest.approx(one["generator_loss"], rel=1e-3)
    assert other["discriminator_loss"] == pytest.approx(one["generator_loss"], rel=1e-5)
    assert other["generator_loss"] == pytest.approx(one["discriminator_loss"], rel=1e-5)
    for side in ("inferred_accuracy", "generated_accuracy"):
        assert other[side] == pytest.approx(1 - one[side])


def _same_start(**settings):
    keras.utils.set_random_seed(1)
    return make(**settings)


# The penalty.


def norms_of(model, inferred, generated):
    points = between(inferred, generated, seeds.uniform([8], tf.constant([1, 2])))
    return losses.gradient_norms(model.discriminate, points)


def penalty_of(model, weights, triples):
    with tf.GradientTape() as tape:
        norms = norms_of(model, *triples)
        penalty = tf.reduce_mean(tf.square(norms - 1.0))
    return float(penalty), tape.gradient(penalty, weights)


def test_the_penalty_of_a_linear_discriminator():
    """The norm is that of its weights everywhere: no penalty and no slope where it is 1."""
    model = make(discriminator=linear_discriminator(on_latent=0.4))
    kernel = model.discriminator.trainable_weights[0]
    values = np.asarray(kernel)
    for norm in (1.0, 0.3, 2.5):
        kernel.assign(values * norm / np.linalg.norm(values))
        penalty, (slope,) = penalty_of(model, [kernel], some_triples(model))
        assert penalty == pytest.approx((norm - 1) ** 2, abs=1e-6)
        expected = 2 * (norm - 1) * values / np.linalg.norm(values)
        np.testing.assert_allclose(slope, expected, atol=1e-5)


def test_the_slope_of_the_penalty_against_finite_differences():
    inputs = inputs_of(3, COMPONENTS, LATENT)
    hidden = keras.layers.Dense(6, "tanh")(keras.layers.Concatenate()(inputs))
    model = make(discriminator=keras.Model(inputs, keras.layers.Dense(1)(hidden)))
    triples, weights = some_triples(model), model.discriminator.trainable_weights
    _, slopes = penalty_of(model, weights[:3], triples)
    for weight, slope in zip(weights[:3], slopes, strict=True):
        value, step = np.asarray(weight), 1e-2
        direction = np.random.standard_normal(value.shape).astype("float32")
        sides = []
        for sign in (1, -1):
            weight.assign(value + sign * step * direction)
            sides.append(penalty_of(model, [], triples)[0])
        weight.assign(value)
        expected = (sides[0] - sides[1]) / (2 * step)
        assert float(tf.reduce_sum(slope * direction)) == pytest.approx(
            expected, rel=0.02, abs=1e-4
        )


def test_the_penalty_is_that_between_the_triples():
    """On a discriminator whose slope depends on where it is, one epsilon for x, y and z alike."""

    @keras.saving.register_keras_serializable("test")
    class SquaredNorm(keras.layers.Layer):
        def call(self, inputs):
            return tf.reduce_sum(tf.square(inputs), axis=-1, keepdims=True) / 2.0

    inputs = inputs_of(3, COMPONENTS, LATENT)
    logit = SquaredNorm()(keras.layers.Concatenate()(inputs))
    model = make(discriminator=keras.Model(inputs, logit))
    inferred, generated = some_triples(model)
    norms = norms_of(model, inferred, generated)
    start, end = (np.concatenate(triple, axis=1) for triple in (inferred, generated))
    # The norm is that of the point itself, so it says which point of the segment was taken.
    for norm, one, other in zip(np.asarray(norms), start, end, strict=True):
        a, b, c = ((other - one) ** 2).sum(), 2 * one @ (other - one), one @ one - norm**2
        shares = np.roots([a, b, c])
        assert (np.abs(shares.imag) < 1e-3).all()
        assert ((shares.real > -1e-4) & (shares.real < 1 + 1e-4)).any()


# Who learns from what.


@pytest.mark.parametrize("jit_compile", [False, True])
def test_all_updates_come_from_one_pass(jit_compile):
    """A step with SGD is minus the rate times the gradients at the old weights, on both sides."""
    model = make(hidden_units=())
    compiled(model, rate=0.1, run_eagerly=False, jit_compile=jit_compile)
    images = tf.constant(IMAGES)

    @tf.function(jit_compile=jit_compile)
    def gradients():
        with tf.GradientTape(persistent=True) as tape, model._running(training=True):
            terms = model.loss_terms({"image": images}, model.step_seed(True), training=True)
            judged = terms["discriminator_loss"] + 10.0 * terms["gradient_penalty"]
        return (
            tape.gradient(terms["generator_loss"], sides[0]),
            tape.gradient(judged, sides[1]),
        )

    playing = [model.class_encoder, model.latent_encoder, model.prior, model.decoder]
    sides = (
        [weight for part in playing for weight in part.trainable_weights],
        model.discriminator.trainable_weights,
    )
    before = [[weight.numpy() for weight in weights] for weights in sides]
    slopes = gradients()
    model.train_on_batch(images)
    for weights, old, slope, rate in zip(sides, before, slopes, (0.1, 0.2), strict=True):
        for weight, value, direction in zip(weights, old, slope, strict=True):
            np.testing.assert_allclose(weight, value - rate * direction, atol=1e-6)


def test_learned_means_learn_and_fixed_ones_do_not():
    placed = np.arange(8.0).reshape(COMPONENTS, LATENT)
    learned, fixed = compiled(make(), 0.5), compiled(make(prior=placed), 0.5)
    before = np.asarray(learned.prior_mean(tf.eye(COMPONENTS)))
    for model in (learned, fixed):
        model.train_on_batch(IMAGES)
    assert (np.asarray(learned.prior_mean(tf.eye(COMPONENTS))) != before).all()
    np.testing.assert_array_equal(fixed.prior_mean(tf.eye(COMPONENTS)), placed)
    assert len(learned.trainable_weights) == len(fixed.trainable_weights) + 2


def test_encoders_learn_from_inferred_triples_and_the_decoder_from_generated_ones():
    model = make(factorization="class_first")
    with tf.GradientTape(persistent=True) as tape:
        inferred, generated = some_triples(model)
        sides = [tf.reduce_mean(model.discriminate(triple)) for triple in (inferred, generated)]
    parts = [model.class_encoder, model.latent_encoder, model.prior, model.decoder]
    reached = [
        [
            any(slope is not None for slope in tape.gradient(side, part.trainable_weights))
            for part in parts
        ]
        for side in sides
    ]
    assert reached == [[True, True, False, False], [False, False, True, True]]


def changes(policy, jit_compile):
    """Returns by how much a step of SGD changes the weights of each network."""
    keras.config.set_dtype_policy(policy)
    try:
        keras.utils.set_random_seed(1)
        model = compiled(make(), run_eagerly=False, jit_compile=jit_compile)
        before = [weight.numpy() for weight in model.trainable_weights]
        model.train_on_batch(IMAGES)
        return [w.numpy() - old for w, old in zip(model.trainable_weights, before, strict=True)]
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_trains_alike(policy, jit_compile):
    """The penalty's tape inside the other one too, where the loss is scaled."""
    expected, found = changes("float32", jit_compile), changes(policy, jit_compile)
    for one, other in zip(found, expected, strict=True):
        atol = 0.05 * np.abs(other).max() + 1e-5
        np.testing.assert_allclose(one, other, atol=atol)


def first_dense(part):
    return next(layer for layer in part.layers if isinstance(layer, keras.layers.Dense))


def test_losses_that_layers_add_count_once():
    """In what is logged; both players have them in their gradients."""
    plain, regular = _same_start(), _same_start()
    kernels, logged = [], []
    for name in ("discriminator", "decoder"):
        layer = first_dense(getattr(regular, name))
        layer.kernel.regularizer = keras.regularizers.L2(3.0)
        kernels.append(layer.kernel.numpy())
    for model in (plain, regular):
        logged.append(compiled(model).train_on_batch(IMAGES, return_dict=True)["loss"])
    added = 3.0 * sum((kernel**2).sum() for kernel in kernels)
    assert logged[1] - logged[0] == pytest.approx(added, rel=1e-4)
    for name, kernel, rate in zip(("discriminator", "decoder"), kernels, (0.2, 0.1), strict=True):
        one, other = (
            first_dense(getattr(model, name)).kernel.numpy() for model in (plain, regular)
        )
        np.testing.assert_allclose(other - one, -rate * 6.0 * kernel, atol=1e-5)


# Inference.


def test_generate_and_interpolate(model):
    labels, noise = np.array([0, 2]), np.array([[1.0, 0.0], [0.5, -1.0]], "float32")
    means = np.asarray(model.prior_mean(tf.eye(COMPONENTS)))[labels]
    one_hot = np.eye(COMPONENTS, dtype="float32")[labels]
    np.testing.assert_allclose(
        model.generate(labels, noise), model.decode(one_hot, means + noise), atol=1e-6
    )
    np.testing.assert_allclose(model.generate(labels), model.decode(one_hot, means), atol=1e-6)
    steps = model.interpolate(IMAGES[:2], IMAGES[2:4], num_steps=5)
    assert steps.shape == (2, 5, *SHAPE)
    np.testing.assert_allclose(steps[:, 0], model.reconstruct(IMAGES[:2]), atol=1e-6)
    np.testing.assert_allclose(steps[:, -1], model.reconstruct(IMAGES[2:4]), atol=1e-6)
    ends = [model.encode(part) for part in (IMAGES[:2], IMAGES[2:4])]
    middle = [(one + other) / 2 for one, other in zip(*ends, strict=True)]
    np.testing.assert_allclose(steps[:, 2], model.decode(*middle), atol=1e-6)
    for end in (steps[:, 1] - steps[:, 0], steps[:, 3] - steps[:, 4]):
        assert np.abs(end).max() > 0


# Training as a whole.


def test_one_optimizer_serves_as_the_pattern_of_the_other():
    model = make()
    model.compile(keras.optimizers.Adam(3e-4, beta_1=0.5))
    first, second = model.optimizer.members
    assert first is not second
    assert {**first.get_config(), "name": ""} == {**second.get_config(), "name": ""}


def test_dropout_resumes_as_if_nothing_had_happened(tmp_path):
    """Keras does not save the state of its seeds, but every step sets them anew."""
    inputs = inputs_of(3, COMPONENTS, LATENT)
    hidden = keras.layers.Dropout(0.2)(keras.layers.Concatenate()(inputs))
    hidden = Dropout(0.5)(keras.layers.Dense(8, "tanh")(hidden))
    discriminator = keras.Model(inputs, keras.layers.Dense(1)(hidden))
    model = compiled(make(discriminator=discriminator, hidden_units=()))
    model.train_on_batch(IMAGES)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    for each in (model, again):
        each.train_on_batch(IMAGES)
        each.train_on_batch(IMAGES[::-1])
    for one, other in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(other, one)


def test_it_finds_the_clusters_of_a_mixture():
    centres = 5.0 * np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]])
    points, labels = sklearn.datasets.make_blobs(1000, centers=centres, random_state=0)
    model = AdversarialMixture(
        (2,),
        4,
        2,
        prior=0.8 * centres,
        hidden_units=(64, 64),
        gradient_penalty=1.0,
        output_activation="linear",
    )
    # XLA would take longer to compile the step than these steps take
    settings = {"jit_compile": False, "steps_per_execution": 10}
    model.compile(keras.optimizers.Adam(1e-3, beta_1=0.5), **settings)
    history = model.fit(points, batch_size=100, epochs=80, verbose=0).history
    assert history["used_clusters"][-1] == 4
    assert history["marginal_entropy"][-1] == pytest.approx(np.log(4), abs=0.1)
    components = np.repeat(np.arange(4), 100)
    noise = np.random.default_rng(0).standard_normal((400, 2)).astype("float32")
    generated = np.asarray(model.generate(components, noise))
    nearest = np.linalg.norm(generated[:, None] - centres, axis=-1).argmin(axis=1)
    assert metrics.clustering_accuracy(components, nearest) > 0.9
    for clusters in (model.cluster, functools.partial(_by_latent, model)):
        found = clusters(points, batch_size=1000)
        assert metrics.clustering_accuracy(labels, found) > 0.95
        assert (clusters(generated, batch_size=400) == components).mean() > 0.9
    scores = model.evaluate(points, labels, batch_size=1000, return_dict=True, verbose=0)
    expected = metrics.clustering_accuracy(labels, model.cluster(points))
    assert scores["accuracy"] == pytest.approx(expected, abs=2e-3)
    assert scores["majority_accuracy"] == pytest.approx(expected, abs=2e-3)


def _by_latent(model, images, batch_size):
    latent = model.predict(images, batch_size, verbose=0)["latent"]
    return np.argmax(model.component_probabilities(latent), axis=1)


# What is refused.


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"class_probabilities": [0.5, 0.5]},
            r"`class_probabilities` must have shape \(4,\). Received: shape \(2,\).",
        ),
        (
            {"class_probabilities": [1, 1, 0, 2]},
            "`class_probabilities` must be positive numbers. Received: "
            r"class_probabilities=\[1.0, 1.0, 0.0, 2.0\].",
        ),
        (
            {"prior": np.zeros((4, 3))},
            r"`prior` must have shape \(n, 2\). Received: shape \(4, 3\).",
        ),
        (
            {"prior": np.zeros((5, 2))},
            r"`prior` must have shape \(4, 2\). Received: shape \(5, 2\).",
        ),
        ({"prior": np.full((4, 2), np.nan)}, "`prior` must be finite."),
        ({"factorization": "z_first"}, "`factorization` must be one of 'class_first'"),
        ({"output_activation": "tanh"}, "`output_activation` must be one of 'sigmoid', 'linear'."),
        ({"gradient_penalty": -1.0}, r"`gradient_penalty` must be a number in \[0, inf\)."),
        ({"hidden_units": (0,)}, "`hidden_units` must be an integer >= 1."),
        (
            {"class_encoder": network_to(4, 3)},
            r"`class_encoder\(...\)` must have shape \(n, 8\). Received: shape \(1, 4\).",
        ),
        (
            {"decoder": network_to(5, 4, 2)},
            r"`decoder\(...\)` must have shape \(n, 3\). Received: shape \(1, 5\).",
        ),
        (
            {"discriminator": network_to(2, 3, 4, 2)},
            r"`discriminator\(...\)` must have shape \(n, 1\). Received: shape \(1, 2\).",
        ),
    ],
)
def test_bad_arguments(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        make(**settings)


def test_a_discriminator_with_batch_normalization_is_refused():
    inputs = inputs_of(3, COMPONENTS, LATENT)
    hidden = keras.layers.BatchNormalization()(keras.layers.Concatenate()(inputs))
    with pytest.raises(ValueError, match="`discriminator` must have no batch normalisation"):
        make(discriminator=keras.Model(inputs, keras.layers.Dense(1)(hidden)))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda model: model.fit(np.zeros((4, 5))),
            r"`images` must have shape \(n, 3\). Received: shape \(4, 5\).",
        ),
        (
            lambda model: model.fit(2 * np.ones((4, 3))),
            r"`images` must lie in \[0.0, 1.0\]. Received: values from 2 to 2",
        ),
        (
            lambda model: model.fit(IMAGES, sample_weight=np.ones(8), verbose=0),
            "`sample_weight` must be None: generator_loss is of a batch as a whole",
        ),
        (
            lambda model: model.generate([0, 4]),
            r"`labels` must hold integers from 0 to 3. Received: labels=\[0, 4\].",
        ),
        (lambda model: model.generate([0.5]), "`labels` must hold integers from 0 to 3."),
        (
            lambda model: model.generate([0], np.zeros((1, 3))),
            r"`noise` must have shape \(n, 2\). Received: shape \(1, 3\).",
        ),
        (
            lambda model: model.fit(IMAGES, np.arange(8), verbose=0),
            "`y` must be None: there is nothing that this model learns or scores by it.",
        ),
        (
            lambda model: model.interpolate(IMAGES[:1], IMAGES[:1], 1),
            "`num_steps` must be an integer >= 2. Received: num_steps=1.",
        ),
        (
            lambda model: model.reconstruct(np.zeros((2, 4))),
            r"`images` must have shape \(n, 3\). Received: shape \(2, 4\).",
        ),
    ],
)
def test_bad_data(call, sentence, model):
    with pytest.raises(ValueError, match=sentence):
        call(model)
