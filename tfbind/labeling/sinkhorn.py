"""Labels of which every cluster gets its share: optimal transport by Sinkhorn's iterations."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfbind import _replicas
from tfbind._validation import check_integer, check_number, check_shape

_CHUNK = 2**20  # numbers that are worked on at a time, so that no second [N, K] is made
_BATCH_ITERATIONS = 20  # the shares of a batch vary more than these leave
_WARN_ABOVE = 0.05  # of `cluster_error`, which says what share is off, twice
_TINY = 1e-30  # of a share: who has none yet comes nearer step by step, and stays finite
_LEAST_SHARE = 0.2  # of an equal one, that every cluster keeps while shares are learned
_SUM_ERROR = 1e-4  # of a marginal, that float32 shares and rounded fractions are forgiven


class Assignment(NamedTuple):
    """What `balanced_labels` finds.

    Attributes:
        labels: int32 `[N]`, the most probable cluster of each example in the plan; the clusters
            have about their shares of them, the nearer the surer the plan is.
        log_scales: float32 `[K]`, u, such that the plan gives example n to cluster k with
            probability softmax_k(strength * logits[n, k] + u[k]).
        cluster_error: float32 scalar, how far the shares of the clusters in the plan are from the
            marginal, the sum of absolute differences.
        example_error: float32 scalar, how far the probabilities of an example are from adding up
            to 1, the mean over examples.
        num_iterations: int32 scalar.
    """

    labels: tf.Tensor
    log_scales: tf.Tensor
    cluster_error: tf.Tensor
    example_error: tf.Tensor
    num_iterations: tf.Tensor


def balanced_labels(
    logits: Any,
    strength: float = 25.0,
    marginal: Sequence[float] | None = None,
    *,
    tolerance: float = 1e-3,
    max_iterations: int = 1000,
    chunk_size: int | None = None,
) -> Assignment:
    """Gives each example a cluster that it fits, such that each cluster gets about its share.

    Of all plans Q of which every example has 1 / N and every cluster its share, the one that is
    found has the least -sum Q log p - H(Q) / strength. The iterations run in the log domain, in
    float32, over chunks of rows; beside the logits they need memory for K numbers and one chunk.
    Every example then gets its most probable cluster in the plan, which has the shares exactly. Of
    logits that say little, and unequal shares, that is the largest cluster for all.

    Args:
        logits: float32 `[N, K]`, of p(cluster | example), up to a constant an example.
        strength: Float lambda > 0: the larger, the nearer to the plan that fits best, and the more
            iterations.
        marginal: K positive numbers that sum to 1, the share of each cluster; None for equal ones.
        tolerance: Float > 0, the errors at which the iterations stop.
        max_iterations: Integer >= 1, after which they stop at any rate. Look at the errors.
        chunk_size: Integer >= 1, rows worked on at a time; None for about a million numbers.

    Returns:
        An `Assignment`.

    Raises:
        ValueError: If an argument is out of its range, there are fewer examples than clusters, or
            the logits are not finite.

    Example:

    >>> logits = np.log([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
    >>> tfbind.labeling.balanced_labels(logits).labels.numpy().tolist()
    [0, 0, 1, 1]

    References:
        Cuturi. Sinkhorn Distances. NeurIPS, 2013. https://arxiv.org/abs/1306.0895.
        Asano, Rupprecht, Vedaldi. Self-Labelling via Simultaneous Clustering and Representation
        Learning. ICLR, 2020. https://arxiv.org/abs/1911.05371, section 3.1. Theirs runs in
        float64, outside the log domain, and without a cap.
    """
    strength = check_number("strength", strength, 0, open_low=True)
    tolerance = check_number("tolerance", tolerance, 0, open_low=True)
    max_iterations = check_integer("max_iterations", max_iterations, 1)
    if chunk_size is not None:
        check_integer("chunk_size", chunk_size, 1)
    logits = tf.cast(logits, tf.float32)
    check_shape("logits", tuple(logits.shape), (None, None))
    check_enough_rows("logits", *logits.shape)
    shares = tf.constant(check_marginal(marginal, logits.shape[1]), tf.float32)
    found = _compiled(
        logits,
        shares,
        tf.constant(strength),
        tolerance=tf.constant(tolerance),
        max_iterations=tf.constant(max_iterations),
        chunk_size=chunk_size,
    )
    if not np.isfinite(found.cluster_error + found.example_error):
        raise ValueError("`logits` must be finite. Received: NaN or infinity among their values.")
    return found


def solve(
    logits: tf.Tensor,
    shares: tf.Tensor,
    strength: float,
    *,
    tolerance: float = 1e-3,
    max_iterations: int = 1000,
    chunk_size: int | None = None,
) -> Assignment:
    """As `balanced_labels`, of checked tensors: no more than TensorFlow, which XLA compiles.

    Args:
        logits: float32 `[N, K]`, N known.
        shares: float32 `[K]`.
        strength: Float.
        tolerance: Float.
        max_iterations: Integer.
        chunk_size: Integer or None.

    Returns:
        An `Assignment`, whose errors are not finite if the logits are not.
    """
    log_shares = tf.math.log(shares)

    def going(step, u, next_u, cluster_error, example_error):
        error = tf.maximum(cluster_error, example_error)
        return (step == 0) | ((step < max_iterations) & (error > tolerance))

    def iterate(step, u, next_u, cluster_error, example_error):
        found, example_error = _shares(logits, strength, next_u, chunk_size)
        error = tf.reduce_sum(tf.abs(tf.exp(found) - shares))
        return step + 1, next_u, next_u + log_shares - found, error, example_error

    start = (tf.constant(0), *[tf.zeros_like(shares)] * 2, *[tf.constant(np.inf, tf.float32)] * 2)
    steps, u, _, cluster_error, example_error = tf.while_loop(going, iterate, start)
    scores = strength * (logits - _highest(logits)) + u
    labels = tf.argmax(scores, axis=-1, output_type=tf.int32)
    return Assignment(labels, u, cluster_error, example_error, steps)


def check_solved(found: Mapping[str, tf.Tensor]) -> Mapping[str, tf.Tensor]:
    """Returns solved labels and what goes with them; raises unless their losses are numbers."""
    if not np.isfinite(found["head_losses"]).all():
        raise ValueError(
            "`images` must have finite features where labels are solved. Received: NaN or "
            "infinity; the training diverged, start again with a smaller learning rate."
        )
    return found


def warn_of_error(cluster_error: float, strength: float) -> None:
    """Warns if the clusters of a plan do not have their shares."""
    if cluster_error > _WARN_ABOVE:
        warnings.warn(
            f"The shares of the clusters are {cluster_error:.3f} away from `marginal` after all "
            "iterations: the classifier is surer than they allow. Choose a smaller `strength` than "
            f"{strength:g}, or other shares.",
            stacklevel=4,
        )


def solve_batch(logits: tf.Tensor, shares: tf.Tensor, strength: float) -> tf.Tensor:
    """Returns labels of a batch, int32 `[B, H]`, as `solve` finds them of a whole set.

    The batch is that of all replicas, of which each gets the labels of its own part.

    Args:
        logits: float32 `[B, H, K]`, of H heads.
        shares: float32 `[H, K]`.
        strength: Float.
    """
    scores = strength * tf.nn.log_softmax(_replicas.gathered(logits))
    u = tf.zeros_like(shares)
    for _ in range(_BATCH_ITERATIONS):
        found = tf.reduce_mean(tf.nn.softmax(scores + u), axis=0)  # [H, K]
        u += tf.math.log(shares) - tf.math.log(tf.maximum(found, _TINY))
    return _replicas.own(tf.argmax(scores + u, axis=-1, output_type=tf.int32))


_compiled = tf.function(solve, jit_compile=True, autograph=False)


def free_shares(
    logits: tf.Tensor, strength: float, *, least: float = 0.0, chunk_size: int | None = None
) -> tf.Tensor:
    """Returns the shares of the clusters in the plan where nothing is asked of them, `[K]`.

    Args:
        logits: float32 `[N, K]`, N known.
        strength: Float.
        least: Float in [0, 1], of an equal share, that each cluster keeps, about.
        chunk_size: Integer or None.
    """
    num_clusters = logits.shape[1]
    free = tf.exp(_shares(logits, strength, tf.zeros(num_clusters), chunk_size)[0])
    free = tf.maximum(free, least / num_clusters)
    return free / tf.reduce_sum(free)


def wanted_shares(
    marginal: Sequence[float] | str | None, logits: tf.Tensor, strength: float
) -> tf.Tensor:
    """Returns the shares that `SelfLabeling` goes to, `[K]`; "learned" are those of the plan."""
    if isinstance(marginal, str):
        return free_shares(logits, strength, least=_LEAST_SHARE)
    return tf.constant(check_marginal(marginal, logits.shape[1]), tf.float32)


def share_counts(marginal: Sequence[float] | None, num_clusters: int, num_rows: int) -> np.ndarray:
    """Returns how many of the examples each cluster gets, int64 `[K]`, which sum to N."""
    ends = np.cumsum(check_marginal(marginal, num_clusters)) * num_rows
    return np.diff(np.rint(ends).astype(int), prepend=0)


def check_marginal(marginal: Sequence[float] | str | None, num_clusters: int) -> np.ndarray:
    """Returns float64 `[K]`, equal shares for None; raises unless K positive numbers sum to 1."""
    if marginal is None:
        return np.full(num_clusters, 1.0 / num_clusters)
    shares = np.asarray(() if isinstance(marginal, str) else marginal, "float64")
    fits = shares.shape == (num_clusters,) and bool((shares > 0).all())
    if not fits or abs(shares.sum() - 1.0) > _SUM_ERROR:
        raise ValueError(
            f"`marginal` must hold {num_clusters} positive numbers that sum to 1, one a cluster. "
            f"Received: marginal={marginal!r}."
        )
    return shares / shares.sum()


def check_enough_rows(name: str, num_rows: int, num_clusters: int) -> None:
    """Raises if there are fewer examples than clusters."""
    if num_rows < num_clusters:
        raise ValueError(
            f"`{name}` must hold at least one example a cluster. Received: {num_rows} for "
            f"{num_clusters} clusters; ask for fewer clusters."
        )


def _shares(logits, strength, u, chunk_size):
    """Returns the log of the clusters' shares `[K]` in the plan of `u`, and the examples' error."""
    num_rows, num_clusters = logits.shape
    chunk = min(chunk_size or max(1, _CHUNK // num_clusters), num_rows)

    def add(index, sums, error):
        start = tf.minimum(index * chunk, num_rows - chunk)  # the last chunk reaches back
        fresh = tf.cast(start + tf.range(chunk) >= index * chunk, tf.float32)
        rows = tf.slice(logits, [start, 0], [chunk, -1])
        plan = fresh[:, None] * tf.nn.softmax(strength * (rows - _highest(rows)) + u)  # [chunk, K]
        missing = tf.abs(tf.reduce_sum(plan, axis=-1) - fresh)
        return index + 1, sums + tf.reduce_sum(plan, axis=0), error + tf.reduce_sum(missing)

    start = (tf.constant(0), tf.zeros([num_clusters]), tf.constant(0.0))
    num_chunks = -(-num_rows // chunk)
    _, sums, error = tf.while_loop(lambda index, *_: index < num_chunks, add, start)
    return tf.math.log(tf.maximum(sums / num_rows, _TINY)), error / num_rows


def _highest(rows):
    return tf.reduce_max(rows, axis=-1, keepdims=True)
