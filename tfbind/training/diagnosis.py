"""What tells, without labels, a training that failed from one that went well."""

from typing import NamedTuple

import keras
import numpy as np

from tfbind import metrics
from tfbind.models._clustering import ClusteringModel
from tfbind.models._grouping import GroupingModel

_LOOKED_AT = 200  # examples
_UNDECIDED = 0.25  # of the way from chance to certainty
_ALIKE = 0.5  # agreement of two starts
_ALL = 0.95  # share of the lit pixels that one group has
_PLACED = 0.9  # share of the lit pixels whose group their place tells
_LEAK = 0.6  # share of the pixels of other groups that a group shows too
_MERGED = 1.7  # times its share that a cluster has
_WORSE = 1.3  # times the loss on training examples that unseen ones have


class Finding(NamedTuple):
    """Something that went wrong: what it is called, and a sentence with what to do about it."""

    name: str
    sentence: str


def diagnose(
    model: keras.Model, images: np.ndarray, held_out: np.ndarray | None = None
) -> list[Finding]:
    """Says what seems to have gone wrong with a trained model, by examples without labels.

    Args:
        model: A model that groups or clusters; of others only overfitting is looked for.
        images: float32 `[n, *event_shape]`, of the training set.
        held_out: Likewise, examples that it was not trained on; or None.

    Returns:
        A list of `Finding`; empty if nothing is suspicious, which proves nothing.

    Example:

    >>> autoencoder = tfbind.DenoisingAutoencoder((4, 4, 1), hidden_units=4)  # not trained
    >>> model = tfbind.ReconstructionClustering(autoencoder, num_groups=2, seed=0)
    >>> images = (np.random.default_rng(0).random((50, 4, 4, 1)) > 0.5).astype("float32")
    >>> [finding.name for finding in tfbind.training.diagnose(model, images)][:1]
    ['undecided']
    """
    some = images[:_LOOKED_AT]
    found: list[Finding | None] = []
    if isinstance(model, GroupingModel):
        found += _of_groups(model, some)
    if isinstance(model, ClusteringModel):
        found += _of_clusters(model, images[: 10 * _LOOKED_AT])
    if held_out is not None and len(held_out):
        found.append(_overfitted(model, images, held_out))
    return [finding for finding in found if finding is not None]


def _of_groups(model: GroupingModel, images: np.ndarray) -> list[Finding | None]:
    starts = [model.initial_assignments(len(images), seed) for seed in (1, 2)]
    one, other = (
        model.predict({"image": images, "initial_assignments": x}, batch_size=250, verbose=0)
        for x in starts
    )
    lit = (images != 0).reshape(*images.shape[:1], *model.spatial_shape, -1).any(axis=-1)
    fixed = model.predict(images, batch_size=250, verbose=0)
    return [
        _undecided(
            *("groups", "confidence", float(one["confidence"].mean()), model.num_groups),
            "has not learned what goes together; train longer, or with another learning_rate",
        ),
        _one_group(one["assignments"], lit),
        _places(fixed["assignments"], lit),
        _whole_scenes(one, lit),
        _unlike(one["assignments"], other["assignments"], lit),
    ]


def _undecided(kind: str, measure: str, value: float, count: int, remedy: str) -> Finding | None:
    chance = 1 / count
    if value > chance + _UNDECIDED * (1 - chance):
        return None
    return Finding(
        "undecided",
        f"The {kind} are undecided ({measure} {value:.2f}, chance {chance:.2f}): the model "
        f"{remedy}.",
    )


def _one_group(assignments: np.ndarray, lit: np.ndarray) -> Finding | None:
    shares = (assignments * lit[:, None]).reshape(*assignments.shape[:2], -1).sum(axis=-1)
    largest = float(
        (shares.max(axis=1) / np.maximum(lit.reshape(len(lit), -1).sum(axis=1), 1)).mean()
    )
    if largest < _ALL:
        return None
    return Finding(
        "one group",
        f"One group takes {largest:.0%} of what is lit: pictures are of single things, or the "
        "model knows whole scenes; try more noise, or --find clusters.",
    )


def _places(assignments: np.ndarray, lit: np.ndarray) -> Finding | None:
    """Finds masks that are regions: the place of a pixel tells its group, whatever is there."""
    num_groups = assignments.shape[1]
    groups = assignments.argmax(axis=1)
    counts = np.stack([((groups == k) & lit).sum(axis=0) for k in range(num_groups)])
    often = counts.sum(axis=0) >= 5
    told = counts.max(axis=0)[often].sum() / max(1, counts.sum(axis=0)[often].sum())
    if (
        told < _PLACED
        or counts[:, often].sum(axis=1).max(initial=0) > _ALL * counts[:, often].sum()
    ):
        return None
    return Finding(
        "regions",
        f"The masks are regions: the place of a pixel tells its group ({told:.0%}), whatever is "
        "there; move or shuffle what the pictures show, or train with another seed.",
    )


def _whole_scenes(outputs: dict[str, np.ndarray], lit: np.ndarray) -> Finding | None:
    """Finds groups that each show all of the picture, so that who gets a pixel means little."""
    shown = outputs["reconstructions"].reshape(*outputs["assignments"].shape, -1).mean(axis=-1)
    others = lit[:, None] * (1 - outputs["assignments"])
    leak = float((np.clip(shown, 0, 1) * others).sum() / max(others.sum(), 1e-6))
    if leak < _LEAK:
        return None
    return Finding(
        "whole scenes",
        f"Each group shows the other groups' pixels too ({leak:.0%} of them): the model has "
        "learned whole scenes rather than their parts; train it on pictures of single things, on "
        "more pictures, or with more noise.",
    )


def _unlike(one: np.ndarray, other: np.ndarray, lit: np.ndarray) -> Finding | None:
    num_groups = one.shape[1]
    truth = np.where(lit, one.argmax(axis=1) + 1, 0)
    agreement = metrics.adjusted_rand_index(truth, other.argmax(axis=1), num_groups, num_groups)
    agreement = float(np.nanmean(agreement.numpy()))
    if agreement >= _ALIKE:
        return None
    return Finding(
        "unlike starts",
        f"Two starts group the same pictures differently (agreement {agreement:.2f} of 1): the "
        "groups are not to be relied on; train longer or on more pictures, or try another K.",
    )


def _of_clusters(model: ClusteringModel, images: np.ndarray) -> list[Finding | None]:
    probabilities = model.probabilities(images, 500)
    prior = np.asarray(model.expected_shares, "float64")
    shares = np.bincount(probabilities.argmax(axis=1), minlength=len(prior)) / len(images)
    return [
        _undecided(
            *("clusters", "mean probability", float(probabilities.max(axis=1).mean()), len(prior)),
            "has found no kinds; train longer, or with another learning_rate or seed",
        ),
        _unused(shares, len(images)),
        _merged(shares, prior / prior.sum(), len(images)),
    ]


def _unused(shares: np.ndarray, count: int) -> Finding | None:
    used = int((shares * count >= 1).sum())
    if used == len(shares) or count < 10 * len(shares):
        return None
    return Finding(
        "unused clusters",
        f"Only {used} of {len(shares)} clusters are used: kinds have been merged; try another "
        "seed, or fewer clusters.",
    )


def _merged(shares: np.ndarray, prior: np.ndarray, count: int) -> Finding | None:
    ratio = shares / prior
    largest = int(ratio.argmax())
    if ratio[largest] < _MERGED or count < 10 * len(shares):
        return None
    return Finding(
        "merged clusters",
        f"Cluster {largest} has {ratio[largest]:.1f} times its share: two kinds may be one "
        "there, and another may be cut in two; compare with another seed, and keep the run of "
        "the higher score.",
    )


def _overfitted(model: keras.Model, images: np.ndarray, held_out: np.ndarray) -> Finding | None:
    parameters = sum(int(np.prod(x.shape)) for x in model.trainable_variables)
    if parameters < images.size or not model.compiled:
        return None
    seen, unseen = (_loss(model, x) for x in (images[: 5 * len(held_out)], held_out))
    if unseen - seen <= (_WORSE - 1) * abs(seen):
        return None
    return Finding(
        "overfitted",
        f"The model has {parameters} parameters for {len(images)} examples, and overfits: its "
        f"loss is {seen:.4g} on them, and {unseen:.4g} on unseen ones; take more examples, "
        "smaller layers or fewer epochs.",
    )


def _loss(model: keras.Model, images: np.ndarray) -> float:
    return model.evaluate(images, batch_size=250, verbose=0, return_dict=True)["loss"]
