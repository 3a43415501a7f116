"""How many clusters there are: as many as repeated trainings find alike."""

import functools
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from tfbind import metrics
from tfbind._validation import check_integer, check_number
from tfbind.training.starts import best_of

_TOLERANCE = 0.02


class NumClustersSelection(NamedTuple):
    """What `select_num_clusters` finds.

    `candidates` is a tuple of the K that were tried, `agreements` of the mean agreement between
    the trainings with each, `spreads` of its standard deviation over the pairs of trainings, and
    `best` the K that was chosen.
    """

    candidates: tuple[int, ...]
    agreements: tuple[float, ...]
    spreads: tuple[float, ...]
    best: int


def select_num_clusters(
    make_model: Callable[[int, int], Any],
    images: np.ndarray,
    candidates: Iterable[int] = range(2, 13),
    *,
    trainings: int = 5,
    starts: int = 1,
    share: float = 0.8,
    tolerance: float = _TOLERANCE,
    seed: int = 0,
    verbose: int = 0,
    **fit: Any,
) -> NumClustersSelection:
    """Picks the number of clusters K with which repeated trainings agree best.

    With as many clusters as there are kinds of examples, trainings on other examples and from
    other starts find the same ones; with more, each splits another kind, and with fewer, each
    merges others. Among those that agree alike the largest K is taken, since two kinds that lie
    together may be merged in the same way each time. It needs kinds that are apart, and a model
    that finds them: where all agreements are far below 1, no K is supported by the data.

    Args:
        make_model: Function from K and an integer seed to a fresh compiled model, or to anything
            with `fit`, `cluster` and `unsupervised_score` of arrays.
        images: float32 `[n, *event_shape]`.
        candidates: Two integers or more, each >= 2 and greater than the one before.
        trainings: Integer >= 2, how many trainings are compared for each K.
        starts: Integer >= 1; each of them is the best of so many, see `best_of`.
        share: Float in (0, 1], the share of the images, drawn anew, that each training sees. All
            images are then clustered and compared.
        tolerance: Float >= 0; agreements that are lower than the highest by no more are as high.
        seed: Integer, of the draws and of the first start.
        verbose: 1 for a progress bar, 0 for none.
        **fit: Arguments of the model's `fit`, such as `epochs` and `batch_size`.

    Returns:
        A `NumClustersSelection`. An agreement is the mean adjusted Rand index between pairs of
        trainings, 1 for equal clusterings and 0 for what chance makes of them; a training that
        leaves a cluster empty agrees with no other.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> images = np.repeat(np.eye(3, 6, dtype="float32"), 20, axis=0)
    >>> def make_model(num_clusters, seed):
    ...     model = tfbind.SelfLabeling((6,), num_clusters, num_heads=1, units=(8,), seed=seed)
    ...     model.compile(keras.optimizers.Adam(0.01))
    ...     return model
    >>> found = tfbind.training.select_num_clusters(
    ...     make_model, images, (2, 3), trainings=2, epochs=2
    ... )
    >>> found.candidates
    (2, 3)

    References:
        Ben-Hur, Elisseeff, Guyon. A Stability Based Method for Discovering Structure in Clustered
        Data. Pacific Symposium on Biocomputing, 2002.
        Lange, Roth, Braun, Buhmann. Stability-Based Validation of Clustering Solutions. Neural
        Computation 16, 2004. https://doi.org/10.1162/089976604773717621.
    """
    candidates = check_candidates(candidates)
    trainings = check_integer("trainings", trainings, 2)
    share = check_number("share", share, 0, 1, open_low=True)
    bar = keras.utils.Progbar(len(candidates) * trainings, unit_name="training", verbose=verbose)

    def clusters_of(num_clusters, number):
        size, random = max(1, round(share * len(images))), np.random.default_rng([seed, number])
        rows = np.sort(random.permutation(len(images))[:size])
        make, first = functools.partial(make_model, num_clusters), seed + number * starts
        found = best_of(make, images[rows], starts=starts, seed=first, **fit)
        bar.add(1)
        return found.model.cluster(images)

    labelings = [np.stack([clusters_of(k, n) for n in range(trainings)]) for k in candidates]
    return selection_of(candidates, labelings, tolerance)


def check_candidates(candidates: Iterable[int]) -> tuple[int, ...]:
    """Returns the candidates, or raises if they are not two or more that increase."""
    candidates = tuple(check_integer("candidates", k, 2) for k in candidates)
    if len(candidates) < 2 or any(a >= b for a, b in itertools.pairwise(candidates)):
        raise ValueError(
            "`candidates` must hold two numbers of clusters or more, each greater than the one "
            f"before. Received: candidates={candidates}."
        )
    return candidates


def selection_of(
    candidates: Sequence[int], labelings: Sequence[np.ndarray], tolerance: float = _TOLERANCE
) -> NumClustersSelection:
    """Chooses between candidates by the clusters `[T, n]` that T trainings found with each."""
    tolerance = check_number("tolerance", tolerance, 0)
    pairs = [_agreements(found, k) for k, found in zip(candidates, labelings, strict=True)]
    means = [float(np.mean(each)) for each in pairs]
    lowest = max(means) - tolerance
    best = max(k for k, mean in zip(candidates, means, strict=True) if mean >= lowest)
    spreads = tuple(float(np.std(each)) for each in pairs)
    return NumClustersSelection(tuple(candidates), tuple(means), spreads, best)


def _agreements(labelings: np.ndarray, num_clusters: int) -> np.ndarray:
    """Returns the adjusted Rand index of every pair of labelings `[T, n]`."""
    one, other = np.triu_indices(len(labelings), 1)
    size = (num_clusters, num_clusters)
    scores = [
        metrics.adjusted_rand_index(labelings[[i]] + 1, labelings[[j]], *size).numpy()[0]
        for i, j in zip(one, other, strict=True)
    ]
    full = np.array([len(np.unique(each)) == num_clusters for each in labelings])
    return np.where(full[one] & full[other], scores, 0.0)
