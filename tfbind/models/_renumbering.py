"""How clusters get other numbers: which, and what has to be put in order then."""

from typing import Any

import keras
import numpy as np

from tfbind import metrics
from tfbind._validation import check_shape
from tfbind.layers import Ladder


def matched_order(former: Any, clusters: np.ndarray, num_clusters: int) -> np.ndarray:
    """Returns which cluster each former one has become, int64 `[K]`, one to one.

    Those that match nothing, or several alike, keep their numbers where they can.

    Args:
        former: Integers `[n]` from 0 to K - 1, the former clusters.
        clusters: Integers `[n]`, those of now.
        num_clusters: Integer K.

    Example:

    >>> from tfbind.models._renumbering import matched_order
    >>> matched_order([0, 0, 2], np.array([1, 1, 0]), 3).tolist()
    [1, 2, 0]
    """
    table = np.eye(num_clusters) / (2 * num_clusters)
    np.add.at(table, (_checked(former, len(clusters), num_clusters), clusters), 1)
    return metrics.best_matching(table)[1]


def _checked(former: Any, num_images: int, num_clusters: int) -> np.ndarray:
    former = np.asarray(former)
    check_shape("reference", former.shape, (num_images,))
    if former.dtype.kind not in "iu" or former.min() < 0 or former.max() >= num_clusters:
        raise ValueError(
            f"`reference` must have clusters from 0 to {num_clusters - 1}, the numbers that this "
            f"model has. Received: {former.dtype} from {former.min()} to {former.max()}."
        )
    return former


def reordered(values: np.ndarray, orders: np.ndarray, axis: int = -1) -> np.ndarray:
    """Returns values with an axis of size K in the order of `[1, K]`; or `[S, ...]`, by `[S, K]`.

    In the second case each of the S has an order of its own.
    """
    if len(orders) == 1:
        return np.take(values, orders[0], axis=axis)
    pairs = zip(values, orders, strict=True)
    return np.stack([np.take(each, order, axis=axis) for each, order in pairs])


def renumbered(labels: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """Returns labels `[S, n]` as they are called after `orders`, `[S, K]`; -1 stays."""
    numbers = np.argsort(orders, axis=1)  # the new number of each old one
    return np.where(labels < 0, -1, np.take_along_axis(numbers, np.maximum(labels, 0), axis=1))


def reorder(
    weight: keras.Variable,
    orders: np.ndarray,
    axis: int,
    optimizer: keras.optimizers.Optimizer | None,
) -> None:
    """Puts an axis of a weight in order, and of all that an optimiser remembers of it."""
    slots = [] if optimizer is None else optimizer.variables
    start = weight.path.replace("/", "_") + "_"  # of the names of its momenta and averages
    own = [slot for slot in slots if slot.name.startswith(start) and slot.shape == weight.shape]
    for each in (weight, *own):
        each.assign(reordered(keras.ops.convert_to_numpy(each), orders, axis))


def top_axes(ladder: Ladder) -> list[tuple[keras.Variable, int]]:
    """Returns every weight of a ladder that an axis of is the top's units, with that axis."""
    top = ladder.top
    axes = [(ladder.encoder_kernels[top], -1), (ladder.biases[top], -1)]
    axes += [(ladder.decoder_kernels[top - 1], -2)] if top - 1 in ladder.decoder_kernels else []
    if top in ladder.combinators:
        found = ladder.decoder_standardizations[top]
        axes += [(ladder.combinators[top], -1), (found.mean, -1), (found.variance, -1)]
    return axes
