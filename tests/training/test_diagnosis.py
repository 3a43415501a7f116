"""Failures are named without labels, and good results are not: models whose answers are made up."""

import numpy as np
import pytest

from tfbind.models._clustering import ClusteringModel
from tfbind.models._grouping import GroupingModel
from tfbind.training import diagnose

RANDOM = np.random.default_rng(0)


def scenes(count=120, size=12):
    """Scenes of two bars of three pixels each, somewhere; and which bar a pixel is of, or 0."""
    groups = np.zeros((count, size, size), int)
    for scene in groups:
        for bar in (1, 2):
            row, column = RANDOM.integers(0, size, 2)
            scene[row, column : column + 5] = bar
    return (groups > 0).astype("float32")[..., None], groups


class Grouped(GroupingModel):
    """Groups as a function of images and start says; shows what each group has."""

    def __init__(self, answer, leak=0.0, seed=0):
        super().__init__((12, 12, 1), 2, seed)
        self.answer, self.leak = answer, leak

    def _draw_start(self, random, shape):
        return random.random(shape)

    def predict(self, x, **kwargs):
        given = isinstance(x, np.ndarray)
        images, start = (x, None) if given else (x["image"], x["initial_assignments"])
        shares = np.float32(self.answer(images, start))
        certain = (shares.max(axis=1) * images[..., 0]).sum((1, 2)) / images.sum((1, 2, 3))
        shown = np.maximum(shares * images[:, None, ..., 0], self.leak)[..., None]
        return {"assignments": shares, "reconstructions": shown, "confidence": certain}


def shares_of(groups, certainty=1.0):
    first = np.where(groups == 1, certainty, 1 - certainty)
    return np.stack([first, 1 - first], axis=1)


def names(model, images):
    return [finding.name for finding in diagnose(model, images)]


IMAGES, GROUPS = scenes()


def by_place(images, start):
    rows = np.arange(12)[:, None] < 6
    return shares_of(np.broadcast_to(np.where(rows, 1, 2), images.shape[:3]))


def by_start(images, start):
    return shares_of(np.where(start[:, 0] > start[:, 1], 1, 2) if start is not None else GROUPS)


@pytest.mark.parametrize(
    ("answer", "leak", "expected"),
    [
        (lambda images, start: shares_of(GROUPS), 0.0, []),
        (lambda images, start: shares_of(3 - GROUPS, 0.9), 0.1, []),
        (lambda images, start: shares_of(GROUPS, 0.55), 0.0, ["undecided"]),
        (lambda images, start: shares_of(np.ones_like(GROUPS)), 0.0, ["one group"]),
        (by_place, 0.0, ["regions"]),
        (lambda images, start: shares_of(GROUPS), 0.9, ["whole scenes"]),
        (by_start, 0.0, ["unlike starts"]),
    ],
    ids=["good", "good, swapped", "undecided", "one group", "regions", "scenes", "unlike"],
)
def test_groups(answer, leak, expected):
    assert names(Grouped(answer, leak), IMAGES) == expected


class Clustered(ClusteringModel):
    """Clusters as it is told."""

    def __init__(self, clusters, certainty=0.95, prior=None):
        super().__init__((2,), 4, prior)
        self.clusters, self.certainty = clusters, certainty

    def probabilities(self, images, batch_size=None):
        rest = (1 - self.certainty) / 3
        return np.where(np.eye(4)[self.clusters] > 0, self.certainty, rest)


@pytest.mark.parametrize(
    ("sizes", "options", "expected"),
    [
        ((50, 50, 50, 50), {}, []),
        ((70, 40, 50, 40), {}, []),
        ((50, 50, 50, 50), {"certainty": 0.4}, ["undecided"]),
        ((100, 50, 50, 0), {}, ["unused clusters", "merged clusters"]),
        ((100, 35, 35, 30), {}, ["merged clusters"]),
        ((100, 35, 35, 30), {"prior": (0.5, 0.17, 0.17, 0.16)}, []),
    ],
)
def test_clusters(sizes, options, expected):
    clusters = np.repeat(np.arange(4), sizes)
    assert names(Clustered(clusters, **options), np.zeros((200, 2), "float32")) == expected


def test_every_sentence_says_what_to_do():
    found = diagnose(Grouped(by_start), IMAGES) + diagnose(
        Clustered(np.zeros(200, int)), np.zeros((200, 2), "float32")
    )
    assert len(found) == 3
    for finding in found:
        assert ";" in finding.sentence and finding.sentence.endswith(".")
