"""The Keras metrics: means over images, weights, configs, and real `fit` and `evaluate` runs."""

import keras
import numpy as np
import pytest
import sklearn.metrics
import tensorflow as tf

from tfbind import metrics

TRUE = np.array([[0, 1, 1, 2, 2], [1, 1, 1, 2, 0], [0, 0, 0, 0, 0]])
PRED = np.array([[1, 0, 0, 1, 1], [0, 1, 0, 1, 2], [0, 1, 2, 0, 1]])
# Softened one-hot assignments, [B, K, P]; the winner of image b has 0.5 + 0.1 b.
ASSIGNMENTS = np.stack(
    [
        np.where(np.arange(3)[:, None] == pred, 0.5 + 0.1 * b, 0.25 - 0.05 * b)
        for b, pred in enumerate(PRED)
    ]
).astype("float32")
SECOND_AMI = sklearn.metrics.adjusted_mutual_info_score(
    TRUE[1][:4], PRED[1][:4], average_method="max"
)
SECOND_ARI = sklearn.metrics.adjusted_rand_score(TRUE[1][:4], PRED[1][:4])
METRICS = {
    "ami": (lambda: metrics.AdjustedMutualInformation(num_true=2), 1.0, SECOND_AMI),
    "ari": (lambda: metrics.AdjustedRandIndex(num_true=2), 1.0, SECOND_ARI),
    "confidence": (metrics.Confidence, 0.5, 0.6),
}


@pytest.mark.parametrize("name", METRICS)
def test_mean_skips_images_without_a_scored_pixel(name):
    make, first, second = METRICS[name]
    metric = make()
    assert metric.name == name
    metric.update_state(TRUE, ASSIGNMENTS)
    np.testing.assert_allclose(metric.result(), (first + second) / 2, atol=1e-6)
    metric.reset_state()
    metric.update_state(TRUE[2:], ASSIGNMENTS[2:])
    assert float(metric.result()) == 0.0
    metric.update_state(TRUE[:1], ASSIGNMENTS[:1])
    np.testing.assert_allclose(metric.result(), first, atol=1e-6)


@pytest.mark.parametrize("name", METRICS)
def test_sample_weight_weighs_images(name):
    make, first, second = METRICS[name]
    metric = make()
    metric.update_state(TRUE, ASSIGNMENTS, sample_weight=[1.0, 3.0, 5.0])
    np.testing.assert_allclose(metric.result(), (first + 3 * second) / 4, atol=1e-6)
    with pytest.raises(ValueError, match=r"one weight per image. Received: shape \(3, 1\)"):
        metric.update_state(TRUE, ASSIGNMENTS, sample_weight=np.ones((3, 1)))


@pytest.mark.parametrize("name", METRICS)
def test_shapes_are_checked(name):
    metric = METRICS[name][0]()
    for y_true, y_pred in [(TRUE, TRUE), (TRUE[:, :4], ASSIGNMENTS), (TRUE[0], ASSIGNMENTS[0])]:
        with pytest.raises(ValueError, match=r"`y_true` must have shape \[B, ...\] and `y_pred`"):
            metric.update_state(y_true, y_pred)


def test_ties_go_to_the_first_group():
    tied = np.full((1, 3, 5), 1 / 3, "float32")
    tied[0, 2, 3:] = tied[0, 1, 3:] = 0.5  # groups 1 and 2 tie on the last two pixels
    for jit_compile in (True, False):
        metric = metrics.AdjustedMutualInformation(num_true=2)
        tf.function(metric.update_state, jit_compile=jit_compile)(TRUE[:1], tied)
        np.testing.assert_allclose(metric.result(), 1.0, atol=1e-6)


@pytest.mark.parametrize(
    "metric",
    [
        metrics.AdjustedMutualInformation(num_true=4, average_method="arithmetic", name="a"),
        metrics.AdjustedRandIndex(num_true=4, name="b"),
        metrics.Confidence(name="c"),
        metrics.ClusteringAccuracy(num_classes=4, num_clusters=6, name="d"),
    ],
)
def test_config_round_trip(metric):
    serialized = keras.metrics.serialize(metric)
    assert serialized["registered_name"] == f"tfbind>{type(metric).__name__}"
    copy = keras.metrics.deserialize(serialized)
    assert type(copy) is type(metric)
    assert copy.get_config() == metric.get_config()


def test_true_groups_above_num_true_show_as_nan_in_compiled_steps():
    metric = metrics.AdjustedRandIndex(num_true=1)
    with pytest.raises(ValueError, match="`groups_true` must hold ids from 0 to 1"):
        metric.update_state(TRUE, ASSIGNMENTS)
    tf.function(metric.update_state, jit_compile=True)(TRUE, ASSIGNMENTS)
    assert np.isnan(metric.result())


class Identity(keras.layers.Layer):
    """Passes the assignments on through a weight, so that there is something to fit."""

    def build(self, input_shape):
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

    def call(self, inputs):
        return inputs * self.scale


@pytest.mark.parametrize("jit_compile", [True, False])
def test_grouping_metrics_in_fit_and_evaluate(jit_compile):
    rng = np.random.default_rng(0)
    true = rng.integers(0, 4, (10, 6, 6))
    true[0] = 0
    assignments = rng.dirichlet(np.ones(5), (10, 6, 6)).transpose(0, 3, 1, 2).astype("float32")
    pred = assignments.argmax(1)
    expected = {
        "ami": sklearn.metrics.adjusted_mutual_info_score,
        "ari": sklearn.metrics.adjusted_rand_score,
    }
    expected = {
        name: np.mean([score(t[t > 0], p[t > 0]) for t, p in zip(true[1:], pred[1:], strict=True)])
        for name, score in expected.items()
    }
    top = [assignments.max(1)[i][true[i] > 0].mean() for i in range(1, 10)]
    expected["confidence"] = np.mean(top)

    model = keras.Sequential([keras.Input((5, 6, 6)), Identity()])
    model.compile(
        optimizer=keras.optimizers.SGD(0.0),
        loss=lambda y_true, y_pred: tf.reduce_mean(y_pred, axis=[1, 2, 3]),
        metrics=[
            metrics.AdjustedMutualInformation(num_true=3, average_method="arithmetic"),
            metrics.AdjustedRandIndex(num_true=3),
            metrics.Confidence(),
        ],
        jit_compile=jit_compile,
    )
    history = model.fit(assignments, true, batch_size=5, epochs=1, verbose=0)
    logs = model.evaluate(assignments, true, batch_size=5, verbose=0, return_dict=True)
    for name, value in expected.items():
        np.testing.assert_allclose(history.history[name][0], value, atol=1e-5)
        np.testing.assert_allclose(logs[name], value, atol=1e-5)
