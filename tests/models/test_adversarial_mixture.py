"""The adversarial mixture: its losses, who learns from what, what it infers and generates."""

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
import sklearn.datasets
import tensorflow as tf

from tfbind import losses, metrics, seeds
from tfbind.layers._corruption import Corruption
from tfbind.models import adversarial_networks as networks
from tfbind.models._component_usage import ComponentUsage
from tfbind.models.adversarial_mixture import AdversarialMixture
from tfbind.models.semi_supervised_adversarial_mixture import SemiSupervisedAdversarialMixture

SHAPE, COMPONENTS, LATENT = (3,), 4, 2
IMAGES = np.random.default_rng(0).random((8, *SHAPE)).astype("float32")
LABELS = np.array([0, 1, 2, 3, 0, 1])
BATCH = {"image": IMAGES[:6], "label": LABELS, "unlabeled_image": IMAGES[::-1].copy()}
DARK = np.full(SHAPE, 0.25, "float32")  # what `dull_decoder` generates, whatever y and z are
BRIGHTNESS = np.array([1.0, -2.0, 0.5], "float32")  # a discriminator's weights on the image


def make(kind=AdversarialMixture, **settings):
    settings = {"hidden_units": (5,), "seed": 3, **settings}
    return kind(SHAPE, COMPONENTS, LATENT, **settings)


def compiled(model, rate=0.1, run_eagerly=True, **settings):
    """Eager by default: a few steps take less time than tracing one."""
    optimizers = keras.optimizers.SGD(rate), keras.optimizers.SGD(2 * rate)
    model.compile(*optimizers, run_eagerly=run_eagerly, **settings)
    return model


@pytest.fixture(scope="module")
def model():
    """For tests that read it and do not train it."""
    return compiled(make())


@pytest.fixture(scope="module")
def semi_supervised():
    return compiled(make(SemiSupervisedAdversarialMixture))


def inputs_of(*sizes):
    return [keras.layers.Input((size,)) for size in sizes]


def network_to(size, *inputs):
    inputs = inputs_of(*inputs)
    joined = keras.layers.Concatenate()(inputs) if len(inputs) > 1 else inputs[0]
    layer = keras.layers.Dense(size, bias_initializer="normal")
    return keras.Model(inputs if len(inputs) > 1 else inputs[0], layer(joined))


def dull_decoder():
    inputs = inputs_of(COMPONENTS, LATENT)
    bias = keras.initializers.Constant(scipy.special.logit(DARK[0]))
    joined = keras.layers.Concatenate()(inputs)
    image = keras.layers.Dense(3, "sigmoid", kernel_initializer="zeros", bias_initializer=bias)
    return keras.Model(inputs, image(joined))


def linear_discriminator(on_image=BRIGHTNESS, on_label=0.7, on_latent=0.0, bias=-0.3):
    inputs = inputs_of(3, COMPONENTS, LATENT)
    logit = keras.layers.Dense(1)
    model = keras.Model(inputs, logit(keras.layers.Concatenate()(inputs)))
    weights = [*on_image, *[on_label] * COMPONENTS, *[on_latent] * LATENT]
    logit.set_weights([np.array(weights)[:, None], np.array([bias])])
    return model


def softplus(x):
    return np.log1p(np.exp(x))


def terms_of(model, batch=None, training=False):
    batch = {"image": IMAGES} if batch is None else batch
    batch = {key: tf.constant(value) for key, value in batch.items()}
    return {key: float(value) for key, value in model.play(batch, training)[1].items()}


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
        assert found["discriminator_loss"] == pytest.approx(game + 7 * (norm - 1) ** 2, rel=1e-5)
        expected = softplus(inferred).mean() + softplus(-generated)
        assert found["generator_loss"] == pytest.approx(expected, rel=1e-5)
        assert found["loss"] == pytest.approx(
            found["discriminator_loss"] + found["generator_loss"], rel=1e-6
        )
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


def test_the_labelled_game_weighs_as_much_as_the_other():
    model = make(
        SemiSupervisedAdversarialMixture,
        decoder=dull_decoder(),
        discriminator=linear_discriminator(),
        gradient_penalty=2.0,
    )
    found = terms_of(model, BATCH, training=True)
    labeled, unlabeled = (BATCH[key] @ BRIGHTNESS + 0.4 for key in ("image", "unlabeled_image"))
    generated = DARK @ BRIGHTNESS + 0.4
    norm = np.sqrt((BRIGHTNESS**2).sum() + COMPONENTS * 0.7**2)
    expected = (softplus(-labeled).mean() + softplus(-unlabeled).mean()) / 2 + softplus(generated)
    assert found["discriminator_loss"] == pytest.approx(expected + 2 * (norm - 1) ** 2, rel=1e-5)
    expected = (softplus(labeled).mean() + softplus(unlabeled).mean()) / 2 + softplus(-generated)
    assert found["generator_loss"] == pytest.approx(expected, rel=1e-5)


class Halved(Corruption):
    """Half as bright, so that what was corrupted can be told."""

    def corrupt(self, inputs, seed):
        return 0.5 * inputs


def test_the_cross_entropy_of_labelled_examples():
    """That of the centre of h_y, in NumPy; of corrupted examples while training."""
    class_encoder = network_to(2 * COMPONENTS, 3)
    parts = {"decoder": dull_decoder(), "discriminator": linear_discriminator()}
    parts |= {"class_encoder": class_encoder, "gradient_penalty": 0.0}
    without = terms_of(make(SemiSupervisedAdversarialMixture, **parts), BATCH)
    model = make(
        SemiSupervisedAdversarialMixture, label_weight=3.0, corruption=Halved(seed=0), **parts
    )
    kernel, bias = (weight.numpy() for weight in class_encoder.weights)
    for training, image in ((False, BATCH["image"]), (True, 0.5 * BATCH["image"])):
        log_q = scipy.special.log_softmax((image @ kernel + bias)[:, :COMPONENTS], axis=1)
        expected = -3.0 * log_q[np.arange(6), LABELS].mean()
        found = terms_of(model, BATCH, training)
        for name in ("generator_loss", "loss"):
            assert found[name] - without[name] == pytest.approx(expected, rel=1e-4)
        assert found["discriminator_loss"] == pytest.approx(without["discriminator_loss"], rel=1e-5)
    unlabelled = terms_of(model, {"image": IMAGES})
    assert unlabelled["generator_loss"] == pytest.approx(
        softplus(IMAGES @ BRIGHTNESS + 0.4).mean() + softplus(-DARK @ BRIGHTNESS - 0.4), rel=1e-5
    )


# The penalty.


def penalty_of(model, weights, triples):
    with tf.GradientTape() as tape:
        norms = model.gradient_norms(*triples, tf.constant([1, 2]), training=False)
        penalty = tf.reduce_mean(tf.square(norms - 1.0))
    return float(penalty), tape.gradient(penalty, weights)


def some_triples(model):
    inferred = model.infer(tf.constant(IMAGES), tf.constant([3, 4]), training=False)
    return inferred, model.synthesize(8, tf.constant([5, 6]), training=False)


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
    norms = model.gradient_norms(inferred, generated, tf.constant([1, 2]), training=False)
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
        with tf.GradientTape(persistent=True) as tape:
            _, terms = model.play({"image": images}, training=True)
        return (
            tape.gradient(terms["generator_loss"], model.generator_weights),
            tape.gradient(terms["discriminator_loss"], model.discriminator.trainable_weights),
        )

    sides = (model.generator_weights, model.discriminator.trainable_weights)
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


def showing_class_encoder():
    """One that shows a layer of its own, normalised by the batch, to the latent encoder."""
    image = keras.layers.Input(SHAPE)
    hidden = keras.layers.BatchNormalization()(keras.layers.Dense(5)(image))
    return keras.Model(image, [keras.layers.Dense(2 * COMPONENTS)(hidden), hidden])


def after_a_step(batch, factorization, shows):
    keras.utils.set_random_seed(2)
    parts = {}
    if shows:
        parts["class_encoder"] = showing_class_encoder()
        parts["latent_encoder"] = network_to(2 * LATENT, 3, COMPONENTS, 5)
    model = make(SemiSupervisedAdversarialMixture, factorization=factorization, **parts)
    compiled(model).train_on_batch(batch)
    return model


@pytest.mark.parametrize(
    ("factorization", "shows"),
    [("class_first", False), ("latent_first", False), ("class_first", True)],
)
def test_the_labelled_game_leaves_the_class_encoder_untouched(factorization, shows):
    changed = {**BATCH, "image": 1 - BATCH["image"], "label": LABELS[::-1].copy()}
    one, other = (after_a_step(batch, factorization, shows) for batch in (BATCH, changed))

    def same(part):
        pairs = zip(getattr(one, part).weights, getattr(other, part).weights, strict=True)
        return all((mine.numpy() == theirs.numpy()).all() for mine, theirs in pairs)

    assert same("class_encoder")
    assert not same("latent_encoder")
    assert not same("discriminator")
    assert same("decoder")  # as the generated triples are those of both games


# The two joint distributions.


@pytest.mark.parametrize("factorization", networks.FACTORIZATIONS)
def test_what_is_inferred(factorization):
    """Means and deviations, in order, from the encoders' numbers in NumPy."""
    y_sees = [3, LATENT] if factorization == "latent_first" else [3]
    z_sees = [3, COMPONENTS] if factorization == "class_first" else [3]
    model = make(
        factorization=factorization,
        class_encoder=network_to(2 * COMPONENTS, *y_sees),
        latent_encoder=network_to(2 * LATENT, *z_sees),
    )
    random = np.random.default_rng(1)
    class_noise = random.standard_normal((8, COMPONENTS)).astype("float32")
    noise = random.standard_normal((8, LATENT)).astype("float32")

    def drawn(network, seen, noise):
        kernel, bias = (weight.numpy() for weight in network.weights)
        mean, log_variance = np.split(np.concatenate(seen, axis=1) @ kernel + bias, 2, axis=1)
        return mean + np.exp(log_variance / 2) * noise

    if factorization == "latent_first":
        z = drawn(model.latent_encoder, [IMAGES], noise)
        logits = drawn(model.class_encoder, [IMAGES, z], class_noise)
    else:
        logits = drawn(model.class_encoder, [IMAGES], class_noise)
        seen = [IMAGES, logits] if factorization == "class_first" else [IMAGES]
        z = drawn(model.latent_encoder, seen, noise)
    y, latent = model.encode(IMAGES, class_noise, noise)
    np.testing.assert_allclose(y, scipy.special.softmax(logits, axis=1), atol=1e-5)
    np.testing.assert_allclose(latent, z, atol=1e-5)
    centre = model.encode(IMAGES, np.zeros_like(class_noise), np.zeros_like(noise))
    outputs = model(IMAGES)
    np.testing.assert_allclose(outputs["probabilities"], centre[0], atol=1e-6)
    np.testing.assert_allclose(outputs["latent"], centre[1], atol=1e-6)
    np.testing.assert_allclose(outputs["reconstruction"], model.decode(*centre), atol=1e-6)
    np.testing.assert_allclose(model.reconstruct(IMAGES), model.decode(*centre), atol=1e-6)


def test_what_is_inferred_where_the_label_is_known():
    """The label itself, and a latent whose encoder saw ten times its one-hot."""
    latent_encoder = network_to(2 * LATENT, 3, COMPONENTS)
    model = make(SemiSupervisedAdversarialMixture, latent_encoder=latent_encoder)
    seed, one_hot = tf.constant([1, 2]), np.eye(COMPONENTS)[LABELS]
    image, label, latent = model.infer_labeled(BATCH["image"], LABELS, seed, training=False)
    np.testing.assert_array_equal(image, BATCH["image"])
    np.testing.assert_array_equal(label, one_hot)
    kernel, bias = (weight.numpy() for weight in latent_encoder.weights)
    seen = np.concatenate([image, 10 * one_hot], axis=1)
    mean, log_variance = np.split(seen @ kernel + bias, 2, axis=1)
    noise = seeds.normal([6, LATENT], seed)
    np.testing.assert_allclose(latent, mean + np.exp(log_variance / 2) * noise, atol=1e-5)


def test_what_is_generated(test_seed):
    """Labels as often as p(y) says, latents Normal(mean of the label, 1), examples of both."""
    means = 3.0 * np.arange(8.0).reshape(COMPONENTS, LATENT)
    model = make(prior=means, class_probabilities=(1, 2, 3, 4))
    image, label, latent = model.synthesize(20_000, tf.constant([test_seed, 1]), training=False)
    counts = np.asarray(label).sum(axis=0)
    assert scipy.stats.chisquare(counts, 2000 * np.arange(1, 5)).pvalue > 1e-4
    assert (np.sort(label, axis=1) == [0, 0, 0, 1]).all()
    noise = np.asarray(latent) - np.asarray(label) @ means
    assert scipy.stats.kstest(noise.ravel(), "norm").pvalue > 1e-4
    assert abs(np.corrcoef(noise.T)[0, 1]) < 0.03
    np.testing.assert_allclose(image, model.decode(label, latent), atol=1e-6)


def test_bayes_rule_in_the_latent_space():
    means = np.random.default_rng(2).standard_normal((COMPONENTS, LATENT))
    p = np.array([0.1, 0.2, 0.3, 0.4])
    model = make(prior=means, class_probabilities=p * 50)
    z = np.random.default_rng(3).standard_normal((9, LATENT)).astype("float32")
    log_joint = np.stack(
        [scipy.stats.multivariate_normal(mean).logpdf(z) for mean in means], axis=1
    ) + np.log(p)
    expected = scipy.special.softmax(log_joint, axis=1)
    np.testing.assert_allclose(model.component_probabilities(z), expected, atol=1e-5)
    np.testing.assert_allclose(
        model.latent_prior().log_prob(z), scipy.special.logsumexp(log_joint, axis=1), atol=1e-5
    )
    latent = model(IMAGES)["latent"]
    expected = np.argmax(model.component_probabilities(latent), axis=1)
    np.testing.assert_array_equal(model.cluster(IMAGES, "latent"), expected)
    expected = np.argmax(model(IMAGES)["probabilities"], axis=1)
    np.testing.assert_array_equal(model.cluster(IMAGES, batch_size=3), expected)


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


# What shows a collapse.


def test_component_usage():
    usage = ComponentUsage(np.array([0.5, 0.3, 0.2], "float32"))
    found = {name: float(value) for name, value in usage.result().items()}
    assert found == {"marginal_entropy": 0.0, "used_clusters": 0.0}
    even = np.tile(np.eye(3), (5, 1))
    usage.update_state(tf.constant(even[:7], tf.float32))
    usage.update_state(tf.constant(even[7:], tf.float32))
    assert float(usage.result()["marginal_entropy"]) == pytest.approx(np.log(3), rel=1e-6)
    assert usage.result()["used_clusters"] == 3
    usage.reset_state()
    collapsed = np.tile([0.0, 0.4, 0.6], (100, 1))
    collapsed[:3] = [0.1, 0.9, 0.0]  # 3 of 100 are a tenth of what 0.3 promises
    usage.update_state(tf.constant(collapsed, tf.float32))
    share = collapsed.mean(axis=0)
    expected = -(share * np.log(share)).sum()
    assert float(usage.result()["marginal_entropy"]) == pytest.approx(expected, rel=1e-5)
    assert usage.result()["used_clusters"] == 2
    collapsed[:1] = [0.0, 0.0, 1.0]
    usage.reset_state()
    usage.update_state(tf.constant(collapsed, tf.float32))
    assert usage.result()["used_clusters"] == 1


def test_accuracy_of_labels(semi_supervised):
    found = np.argmax(semi_supervised(IMAGES)["probabilities"], axis=1)
    labels = np.where(np.arange(8) < 3, found, (found + 1) % COMPONENTS)
    scores = semi_supervised.evaluate(IMAGES, labels, batch_size=3, return_dict=True, verbose=0)
    assert scores["accuracy"] == pytest.approx(3 / 8)
    assert "accuracy" not in semi_supervised.evaluate(IMAGES, return_dict=True, verbose=0)


# Training as a whole.


def test_both_optimizers_come_back(tmp_path):
    parts = networks.dense_networks(SHAPE, COMPONENTS, LATENT, hidden_units=(4,))
    parts["decoder"] = keras.Sequential(
        [keras.layers.Concatenate(), keras.layers.Dense(3, "sigmoid")]
    )
    model = make(**parts)
    optimizers = (
        keras.optimizers.Adam(1e-3, beta_1=0.5),
        keras.optimizers.RMSprop(2e-3, momentum=0.3),
    )
    model.compile(*optimizers, run_eagerly=True)
    model.fit(IMAGES, batch_size=4, epochs=2, verbose=0)
    model.compile(*optimizers, jit_compile=True)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.get_compile_config() == model.get_compile_config()
    assert (again.optimizer.beta_1, again.discriminator_optimizer.momentum) == (0.5, 0.3)
    assert again.jit_compile
    for name in model.OPTIMIZERS:
        mine, theirs = getattr(model, name), getattr(again, name)
        assert type(theirs) is type(mine)
        assert int(theirs.iterations) == 4
        for one, other in zip(mine.variables, theirs.variables, strict=True):
            np.testing.assert_array_equal(other, one)
    for one, other in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(other, one)


def test_one_optimizer_serves_as_the_pattern_of_the_other():
    model = make()
    model.compile(keras.optimizers.Adam(3e-4, beta_1=0.5))
    first, second = model.optimizer, model.discriminator_optimizer
    assert first is not second
    assert {**first.get_config(), "name": ""} == {**second.get_config(), "name": ""}


def test_dropout_resumes_as_if_nothing_had_happened(tmp_path):
    """Keras does not save the state of its seeds, but every step sets them anew."""
    inputs = inputs_of(3, COMPONENTS, LATENT)
    hidden = keras.layers.Dropout(0.2)(keras.layers.Concatenate()(inputs))
    hidden = networks.Dropout(0.5)(keras.layers.Dense(8, "tanh")(hidden))
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
    for rule in ("encoder", "latent"):
        found = model.cluster(points, rule, batch_size=1000)
        assert metrics.clustering_accuracy(labels, found) > 0.95
        assert (model.cluster(generated, rule, batch_size=400) == components).mean() > 0.9


def test_own_networks_tell_the_cultivars_of_wine():
    """On a table, with means where the labelled examples of each class are: the names are known."""
    table, labels = sklearn.datasets.load_wine(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(table))
    table, labels = 1.5 * scipy.stats.zscore(table)[order].astype("float32"), labels[order]
    labeled = {"image": table[:30], "label": labels[:30]}
    size = table.shape[1]
    example, label, latent = inputs_of(size, 3, size)
    hidden = keras.layers.BatchNormalization(momentum=0.9)(keras.layers.Dense(32)(example))
    judged = keras.layers.Concatenate()([example, label, latent])
    for _ in range(2):
        judged = keras.layers.LeakyReLU(0.2)(keras.layers.Dense(32)(judged))
    certain = keras.layers.Rescaling(0.0, -20.0)(example)  # a log-variance
    model = SemiSupervisedAdversarialMixture(
        (size,),
        3,
        size,
        class_encoder=keras.Model(
            example, keras.layers.Dense(6)(keras.layers.LeakyReLU(0.2)(hidden))
        ),
        latent_encoder=keras.Model(example, keras.layers.Concatenate()([example, certain])),
        prior=[labeled["image"][labeled["label"] == k].mean(axis=0) for k in range(3)],
        decoder=keras.Model([label, latent], keras.layers.Identity()(latent)),
        discriminator=keras.Model([example, label, latent], keras.layers.Dense(1)(judged)),
        factorization="independent",
        gradient_penalty=1.0,
        output_activation="linear",
    )
    model.compile(keras.optimizers.Adam(2e-3, beta_1=0.5), jit_compile=False)
    model.fit({**labeled, "unlabeled_image": table}, batch_size=89, epochs=60, verbose=0)
    found = np.argmax(model(table)["probabilities"], axis=1)
    assert (found[30:] == labels[30:]).mean() > 0.8


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


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"label_weight": -1.0}, r"`label_weight` must be a number in \[0, inf\)."),
        ({"corruption": 3}, "`corruption` must be a noise layer of `tfbind.layers` or None."),
    ],
)
def test_bad_arguments_about_labels(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        make(SemiSupervisedAdversarialMixture, **settings)


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
            lambda model: model.fit(IMAGES, IMAGES, sample_weight=np.ones(8)),
            "`sample_weight` must be None.",
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
            lambda model: model.cluster(IMAGES, "majority"),
            "`rule` must be one of 'encoder', 'latent'. Received: rule='majority'.",
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


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"label": np.array([0, 1, 2, 3, 4, 1])},
            "`label` must hold integers from 0 to 3. Received: values from 0 to 4.",
        ),
        (
            {"label": np.full(6, 2)},
            "`label` must hold two classes or more, else the game has nothing to teach. "
            "Received: class 2 alone.",
        ),
        ({"label": np.linspace(0, 1, 6)}, "`label` must hold integers. Received: float64."),
        (
            {"label": LABELS[:5]},
            "`label` must hold one label for each of `image`. Received: 5 for 6 images.",
        ),
        ({"label": None}, "`x` must have the key 'label' too."),
        ({"unlabeled_image": None}, "`x` must have the key 'unlabeled_image' too."),
    ],
)
def test_bad_batches(changes, sentence, semi_supervised):
    batch = {key: value for key, value in {**BATCH, **changes}.items() if value is not None}
    with pytest.raises(ValueError, match=sentence):
        semi_supervised.fit(batch, verbose=0)
