"""Labels y of k classes by a classifier's q(y|x): one of the classes, or a mixture of them.

Both kinds answer the same questions, so that a bound is written down once: what an average over
q(y|x) is taken over, how dense a label is, and what label stands for a class.
"""

import math
from typing import NamedTuple

import tensorflow as tf

from tfbind._validation import check_integer, check_number
from tfbind.distributions.relaxed_one_hot import (
    gumbel,
    relaxed_one_hot_log_prob,
    relaxed_one_hot_log_sample,
)

# The paper's "close corner": a one-hot label has no density under the relaxation, this has.
_CORNER = 0.95


class Candidates(NamedTuple):
    """The n labels of each example that an average over q(y|x) is taken over.

    Attributes:
        labels: float32 `[B, n, k]`.
        weights: float32 `[B, n]`, sum to 1.
        log_prob: float32 `[B, n]`, log q(y|x) of each, nats.
    """

    labels: tf.Tensor
    weights: tf.Tensor
    log_prob: tf.Tensor


class ExactLabels:
    """One-hot labels: an average over them is a sum over all classes, without noise.

    Args:
        num_classes: Integer k >= 2.

    Raises:
        ValueError: If there are fewer.

    Example:

    >>> labels = tfbind.distributions.ExactLabels(2)
    >>> found = labels.candidates(tf.zeros([5, 2]), tfbind.seeds.fold(0))
    >>> found.labels.shape, found.weights[0].numpy().tolist()
    (TensorShape([5, 2, 2]), [0.5, 0.5])
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes = check_integer("num_classes", num_classes, 2)

    @property
    def log_prior(self) -> float:
        """log p(y), the same for all classes, in nats."""
        return -math.log(self.num_classes)

    def every(self, num_examples: tf.Tensor | int) -> tf.Tensor:
        """Returns all labels for each of `num_examples`, float32 `[B, k, k]`."""
        return tf.tile(tf.eye(self.num_classes)[None], [num_examples, 1, 1])

    def candidates(self, logits: tf.Tensor, seed: tf.Tensor) -> Candidates:
        """Returns all classes, each with its probability; the seed is of no use.

        Args:
            logits: float32 `[B, k]`, of q(y|x).
            seed: Stateless int32 `[2]` seed.
        """
        log_q = tf.nn.log_softmax(logits)
        return Candidates(self.every(tf.shape(logits)[0]), tf.exp(log_q), log_q)

    def log_prob(self, logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Returns log q(y|x), nats `[B]`, of float32 labels `[B, k]` by float32 logits `[B, k]`."""
        return tf.reduce_sum(labels * tf.nn.log_softmax(logits), axis=-1)

    def corner(self, one_hot: tf.Tensor) -> tf.Tensor:
        """Returns the label of a class given as float32 one-hot `[B, k]`: that itself."""
        return one_hot


class RelaxedLabels:
    """Labels inside the simplex, of the concrete distribution: one draw stands for the average.

    Args:
        num_classes: Integer k >= 2.
        temperature: Float > 0; low ones draw labels close to one-hot.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> labels = tfbind.distributions.RelaxedLabels(2, temperature=1.0)
    >>> labels.candidates(tf.zeros([5, 2]), tfbind.seeds.fold(0)).labels.shape
    TensorShape([5, 1, 2])
    >>> round(float(labels.corner(tf.eye(2))[0, 0]), 2)
    0.95
    """

    def __init__(self, num_classes: int, temperature: float) -> None:
        self.num_classes = check_integer("num_classes", num_classes, 2)
        self.temperature = check_number("temperature", temperature, 0, open_low=True)

    @property
    def log_prior(self) -> float:
        """log p(y), in nats: uniform on the simplex, log((k - 1)!)."""
        return math.lgamma(self.num_classes)

    def candidates(self, logits: tf.Tensor, seed: tf.Tensor) -> Candidates:
        """Draws one label for each example, with a gradient in the logits.

        Args:
            logits: float32 `[B, k]`, of q(y|x).
            seed: Stateless int32 `[2]` seed.
        """
        noise = gumbel(tf.shape(logits), seed)
        log_y = relaxed_one_hot_log_sample(logits, self.temperature, noise)
        log_q = relaxed_one_hot_log_prob(logits, self.temperature, log_y)
        return Candidates(tf.exp(log_y)[:, None], tf.ones_like(log_q)[:, None], log_q[:, None])

    def log_prob(self, logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Returns log q(y|x), nats `[B]`, of float32 labels `[B, k]` by float32 logits `[B, k]`.

        Nothing in a label may be 0.
        """
        return relaxed_one_hot_log_prob(logits, self.temperature, tf.math.log(labels))

    def corner(self, one_hot: tf.Tensor) -> tf.Tensor:
        """Returns the label of a class given as float32 one-hot `[B, k]`: the paper's close corner.

        Its class has a share of 0.95, and the others share the rest alike.
        """
        return _CORNER * one_hot + (1.0 - _CORNER) * (1.0 - one_hot) / (self.num_classes - 1)
