"""Clustering accuracy and purity against brute force; the Keras metric in `fit` and `evaluate`."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbind.metrics import ClusteringAccuracy, clustering_accuracy, purity


def best_over_permutations(labels_true, labels_pred, size):
    """The definition, tried out: every way to name `size` clusters after `size` classes."""
    return max(
        np.mean(np.array(names)[labels_pred] == labels_true)
        for names in itertools.permutations(range(size))
    )


@pytest.mark.parametrize(("num_classes", "num_clusters"), [(4, 4), (3, 5), (5, 2), (1, 3), (6, 6)])
def test_equals_the_best_permutation(num_classes, num_clusters):
    rng = np.random.default_rng(num_classes + 10 * num_clusters)
    for _ in range(5):
        true = rng.integers(0, num_classes, 60)
        pred = np.where(
            rng.random(60) < 0.5, true % num_clusters, rng.integers(0, num_clusters, 60)
        )
        expected = best_over_permutations(true, pred, max(num_classes, num_clusters))
        assert clustering_accuracy(true, pred) == pytest.approx(expected, abs=1e-12)
        renamed = rng.permutation(100)[:num_clusters][pred] - 50
        assert clustering_accuracy(true, renamed) == pytest.approx(expected, abs=1e-12)
        metric = ClusteringAccuracy(num_classes, num_clusters)
        for part in (slice(0, 25), slice(25, 60)):
            metric.update_state(true[part], np.eye(num_clusters)[pred[part]])
        assert float(metric.result()) == pytest.approx(expected, abs=1e-6)


def test_greedy_matching_would_be_wrong():
    # Matching the largest cell first gives 4 + 0; the best matching gives 3 + 3.
    true = [0] * 7 + [1] * 3
    pred = [0] * 4 + [1] * 3 + [0] * 3
    assert clustering_accuracy(true, pred) == 0.6


def test_purity_is_that_of_the_best_names():
    """Every way to name clusters after classes, several of them after one if need be."""
    rng = np.random.default_rng(3)
    for num_classes, num_clusters in ((3, 4), (4, 2), (2, 5)):
        true = rng.integers(0, num_classes, 40)
        pred = np.where(rng.random(40) < 0.5, true, rng.integers(0, num_clusters, 40))
        pred %= num_clusters
        expected = max(
            np.mean(np.array(names)[pred] == true)
            for names in itertools.product(range(num_classes), repeat=num_clusters)
        )
        assert purity(true, 7 * pred - 3) == pytest.approx(expected, abs=1e-12)
        assert purity(true, pred) >= clustering_accuracy(true, pred)
    assert purity([5, 5, 6], [0, 1, 2]) == 1.0
    assert clustering_accuracy([5, 5, 6], [0, 1, 2]) == pytest.approx(2 / 3)


@pytest.mark.parametrize("score", [clustering_accuracy, purity])
@pytest.mark.parametrize(
    ("labels_true", "labels_pred", "message"),
    [
        ([], [], r"`labels_true` must be a vector .* shape \(0,\)"),
        ([0, 1], [0.0, 1.0], "`labels_pred` must be a vector .* dtype float64"),
        ([0, 1], [[0], [1]], r"`labels_pred` must be a vector .* shape \(2, 1\)"),
        ([0, 1], [0, 1, 1], "must have the same length. Received: 2 and 3"),
    ],
)
def test_bad_labels(score, labels_true, labels_pred, message):
    with pytest.raises(ValueError, match=message):
        score(labels_true, labels_pred)


def test_metric_checks_its_inputs():
    with pytest.raises(ValueError, match="`num_clusters` must be an integer >= 1"):
        ClusteringAccuracy(3, 0)
    metric = ClusteringAccuracy(num_classes=3, num_clusters=2)
    assert float(metric.result()) == 0.0
    with pytest.raises(ValueError, match=r"`y_pred` shape \[B, 2\]. Received: \(3,\) and \(3, 3\)"):
        metric.update_state([0, 1, 2], np.eye(3))
    with pytest.raises(ValueError, match="classes from 0 to 2. Received: num_classes=3 and the cl"):
        metric.update_state([0, 3], np.eye(2))
    metric.update_state([0, 1, 2], np.eye(2)[[0, 1, 1]], sample_weight=[1.0, 1.0, 4.0])
    assert float(metric.result()) == pytest.approx(5 / 6)
    metric.reset_state()
    assert float(metric.result()) == 0.0
    tf.function(metric.update_state, jit_compile=True)(tf.constant([0, 3]), tf.eye(2))
    assert np.isnan(metric.result())


class LogsOfBatches(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.values = []

    def on_train_batch_end(self, batch, logs=None):
        self.values.append(float(logs["clustering_accuracy"]))


@pytest.mark.parametrize("compile_options", [{"jit_compile": True}, {"jit_compile": False}])
def test_metric_in_fit_and_evaluate(compile_options):
    rng = np.random.default_rng(1)
    data = rng.random((48, 4)).astype("float32")
    labels = np.where(rng.random(48) < 0.6, (data.argmax(1) + 1) % 3, rng.integers(0, 3, 48))
    expected = clustering_accuracy(labels, data.argmax(1))

    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(4, kernel_initializer="identity")]
    )
    model.compile(
        optimizer=keras.optimizers.SGD(0.0),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[ClusteringAccuracy(num_classes=3, num_clusters=4)],
        **compile_options,
    )
    batches = LogsOfBatches()
    history = model.fit(
        data,
        labels,
        batch_size=16,
        epochs=2,
        validation_data=(data, labels),
        callbacks=[batches],
        verbose=0,
    )
    logs = model.evaluate(data, labels, batch_size=16, verbose=0, return_dict=True)
    np.testing.assert_allclose(history.history["clustering_accuracy"], [expected] * 2, atol=1e-6)
    np.testing.assert_allclose(
        history.history["val_clustering_accuracy"], [expected] * 2, atol=1e-6
    )
    assert logs["clustering_accuracy"] == pytest.approx(expected, abs=1e-6)
    assert np.isnan(batches.values).all()
