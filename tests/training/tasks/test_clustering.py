"""The task of clustering: its scores by hand, for any model that gives probabilities."""

import types

import numpy as np
import pytest
from scipy import sparse

from tfbind.models._clustering import ClusteringModel
from tfbind.training.callbacks import CollapseWarning
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


class Clusters(ClusteringModel):
    """A model that clusters and generates nothing, and puts every example into cluster 2."""

    def predict(self, images, *_, **__):
        return {"probabilities": np.eye(self.num_clusters, dtype="float32")[[2] * len(images)]}


def test_a_clustering_model_is_drawn_and_watched_for_collapse():
    model = Clusters((2, 2, 1), 3)
    figures = TASK.figures(model, Examples(IMAGES, LABELS), seed=1)
    assert figures.keys() == {"clusters.png"}
    assert figures["clusters.png"].axes[0].get_title() == "clustering accuracy 0.500"
    assert [type(each) for each in TASK.callbacks(model, None, seed=1)] == [CollapseWarning]
    assert TASK.figures(model, Examples(IMAGES), seed=1) == {}  # no table without classes


def test_another_model_has_no_pictures_and_is_not_watched():
    examples = Examples(IMAGES, LABELS)
    assert TASK.figures(giving([0] * 6), examples, seed=1) == {}
    assert TASK.callbacks(giving([0] * 6), None, seed=1) == ()
    (errors,) = TASK.callbacks(giving([0] * 6), examples, seed=1)
    assert errors.labels is LABELS


def test_a_run_takes_no_sparse_matrix():
    with pytest.raises(ValueError, match="`images` must be an array in a run of a preset. Rec"):
        TASK.given(sparse.csr_array(np.eye(3)))
