from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfbind._validation import check_choice, check_integer
from tfbind.metrics._contingency import contingency_table
from tfbind.metrics._mean_over_images import MeanOverImages

AVERAGE_METHODS = ("max", "arithmetic")
# Hypergeometric weights below this share of the largest cannot change a float64 sum.
NEGLIGIBLE = 1e-17


def adjusted_mutual_information(
    groups_true: np.ndarray | tf.Tensor,
    groups_pred: np.ndarray | tf.Tensor,
    num_true: int,
    num_pred: int,
    average_method: str = "max",
) -> tf.Tensor:
    """Adjusted mutual information of each image's true and predicted grouping.

    The score is 1 for equal groupings, whatever the ids, and 0 on average for groupings drawn at
    random with the same group sizes. Use it to compare with published scores of perceptual
    grouping. It runs on the device, for the whole batch at once, compiles under XLA, and agrees
    with `sklearn.metrics.adjusted_mutual_info_score`.

    With n[i, j] pixels shared by true group i and predicted group j, a[i] and b[j] the group
    sizes and N the number of scored pixels, write T = sum_ij n[i, j] log(n[i, j]) / N. Mutual
    information is T plus a term that depends on the sizes alone, hence::

        AMI = (MI - E[MI]) / (normaliser - E[MI]),    MI - E[MI] = T - E[T].

    Args:
        groups_true: Integer `[B, ...]`, ids in 0..num_true. Pixels of id 0 (background or
            overlap) are never scored.
        groups_pred: Integer `[B, ...]`, ids in 0..num_pred-1; ignored where `groups_true` is 0.
        num_true: Integer >= 1, number of true groups without the 0; images may use fewer.
        num_pred: Integer >= 1, number of predicted groups; images may use fewer.
        average_method: The normaliser, a mean of the two entropies. "max" is what the papers of
            2015-16 report; "arithmetic" is scikit-learn's default today and reads higher.

    Returns:
        float32 `[B]`, at most 1 and negative for worse than chance. An image without a scored
        pixel has no score and gives NaN. If both groupings have a single group the score is 1, if
        only one of them has, it is 0.

    Raises:
        ValueError: If an argument or shape does not fit, or, when executing eagerly, if an id is
            out of range. A compiled graph cannot raise: there such an image gives NaN.

    Example:

    >>> true = np.array([[[0, 1, 1], [0, 2, 2]], [[0, 1, 1], [1, 2, 2]]])
    >>> pred = np.array([[[2, 2, 2], [1, 0, 0]], [[1, 1, 1], [1, 1, 1]]])
    >>> score = tfbind.metrics.adjusted_mutual_information(true, pred, num_true=2, num_pred=3)
    >>> np.round(score, 3).tolist()
    [1.0, 0.0]

    References:
        Vinh, Epps, Bailey. Information Theoretic Measures for Clusterings Comparison: Variants,
        Properties, Normalization and Correction for Chance. JMLR 11, 2010.
        https://jmlr.org/papers/v11/vinh10a.html, Theorem 7 and Table 2.
    """
    check_choice("average_method", average_method, AVERAGE_METHODS)
    table = contingency_table(groups_true, groups_pred, num_true, num_pred)
    return tf.cast(_score_tables(table, average_method), tf.float32)


def _score_tables(table, average_method):
    rows = tf.reduce_sum(table, axis=2, keepdims=True)  # [B, R, 1]
    columns = tf.reduce_sum(table, axis=1, keepdims=True)  # [B, 1, C]
    total = tf.reduce_sum(rows, axis=1, keepdims=True)  # [B, 1, 1]

    def mean_log(counts):  # sum n log(n) / N, with 0 log(0) = 0
        return tf.reduce_sum(counts * _log_count(counts) / total, axis=[1, 2])  # [B]

    log_total = _log_count(total)[:, 0, 0]  # [B]
    entropy_true = log_total - mean_log(rows)
    entropy_pred = log_total - mean_log(columns)
    mutual = entropy_true + entropy_pred - (log_total - mean_log(table))
    expected = tf.reduce_sum(_expected_cells(rows, columns, total), axis=[1, 2])
    gain = mean_log(table) - expected  # mutual information minus its expectation
    if average_method == "max":
        normaliser = tf.maximum(entropy_true, entropy_pred)
    else:
        normaliser = (entropy_true + entropy_pred) / 2
    score = gain / (normaliser - mutual + gain)
    # Equal groupings into single pixels, or into one group, would give 0 / 0.
    return tf.where(_equal_groupings(table, rows, columns), tf.ones_like(score), score)


def _expected_cells(rows, columns, total):
    """Expectation of n log(n) / N in each cell when the pixels are shuffled: `[B, R, C]`.

    A cell's count n is hypergeometric. Because n P(n) is, up to the factor a b / N, again a
    hypergeometric probability (of n - 1, in a population of N - 1), the expectation is

        (a b / N**2) * E[log(n)]    under weights w(n) = n P(n).

    Starting with weight 1 at the mode of w and walking away by the ratio of neighbours needs no
    factorials, hence loses no digits, and ends after about nine standard deviations.
    """
    # Groups and images without pixels drop out below; size 1 keeps their walks finite.
    a, b, population = (tf.maximum(sizes, 1.0) for sizes in (rows, columns, total))
    mode = tf.floor(a * b / (population + 1.0)) + 1.0  # [B, R, C]
    neither = population - a - b

    def ratio_up(n):  # w(n + 1) / w(n), which is 0 at the largest possible n
        return (a - n) * (b - n) / (n * (neither + n + 1.0))

    def ratio_down(n):  # w(n - 1) / w(n), which is 0 at the smallest possible n
        return (n - 1.0) * (neither + n) / ((a - n + 1.0) * (b - n + 1.0))

    weight_up, log_up = _sum_tail(mode, 1.0, ratio_up)
    weight_down, log_down = _sum_tail(mode, -1.0, ratio_down)
    mean_log = (_log_count(mode) + log_up + log_down) / (1.0 + weight_up + weight_down)
    return rows * columns / total**2 * mean_log


def _sum_tail(mode, step, ratio):
    """Sums w(n) and w(n) log(n) over the n beyond the mode, in units of the mode's weight."""

    def going(n, weight, *sums):
        return tf.reduce_any(weight > NEGLIGIBLE)

    def go(n, weight, weights, weighted_logs):
        weight *= ratio(n)
        n += step
        return n, weight, weights + weight, weighted_logs + weight * _log_count(n)

    zeros = tf.zeros_like(mode)
    *_, weights, weighted_logs = tf.while_loop(going, go, (mode, zeros + 1.0, zeros, zeros))
    return weights, weighted_logs


def _equal_groupings(table, rows, columns):
    def num_used(counts):
        return tf.reduce_sum(tf.cast(counts > 0, tf.int32), axis=[1, 2])  # [B]

    cells = num_used(table)
    return (cells > 0) & (cells == num_used(rows)) & (cells == num_used(columns))


def _log_count(count):
    return tf.math.log(tf.maximum(count, 1.0))


@keras.saving.register_keras_serializable("tfbind")
class AdjustedMutualInformation(MeanOverImages):
    """Mean over images of the adjusted mutual information of the assignments.

    Each pixel goes to the group of its largest assignment, the first one on ties. Images without
    a scored pixel are left out of the mean; a true group above `num_true` makes the result NaN in
    compiled steps and raises in eager ones. Before any image the result is 0.

    Args:
        num_true: Integer >= 1, number of true groups, without the 0.
        average_method: "max" or "arithmetic", see `adjusted_mutual_information`.
        name: Name of the metric.
        dtype: Dtype of the mean.

    Call arguments:
        y_true: Integer `[B, ...]`, true group of each pixel in 0..num_true; 0 is not scored.
        y_pred: float `[B, K, ...]`, assignments to K groups.
        sample_weight: float `[B]` or None.

    Returns:
        float32 scalar, at most 1.

    Raises:
        ValueError: If an argument or shape does not fit.

    Example:

    >>> metric = tfbind.metrics.AdjustedMutualInformation(num_true=2)
    >>> metric.update_state([[0, 1, 1, 2, 2]], [[[0.5, 0.9, 0.8, 0.1, 0.3],
    ...                                          [0.5, 0.1, 0.2, 0.9, 0.7]]])
    >>> float(metric.result())
    1.0

    References:
        Vinh, Epps, Bailey. Information Theoretic Measures for Clusterings Comparison: Variants,
        Properties, Normalization and Correction for Chance. JMLR 11, 2010.
        https://jmlr.org/papers/v11/vinh10a.html, Table 2.
    """

    def __init__(
        self,
        num_true: int,
        *,
        average_method: str = "max",
        name: str = "ami",
        dtype: str | None = None,
    ) -> None:
        num_true = check_integer("num_true", num_true, 1)
        check_choice("average_method", average_method, AVERAGE_METHODS)
        super().__init__(name=name, dtype=dtype)
        self.num_true = num_true
        self.average_method = average_method

    def score(self, y_true: np.ndarray | tf.Tensor, y_pred: np.ndarray | tf.Tensor) -> tf.Tensor:
        groups_pred = tf.argmax(y_pred, axis=1, output_type=tf.int32)
        return adjusted_mutual_information(
            y_true, groups_pred, self.num_true, y_pred.shape[1], self.average_method
        )

    def get_config(self) -> dict[str, Any]:
        own = {"num_true": self.num_true, "average_method": self.average_method}
        return {**super().get_config(), **own}
