from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfbind._validation import check_integer
from tfbind.metrics._contingency import contingency_table
from tfbind.metrics._mean_over_images import MeanOverImages


def adjusted_rand_index(
    groups_true: np.ndarray | tf.Tensor,
    groups_pred: np.ndarray | tf.Tensor,
    num_true: int,
    num_pred: int,
) -> tf.Tensor:
    """Adjusted Rand index of each image's true and predicted grouping.

    It counts the pairs of pixels that both groupings keep together; 1 means equal groupings,
    whatever the ids, and 0 is the average of groupings drawn at random with the same group
    sizes. The object-centric literature calls it FG-ARI, because the background is left out. It
    runs on the device for the whole batch, compiles under XLA, and agrees with
    `sklearn.metrics.adjusted_rand_score`.

    Args:
        groups_true: Integer `[B, ...]`, ids in 0..num_true. Pixels of id 0 (background or
            overlap) are never scored.
        groups_pred: Integer `[B, ...]`, ids in 0..num_pred-1; ignored where `groups_true` is 0.
        num_true: Integer >= 1, number of true groups without the 0; images may use fewer.
        num_pred: Integer >= 1, number of predicted groups; images may use fewer.

    Returns:
        float32 `[B]` in [-0.5, 1]. An image without a scored pixel has no score and gives NaN.

    Raises:
        ValueError: If an argument or shape does not fit, or, when executing eagerly, if an id is
            out of range. A compiled graph cannot raise: there such an image gives NaN.

    Example:

    >>> true = np.array([[0, 1, 1, 2, 2, 0]])
    >>> pred = np.array([[0, 1, 1, 0, 1, 2]])
    >>> score = tfbind.metrics.adjusted_rand_index(true, pred, num_true=2, num_pred=3)
    >>> np.round(score, 3).tolist()
    [0.0]

    References:
        Hubert, Arabie. Comparing Partitions. Journal of Classification 2, 1985.
        https://doi.org/10.1007/BF01908075, equation 5.
    """
    table = contingency_table(groups_true, groups_pred, num_true, num_pred)
    rows = tf.reduce_sum(table, axis=2)  # [B, R]
    columns = tf.reduce_sum(table, axis=1)  # [B, C]
    total = tf.reduce_sum(rows, axis=1)  # [B]
    both = tf.reduce_sum(_num_pairs(table), axis=[1, 2])  # [B]
    in_true = tf.reduce_sum(_num_pairs(rows), axis=1)  # [B]
    in_pred = tf.reduce_sum(_num_pairs(columns), axis=1)  # [B]
    expected = in_true * in_pred / _num_pairs(total)
    score = (both - expected) / ((in_true + in_pred) / 2 - expected)
    # Equal groupings into single pixels, or into one group, would give 0 / 0.
    equal = (total > 0) & (both == in_true) & (both == in_pred)
    # A table without pixels has no pairs either, and 0 / 0 is the NaN that is promised.
    return tf.cast(tf.where(equal, tf.ones_like(score), score), tf.float32)


def _num_pairs(count):
    return count * (count - 1.0) / 2.0


@keras.saving.register_keras_serializable("tfbind")
class AdjustedRandIndex(MeanOverImages):
    """Mean over images of the adjusted Rand index of the assignments.

    Each pixel goes to the group of its largest assignment, the first one on ties. Images without
    a scored pixel are left out of the mean; a true group above `num_true` makes the result NaN in
    compiled steps and raises in eager ones. Before any image the result is 0.

    Args:
        num_true: Integer >= 1, number of true groups, without the 0.
        name: Name of the metric.
        dtype: Dtype of the mean.

    Call arguments:
        y_true: Integer `[B, ...]`, true group of each pixel in 0..num_true; 0 is not scored.
        y_pred: float `[B, K, ...]`, assignments to K groups.
        sample_weight: float `[B]` or None.

    Returns:
        float32 scalar in [-0.5, 1].

    Raises:
        ValueError: If an argument or shape does not fit.

    Example:

    >>> metric = tfbind.metrics.AdjustedRandIndex(num_true=2)
    >>> metric.update_state([[0, 1, 1, 2, 2]], [[[0.5, 0.9, 0.8, 0.1, 0.3],
    ...                                          [0.5, 0.1, 0.2, 0.9, 0.7]]])
    >>> float(metric.result())
    1.0

    References:
        Hubert, Arabie. Comparing Partitions. Journal of Classification 2, 1985.
        https://doi.org/10.1007/BF01908075, equation 5.
    """

    def __init__(self, num_true: int, *, name: str = "ari", dtype: str | None = None) -> None:
        num_true = check_integer("num_true", num_true, 1)
        super().__init__(name=name, dtype=dtype)
        self.num_true = num_true

    def score(self, y_true: np.ndarray | tf.Tensor, y_pred: np.ndarray | tf.Tensor) -> tf.Tensor:
        groups_pred = tf.argmax(y_pred, axis=1, output_type=tf.int32)
        return adjusted_rand_index(y_true, groups_pred, self.num_true, y_pred.shape[1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_true": self.num_true}
