"""Labels solved anew between epochs, with a toy model: k-means by gradient descent."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbind import seeds
from tfbind.data import pipelines
from tfbind.models import _base, _batch, _relabeling

RANDOM = np.random.default_rng(0)
MIDDLES = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
X = (np.repeat(MIDDLES, 20, axis=0) + 0.3 * RANDOM.standard_normal((60, 2))).astype("float32")


@keras.saving.register_keras_serializable("tests")
class Means(_relabeling.RelabelingModel):
    """Moves centres to the mean of the rows that are labelled theirs."""

    term_weights = {"distance": 1.0}

    def __init__(self, event_shape=(2,), num_rows=None, every=1, **kwargs):
        super().__init__(event_shape, num_rows=num_rows, **kwargs)
        self.every = every
        self.centers = self.add_weight(shape=(3, 2), name="centers")
        self.centers.assign(X[[0, 20, 40]] + 1.0)
        self.trackers |= _base.means("distance")
        self.solved = []
        self.built = True

    def call(self, inputs):
        images = _batch.images_of(inputs, (2,))
        return {"center": tf.gather(self.centers, self.nearest(images))}

    def nearest(self, images):
        square = tf.reduce_sum((images[:, None] - self.centers) ** 2, axis=-1)
        return tf.argmin(square, axis=-1, output_type=tf.int32)

    def relabel(self, images):
        self.row_labels.assign(self.nearest(images))
        self.solved.append(self.row_labels.labels.numpy())

    def relabels_before(self, epoch):
        return epoch % self.every == 0

    def loss_terms(self, batch, seed, training):
        centers = tf.gather(self.centers, self.row_labels(batch["index"]))
        return {"distance": tf.reduce_sum((batch["image"] - centers) ** 2, axis=-1)}


def means(jit_compile=True, **settings):
    model = Means(**settings)
    model.compile(keras.optimizers.SGD(0.2), jit_compile=jit_compile)
    return model


@pytest.mark.parametrize("jit_compile", [False, True])
def test_fit_looks_labels_up_by_row(jit_compile):
    model = means(jit_compile)
    model.fit(X, batch_size=20, epochs=20, verbose=0)
    np.testing.assert_allclose(model.centers, X.reshape(3, 20, 2).mean(axis=1), atol=0.1)
    np.testing.assert_array_equal(model.solved[-1], np.repeat([0, 1, 2], 20))


def test_the_schedule_says_when():
    model = means(every=3)
    model.fit(X, epochs=7, verbose=0)
    assert len(model.solved) == 3
    given = means()
    schedule = _relabeling.Relabeling(X, schedule=lambda epoch: epoch in (0, 5))
    given.fit(X, epochs=7, callbacks=[schedule], verbose=0)
    assert len(given.solved) == 2


def test_a_stream_needs_index_and_a_callback():
    dataset, steps = pipelines.shuffled_epochs(X, 20, seed=seeds.base_seed(0))
    settings = {"steps_per_epoch": steps, "epochs": 3, "verbose": 0}
    with pytest.raises(ValueError, match="`x` must have the key 'index' too."):
        means().fit(dataset, **settings)
    dataset, steps = pipelines.shuffled_epochs(X, 20, seed=0, with_index=True)
    model = means()
    model.fit(dataset, callbacks=[_relabeling.Relabeling(X)], **settings)
    assert len(model.solved) == 3


def test_another_training_set_gets_labels_of_its_own():
    model = means()
    model.fit(X, verbose=0)
    model.fit(X[:33], verbose=0)
    assert model.row_labels.labels.shape == (33,)
    model.end_training()
    assert [weight.path for weight in model.weights if "labels" in weight.path] == []
    model.predict(X, verbose=0)


def test_labels_survive_a_checkpoint(tmp_path):
    straight = means(every=3)
    straight.fit(X, epochs=5, shuffle=False, verbose=0)
    killed = means(every=3)
    killed.fit(X, epochs=2, shuffle=False, verbose=0)  # amid a round
    killed.save(tmp_path / "model.keras")
    resumed = means(every=3)
    resumed.restore_from(keras.saving.load_model(tmp_path / "model.keras"))
    np.testing.assert_array_equal(resumed.row_labels.labels, killed.row_labels.labels)
    resumed.fit(X, epochs=5, initial_epoch=2, shuffle=False, verbose=0)
    np.testing.assert_array_equal(resumed.centers, straight.centers)
