"""How many examples of each class are in each cluster, and which cluster suits which class."""

import numpy as np
import scipy.optimize
from numpy.typing import ArrayLike


def class_table(
    labels_true: ArrayLike, labels_pred: ArrayLike
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts the examples that each pair of class and cluster shares.

    Args:
        labels_true: Integers `[N]`, the class of each example; any ids.
        labels_pred: Integers `[N]`, the cluster of each example; any ids.

    Returns:
        classes: The ids of the R classes that occur, ascending.
        clusters: The ids of the C clusters that occur, ascending.
        table: int64 `[R, C]`, examples; the contingency table.

    Raises:
        ValueError: If the labels are not two vectors of integers of the same length >= 1.

    Example:

    >>> classes, clusters, table = tfbind.metrics.class_table([0, 0, 1], [7, 7, 3])
    >>> classes.tolist(), clusters.tolist(), table.tolist()
    ([0, 1], [3, 7], [[0, 2], [1, 0]])
    """
    labels_true, labels_pred = np.asarray(labels_true), np.asarray(labels_pred)
    for name, labels in (("labels_true", labels_true), ("labels_pred", labels_pred)):
        _check_labels(name, labels)
    if labels_true.shape != labels_pred.shape:
        raise ValueError(
            "`labels_true` and `labels_pred` must have the same length. "
            f"Received: {len(labels_true)} and {len(labels_pred)}."
        )
    classes, rows = np.unique(labels_true, return_inverse=True)
    clusters, columns = np.unique(labels_pred, return_inverse=True)
    table = np.zeros((len(classes), len(clusters)), np.int64)
    np.add.at(table, (rows, columns), 1)
    return classes, clusters, table


def best_matching(table: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Matches rows with columns one to one, so that the matched cells hold as much as can be.

    It is the matching of `clustering_accuracy` (Hungarian algorithm).

    Args:
        table: `[R, C]`, such as counts of classes in rows and clusters in columns.

    Returns:
        Two integer vectors of min(R, C) entries: rows, ascending, and the column of each.

    Example:

    >>> rows, columns = tfbind.metrics.best_matching([[4, 3], [3, 0]])
    >>> rows.tolist(), columns.tolist()
    ([0, 1], [1, 0])

    References:
        Kuhn. The Hungarian Method for the Assignment Problem. Naval Research Logistics
        Quarterly 2, 1955. https://doi.org/10.1002/nav.3800020109.
    """
    return scipy.optimize.linear_sum_assignment(table, maximize=True)


def _check_labels(name, labels):
    if labels.ndim != 1 or labels.size == 0 or labels.dtype.kind not in "iu":
        raise ValueError(
            f"`{name}` must be a vector of at least one integer. "
            f"Received: shape {labels.shape}, dtype {labels.dtype}."
        )
