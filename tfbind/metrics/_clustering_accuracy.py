from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfbind._validation import check_integer
from tfbind.metrics._class_table import best_matching, class_table


def clustering_accuracy(
    labels_true: np.ndarray | tf.Tensor, labels_pred: np.ndarray | tf.Tensor
) -> float:
    """Fraction of examples whose cluster, under the best matching, stands for their class.

    Every cluster is matched with at most one class and every class with at most one cluster, so
    that as many examples as possible agree (Hungarian algorithm). If there are more clusters
    than classes, the examples of the clusters left over count as errors. Runs in NumPy and SciPy.

    Args:
        labels_true: Integers `[N]`, the class of each example; any ids.
        labels_pred: Integers `[N]`, the cluster of each example; any ids.

    Returns:
        float in [0, 1], a fraction, not a percentage.

    Raises:
        ValueError: If the labels are not two vectors of integers of the same length >= 1.

    Example:

    >>> tfbind.metrics.clustering_accuracy([0, 0, 1, 1], [7, 7, 3, 7])
    0.75

    References:
        Xie, Girshick, Farhadi. Unsupervised Deep Embedding for Clustering Analysis. ICML, 2016.
        https://arxiv.org/abs/1511.06335, equation 10.
    """
    return _matched_fraction(class_table(labels_true, labels_pred)[-1])


def purity(labels_true: np.ndarray | tf.Tensor, labels_pred: np.ndarray | tf.Tensor) -> float:
    """Fraction of examples that are of the most frequent class of their cluster.

    As many clusters as examples have purity 1, so it compares clusterings of equally many.

    Args:
        labels_true: Integers `[N]`, the class of each example; any ids.
        labels_pred: Integers `[N]`, the cluster of each example; any ids.

    Returns:
        float in (0, 1], a fraction, not a percentage.

    Raises:
        ValueError: If the labels are not two vectors of integers of the same length >= 1.

    Example:

    >>> tfbind.metrics.purity([0, 0, 0, 1], [7, 7, 3, 3])
    0.75

    References:
        Manning, Raghavan, Schuetze. Introduction to Information Retrieval. Cambridge University
        Press, 2008. Section 16.3.
    """
    return _majority_fraction(class_table(labels_true, labels_pred)[2])


def _matched_fraction(table):
    return float(table[best_matching(table)].sum() / table.sum())


def _majority_fraction(table):
    return float(table.max(axis=0).sum() / table.sum())


@keras.saving.register_keras_serializable("tfbind")
class ClusteringAccuracy(keras.metrics.Metric):
    """Clustering accuracy over all the examples seen since the last reset.

    The table of classes and clusters accumulates inside the compiled step; the matching, for
    which there is no XLA operation, is made when `result` is called eagerly. Keras does so at
    the end of every epoch and of `evaluate`, so History, callbacks, `evaluate` and the last state
    of the progress bar hold the exact value. While an epoch is running, the compiled step reports
    NaN, meaning "not matched yet".

    Args:
        num_classes: Integer >= 1.
        num_clusters: Integer >= 1; may differ from `num_classes`, see `clustering_accuracy`.
        name: Name of the metric.

    Call arguments:
        y_true: Integer `[B]`, classes in 0..num_classes-1. Others raise in eager steps and make
            the result NaN in compiled ones.
        y_pred: float `[B, num_clusters]`, probabilities or logits; the argmax is the cluster.
        sample_weight: float `[B]` or None.

    Returns:
        float32 scalar in [0, 1]; 0 before any example.

    Raises:
        ValueError: If an argument, shape or, eagerly, a class does not fit.

    Example:

    >>> metric = tfbind.metrics.ClusteringAccuracy(num_classes=2, num_clusters=3)
    >>> metric.update_state([0, 0, 1, 1], np.eye(3)[[2, 2, 1, 2]])
    >>> float(metric.result())
    0.75

    References:
        Xie, Girshick, Farhadi. Unsupervised Deep Embedding for Clustering Analysis. ICML, 2016.
        https://arxiv.org/abs/1511.06335, equation 10.
    """

    def __init__(
        self,
        num_classes: int,
        num_clusters: int,
        *,
        name: str = "clustering_accuracy",
        dtype: str | None = None,
    ) -> None:
        num_classes = check_integer("num_classes", num_classes, 1)
        num_clusters = check_integer("num_clusters", num_clusters, 1)
        super().__init__(name=name, dtype=dtype)
        self.num_classes = num_classes
        self.num_clusters = num_clusters
        # float64 counts stay exact beyond the 2**24 examples of float32.
        self.table = self.add_variable(
            (num_classes, num_clusters), "zeros", dtype="float64", name="table"
        )

    def update_state(
        self,
        y_true: np.ndarray | tf.Tensor,
        y_pred: np.ndarray | tf.Tensor,
        sample_weight: np.ndarray | tf.Tensor | None = None,
    ) -> None:
        y_true, y_pred = tf.convert_to_tensor(y_true), tf.convert_to_tensor(y_pred)
        if len(y_true.shape) != 1 or len(y_pred.shape) != 2 or y_pred.shape[1] != self.num_clusters:
            raise ValueError(
                f"`y_true` must have shape [B] and `y_pred` shape [B, {self.num_clusters}]. "
                f"Received: {tuple(y_true.shape)} and {tuple(y_pred.shape)}."
            )
        misfit = (y_true < 0) | (y_true >= self.num_classes)  # [B]
        if tf.executing_eagerly() and bool(tf.reduce_any(misfit)):
            raise ValueError(
                f"`y_true` must hold classes from 0 to {self.num_classes - 1}. "
                f"Received: num_classes={self.num_classes} and the class {int(y_true[misfit][0])}."
            )
        classes = tf.one_hot(tf.cast(y_true, tf.int32), self.num_classes, dtype=tf.float64)
        classes = tf.where(misfit[:, None], tf.cast(float("nan"), tf.float64), classes)
        if sample_weight is not None:
            classes *= tf.reshape(tf.cast(sample_weight, tf.float64), [-1, 1])
        clusters = tf.one_hot(tf.argmax(y_pred, axis=1), self.num_clusters, dtype=tf.float64)
        self.table.assign_add(tf.matmul(classes, clusters, transpose_a=True))

    def result(self) -> tf.Tensor:
        if not tf.executing_eagerly():
            return tf.constant(float("nan"))
        table = self.table.value.numpy()
        if np.isnan(table).any():
            return tf.constant(float("nan"))
        return tf.constant(self.fraction(table) if table.any() else 0.0)

    def fraction(self, table: np.ndarray) -> float:
        """Returns the fraction of examples that count as right, of float `[classes, clusters]`."""
        return _matched_fraction(table)

    def get_config(self) -> dict[str, Any]:
        own = {"num_classes": self.num_classes, "num_clusters": self.num_clusters}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("tfbind")
class Purity(ClusteringAccuracy):
    """As `ClusteringAccuracy`, but a cluster stands for its most frequent class; see `purity`.

    Example:

    >>> metric = tfbind.metrics.Purity(num_classes=2, num_clusters=3)
    >>> metric.update_state([0, 0, 1, 1], np.eye(3)[[2, 2, 1, 1]])
    >>> float(metric.result())
    1.0
    """

    def __init__(
        self,
        num_classes: int,
        num_clusters: int,
        *,
        name: str = "purity",
        dtype: str | None = None,
    ) -> None:
        super().__init__(num_classes, num_clusters, name=name, dtype=dtype)

    def fraction(self, table: np.ndarray) -> float:
        return _majority_fraction(table)
