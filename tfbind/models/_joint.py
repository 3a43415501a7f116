"""The two joint distributions of an adversarial mixture, over examples x, kinds y and latents z.

One side infers, q(y, z|x); the other generates, p(y) p(z|y) p(x|y, z). Labels y are float32
`[B, K]`, one-hot or inside the simplex; latents z are float32 `[B, L]`.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfbind import seeds
from tfbind._validation import check_array, check_shape
from tfbind.models._parts import batch_normalizations, run

tfd = tfp.distributions

# The paper does not say what h_y is where the label is known. The softmax of 10 and zeros is as
# close to one-hot as what the class encoder learns to give.
_LABEL_LOGIT = 10.0


class Triple(NamedTuple):
    """An example with its two latent variables, of one of the two joint distributions."""

    image: tf.Tensor  # x, [B, *event_shape]
    label: tf.Tensor  # y, [B, K], one-hot or inside the simplex
    latent: tf.Tensor  # z, [B, L]


@dataclasses.dataclass(frozen=True)
class InferringSide:
    """Infers y, the softmax of a Gaussian h_y, and the Gaussian z of examples.

    Attributes:
        class_encoder: Keras model to 2 K numbers, mean and log-variance of h_y.
        latent_encoder: Keras model to 2 L numbers, those of z.
        num_clusters: K.
        latent_dim: L.
        factorization: "class_first", q(y|x) q(z|x, y); "latent_first", q(z|x) q(y|x, z); or
            "independent", q(y|x) q(z|x).
    """

    class_encoder: keras.Model
    latent_encoder: keras.Model
    num_clusters: int
    latent_dim: int
    factorization: str

    def infer(
        self,
        images: tf.Tensor,
        class_noise: tf.Tensor | None = None,
        noise: tf.Tensor | None = None,
        training: bool | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns h_y `[B, K]` and z `[B, L]`: their means, or samples by Normal(0, 1) noise."""
        if self.factorization == "latent_first":
            latent, shown = self._latent(images, noise, training)
            logits, _ = self._logits([images, latent, *shown], class_noise, training)
        else:
            logits, shown = self._logits(images, class_noise, training)
            seen = [images, logits, *shown] if self.factorization == "class_first" else images
            latent, _ = self._latent(seen, noise, training)
        return logits, latent

    def class_logits(self, images: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Returns the mean of h_y, `[B, K]`; z is inferred only where y depends on it."""
        if self.factorization == "latent_first":
            return self.infer(images, training=training)[0]
        return self._logits(images, None, training)[0]

    def sample(self, images: tf.Tensor, seed: tf.Tensor) -> Triple:
        """Draws y and z of examples, with a stateless seed."""
        class_seed, latent_seed = seeds.split(seed, 2)
        rows = tf.shape(images)[0]
        class_noise = seeds.normal([rows, self.num_clusters], class_seed)
        noise = seeds.normal([rows, self.latent_dim], latent_seed)
        logits, latent = self.infer(images, class_noise, noise)
        return Triple(images, tf.nn.softmax(logits), latent)

    def sample_latent(self, images: tf.Tensor, classes: tf.Tensor, seed: tf.Tensor) -> Triple:
        """Draws z of examples whose class, int `[B]`, is known.

        The class encoder only answers, as in inference, and learns nothing.
        """
        labels = tf.one_hot(classes, self.num_clusters)
        noise = seeds.normal([tf.shape(images)[0], self.latent_dim], seed)
        seen = images
        if self.factorization == "class_first":
            _, shown = self._logits(images, None, training=False)
            seen = [images, _LABEL_LOGIT * labels, *map(tf.stop_gradient, shown)]
        latent, _ = self._latent(seen, noise)
        return Triple(images, labels, latent)

    def _logits(
        self, inputs: Any, noise: tf.Tensor | None, training: bool | None = None
    ) -> tuple[tf.Tensor, list]:
        shape = (2 * self.num_clusters,)
        parameters, shown = outputs_of(
            "class_encoder", self.class_encoder, inputs, shape, training=training
        )
        return _draw(parameters, noise), shown

    def _latent(
        self, inputs: Any, noise: tf.Tensor | None, training: bool | None = None
    ) -> tuple[tf.Tensor, list]:
        shape = (2 * self.latent_dim,)
        parameters, shown = outputs_of(
            "latent_encoder", self.latent_encoder, inputs, shape, training=training
        )
        return _draw(parameters, noise), shown


@dataclasses.dataclass(frozen=True)
class GeneratingSide:
    """Draws y and z of a mixture of K Gaussians of unit variance, and generates examples of them.

    Attributes:
        prior: Keras model from one-hot y to the mean of p(z|y), or those means, `[K, L]`.
        decoder: Keras model from `[y, z]` to an example.
        class_probabilities: float32 `[K]`, p(y).
        latent_dim: L.
        event_shape: The shape of one example.
    """

    prior: keras.Model | np.ndarray
    decoder: keras.Model
    class_probabilities: np.ndarray
    latent_dim: int
    event_shape: tuple

    def prior_mean(self, labels: tf.Tensor) -> tf.Tensor:
        """Returns the means of p(z|y), float32 `[B, L]`, of one-hot labels."""
        if isinstance(self.prior, np.ndarray):
            return labels @ self.prior
        return outputs_of("prior", self.prior, labels, (self.latent_dim,))[0]

    def latent_prior(self) -> tfp.distributions.Distribution:
        """Returns p(z), a TFP mixture."""
        means = self.prior_mean(tf.eye(len(self.class_probabilities)))
        return tfd.MixtureSameFamily(
            tfd.Categorical(probs=self.class_probabilities), tfd.MultivariateNormalDiag(loc=means)
        )

    def decode(self, labels: tf.Tensor, latent: tf.Tensor) -> tf.Tensor:
        """Returns the examples that y and z generate, float32 `[B, *event_shape]`."""
        return outputs_of("decoder", self.decoder, [labels, latent], self.event_shape)[0]

    def sample(self, num_examples: tf.Tensor, seed: tf.Tensor) -> Triple:
        """Draws y, z and, of them, x, with a stateless seed."""
        class_seed, latent_seed = seeds.split(seed, 2)
        below = np.cumsum(self.class_probabilities)[:-1]
        ranks = seeds.uniform([num_examples, 1], class_seed)
        classes = tf.reduce_sum(tf.cast(ranks >= below, tf.int32), axis=-1)
        labels = tf.one_hot(classes, len(self.class_probabilities))
        latent = self.prior_mean(labels)
        latent += seeds.normal([num_examples, self.latent_dim], latent_seed)
        return Triple(self.decode(labels, latent), labels, latent)


def joined(triples: Sequence[Triple]) -> Triple:
    """Returns the triples one after the other."""
    return Triple(*(tf.concat(parts, axis=0) for parts in zip(*triples, strict=True)))


def between(one: Any, other: Any, share: tf.Tensor) -> list[tf.Tensor]:
    """Returns what lies at a `share`, `[B]`, of the way from each tensor to its counterpart."""
    return [
        start + _like(share, start) * (end - start) for start, end in zip(one, other, strict=True)
    ]


def outputs_of(
    name: str, network: keras.Model, inputs: Any, shape: tuple, training: bool | None = None
) -> tuple[tf.Tensor, list]:
    """Runs a network of the user's own.

    Args:
        name: What messages call it.
        network: Keras model.
        inputs: What it takes.
        shape: That of one example of its first output.
        training: Its mode; None for that of the step.

    Returns:
        A pair: its first output, float32 `[B, *shape]`; a list of the others.

    Raises:
        ValueError: If the output has another shape.
    """
    inputs = tf.nest.map_structure(tf.convert_to_tensor, inputs)
    outputs = run(network, inputs, training)
    first, *others = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    check_shape(f"{name}(...)", tuple(first.shape), (None, *shape))
    return tf.cast(first, tf.float32), others


def check_probabilities(weights: Any, num_clusters: int) -> np.ndarray:
    """Returns p(y), float32 `[K]`, of positive weights, equal ones if None; or raises."""
    weights = np.ones(num_clusters) if weights is None else np.asarray(weights, "float64")
    check_shape("class_probabilities", weights.shape, (num_clusters,))
    if not np.isfinite(weights).all() or (weights <= 0).any():
        raise ValueError(
            "`class_probabilities` must be positive numbers. "
            f"Received: class_probabilities={weights.tolist()}."
        )
    return (weights / weights.sum()).astype("float32")


def check_discriminator(discriminator: keras.Model) -> None:
    """Raises if a layer of it normalises by the batch."""
    for layer in batch_normalizations(discriminator):
        raise ValueError(
            "`discriminator` must have no batch normalisation, since its gradient is penalised "
            f"example by example. Received: the layer {layer.name!r}."
        )


def check_prior(prior: Any, num_clusters: int, latent_dim: int) -> keras.Layer | np.ndarray:
    """Returns a network as it is, or means as float32 `[K, L]`; or raises."""
    if isinstance(prior, keras.Layer):
        return prior
    means = check_array("prior", prior, (latent_dim,))
    check_shape("prior", means.shape, (num_clusters, latent_dim))
    return means


def check_classes(labels: Any, num_clusters: int) -> Any:
    """Returns `labels`; raises if their values are known and are not from 0 to K - 1."""
    if tf.is_symbolic_tensor(labels):
        return labels
    labels = np.asarray(labels)
    known = np.issubdtype(labels.dtype, np.integer) and labels.size > 0
    if not known or labels.min() < 0 or labels.max() >= num_clusters:
        raise ValueError(
            f"`labels` must hold integers from 0 to {num_clusters - 1}. "
            f"Received: labels={labels.tolist()}."
        )
    return labels


def _draw(parameters: tf.Tensor, noise: tf.Tensor | None) -> tf.Tensor:
    """Returns the mean, or a sample, of what a network gives: mean and log-variance."""
    mean, log_variance = tf.split(parameters, 2, axis=-1)
    return mean if noise is None else mean + tf.exp(0.5 * log_variance) * noise


def _like(share: tf.Tensor, tensor: tf.Tensor) -> tf.Tensor:
    """Returns `share`, `[B]`, with axes of size 1 for the others of `tensor`, `[B, ...]`."""
    return tf.reshape(share, [-1] + [1] * (tensor.shape.rank - 1))
