"""The task of clustering: its scores by hand, for any model that gives probabilities."""

import types

import numpy as np
import pytest

from tfbind.training.tasks import Clustering, Examples

TASK = Clustering(dataset="digits", watched_split="test")
IMAGES = np.zeros((6, 2, 2, 1), "float32")
LABELS = np.int32([0, 0, 0, 1, 1, 1])


def giving(clusters, num_clusters=3):
    """A stand-in for a model that puts the examples into clusters."""
    probabilities = np.eye(num_clusters, dtype="float32")[clusters]
    return types.SimpleNamespace(predict=lambda *_, **__: {"probabilities": probabilities})


@pytest.mark.parametrize(
    ("clusters", "error", "majority_error"),
    [
        ([2, 2, 2, 0, 0, 0], 0.0, 0.0),
        ([2, 2, 2, 0, 0, 1], 1 / 6, 0.0),  # cluster 1 has no class left, but a most frequent one
        ([2, 2, 0, 0, 0, 0], 1 / 6, 1 / 6),
    ],
)
def test_scores_are_shares_of_the_examples(clusters, error, majority_error):
    found = TASK.score(giving(clusters), Examples(IMAGES, LABELS), seed=1)
    assert found == {
        "error": pytest.approx(error),
        "majority_error": pytest.approx(majority_error),
        "num_images": 6,
    }


def test_there_is_no_score_without_labels():
    with pytest.raises(ValueError, match="`labels` must be the classes of the images to score"):
        TASK.score(giving([0] * 6), Examples(IMAGES), seed=1)


def test_labels_are_not_in_the_data_of_the_training():
    examples = Examples(np.arange(6, dtype="float32")[:, None], LABELS)
    dataset, steps = TASK.training_data(examples, batch_size=3, seed=1).stream(0)
    batches = list(dataset.take(steps).as_numpy_iterator())
    assert sorted(np.concatenate(batches)[:, 0]) == [0, 1, 2, 3, 4, 5]


def test_only_a_mixture_has_pictures_and_is_watched_for_collapse():
    examples = Examples(IMAGES, LABELS)
    assert TASK.figures(giving([0] * 6), examples, seed=1) == {}
    assert TASK.callbacks(giving([0] * 6), None, seed=1) == ()
    (errors,) = TASK.callbacks(giving([0] * 6), examples, seed=1)
    assert errors.labels is LABELS
