"""A VAE of images of known classes: its densities, what is inferred with them, what is served."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfbind import losses, seeds
from tfbind._validation import check_array, check_choice, check_integer, check_number
from tfbind.distributions import (
    ExactLabels,
    logit_normal,
)
from tfbind.models._base import BaseModel, cluster_information
from tfbind.models._batch import Field, check_values, images_of
from tfbind.models._endpoints import Endpoint, endpoint_maker, image_spec
from tfbind.models._parts import observation_of, run


class ClassVAE(BaseModel):
    """The model p(y) p(z) p(x|y, z), and q(y|x) q(z|x, y) to infer with.

    p(y) is uniform, and so is p(z) on a box. Subclasses set the networks `classifier`, `encoder`
    and `decoder`, and say how they are trained. Labels inside are float32 `[B, k]`, one-hot or in
    the simplex; those that users give are integers.
    """

    learns_from = "label"
    scored_by = ("label",)

    def __init__(
        self,
        event_shape: Sequence[int],
        num_classes: int,
        latent_dim: int,
        *,
        likelihood: str,
        latent_range: Sequence[float],
        seed: int | None,
        **kwargs: Any,
    ) -> None:
        classes = ExactLabels(num_classes)
        latent_dim = check_integer("latent_dim", latent_dim, 1)
        check_choice("likelihood", likelihood, ("bernoulli", "gaussian"))
        latent_range = _check_range(latent_range)
        super().__init__(event_shape, **kwargs)
        self.classes = classes
        self.num_classes = self.classes.num_classes
        self.latent_dim = latent_dim
        self.likelihood = likelihood
        self.latent_range = latent_range
        self.seed = seeds.base_seed(seed)
        self.observation = observation_of(self, likelihood)
        self.value_range = (self.observation.low, self.observation.high)
        self.trackers["accuracy"] = keras.metrics.SparseCategoricalAccuracy(name="accuracy")

    def fields(self, training: bool) -> dict[str, Field]:
        return {**super().fields(training), "label": self._label_field}

    @property
    def _label_field(self) -> Field:
        return Field("label", (), True, 0, self.num_classes - 1)

    def unsupervised_score(self, images: Any, batch_size: int | None = None) -> float:
        """Returns the mutual information of images and classes by q(y|x), nats, log k at most."""
        return cluster_information(self, images, batch_size)

    # Densities.

    @property
    def log_prior(self) -> float:
        """log p(z), the same everywhere in the box, in nats."""
        low, high = self.latent_range
        return -self.latent_dim * np.log(high - low)

    def logits(self, images: tf.Tensor) -> tf.Tensor:
        """Returns the logits of q(y|x), float32 `[B, k]`."""
        return tf.cast(run(self.classifier, images), tf.float32)

    def posterior(self, images: tf.Tensor, labels: tf.Tensor) -> tfp.distributions.Distribution:
        """Returns q(z|x, y), a TFP distribution over the box."""
        parameters = run(self.encoder, [tf.convert_to_tensor(images), labels])
        loc, untransformed = tf.split(tf.cast(parameters, tf.float32), 2, axis=-1)
        return logit_normal(loc, tf.math.softplus(untransformed), *self.latent_range)

    def likelihood_of(self, labels: tf.Tensor, latent: tf.Tensor) -> tfp.distributions.Distribution:
        """Returns p(x|y, z), a TFP distribution over elements `[B, *event_shape]`."""
        return self.observation.distribution(self._decoded(labels, latent))

    def _decoded(self, labels: tf.Tensor, latent: tf.Tensor) -> tf.Tensor:
        return tf.cast(run(self.decoder, [labels, latent]), tf.float32)

    def explain(
        self, images: tf.Tensor, labels: tf.Tensor, noise: tf.Tensor
    ) -> tuple[tfp.distributions.Distribution, tf.Tensor]:
        """Draws z from q(z|x, y) and weighs it.

        Args:
            images: float32 `[B, *event_shape]`.
            labels: float32 `[B, k]`.
            noise: float32 `[B, L]` of Normal(0, 1).

        Returns:
            A pair: p(x|y, z), and log p(x|y, z) + log p(z) - log q(z|x, y), nats `[B]`.
        """
        q = self.posterior(images, labels)
        latent = _transport(q, noise)
        p = self.likelihood_of(labels, latent)
        log_p = losses.sum_over_event(p.log_prob(images)) + self.log_prior
        return p, log_p - q.log_prob(latent)

    def explain_each(self, images: tf.Tensor, labels: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        """Weighs a z for each of n labels of an image.

        Args:
            images: float32 `[B, *event_shape]`.
            labels: float32 `[B, n, k]`.
            noise: float32 `[B * n, L]` of Normal(0, 1).

        Returns:
            log p(x|y, z) + log p(z) - log q(z|x, y), nats `[B, n]`.
        """
        num_labels = labels.shape[1]
        images = tf.repeat(images, num_labels, axis=0)  # [B * n, *event_shape]
        _, ratios = self.explain(images, tf.reshape(labels, [-1, self.num_classes]), noise)
        return tf.reshape(ratios, [-1, num_labels])

    # Inference.

    def call(self, inputs: Any) -> dict[str, tf.Tensor]:
        images = images_of(inputs, self.event_shape)
        logits = self.logits(images)
        labels = tf.one_hot(tf.argmax(logits, axis=-1), self.num_classes)
        latent = _transport(self.posterior(images, labels), 0.0)
        return {
            "probabilities": tf.nn.softmax(logits),
            "latent": latent,
            "reconstruction": self.observation.mean(self._decoded(labels, latent)),
        }

    def scores(self, batch: Mapping, outputs: Mapping) -> dict[str, Any]:
        return {"accuracy": (batch["label"], outputs["probabilities"])}

    def encode(self, images: Any, labels: Any, noise: Any = None) -> tf.Tensor:
        """Returns z of q(z|x, y), float32 `[B, L]`.

        Args:
            images: float32 `[B, *event_shape]`.
            labels: int `[B]`.
            noise: float32 `[B, L]`, Normal(0, 1) for a sample; None or zeros for the median.
        """
        q = self.posterior(images_of(images, self.event_shape), self._one_hot(labels))
        return _transport(q, 0.0 if noise is None else noise)

    def decode(self, labels: Any, latent: Any) -> tf.Tensor:
        """Returns the mean of p(x|y, z), `[B, *event_shape]`; int labels `[B]`, z `[B, L]`."""
        decoded = self._decoded(self._one_hot(labels), self._check_latent(latent))
        return self.observation.mean(decoded)

    def prior_sample(self, num_examples: tf.Tensor | int, seed: tf.Tensor) -> tf.Tensor:
        """Draws z of p(z), float32 `[num_examples, L]`, inside the box, by a stateless seed."""
        return seeds.uniform([num_examples, self.latent_dim], seed, *self.latent_range)

    def sample(self, labels: Any, seed: int | None = None) -> tf.Tensor:
        """Draws images of the given classes from the model.

        Args:
            labels: int `[n]`.
            seed: Integer, or None to draw one.

        Returns:
            float32 `[n, *event_shape]`.
        """
        labels = self._one_hot(labels)
        latent_seed, image_seed = seeds.split(seeds.fold(seeds.base_seed(seed)), 2)
        latent = self.prior_sample(tf.shape(labels)[0], latent_seed)
        return self._imagine(self.likelihood_of(labels, latent), image_seed)

    def _imagine(self, p: tfp.distributions.Distribution, seed: tf.Tensor) -> tf.Tensor:
        """Draws from p(x|y, z), with the gradient of its mean if Bernoulli."""
        mean = p.mean()
        if self.likelihood == "gaussian":
            return mean + p.stddev() * seeds.normal(tf.shape(mean), seed)
        images = tf.cast(seeds.uniform(tf.shape(mean), seed) < mean, tf.float32)
        return mean + tf.stop_gradient(images - mean)

    def log_prob(
        self, images: Any, labels: Any = None, num_samples: int = 100, seed: int = 0
    ) -> tf.Tensor:
        """Estimates log p(x), or log p(x, y) given labels, by importance sampling.

        The sum over classes is exact; the draws are from q(z|x, y). A lower bound on average,
        and tight in the limit of many samples.

        Args:
            images: float32 `[B, *event_shape]`.
            labels: int `[B]`, or None.
            num_samples: Integer >= 1.
            seed: Integer seed of the draws.

        Returns:
            float32 `[B]`, nats.
        """
        images = check_array("images", images, self.event_shape, *self.value_range)
        num_samples = check_integer("num_samples", num_samples, 1)
        labels = labels if labels is None else check_values(labels, self._label_field)
        log_joint = self._log_joint(images, num_samples, seed)
        if labels is None:
            return tf.reduce_logsumexp(log_joint, axis=-1)
        return tf.gather(log_joint, labels, batch_dims=1)

    def _log_joint(self, images: np.ndarray, num_samples: int, seed: int) -> tf.Tensor:
        """Returns an estimate of log p(x, y) of each class y, nats `[B, k]`."""
        every = self.classes.every(len(images))
        shape = [len(images) * self.num_classes, self.latent_dim]

        @tf.function  # a loop of steps too small to be run one by one
        def ratios() -> tf.Tensor:
            return tf.map_fn(
                lambda i: self.explain_each(
                    images, every, seeds.normal(shape, seeds.fold(seed, i))
                ),
                tf.range(num_samples),
                fn_output_signature=tf.float32,
            )

        log_mean = tf.reduce_logsumexp(ratios(), axis=0) - np.log(num_samples)
        return log_mean + self.classes.log_prior

    def _one_hot(self, labels: Any) -> tf.Tensor:
        """Returns int labels `[B]` as float32 `[B, k]`; raises if values are known and wrong."""
        return tf.one_hot(check_values(labels, self._label_field), self.num_classes)

    def _check_latent(self, latent: Any) -> tf.Tensor:
        """Returns `latent` as a tensor; raises if its values are known and outside the box."""
        low, high = np.asarray(self.latent_range, "float32")  # as the flow has them
        latent = tf.convert_to_tensor(latent, tf.float32)
        check_values(latent, Field("latent", (self.latent_dim,), False, low, high))
        return latent

    # Endpoints, saving.

    def serving_endpoints(self) -> dict[str, Endpoint]:
        image = image_spec(self.event_shape)
        label = tf.TensorSpec([None], tf.int32, name="label")
        latent, noise = (
            tf.TensorSpec([None, self.latent_dim], tf.float32, name=name)
            for name in ("latent", "noise")
        )
        ranges = {
            "image": self.value_range,
            "label": (0, self.num_classes - 1),
            "latent": self.latent_range,
            "noise": (None, None),
        }
        texts = {
            "probabilities": "q(y|x), in [0, 1], sums to 1",
            "latent": "z, inside the box",
            "reconstruction": "mean of every element, in the range of the input",
        }
        endpoint = endpoint_maker(texts, ranges)
        return {
            "serving_default": endpoint(self.call, (image,), tuple(texts)),
            "classify": endpoint(self._serve_classify, (image,), ("probabilities",)),
            "encode": endpoint(self._serve_encode, (image, label, noise), ("latent",)),
            "decode": endpoint(self._serve_decode, (label, latent), ("reconstruction",)),
        }

    def _serve_classify(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": tf.nn.softmax(self.logits(image))}

    def _serve_encode(
        self, image: tf.Tensor, label: tf.Tensor, noise: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        return {"latent": self.encode(image, label, noise)}

    def _serve_decode(self, label: tf.Tensor, latent: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"reconstruction": self.decode(label, latent)}

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "latent_dim": self.latent_dim,
            "likelihood": self.likelihood,
            "latent_range": self.latent_range,
            "seed": self.seed,
        }


def _check_range(latent_range: Any) -> tuple[float, float]:
    if not isinstance(latent_range, (tuple, list)) or len(latent_range) != 2:
        raise ValueError(
            "`latent_range` must be a pair of numbers, (low, high). "
            f"Received: latent_range={latent_range!r}."
        )
    low = check_number("latent_range[0]", latent_range[0], -np.inf)
    return low, check_number("latent_range[1]", latent_range[1], low, open_low=True)


def _transport(q: tfp.distributions.Distribution, noise: Any) -> tf.Tensor:
    """Returns z of q, a `logit_normal`, that Normal(0, 1) `noise` leads to."""
    normal = q.distribution.distribution
    return q.bijector.forward(normal.loc + normal.scale * noise)
