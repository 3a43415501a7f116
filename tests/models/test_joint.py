"""The two joint distributions: what is inferred and generated, against NumPy and SciPy."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from tfbind import seeds
from tfbind.models import adversarial_networks as networks

from .adversarial_toys import (
    BATCH,
    COMPONENTS,
    IMAGES,
    LABELS,
    LATENT,
    make,
    network_to,
)


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
    model = make(latent_encoder=latent_encoder)
    seed, one_hot = tf.constant([1, 2]), np.eye(COMPONENTS)[LABELS]
    image, label, latent = model.inferring.sample_latent(BATCH["image"], LABELS, seed)
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
    image, label, latent = model.generating.sample(20_000, tf.constant([test_seed, 1]))
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
        model.generating.latent_prior().log_prob(z),
        scipy.special.logsumexp(log_joint, axis=1),
        atol=1e-5,
    )
    expected = np.argmax(model(IMAGES)["probabilities"], axis=1)
    np.testing.assert_array_equal(model.cluster(IMAGES, batch_size=3), expected)
