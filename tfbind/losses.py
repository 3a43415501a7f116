"""Loss maths as pure functions."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfbind import _replicas, seeds

__all__ = [
    "adversarial_loss",
    "batch_mean",
    "denoising_costs",
    "divergence",
    "dot_product_cost",
    "gradient_norms",
    "negative_log_likelihood",
    "negative_mutual_information",
    "sum_over_event",
    "virtual_adversarial_noise",
]

_LEAST_PROBABILITY = 1e-16  # inside logarithms; the authors' of Kingdra
_LEAST_SLOPE = 1e-30  # that a gradient is divided by
_PROBE = 3.0  # times the worst noise, from where it is looked for; 5 for 1.6 did well on MNIST
_LEAST_SQUARE = 1e-12  # under the root of a norm, which else has no slope at zero


def negative_log_likelihood(
    distribution: tfp.distributions.Distribution, x: tf.Tensor
) -> tf.Tensor:
    """Sums -log p(x) over everything but the batch axis.

    Args:
        distribution: A TFP distribution whose batch shape is the shape of `x`.
        x: float32 `[B, ...]`.

    Returns:
        float32 `[B]`, in nats.

    Example:

    >>> import tensorflow_probability as tfp
    >>> fair = tfp.distributions.Bernoulli(logits=tf.zeros([2, 3]))
    >>> nats = tfbind.losses.negative_log_likelihood(fair, tf.ones([2, 3]))
    >>> float(nats[0])
    2.0794...
    """
    return -sum_over_event(distribution.log_prob(x))


def sum_over_event(x: tf.Tensor) -> tf.Tensor:
    """Sums over everything but the batch axis.

    Args:
        x: `[B, ...]`.

    Returns:
        `[B]`.

    Example:

    >>> tfbind.losses.sum_over_event(tf.ones([2, 3, 4])).numpy().tolist()
    [12.0, 12.0]
    """
    return tf.reduce_sum(x, axis=list(range(1, x.shape.rank)))


def batch_mean(losses: tf.Tensor, sample_weight: tf.Tensor | None = None) -> tf.Tensor:
    """Averages losses over the batch: the sum, weighted if asked, over the number of examples.

    Args:
        losses: float `[B]`.
        sample_weight: `[B]`, or None.

    Returns:
        A scalar of the type of `losses`.

    Example:

    >>> float(tfbind.losses.batch_mean(tf.constant([1.0, 3.0]), [1.0, 0.0]))
    0.5
    """
    if sample_weight is not None:
        losses = losses * tf.cast(sample_weight, losses.dtype)
    return tf.reduce_mean(losses)


def adversarial_loss(inferred: tf.Tensor, generated: tf.Tensor) -> tf.Tensor:
    """Loss of who takes the logits of a discriminator for those of inferred and generated triples.

    The discriminator's loss is that of the two as they are; the other side's that of the two
    swapped, which is the non-saturating form.

    Args:
        inferred: float `[B]`, logits of triples that should have high ones.
        generated: float `[B]`, of those that should have low ones.

    Returns:
        A float scalar, >= 0, in nats: log 4 where all logits are 0.

    Example:

    >>> float(tfbind.losses.adversarial_loss(tf.zeros(3), tf.zeros(3)))
    1.38629...

    References:
        Jesson et al. Adversarially Learned Mixture Model. 2018. https://arxiv.org/abs/1807.05344,
        Algorithm 1.
    """
    found = tf.reduce_mean(tf.math.softplus(-inferred))
    return found + tf.reduce_mean(tf.math.softplus(generated))


def denoising_costs(
    reconstructions: Sequence[tf.Tensor | None],
    clean: Any,
    weights: Sequence[float],
    *,
    renormalize: bool = True,
    epsilon: float = 1e-10,
) -> dict[int, tf.Tensor]:
    """Weighs what each layer of a ladder's decoder leaves of the noise.

    Args:
        reconstructions: What `layers.Ladder.decode` gives, of the noisy path.
        clean: What `layers.Ladder.encode` gives, the `Encoding` of the clean path.
        weights: Floats, one a layer, the input's first; layers of weight 0 have no cost.
        renormalize: Whether reconstructions are first standardised by the mean and variance of
            the clean path's layer. The input, and a top without normalisation, have none.
        epsilon: Float, added to these variances.

    Returns:
        A dict of layer to float32 `[B]`, with members `[M, B]`: the weight times the mean over
        the layer's units of (reconstruction - clean) ** 2.

    Example:

    >>> ladder = tfbind.layers.Ladder((4, 8, 3), noise=0.3)
    >>> ladder.build()
    >>> clean = ladder.encode(tf.eye(4))
    >>> restored = ladder.decode(ladder.encode(tf.eye(4), tfbind.seeds.fold(0)))
    >>> costs = tfbind.losses.denoising_costs(restored, clean, (1000.0, 0.0, 0.1))
    >>> {layer: cost.shape for layer, cost in costs.items()}
    {0: TensorShape([4]), 2: TensorShape([4])}

    References:
        Rasmus, Valpola, Honkala, Berglund, Raiko. Semi-Supervised Learning with Ladder Networks.
        NeurIPS, 2015. https://arxiv.org/abs/1507.02672, Algorithm 1.
    """
    costs = {}
    for layer, weight in enumerate(weights):
        if weight:
            z, mean, variance = reconstructions[layer], clean.means[layer], clean.variances[layer]
            if renormalize and mean is not None:
                z = (z - mean) / tf.sqrt(variance + epsilon)
            costs[layer] = weight * tf.reduce_mean(tf.square(z - clean.laterals[layer]), axis=-1)
    return costs


def negative_mutual_information(
    probabilities: tf.Tensor, marginal_weight: float = 1.0
) -> tf.Tensor:
    """Minus the information that examples give about their clusters, over a batch as a whole.

    The mean entropy of p(y|x) minus the entropy of the batch's mean p(y): small where every
    example is sure of its cluster and all clusters are used alike.

    Args:
        probabilities: float32 `[..., B, C]`, p(y|x) of every example, sums to 1.
        marginal_weight: Float mu, the weight of the entropy of p(y).

    Returns:
        float32 `[...]`, in nats, >= -mu * log(C).

    Example:

    >>> float(tfbind.losses.negative_mutual_information(tf.eye(4)))
    -1.38629...

    References:
        Krause, Perona, Gomes. Discriminative Clustering by Regularized Information Maximization.
        NeurIPS, 2010.
        Hu, Miyato, Tokui, Matsumoto, Sugiyama. Learning Discrete Representations via Information
        Maximizing Self-Augmented Training. ICML, 2017. https://arxiv.org/abs/1702.08720, whose mu
        is 4.
    """
    conditional = tf.reduce_mean(_entropy(probabilities), axis=-1)
    return conditional - marginal_weight * _entropy(_replicas.mean(probabilities, axis=-2))


def _entropy(p):
    return -tf.reduce_sum(p * tf.math.log(tf.maximum(p, _LEAST_PROBABILITY)), axis=-1)


def dot_product_cost(probabilities: tf.Tensor) -> tf.Tensor:
    """Returns how far the examples of a batch are from clusters of their own.

    The mean square of P P^T - I, the rows of P being the probabilities of each example at length
    1: small where any two examples are in different clusters, as most of a batch are if there are
    many clusters used alike.

    Args:
        probabilities: float32 `[..., B, C]`, p(y|x) of every example, sums to 1.

    Returns:
        float32 `[...]`, in [0, 1].

    Example:

    >>> float(tfbind.losses.dot_product_cost(tf.eye(4)))
    0.0

    References:
        Gupta, Ramjee, Kwatra, Sivathanu. Unsupervised Clustering using Pseudo-semi-supervised
        Learning. ICLR, 2020, as in the authors' code.
    """
    rows = tf.math.l2_normalize(probabilities, axis=-1)
    everyone = _replicas.gathered(rows, axis=-2)  # of all replicas, [..., R * B, C]
    products = tf.matmul(rows, everyone, transpose_b=True)
    own = _replicas.rows_before(rows, axis=-2) + tf.range(tf.shape(rows)[-2])
    wanted = tf.one_hot(own, tf.shape(everyone)[-2])
    return tf.reduce_mean(tf.square(products - wanted), axis=(-2, -1))


def divergence(target: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Returns how far the classes of one path are from those of another, KL(target || other).

    The target has no gradient: only the other path is drawn to it.

    Args:
        target: float32 `[..., C]`, logits.
        logits: float32 `[..., C]`, the other path's.

    Returns:
        float32 `[...]`, in nats, >= 0.

    Example:

    >>> float(tfbind.losses.divergence(tf.constant([100.0, 0.0]), tf.zeros(2)))
    0.69314...
    """
    log_p = tf.stop_gradient(tf.nn.log_softmax(target))
    return tf.reduce_sum(tf.exp(log_p) * (log_p - tf.nn.log_softmax(logits)), axis=-1)


def virtual_adversarial_noise(
    logits_of: Callable,
    inputs: tf.Tensor,
    target: tf.Tensor,
    seed: tf.Tensor,
    radius: float = 1.6,
) -> tf.Tensor:
    """Finds the small noise that changes what a classifier makes of each example most.

    It takes one step of the power iteration: from a random direction to the steepest one there.

    Args:
        logits_of: Function of inputs, float32 `[..., D]`, to logits, float32 `[..., C]`.
        inputs: float32 `[..., D]`.
        target: float32 `[..., C]`, the logits of the inputs.
        seed: Stateless int32 `[2]` seed of the first direction.
        radius: Float > 0, the norm of the noise.

    Returns:
        float32, the shape of `inputs`, without gradient: zero where the classes do not depend on
        the input.

    Example:

    >>> inputs, kernel = tf.zeros((1, 2)), tf.constant([[1.0, 0.0], [0.0, 0.0]])
    >>> seed = tfbind.seeds.fold(0)
    >>> noise = tfbind.losses.virtual_adversarial_noise(
    ...     lambda x: x @ kernel, inputs, inputs @ kernel, seed, radius=2.0
    ... )
    >>> np.abs(noise).round(3).tolist()
    [[2.0, 0.0]]

    References:
        Miyato, Maeda, Koyama, Ishii. Virtual Adversarial Training. 2018.
        https://arxiv.org/abs/1704.03976, Algorithm 1.
    """
    direction = tf.math.l2_normalize(seeds.normal(tf.shape(inputs), seed), axis=-1)
    direction *= _PROBE * radius
    with tf.GradientTape() as tape:
        tape.watch(direction)
        divergences = divergence(target, logits_of(inputs + direction))
    slopes = tape.gradient(divergences, direction)
    # First of a size that its square can have: at the start classes hardly depend on the input
    largest = tf.reduce_max(tf.abs(slopes), axis=-1, keepdims=True)
    slopes = tf.math.l2_normalize(slopes / tf.maximum(largest, _LEAST_SLOPE), axis=-1)
    return tf.stop_gradient(radius * slopes)


def gradient_norms(function: Callable, points: Sequence[tf.Tensor]) -> tf.Tensor:
    """Returns how steep a function of several tensors is at each example.

    A penalty on what differs from 1 keeps the discriminator of a game from growing steep.

    Args:
        function: Takes the list `points` and returns a float `[B]`, each example by itself.
        points: List of float32 tensors `[B, ...]`.

    Returns:
        float32 `[B]`, the norm of the gradient with respect to all of `points` together.

    Example:

    >>> points = [tf.zeros([2, 3]), tf.zeros([2, 1])]
    >>> norms = tfbind.losses.gradient_norms(lambda points: 4.0 * points[1][:, 0], points)
    >>> np.round(norms, 3).tolist()
    [4.0, 4.0]
    """
    with tf.GradientTape() as tape:
        tape.watch(points)
        values = function(points)
    slopes = tape.gradient(values, points, unconnected_gradients="zero")
    squares = tf.add_n([sum_over_event(tf.square(slope)) for slope in slopes])
    return tf.sqrt(squares + _LEAST_SQUARE)
