"""Self-labelling: what its labels are, that it finds clusters, and that a kill changes nothing."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn import neighbors

import tfbind
from tfbind import layers
from tfbind.data import pipelines
from tfbind.models import _relabeling

MIDDLES = 4.0 * np.eye(4, 6)
TRUTH = np.repeat(np.arange(4), [40, 40, 40, 40])
UNEQUAL = np.array([0.5, 0.2, 0.1, 0.1, 0.05, 0.05])
X = (MIDDLES[TRUTH] + 0.5 * np.random.default_rng(0).standard_normal((160, 6))).astype("float32")


def self_labeling(jit_compile=False, num_clusters=4, **settings):
    keras.utils.set_random_seed(1)
    given = {"num_heads": 2, "units": (16, 8), "strength": 10.0, "seed": 2, **settings}
    model = tfbind.SelfLabeling((6,), num_clusters, **given)
    model.compile(keras.optimizers.Adam(0.01), jit_compile=jit_compile)
    return model


def noisy(**settings):
    return self_labeling(augmentation=layers.AdditiveGaussianNoise(0.3, seed=0), **settings)


def labels(model):
    return model.row_labels.labels.numpy()


def counts(model, num_clusters=4):
    return [np.bincount(row, minlength=num_clusters) for row in labels(model)]


def test_vectors_get_noise_unless_told_otherwise():
    noise = self_labeling().augmentation
    assert (type(noise), noise.stddev) == (layers.AdditiveGaussianNoise, 1.0)
    again = tfbind.SelfLabeling.from_config(self_labeling(augmentation=None).get_config())
    assert again.augmentation is None
    assert tfbind.SelfLabeling((4, 4, 1), 2, units=(2, 2)).augmentation is None


@pytest.fixture(scope="module")
def trained():
    model = noisy()
    history = model.fit(X, batch_size=32, epochs=12, verbose=0).history
    return model, history


def test_it_finds_what_is_apart(trained):
    model, history = trained
    assert model.evaluate(X, TRUTH, verbose=0, return_dict=True)["accuracy"] > 0.95
    assert history["cross_entropy"][-1] < 0.5 * history["cross_entropy"][0]
    assert history["cluster_error"][-1] < 0.01
    assert history["changed_labels"][-1] < 0.1 < history["changed_labels"][0]


def test_neighbours_in_the_features_are_of_a_kind(trained):
    model, _ = trained
    features = model.predict(X, verbose=0)["features"]
    assert features.shape == (160, 8)
    found = neighbors.KNeighborsClassifier(5).fit(features[::2], TRUTH[::2])
    assert found.score(features[1::2], TRUTH[1::2]) > 0.95


def test_the_best_head_is_that_of_the_least_loss_and_survives(trained, tmp_path):
    model, _ = trained
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.best_head == model.best_head == int(np.argmin(model.head_losses))
    model.head_losses.assign([2.0, 1.0])
    logits = model.logits(model.embed(X)).numpy()[:, 1]
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.probabilities(X), expected, rtol=1e-4, atol=1e-6)
    model.head_losses.assign(again.head_losses)


def test_first_labels_are_balanced_and_differ_by_head():
    model = self_labeling(num_rows=161)
    for head in counts(model):
        assert sorted(head) == [40, 40, 40, 41]
    first, second = labels(model)
    assert 0.1 < (first == second).mean() < 0.4
    shares = (0.5, 0.3, 0.1, 0.1)
    np.testing.assert_array_equal(
        counts(self_labeling(num_rows=160, marginal=shares)), [[80, 48, 16, 16]] * 2
    )


def test_labels_are_balanced_but_for_rounding(trained):
    model, history = trained
    assert model.shares.numpy() == pytest.approx(0.25)
    for head in counts(model):
        np.testing.assert_allclose(head, 40, atol=4)


def unequal(seed):
    """Returns examples of six kinds, of which one is as frequent as all others."""
    random = np.random.default_rng(seed)
    middles = random.standard_normal((6, 8))
    middles *= 3.6 / np.linalg.norm(middles, axis=1, keepdims=True)
    truth = np.repeat(np.arange(6), np.rint(1000 * UNEQUAL).astype(int))
    return (middles[truth] + 0.6 * random.standard_normal((1000, 8))).astype("float32"), truth


def accuracy_and_shares(marginal):
    keras.utils.set_random_seed(1)
    images, truth = unequal(1)
    noise = layers.AdditiveGaussianNoise(0.6, seed=1)
    settings = {"units": (64, 32), "strength": 10.0, "augmentation": noise, "seed": 1}
    model = tfbind.SelfLabeling((8,), 6, num_heads=4, marginal=marginal, **settings)
    model.compile(keras.optimizers.Adam(3e-3), jit_compile=False)
    model.fit(images, batch_size=100, epochs=60, verbose=0)
    accuracy = model.evaluate(images, truth, verbose=0, return_dict=True)["accuracy"]
    return accuracy, model.shares.numpy()[model.best_head]


@pytest.mark.slow
def test_unequal_shares_are_learned():
    equal, shares = accuracy_and_shares(None)
    np.testing.assert_allclose(shares, 1 / 6, rtol=1e-5)
    learned, shares = accuracy_and_shares("learned")
    np.testing.assert_allclose(np.sort(shares)[::-1], UNEQUAL, atol=0.06)
    assert learned > 0.9 > 0.75 > equal


def test_a_mixture_is_a_start(tmp_path):
    images, truth = unequal(1)
    model = tfbind.SelfLabeling(
        (8,), 6, num_heads=2, units=(32,), marginal="learned", first_labels="mixture", seed=1
    )
    model.prepare_labels(1000)
    model.relabel(images)
    first = labels(model)
    assert tfbind.metrics.clustering_accuracy(truth, first[1]) > 0.95
    np.testing.assert_allclose(np.sort(model.expected_shares)[::-1], UNEQUAL, atol=0.02)
    assert model.has_labeled
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    again.relabel(images)  # by the network now, which has not learned anything
    assert again.first_labels == "mixture" and np.mean(labels(again) != first) > 0.3


def test_given_shares_are_come_to():
    model = self_labeling(marginal=(0.4, 0.3, 0.2, 0.1))
    np.testing.assert_allclose(model.shares, 0.25)
    model.prepare_labels(160)
    for step in range(1, 30):
        model.relabel(X)
        expected = 0.25 + (1 - 0.8**step) * (np.array(model.marginal) - 0.25)
        np.testing.assert_allclose(model.shares, [expected] * 2, atol=1e-5)


def label_steps(model, features, num_steps):
    solve = tf.function(model.solve_labels, jit_compile=True)
    for _ in range(num_steps):
        model.shares.assign(solve(tf.constant(features, tf.float32))["shares"])


def test_learned_shares_come_to_those_that_the_classifier_gives():
    model = self_labeling(marginal="learned")
    kernel, _ = model.heads.weights
    kernel.assign(np.tile(10.0 * np.eye(8, 4), 2))  # both heads tell the first four features apart
    given = np.array([0.5, 0.3, 0.12, 0.08])
    features = np.repeat(np.eye(4, 8), [25, 15, 6, 4], axis=0)
    label_steps(model, features, 3)
    expected = given + 0.8**3 * (0.25 - given)
    np.testing.assert_allclose(model.shares, [expected] * 2, atol=1e-4)


def test_no_cluster_dies_while_shares_are_learned():
    model = noisy(marginal="learned")
    label_steps(model, np.zeros((50, 8)), 20)
    model.heads.weights[1].assign([9.0, 0, 0, 0] * 2)
    label_steps(model, np.zeros((50, 8)), 60)
    np.testing.assert_allclose(model.shares, [[20 / 23, 1 / 23, 1 / 23, 1 / 23]] * 2, atol=1e-3)


def test_shares_are_kept(tmp_path):
    model = self_labeling(marginal="learned")
    model.fit(X, epochs=1, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.shares, model.shares)
    assert again.marginal == "learned" and np.ptp(model.shares) > 1e-4


def test_order_of_rows_is_that_of_labels():
    model = self_labeling()
    model.fit(X, epochs=2, verbose=0)
    order = np.random.default_rng(3).permutation(160)
    model.relabel(X)
    straight = labels(model)
    model.relabel(X[order])
    np.testing.assert_array_equal(labels(model), straight[:, order])


def test_a_kill_between_label_steps_changes_nothing(tmp_path):
    settings = {"num_label_steps": 2, "num_label_epochs": 3}  # before epochs 0 and 3
    arguments = {"batch_size": 40, "shuffle": False, "verbose": 0}
    straight, killed, resumed = (noisy(**settings) for _ in range(3))
    straight.fit(X, epochs=5, **arguments)
    killed.fit(X, epochs=2, **arguments)
    killed.save(tmp_path / "model.keras")
    resumed.restore_from(keras.saving.load_model(tmp_path / "model.keras"))
    resumed.fit(X, epochs=5, initial_epoch=2, **arguments)
    for one, other in zip(resumed.get_weights(), straight.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_stream_gives_what_arrays_do():
    dataset, steps = pipelines.shuffled_epochs(X, 32, seed=0, with_index=True)
    model = self_labeling()
    own = [_relabeling.Relabeling(X)]
    model.fit(dataset, steps_per_epoch=steps, epochs=2, callbacks=own, verbose=0)
    for head in counts(model):
        assert head.sum() == 160 and head.min() > 10
    model.end_training()
    assert not [weight.path for weight in model.weights if weight.path.endswith("labels/labels")]


def test_the_authors_spacing():
    model = self_labeling(num_label_steps=5, num_label_epochs=16)
    assert [epoch for epoch in range(20) if model.relabels_before(epoch)] == [0, 1, 4, 9, 16]
    assert all(map(self_labeling().relabels_before, range(5)))


def test_labels_are_solved_in_every_step_at_first():
    model = noisy(num_online_epochs=2)
    assert [epoch for epoch in range(4) if model.relabels_before(epoch)] == [2, 3]
    model.prepare_labels(160)
    kept = labels(model)
    model.fit(X, epochs=2, batch_size=32, verbose=0)
    np.testing.assert_array_equal(labels(model), kept)
    assert not model.has_labeled
    model.fit(X, epochs=12, initial_epoch=2, batch_size=32, verbose=0)
    assert model.has_labeled and (labels(model) != kept).any()
    assert model.evaluate(X, TRUTH, verbose=0, return_dict=True)["accuracy"] > 0.95
    assert type(model).from_config(model.get_config()).num_online_epochs == 2


@pytest.mark.slow
def test_a_kill_before_the_first_label_step_changes_nothing(tmp_path):
    arguments = {"batch_size": 40, "shuffle": False, "verbose": 0}
    straight, killed, resumed = (noisy(num_online_epochs=2) for _ in range(3))
    straight.fit(X, epochs=4, **arguments)
    killed.fit(X, epochs=1, **arguments)
    killed.save(tmp_path / "model.keras")
    resumed.restore_from(keras.saving.load_model(tmp_path / "model.keras"))
    resumed.fit(X, epochs=4, initial_epoch=1, **arguments)
    for one, other in zip(resumed.get_weights(), straight.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_without_label_steps_the_head_of_least_loss_answers():
    model = noisy(num_online_epochs=1)
    model.optimizer.learning_rate = 0.0
    history = model.fit(X, epochs=1, batch_size=len(X), verbose=0).history
    losses = model.online_losses.numpy()
    assert np.mean(losses) == pytest.approx(0.01 * history["cross_entropy"][0], rel=1e-4)
    for head in range(model.num_heads):
        model.online_losses.assign(np.eye(model.num_heads)[head] < 1)
        assert model.best_head == head
        expected = tf.nn.softmax(model.logits(model.embed(X))[:, head])
        np.testing.assert_allclose(model(X)["probabilities"], expected, atol=1e-6)


def test_labels_of_steps_compile():
    model = noisy(num_online_epochs=1, jit_compile=True)
    history = model.fit(X, epochs=3, batch_size=32, verbose=0).history
    assert np.isfinite(history["cross_entropy"]).all() and model.has_labeled


def test_shares_that_cannot_be_had_are_told():
    rows = np.repeat(200.0 * np.eye(2, 6, dtype="float32"), [79, 1], axis=0)
    model = self_labeling(num_clusters=2, num_heads=1, strength=1000.0)
    kernel, _ = model.heads.weights
    kernel.assign(100.0 * kernel)
    model.prepare_labels(80)
    rows += 1e-3 * np.random.default_rng(0).standard_normal(rows.shape).astype("float32")
    with pytest.warns(UserWarning, match="Choose a smaller `strength` than 1000"):
        model.relabel(rows)


BAD = [
    ({"marginal": (0.5, 0.6, 0.1, 0.1)}, "`marginal` must hold 4 positive numbers that sum to 1"),
    ({"marginal": "equal"}, "`marginal` must hold 4 positive numbers that sum to 1"),
    ({"marginal": (0.5, 0.5)}, "`marginal` must hold 4 positive numbers that sum to 1"),
    ({"marginal": (1.2, 0.2, -0.2, -0.2)}, "`marginal` must hold 4 positive numbers"),
    ({"num_label_epochs": 3}, "`num_label_steps` and `num_label_epochs` must be given together."),
    ({"num_online_epochs": 2, "augmentation": None}, "`num_online_epochs` must be 0 without an au"),
    ({"num_heads": 0}, "`num_heads` must be an integer >= 1. Received: num_heads=0."),
    ({"strength": -1.0}, "`strength` must be a number in (0, inf)"),
    ({"units": ()}, "`units` must hold"),
    ({"first_labels": "mixture"}, "`first_labels` must be 'network' where clusters get shares"),
    ({"first_labels": "mine"}, "`first_labels` must be one of 'network', 'mixture'"),
    ({"augmentation": keras.layers.Flatten()}, "`augmentation` must be a noise layer"),
    ({"num_label_steps": 3}, "`num_label_steps` and `num_label_epochs` must be given together."),
    (
        {"backbone": keras.Sequential([keras.Input((6, 2)), keras.layers.Dense(3)])},
        "`backbone` must give features of",
    ),
]


@pytest.mark.parametrize("settings, sentence", BAD, ids=lambda value: str(value)[:20])
def test_bad_settings(settings, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        self_labeling(**settings)


def test_bad_data():
    with pytest.raises(ValueError, match="`images` must hold at least one example a cluster. Rec"):
        self_labeling().fit(X[:3], verbose=0)
    with pytest.raises(ValueError, match="`x` must have the key 'index' too."):
        self_labeling(num_rows=160).train_on_batch(X)
    lost = self_labeling(num_rows=160)
    lost.heads.weights[0].assign(np.full((8, 8), np.nan))
    with pytest.raises(ValueError, match="`images` must have finite features where labels are"):
        lost.relabel(X)
    dataset, steps = pipelines.shuffled_epochs(X, 32, seed=0, with_index=True)
    with pytest.raises(ValueError, match="give `fit` the `Relabeling` of the training set"):
        self_labeling().fit(dataset, steps_per_epoch=steps, verbose=0)
