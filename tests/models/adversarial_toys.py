"""Small adversarial mixtures, and networks whose numbers can be worked out by hand."""

import keras
import numpy as np
import scipy.special
import tensorflow as tf

from tfbind.models.adversarial_mixture import AdversarialMixture

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
    """Returns the terms of a step, averaged, and the loss of both players together."""
    batch = {"image": IMAGES} if batch is None else batch
    batch = {key: tf.constant(value) for key, value in batch.items()}
    with model._running(training):
        terms = model.loss_terms(batch, model.step_seed(training), training)
    del terms["cluster_usage"]
    terms = {name: float(tf.reduce_mean(term)) for name, term in terms.items()}
    weights = [weight for player in model.players() for weight in player.weights.items()]
    return {**terms, "loss": sum(weight * terms.get(name, 0.0) for name, weight in weights)}


def some_triples(model):
    inferred = model.inferring.sample(tf.constant(IMAGES), tf.constant([3, 4]))
    return inferred, model.generating.sample(8, tf.constant([5, 6]))
