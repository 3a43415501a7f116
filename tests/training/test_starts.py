"""The best of several starts, where some are forced to merge two kinds of examples."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbind import metrics, training
from tfbind.models._base import means
from tfbind.models._batch import images_of
from tfbind.models._clustering import ClusteringModel

MIDDLES = 6.0 * np.eye(4, 5, dtype="float32")
TRUTH = np.arange(80) % 4
X = (MIDDLES[TRUTH] + 0.3 * np.random.default_rng(0).standard_normal((80, 5))).astype("float32")

# Where the centres begin: with two in one kind, one of the others is never left alone.
BEGINNINGS = {0: [0, 0, 1, 2], 1: [3, 3, 3, 2], 2: [1, 0, 3, 2], 3: [2, 2, 0, 1]}


class SoftMeans(ClusteringModel):
    """Moves four centres to the examples that are near them."""

    term_weights = {"distance": 1.0}

    def __init__(self):
        super().__init__((5,), 4)
        self.centers = self.add_weight(shape=(4, 5), initializer="random_uniform", name="centers")
        self.trackers |= means("distance")
        self.built = True

    def distances(self, inputs):
        square = tf.square(images_of(inputs, (5,))[:, None] - self.centers)
        return tf.reduce_sum(square, axis=-1)

    def call(self, inputs):
        return {"probabilities": tf.nn.softmax(-self.distances(inputs))}

    def loss_terms(self, batch, seed, training):
        distances = self.distances(batch["image"])
        p = tf.nn.softmax(-distances)
        return {"distance": tf.reduce_sum(p * distances, axis=-1), "cluster_usage": p}


def soft_means(seed):
    model = SoftMeans()
    nudge = 0.01 * np.random.default_rng(seed).standard_normal((4, 5))
    model.centers.assign(MIDDLES[BEGINNINGS[seed]] + nudge)
    model.compile(keras.optimizers.Adam(0.01), jit_compile=False)
    return model


@pytest.fixture(scope="module")
def found():
    return training.best_of(soft_means, X, starts=4, epochs=3, batch_size=40)


def test_the_start_that_merged_nothing_is_kept(found):
    assert found.seeds == (0, 1, 2, 3)
    assert found.best == 2
    assert metrics.clustering_accuracy(TRUTH, found.model.cluster(X)) == 1.0
    assert found.scores[2] == pytest.approx(np.log(4), abs=0.01)
    assert found.model.unsupervised_score(X) == found.scores[2]


def test_merged_starts_score_what_is_left_to_tell(found):
    # Three kinds at most are told apart: the mutual information is that of 1/2, 1/4, 1/4, or less
    most = 1.5 * np.log(2)
    assert all(found.scores[seed] < most + 0.01 for seed in (0, 1, 3))


class Stub:
    def __init__(self, seed, values):
        self.seed, self.value, self.fitted = seed, values[seed], None

    def fit(self, images, **settings):
        self.fitted = settings

    def unsupervised_score(self, images):
        return self.value


@pytest.mark.parametrize(
    ("values", "best"),
    [((1.0, 3.0, 2.0), 1), ((np.nan, -2.0, -np.inf), 1), ((2.0, 1.0, 2.0), 0)],
)
def test_the_highest_finite_score_counts_and_the_first_of_equal_ones(values, best):
    found = training.best_of(lambda seed: Stub(seed, values), X, starts=3, epochs=7)
    assert found.best == found.model.seed == best
    assert found.model.fitted == {"epochs": 7, "verbose": 0}
    np.testing.assert_array_equal(found.scores, values)


def test_a_score_of_ones_own_and_a_first_seed():
    found = training.best_of(
        lambda seed: Stub(seed, range(9)), X, starts=3, seed=4, score=lambda model, x: -model.seed
    )
    assert (found.seeds, found.scores, found.best) == ((4, 5, 6), (-4.0, -5.0, -6.0), 4)


def test_initial_weights_follow_from_the_seed_alone():
    def make(seed):
        model = SoftMeans()
        model.compile(keras.optimizers.SGD(0.0), jit_compile=False)
        return model

    found = training.best_of(make, X, starts=2, epochs=1)
    again = training.best_of(make, X, starts=2, epochs=1)
    assert found.scores == again.scores
    assert found.scores[0] != found.scores[1]


def test_what_is_refused():
    with pytest.raises(ValueError, match=r"`starts` must be an integer >= 1\. Received: starts=0"):
        training.best_of(soft_means, X, starts=0)
    with pytest.raises(ValueError, match="`starts` must have one with a finite score at least"):
        training.best_of(lambda seed: Stub(seed, [np.nan] * 2), X, starts=2)
