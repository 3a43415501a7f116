"""The bounds against sums: a tiny linear model, and models whose posterior is exact."""

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from tests.models import numpy_untapped as oracle
from tfbind import seeds
from tfbind.models.untapped_vae import UntappedVAE

DRAWS = 40_000
REFERENCE = oracle.LinearModel()


def linear_model(**settings):
    """The oracle's networks as Keras models."""
    image, label = keras.layers.Input((3,)), keras.layers.Input((2,))
    latent = keras.layers.Input((1,))

    def dense(inputs, weights):
        layer = keras.layers.Dense(weights[0].shape[1])
        outputs = layer(keras.layers.Concatenate()(inputs) if len(inputs) > 1 else inputs[0])
        layer.set_weights(weights)
        return keras.Model(inputs if len(inputs) > 1 else inputs[0], outputs)

    return UntappedVAE(
        (3,),
        num_classes=2,
        latent_dim=1,
        classifier=dense([image], REFERENCE.classifier),
        encoder=dense([image, label], REFERENCE.encoder),
        decoder=dense([label, latent], REFERENCE.decoder),
        **settings,
    )


def assert_mean(draws, expected):
    """The mean of independent draws is `expected`, within 4.5 standard errors."""
    draws = np.asarray(draws, "float64")
    error = draws.std() / np.sqrt(len(draws))
    assert error < 0.02  # else the test says little
    assert abs(draws.mean() - expected) < 4.5 * error + 1e-5


def repeated(x):
    return tf.constant(np.tile(x, (DRAWS, 1)), tf.float32)


@pytest.mark.parametrize("image", [0, 3, 6])
@pytest.mark.parametrize("label", [0, 1])
def test_labeled_bound(image, label):
    x = oracle.IMAGES[image]
    # Quantiles instead of draws: the mean over them is the integral.
    quantiles = scipy.stats.norm.ppf((np.arange(DRAWS) + 0.5) / DRAWS)[:, None].astype("float32")
    labels = tf.one_hot(tf.fill([DRAWS], label), 2)
    found = linear_model().labeled_bound(repeated(x), labels, quantiles)
    expected = oracle.labeled_bound(REFERENCE, x, label)
    assert float(tf.reduce_mean(found)) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("image", [0, 3, 6])
def test_unlabeled_bound_with_the_classes_summed(image):
    model, x = linear_model(marginalize=True), repeated(oracle.IMAGES[image])
    found = model.unlabeled_bound(x, model.classifier(x), seeds.fold(1))
    assert_mean(found, oracle.unlabeled_bound(REFERENCE, oracle.IMAGES[image]))


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_unlabeled_bound_with_a_relaxed_label(temperature):
    model, x = linear_model(temperature=temperature), repeated(oracle.IMAGES[3])
    found = model.unlabeled_bound(x, model.classifier(x), seeds.fold(1))
    expected = oracle.relaxed_unlabeled_bound(REFERENCE, oracle.IMAGES[3], temperature)
    assert_mean(found, expected)


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("z", [-1.2, 0.4])
def test_reverse_bound(label, z):
    """A sum over the eight images, and the label a corner of the simplex."""
    model, latent = linear_model(marginalize=True), tf.fill([DRAWS, 1], z)
    found = model.reverse_bound(tf.one_hot(tf.fill([DRAWS], label), 2), latent, seeds.fold(2))
    expected = oracle.reverse_bound(
        REFERENCE, np.eye(2)[label], z, lambda x: REFERENCE.log_q_label(x)[label]
    )
    assert_mean(found, expected)


def test_reverse_bound_of_a_relaxed_label():
    """The paper's: close corners, whose density is the relaxation's."""
    model, latent = linear_model(temperature=0.8), tf.fill([DRAWS, 1], 0.4)
    found = model.reverse_bound(tf.one_hot(tf.fill([DRAWS], 1), 2), latent, seeds.fold(2))
    corner = np.array([0.05, 0.95])
    expected = oracle.reverse_bound(
        REFERENCE,
        corner,
        0.4,
        lambda x: oracle.log_concrete(np.exp(REFERENCE.log_q_label(x)), corner, 0.8),
    )
    assert_mean(found, expected)


def test_log_prob_is_the_integral():
    images = oracle.IMAGES[[0, 3, 6]]
    expected = np.array([oracle.log_prob(REFERENCE, x) for x in images])  # [3, 2]
    model, images = linear_model(), images.astype("float32")
    np.testing.assert_allclose(
        model.log_prob(images, num_samples=5000),
        scipy.special.logsumexp(expected, axis=1),
        atol=0.03,
    )
    labels = np.array([1, 0, 1])
    found = model.log_prob(images, labels, num_samples=5000)
    np.testing.assert_allclose(found, expected[[0, 1, 2], labels], atol=0.03)


def test_the_probabilities_of_all_images_sum_to_one():
    images = oracle.IMAGES.astype("float32")
    total = np.exp(linear_model().log_prob(images, num_samples=5000)).sum()
    assert total == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("image", [0, 3, 6])
def test_the_bounds_are_below_what_they_bound(image):
    log_joint = oracle.log_prob(REFERENCE, oracle.IMAGES[image])
    for label in (0, 1):
        assert oracle.labeled_bound(REFERENCE, oracle.IMAGES[image], label) < log_joint[label]
    bound = oracle.unlabeled_bound(REFERENCE, oracle.IMAGES[image])
    assert bound < scipy.special.logsumexp(log_joint)


# One pixel, two classes, a latent of one dimension. q(z|x = 1, y) is a logit-normal, and p(x = 1|
# y, z) is `PEAKS[y]` times its density: then it is the posterior of p, and the bound is tight.
LOCS, SCALES = np.array([-0.4, 0.7]), np.array([0.8, 0.5])
WIDTH = oracle.HIGH - oracle.LOW
PEAKS = np.array([0.3, 0.12])


def logit_normal(z, label):
    share = (z - oracle.LOW) / WIDTH
    before = scipy.special.logit(share)
    return scipy.stats.norm.pdf(before, LOCS[label], SCALES[label]) / (WIDTH * share * (1 - share))


class ExactEncoder(keras.Layer):
    def call(self, inputs):
        _, label = inputs
        untransformed = np.log(np.expm1(SCALES))
        return label @ np.stack([LOCS, untransformed], axis=1).astype("float32")


class ExactDecoder(keras.Layer):
    def call(self, inputs):
        label, z = inputs
        share = (z - oracle.LOW) / WIDTH
        before = tf.math.log(share) - tf.math.log1p(-share)
        loc, scale, peak = (label @ row[:, None].astype("float32") for row in (LOCS, SCALES, PEAKS))
        density = tf.exp(-0.5 * ((before - loc) / scale) ** 2) / (scale * np.sqrt(2 * np.pi))
        density = density / (WIDTH * share * (1 - share))
        p = peak * WIDTH * density
        return tf.math.log(p) - tf.math.log1p(-p)


class ConstantClassifier(keras.Layer):
    def call(self, inputs):
        return tf.tile(tf.math.log(PEAKS.astype("float32"))[None], [tf.shape(inputs)[0], 1])


def exact_model():
    return UntappedVAE(
        (1,),
        num_classes=2,
        latent_dim=1,
        classifier=ConstantClassifier(),
        encoder=ExactEncoder(),
        decoder=ExactDecoder(),
        marginalize=True,
    )


def test_with_an_exact_posterior_the_forward_bounds_are_tight_at_every_draw():
    for label in (0, 1):  # a probability, so that the model is one
        assert (PEAKS[label] * WIDTH * logit_normal(oracle.GRID, label)).max() < 1
    model, x = exact_model(), tf.ones([200, 1])
    noise = seeds.normal([200, 1], seeds.fold(0))
    for label in (0, 1):
        found = model.labeled_bound(x, tf.one_hot(tf.fill([200], label), 2), noise)
        np.testing.assert_allclose(found, np.full(200, np.log(PEAKS[label] / 2)), atol=1e-4)
    found = model.unlabeled_bound(x, model.classifier(x), seeds.fold(3))
    np.testing.assert_allclose(found, np.full(200, np.log(PEAKS.sum() / 2)), atol=1e-4)


class LinearClassifier(keras.Layer):
    def call(self, inputs):
        return inputs @ tf.constant([[0.8, -0.3]]) + tf.constant([0.2, 0.1])


class ImageEncoder(keras.Layer):
    """The mean depends on the pixel, the standard deviation on the class."""

    def call(self, inputs):
        image, label = inputs
        untransformed = label @ tf.constant([[0.5], [-0.2]])
        return tf.concat([1.4 * image - 0.6, untransformed], axis=-1)


def reverse_log_joint(x, label, z):
    """log q(y|x) q(z|x, y) of the two networks above."""
    logits = np.array([0.8, -0.3]) * x + np.array([0.2, 0.1])
    log_q = logits - scipy.special.logsumexp(logits)
    scale = np.log1p(np.exp([0.5, -0.2][label]))
    share = (z - oracle.LOW) / WIDTH
    log_z = scipy.stats.norm.logpdf(scipy.special.logit(share), 1.4 * x - 0.6, scale)
    return log_q[label] + log_z - np.log(WIDTH * share * (1 - share))


@pytest.mark.parametrize("label", [0, 1])
def test_with_an_exact_decoder_the_reverse_bound_is_tight(label):
    """p(x|y, z) is q(x|y, z): equation 17, with q(x) = 1/2, is log q(y, z)."""
    z = 0.3
    log_joint = np.array([reverse_log_joint(x, label, z) for x in (0.0, 1.0)]) - np.log(2)

    class Posterior(keras.Layer):
        def call(self, inputs):
            return tf.fill([tf.shape(inputs[0])[0], 1], np.float32(log_joint[1] - log_joint[0]))

    model = UntappedVAE(
        (1,),
        num_classes=2,
        latent_dim=1,
        classifier=LinearClassifier(),
        encoder=ImageEncoder(),
        decoder=Posterior(),
        marginalize=True,
    )
    labels = tf.one_hot(tf.fill([DRAWS], label), 2)
    bound = model.reverse_bound(labels, tf.fill([DRAWS, 1], z), seeds.fold(4)) - np.log(2)
    assert_mean(bound, scipy.special.logsumexp(log_joint))


def test_the_class_marginal_is_the_mean_over_images():
    model, x = linear_model(reverse="marginal"), oracle.IMAGES.astype("float32")
    expected = np.log(np.mean([np.exp(REFERENCE.log_q_label(row)) for row in x], axis=0))
    np.testing.assert_allclose(model.log_class_marginal(model.classifier(x)), expected, rtol=1e-5)
