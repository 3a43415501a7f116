"""What a round of Kingdra's ensemble decides, from what its members said: NumPy alone."""

from typing import NamedTuple

import numpy as np

from tfbind.labeling.consensus import agreement_buckets, balancing_weights, name_buckets


class Rules(NamedTuple):
    """How pseudo-classes are made; see the arguments of `PseudoLabelEnsemble`."""

    num_clusters: int
    strong_agreement: int
    weak_agreement: int
    confidence_threshold: float
    mapping: str


class PseudoClasses(NamedTuple):
    """The pseudo-classes of a round.

    Attributes:
        labels: int32 `[1, N]`, or `[M, N]` in the numbers of each member; -1 for none.
        weights: float32 `[1, K]` or `[M, K]`, of an example of each class; zero without any.
        best: int32 `[N]`, the buckets of the best round so far.
        num_found: How many classes the members agree on now. Fewer than K are not taken.
    """

    labels: np.ndarray
    weights: np.ndarray
    best: np.ndarray
    num_found: int


def pseudo_classes(
    clusters: np.ndarray, confidences: np.ndarray, best: np.ndarray, rules: Rules
) -> PseudoClasses:
    """Finds what the members agree on; the best of earlier rounds if that is not every class.

    The best round is the one whose smallest bucket is largest.

    Args:
        clusters: Integers `[N, M]`, the most probable cluster of each example by each member.
        confidences: float `[N, M]`, its probability.
        best: int32 `[N]`, the buckets of the best round so far; -1 for none.
        rules: The `Rules`.
    """
    size = rules.num_clusters
    buckets = agreement_buckets(
        clusters,
        (confidences > rules.confidence_threshold).all(axis=1),
        num_buckets=size,
        strong_agreement=rules.strong_agreement,
        weak_agreement=rules.weak_agreement,
    )
    num_found = int(buckets.max()) + 1
    if _smallest(buckets, size) > _smallest(best, size):
        best = buckets
    if num_found < size:
        buckets = best
    named = clusters[:, -1:] if rules.mapping == "common" else clusters
    labels = np.stack([name_buckets(buckets, each, size) for each in named.T])
    weights = np.stack([balancing_weights(each, size) for each in labels])
    return PseudoClasses(labels, weights, best, num_found)


def _smallest(buckets: np.ndarray, num_buckets: int) -> int:
    """Returns how many examples are in the smallest bucket."""
    return int(np.bincount(buckets[buckets >= 0], minlength=num_buckets).min())
