"""Observation models: how a decoder's parameters explain an element of the data."""

import keras
import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions

# Evidence below this is raised to it: the paper's E-step divides 0 by 0 where every cluster rules
# a pixel out. Small enough that the result is the paper's wherever that is finite.
EVIDENCE_FLOOR = 1e-30

# The paper's own clip inside the reported log-likelihood.
LOG_CLIP = 1e-6


class BernoulliObservation:
    """Binary data, or grey values in [0, 1]; the decoder gives logits."""

    low, high = 0.0, 1.0

    def distribution(self, parameters: tf.Tensor) -> tfp.distributions.Distribution:
        """Returns the distribution of every element given the decoder's output."""
        return tfd.Bernoulli(logits=parameters, dtype=parameters.dtype)

    def mean(self, parameters: tf.Tensor) -> tf.Tensor:
        """Returns Y in [0, 1]."""
        return tf.sigmoid(parameters)

    def evidence(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """Returns x * y + (1 - x) * (1 - y), the E-step's term of the paper, `[B, K, P]`.

        Args:
            x: float32 `[B, 1, P, C]`, the pixels.
            y: float32 `[B, K, P, C]`, each group's prediction of them.
        """
        per_channel = x * y + (1.0 - x) * (1.0 - y)
        return tf.maximum(tf.reduce_prod(per_channel, axis=-1), EVIDENCE_FLOOR)

    def log_likelihood(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """Returns x * log(y) + (1 - x) * log(1 - y) with the paper's clip, in nats."""
        y = tf.clip_by_value(y, LOG_CLIP, 1.0 - LOG_CLIP)
        return x * tf.math.log(y) + (1.0 - x) * tf.math.log1p(-y)


class GaussianObservation:
    """Real-valued data; the decoder gives means, and `scale` is one learned standard deviation.

    Args:
        untransformed_scale: scalar variable; the scale is its softplus.
    """

    low, high = None, None

    def __init__(self, untransformed_scale: keras.Variable) -> None:
        self.untransformed_scale = untransformed_scale

    def distribution(self, parameters: tf.Tensor) -> tfp.distributions.Distribution:
        """Returns the distribution of every element given the decoder's output."""
        scale = tf.math.softplus(tf.convert_to_tensor(self.untransformed_scale))
        return tfd.Normal(parameters, scale)

    def mean(self, parameters: tf.Tensor) -> tf.Tensor:
        """Returns the decoder's output itself."""
        return parameters

    def evidence(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """Returns Normal(x; y, scale) relative to the best group's, in [0, 1], `[B, K, P]`.

        Args:
            x: float32 `[B, 1, P, C]`, the pixels.
            y: float32 `[B, K, P, C]`, each group's prediction of them.
        """
        log_p = tf.reduce_sum(self.distribution(y).log_prob(x), axis=-1)
        relative = tf.exp(log_p - tf.reduce_max(log_p, axis=1, keepdims=True))
        return tf.maximum(relative, EVIDENCE_FLOOR)

    def log_likelihood(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """Returns log Normal(x; y, scale), in nats."""
        return self.distribution(y).log_prob(x)
