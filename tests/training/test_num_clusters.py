"""The number of clusters by agreement: in closed form, and on made data of known kinds."""

import keras
import numpy as np
import pytest
from sklearn import cluster
from sklearn.metrics import adjusted_rand_score

import tfbind
from tfbind import training
from tfbind.training import num_clusters


def made(sizes, spread=0.4):
    """Kinds of examples of given sizes around random middles."""
    random = np.random.default_rng(1)
    middles = 4.0 * np.eye(len(sizes), 6)
    images = np.repeat(middles, sizes, axis=0) + spread * random.standard_normal((sum(sizes), 6))
    return images.astype("float32")


class KMeans:
    """scikit-learn's, from one random start, as a model."""

    def __init__(self, size, seed):
        self.found = cluster.KMeans(size, n_init=1, init="random", random_state=seed)

    def fit(self, images, verbose):
        self.found.fit(images)

    def cluster(self, images):
        return self.found.predict(images)

    def unsupervised_score(self, images):
        return self.found.score(images)


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(40, 40, 40), (30,) * 5, (60, 50, 40, 30, 20, 15)])
def test_it_finds_as_many_as_there_are(sizes):
    found = training.select_num_clusters(
        KMeans, made(sizes), range(2, 10), trainings=5, starts=20, seed=3
    )
    assert found.best == len(sizes)
    assert found.candidates == tuple(range(2, 10))
    assert found.agreements[found.candidates.index(found.best)] > 0.98


@pytest.mark.slow
def test_it_finds_them_with_a_model_of_ours():
    def make_model(size, seed):
        model = tfbind.SelfLabeling((6,), size, num_heads=1, units=(16, 8), seed=seed)
        model.compile(keras.optimizers.Adam(0.01), jit_compile=False)
        return model

    images = made((40, 40, 40))
    found = training.select_num_clusters(
        make_model, images, (3, 5), trainings=2, epochs=6, batch_size=32
    )
    assert found.best == 3
    assert found.agreements[0] > 0.95 > found.agreements[1]


def test_agreements_are_the_mean_over_pairs():
    random = np.random.default_rng(0)
    labelings = random.integers(0, 4, (3, 50))
    labelings[1, :40] = labelings[0, :40]
    expected = [
        adjusted_rand_score(labelings[i], labelings[j]) for i, j in [(0, 1), (0, 2), (1, 2)]
    ]
    found = num_clusters.selection_of((4,), [labelings])
    assert found.agreements[0] == pytest.approx(np.mean(expected), abs=1e-6)
    assert found.spreads[0] == pytest.approx(np.std(expected), abs=1e-6)


HALVES = np.arange(40) % 2
QUARTERS = np.arange(40) % 4
OTHERS = np.arange(40) // 10


def test_the_larger_of_equals_is_taken():
    labelings = [np.stack([each, each]) for each in (HALVES, QUARTERS)]
    found = num_clusters.selection_of((2, 4), labelings)
    assert found == ((2, 4), (1.0, 1.0), (0.0, 0.0), 4)
    disagreeing = [labelings[0], np.stack([QUARTERS, OTHERS])]
    assert num_clusters.selection_of((2, 4), disagreeing).best == 2


def test_the_tolerance_says_what_equals_are():
    almost = np.where(np.arange(40) == 0, 1, QUARTERS)
    labelings = [np.stack([HALVES, HALVES]), np.stack([QUARTERS, almost])]
    gap = 1 - adjusted_rand_score(QUARTERS, almost)
    assert num_clusters.selection_of((2, 4), labelings, gap - 0.001).best == 2
    assert num_clusters.selection_of((2, 4), labelings, gap + 0.001).best == 4


def test_trainings_that_leave_clusters_empty_agree_with_none():
    labelings = [np.stack([HALVES, HALVES]), np.stack([HALVES, HALVES])]
    found = num_clusters.selection_of((2, 5), labelings)
    assert (found.agreements, found.best) == ((1.0, 0.0), 2)


def test_every_training_sees_a_share_of_its_own():
    seen = []

    class Spy(KMeans):
        def fit(self, images, verbose):
            seen.append(images[:, 0])
            super().fit(images, verbose)

    images = made((50, 50))
    training.select_num_clusters(Spy, images, (2, 3), trainings=3, share=0.5)
    assert [len(each) for each in seen] == [50] * 6
    assert len(set(map(bytes, seen))) == 3  # the same ones for every K


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"candidates": (3,)}, r"`candidates` must hold two numbers of clusters or more, each gr"),
        ({"candidates": ()}, r"`candidates` must hold two numbers .* Received: candidates=\(\)"),
        ({"candidates": (3, 2)}, r"`candidates` must hold two numbers .* candidates=\(3, 2\)"),
        ({"candidates": (1, 2)}, r"`candidates` must be an integer >= 2\."),
        ({"trainings": 1}, r"`trainings` must be an integer >= 2\. Received: trainings=1"),
        ({"starts": 0}, r"`starts` must be an integer >= 1\."),
        ({"share": 0}, r"`share` must be a number in \(0, 1\]"),
        ({"tolerance": -1}, r"`tolerance` must be a number in \[0, inf\)"),
    ],
)
def test_what_is_refused(changes, message):
    given = {"candidates": (2, 3), "trainings": 2, **changes}
    with pytest.raises(ValueError, match=message):
        training.select_num_clusters(KMeans, made((10, 10)), **given)
