"""What a round of Kingdra's ensemble decides, from what its members said: NumPy alone."""

import math
from typing import Any, NamedTuple

import numpy as np

from tfbind import metrics
from tfbind.labeling.consensus import agreement_buckets, balancing_weights, name_buckets
from tfbind.metrics._class_table import best_matching

# A member has merged two clusters if it lacks this share of the entropy that is lost where one of
# equal clusters takes in another and leaves none: MNIST's merged pairs, part of which are given to
# other clusters, lacked a quarter of it and more, and members without any a fiftieth.
_MERGED_SHARE = 1 / 6
_FEWEST_ASKED = 2


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
    clusters: np.ndarray,
    confidences: np.ndarray,
    best: np.ndarray,
    rules: Rules,
    asked: np.ndarray | None = None,
) -> PseudoClasses:
    """Finds what the members agree on; the best of earlier rounds if that is not every class.

    The best round is the one whose smallest bucket is largest.

    Args:
        clusters: Integers `[N, M]`, the most probable cluster of each example by each member.
        confidences: float `[N, M]`, its probability.
        best: int32 `[N]`, the buckets of the best round so far; -1 for none.
        rules: The `Rules`.
        asked: Integers, the members that are asked; None for all.
    """
    size = rules.num_clusters
    asked = np.arange(clusters.shape[1]) if asked is None else asked
    buckets = _buckets(clusters[:, asked], confidences[:, asked], rules)
    num_found = int(buckets.max()) + 1
    if _smallest(buckets, size) > _smallest(best, size):
        best = buckets
    if num_found < size:
        buckets = best
    named = clusters[:, asked[-1:]] if rules.mapping == "common" else clusters
    labels = np.stack([name_buckets(buckets, each, size) for each in named.T])
    weights = np.stack([balancing_weights(each, size) for each in labels])
    return PseudoClasses(labels, weights, best, num_found)


def _buckets(clusters: np.ndarray, confidences: np.ndarray, rules: Rules) -> np.ndarray:
    """Returns the buckets of those that are asked: all of them agree, where there are too few."""
    strong = min(rules.strong_agreement, clusters.shape[1] - 1)
    return agreement_buckets(
        clusters,
        (confidences > rules.confidence_threshold).all(axis=1),
        num_buckets=rules.num_clusters,
        strong_agreement=strong,
        weak_agreement=min(rules.weak_agreement, strong),
    )


def member_entropies(probabilities: np.ndarray) -> np.ndarray:
    """Returns the marginal entropy of each member's clusters, in nats, `[M]`, of `[N, M, K]`."""
    marginals = probabilities.mean(axis=0, dtype="float64")
    return -(marginals * np.log(np.maximum(marginals, 1e-16))).sum(axis=-1)


def merged_members(probabilities: np.ndarray) -> np.ndarray:
    """Returns which members seem to have merged two clusters, booleans `[M]`, of `[N, M, K]`.

    They use their clusters less evenly than the member that does so most.
    """
    entropies = member_entropies(probabilities)
    lost = _MERGED_SHARE * 2.0 / probabilities.shape[-1] * math.log(2.0)
    return entropies < entropies.max() - lost


def unmerged_members(probabilities: np.ndarray) -> np.ndarray:
    """Returns the numbers of the others, and of the two most even ones whatever they are."""
    most_even = np.argsort(-member_entropies(probabilities), kind="stable")[:_FEWEST_ASKED]
    return np.union1d(np.flatnonzero(~merged_members(probabilities)), most_even)


def describe_round(probabilities: np.ndarray, found: PseudoClasses) -> dict[str, Any]:
    """Returns what is to be known of a round, of types that JSON has.

    Args:
        probabilities: float `[N, M, K]`.
        found: What came of them.

    Returns:
        A dict: `num_found`, how many pseudo-classes the members agree on; `coverage`, the share
        of the examples that have a pseudo-label, be it of an earlier round; `class_sizes`, how
        many have each, K; `agreement`, M shares of the examples: of the a-th, at most a members
        agree on its cluster, in the numbers of the last member, which the others' clusters are
        matched to one to one; `member_entropies`, the marginal entropy of each member's clusters
        in nats, M; `merged`, 1 for each member that seems to have merged two, else 0.
    """
    num_clusters = probabilities.shape[-1]
    labels = found.labels[0]
    sizes = np.bincount(labels[labels >= 0], minlength=num_clusters)
    return {
        "num_found": found.num_found,
        "coverage": float(np.mean(labels >= 0)),
        "class_sizes": sizes.tolist(),
        "agreement": _agreement(probabilities.argmax(axis=-1), num_clusters).tolist(),
        "member_entropies": member_entropies(probabilities).tolist(),
        "merged": merged_members(probabilities).astype(int).tolist(),
    }


def _agreement(clusters: np.ndarray, num_clusters: int) -> np.ndarray:
    num_rows, num_members = clusters.shape
    rows, votes = np.arange(num_rows), np.zeros((num_rows, num_clusters), int)
    for each in clusters.T:
        # Every cluster of the last member's becomes one of this member's
        table = np.zeros((num_clusters, num_clusters), int)
        np.add.at(table, (each, clusters[:, -1]), 1)
        votes[rows, best_matching(table)[1][each]] += 1
    return np.bincount(votes.max(axis=1), minlength=num_members + 1)[1:] / num_rows


def precision(labels: np.ndarray, truth: np.ndarray) -> float | None:
    """Returns the share of pseudo-labels that are right, each being one class; None without any."""
    inside = labels >= 0
    return metrics.clustering_accuracy(truth[inside], labels[inside]) if inside.any() else None


def _smallest(buckets: np.ndarray, num_buckets: int) -> int:
    """Returns how many examples are in the smallest bucket."""
    return int(np.bincount(buckets[buckets >= 0], minlength=num_buckets).min())
