"""Of several trainings from other starts, the one that looks best without labels."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from tfbind._validation import check_integer


class Starts(NamedTuple):
    """What `best_of` finds.

    `model` is the trained model of the highest score, and `best` its seed; `seeds` are those of
    all starts and `scores` their scores without labels, tuples.
    """

    model: Any
    seeds: tuple[int, ...]
    scores: tuple[float, ...]
    best: int


def best_of(
    make_model: Callable[[int], Any],
    images: np.ndarray,
    *,
    starts: int = 5,
    seed: int = 0,
    score: Callable[[Any, np.ndarray], float] | None = None,
    verbose: int = 0,
    **fit: Any,
) -> Starts:
    """Trains a model from several starts and keeps the one that looks best without labels.

    Use it for every clustering: one start in a few merges two kinds of examples for good, and
    that shows in the score of the model. For a preset, set its `starts`.

    Args:
        make_model: Function from an integer seed to a fresh compiled model. Before each call the
            seeds of Keras, NumPy and Python are set too, so that initial weights differ.
        images: float32 `[n, *event_shape]`, to train and to score on.
        starts: Integer >= 1.
        seed: Integer, the first seed; the others follow it.
        score: Function of a trained model and the images to a number, the higher the better; None
            for the model's own `unsupervised_score`, of a `ClusteringModel` the mutual
            information of examples and clusters in nats.
        verbose: 1 for a progress bar of the starts, 0 for none.
        **fit: Arguments of the model's `fit`, such as `epochs` and `batch_size`.

    Returns:
        A `Starts`.

    Raises:
        ValueError: If `starts` is out of its range, or no start has a finite score.

    Example:

    >>> images = np.repeat(np.eye(4, dtype="float32"), 8, axis=0)
    >>> def make_model(seed):
    ...     model = tfbind.SelfLabeling((4,), 4, num_heads=1, units=(8,), seed=seed)
    ...     model.compile(keras.optimizers.Adam(0.01))
    ...     return model
    >>> found = tfbind.training.best_of(make_model, images, starts=2, epochs=2)
    >>> found.seeds, found.best == found.seeds[np.argmax(found.scores)]
    ((0, 1), True)
    """
    chosen = tuple(range(seed, seed + check_integer("starts", starts, 1)))
    bar = keras.utils.Progbar(starts, unit_name="start", verbose=verbose)
    best, scores = None, []
    for each in chosen:
        model = _trained(make_model, each, images, fit)
        scores.append(model.unsupervised_score(images) if score is None else score(model, images))
        if np.argmax(_comparable(scores)) == len(scores) - 1:
            best = model
        bar.add(1)
    return Starts(best, chosen, tuple(map(float, scores)), chosen[best_place(scores)])


def best_place(scores: Sequence[float]) -> int:
    """Returns the place of the highest score that is a finite number, the first of equal ones."""
    if not np.isfinite(scores).any():
        raise ValueError(
            "`starts` must have one with a finite score at least. Received: scores "
            f"{', '.join(map(str, scores))}; try a smaller learning rate."
        )
    return int(np.argmax(_comparable(scores)))


def _comparable(scores: Sequence[float]) -> np.ndarray:
    return np.where(np.isfinite(scores), scores, -np.inf)


def _trained(make_model: Callable[[int], Any], seed: int, images: np.ndarray, fit: dict) -> Any:
    keras.utils.set_random_seed(seed)
    model = make_model(seed)
    model.fit(images, **{"verbose": 0, **fit})
    return model
