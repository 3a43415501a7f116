"""Pseudo-labels from what the members of an ensemble agree on.

Two examples are linked by how many members put them into one cluster of theirs, which depends on
nothing but the two tuples of their clusters. So the graph is one of tuples, of which there are few,
and never of pairs of examples.
"""

import itertools
import math

import numpy as np
from numpy.typing import ArrayLike

from tfbind._validation import check_integer
from tfbind.metrics._class_table import best_matching

_Groupings = dict[int, list[np.ndarray]]


def agreement_buckets(
    clusters: ArrayLike,
    confident: ArrayLike | None = None,
    *,
    num_buckets: int,
    strong_agreement: int | None = None,
    weak_agreement: int = 1,
) -> np.ndarray:
    """Finds sets of examples that an ensemble keeps together, and far from each other.

    Two examples are friends if more than `strong_agreement` members have them in one cluster, and
    may be of one kind if more than `weak_agreement` do. The confident example with the most friends
    makes a bucket of them; then they, and all that may be of their kind, are out, and the next
    bucket is made of what is left. Time and memory grow linearly with N, but for sorting.

    Args:
        clusters: Integers `[N, M]`, the cluster of each example by each of M members, whose
            numbers need not agree. For K clusters: from 0 to K - 1.
        confident: Booleans `[N]`, which examples a bucket may be made around; None for all. A
            friend in it need not be one.
        num_buckets: Integer >= 1, buckets at most.
        strong_agreement: Integer from `weak_agreement` to M - 1; None for M - 1, so that all
            members agree on friends.
        weak_agreement: Integer >= 0.

    Returns:
        int32 `[N]`, the bucket of each example, from 0 on as they were found; -1 for none.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> clusters = [[0, 2], [0, 2], [0, 1], [1, 0]]
    >>> tfbind.labeling.agreement_buckets(clusters, num_buckets=2, weak_agreement=0).tolist()
    [0, 0, -1, 1]

    References:
        Gupta, Ramjee, Kwatra, Sivathanu. Unsupervised Clustering using Pseudo-semi-supervised
        Learning. ICLR, 2020, Algorithm 1, as in the authors' code.
    """
    clusters = _checked_clusters(clusters)
    num_rows, num_members = clusters.shape
    strong = num_members - 1 if strong_agreement is None else strong_agreement
    check_agreement(num_members, strong, weak_agreement)
    num_buckets = check_integer("num_buckets", num_buckets, 1)
    tuples, kinds, left = np.unique(clusters, axis=0, return_inverse=True, return_counts=True)
    first = _first_rows(kinds, len(tuples), confident)
    groupings = _groupings(tuples, strong)
    found = np.full(len(tuples), -1, "int32")
    for bucket in range(num_buckets):
        sizes = np.where((first < num_rows) & (left > 0), _friends(groupings, left), 0)
        if not sizes.any():
            break
        largest = np.flatnonzero(sizes == sizes.max())
        center = int(largest[first[largest].argmin()])
        chosen = np.flatnonzero((_agreement(tuples, center) > strong) & (left > 0))
        found[chosen] = bucket
        for each in chosen:
            left[_agreement(tuples, int(each)) > weak_agreement] = 0
    return found[kinds]


def check_agreement(num_members: int, strong: int, weak: int) -> None:
    """Raises unless `weak_agreement` <= `strong_agreement` < the number of members."""
    check_integer("weak_agreement", weak, 0)
    check_integer("strong_agreement", strong, weak)
    if strong >= num_members:
        raise ValueError(
            f"`strong_agreement` must be an integer <= {num_members - 1}, since more members than "
            f"that have to agree, of {num_members}. Received: strong_agreement={strong}."
        )


def _checked_clusters(clusters: ArrayLike) -> np.ndarray:
    clusters = np.asarray(clusters)
    if clusters.ndim != 2 or clusters.size == 0 or clusters.dtype.kind not in "iu":
        raise ValueError(
            "`clusters` must hold integers of shape (n, members). "
            f"Received: shape {clusters.shape}, dtype {clusters.dtype}."
        )
    return clusters


def _first_rows(kinds: np.ndarray, num_kinds: int, confident: ArrayLike | None) -> np.ndarray:
    """Returns the first confident row of each tuple, which settles ties; N where there is none."""
    rows = np.arange(len(kinds)) if confident is None else np.flatnonzero(confident)
    first = np.full(num_kinds, len(kinds))
    np.minimum.at(first, kinds[rows], rows)
    return first


def _agreement(tuples: np.ndarray, chosen: int) -> np.ndarray:
    """Returns how many members agree on each tuple and the chosen one."""
    return (tuples == tuples[chosen]).sum(axis=1)


def _groupings(tuples: np.ndarray, strong: int) -> _Groupings:
    """Returns, by size, for every large enough set of members which tuples are the same to it."""
    num_members = tuples.shape[1]
    return {
        size: [
            np.unique(tuples[:, members], axis=0, return_inverse=True)[1]
            for members in itertools.combinations(range(num_members), size)
        ]
        for size in range(num_members, strong, -1)
    }


def _friends(groupings: _Groupings, left: np.ndarray) -> np.ndarray:
    """Counts, for each tuple, the rows left that enough members agree on with it.

    A row that a members agree on is counted by all sets of s <= a of these, binom(a, s) times:
    so the number for every a follows from those for larger ones.
    """
    exactly: dict[int, np.ndarray] = {}
    for size, groups in groupings.items():
        counted = np.sum([np.bincount(group, left)[group] for group in groups], axis=0)
        for a, number in exactly.items():
            counted -= math.comb(a, size) * number
        exactly[size] = counted
    return np.rint(np.sum(list(exactly.values()), axis=0)).astype("int64")


def name_buckets(buckets: ArrayLike, clusters: ArrayLike, num_clusters: int) -> np.ndarray:
    """Gives buckets the numbers of the clusters of one member that they suit best, one to one.

    Args:
        buckets: Integers `[N]` below K, as of `agreement_buckets`.
        clusters: Integers `[N]` from 0 to K - 1, the member's.
        num_clusters: Integer K.

    Returns:
        int32 `[N]`, the pseudo-class of each example; -1 for none.

    Example:

    >>> tfbind.labeling.name_buckets([0, 0, 1, -1], [2, 2, 0, 2], 3).tolist()
    [2, 2, 0, -1]
    """
    buckets, clusters = np.asarray(buckets), np.asarray(clusters)
    inside = buckets >= 0
    table = np.zeros((num_clusters, num_clusters), "int64")
    np.add.at(table, (buckets[inside], clusters[inside]), 1)
    names = best_matching(table)[1]
    return np.where(inside, names[buckets], -1).astype("int32")


def balancing_weights(labels: ArrayLike, num_classes: int) -> np.ndarray:
    """Weighs the examples with a pseudo-label so that all pseudo-classes count alike.

    The mean over all examples of the weight times a loss is then the mean of the loss over a set
    in which the classes take turns, which is the paper's.

    Args:
        labels: Integers `[N]` below C, -1 for none.
        num_classes: Integer C.

    Returns:
        float32 `[C]`, what an example of each class weighs: N / (C n) for n of them. All are zero
        while a class has none.

    Example:

    >>> tfbind.labeling.balancing_weights([0, 0, 1, -1], 2).tolist()
    [1.0, 2.0]
    """
    labels = np.asarray(labels)
    sizes = np.bincount(labels[labels >= 0], minlength=num_classes)
    if not sizes.all():
        return np.zeros(num_classes, "float32")
    return (len(labels) / (num_classes * sizes)).astype("float32")
