"""Estimators of scikit-learn: what they find, and that they are the models they hold."""

import copy
import random

import joblib
import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import sparse
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits, make_blobs
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import tfbind
from tfbind import export, metrics
from tfbind.sklearn import (
    AdversarialMixtureClusterer,
    PseudoLabelEnsembleClusterer,
    SelfLabelingClusterer,
    agreement_scorer,
)

SIZES = [160, 80, 40, 20]
RAW, TRUTH = make_blobs(SIZES, n_features=5, center_box=(-6, 6), random_state=1)
RAW = RAW * [1, 10, 100, 1000, 0.1]  # as columns of tables are
ROWS = StandardScaler().fit_transform(RAW)
QUICK = {"units": (16,), "num_heads": 1, "max_iter": 3, "random_state": 0}

# Most are trained for less than it takes, which is told of
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def accuracy(labels, truth=TRUTH):
    return metrics.clustering_accuracy(truth, labels)


@pytest.fixture(scope="module")
def fitted():
    return SelfLabelingClusterer(4, max_iter=20, random_state=0).fit(ROWS)


@pytest.fixture(scope="module")
def quick():
    return SelfLabelingClusterer(4, **QUICK).fit(ROWS)


# What is found.


def test_clusters_of_unequal_size(fitted):
    assert accuracy(fitted.labels_) > 0.97
    assert accuracy(fitted.predict(ROWS[::2]), TRUTH[::2]) > 0.97
    assert sorted(np.bincount(fitted.labels_)) == pytest.approx(sorted(SIZES), abs=8)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [PseudoLabelEnsembleClusterer, AdversarialMixtureClusterer])
def test_clusters_of_equal_size(kind):
    rows, truth = make_blobs(150, centers=3, random_state=6)
    rows = StandardScaler().fit_transform(rows)
    found = kind(3, max_iter=40, random_state=0).fit(rows)
    assert accuracy(found.labels_, truth) > 0.95


@pytest.mark.long
def test_digits_as_images():
    pixels, truth = load_digits(return_X_y=True)
    found = SelfLabelingClusterer(10, image_shape=(8, 8, 1), random_state=0).fit(pixels / 16)
    assert found.model_.event_shape == (8, 8, 1)
    assert accuracy(found.labels_, truth) > 0.8


# It is the model that it holds.


def test_it_answers_as_its_model_does(fitted):
    rows = ROWS.astype("float32")
    np.testing.assert_array_equal(fitted.labels_, fitted.predict(ROWS))
    np.testing.assert_array_equal(fitted.predict(ROWS), fitted.model_.cluster(rows))
    np.testing.assert_allclose(
        fitted.predict_proba(ROWS), fitted.model_.probabilities(rows), atol=1e-6
    )
    np.testing.assert_allclose(fitted.transform(ROWS), fitted.model_.embed(rows), atol=1e-5)
    assert fitted.score(ROWS) == pytest.approx(fitted.model_.unsupervised_score(rows), rel=1e-5)


def test_lists_and_sparse_rows_are_rows(quick):
    expected = quick.predict_proba(ROWS)
    np.testing.assert_allclose(quick.predict_proba(ROWS.tolist()), expected, atol=1e-6)
    for container in (sparse.csr_array, sparse.csr_matrix, sparse.csc_array, sparse.coo_array):
        np.testing.assert_allclose(quick.predict_proba(container(ROWS)), expected, atol=1e-6)


def test_it_learns_from_sparse_rows():
    rows = sparse.csr_array(np.repeat(np.eye(3, 6), 20, axis=0))
    labels = SelfLabelingClusterer(3, **QUICK).fit_predict(rows)
    assert labels.shape == (60,)


def test_what_it_returns(fitted):
    assert fitted.predict(ROWS).dtype == np.int64
    assert fitted.transform(ROWS).shape == (300, 64)
    assert fitted.transform(ROWS).dtype == np.float32
    assert list(fitted.get_feature_names_out()[:2]) == [
        "selflabelingclusterer0",
        "selflabelingclusterer1",
    ]


def test_the_model_saves_and_exports(quick, tmp_path):
    expected = quick.predict_proba(ROWS)
    quick.model_.save(tmp_path / "rows.keras")
    loaded = keras.saving.load_model(tmp_path / "rows.keras")
    np.testing.assert_allclose(loaded.probabilities(ROWS), expected, atol=1e-6)
    written = export.export_saved_model(quick.model_, tmp_path / "exported", version=1)
    serve = tf.saved_model.load(str(written)).signatures["serving_default"]
    answer = serve(image=tf.constant(ROWS, tf.float32))
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)


# scikit-learn's ways.


def test_a_pipeline_with_a_scaler(fitted):
    pipeline = make_pipeline(StandardScaler(), clone(fitted))
    assert accuracy(pipeline.fit_predict(RAW)) > 0.97
    np.testing.assert_array_equal(pipeline.predict(RAW), fitted.labels_)


def test_rows_that_are_not_scaled_are_told_of():
    with pytest.warns(UserWarning, match="deviations near 1.*StandardScaler"):
        SelfLabelingClusterer(4, **QUICK).fit(RAW)


def test_a_failed_training_is_told_of():
    early = SelfLabelingClusterer(4, **{**QUICK, "max_iter": 1}, learning_rate=1e-6)
    with pytest.warns(ConvergenceWarning, match="undecided"):
        early.fit(ROWS)


@pytest.mark.slow
def test_a_search_without_labels():
    search = GridSearchCV(SelfLabelingClusterer(4, **QUICK), {"learning_rate": [1e-6, 1e-2]}, cv=2)
    with pytest.warns(ConvergenceWarning):
        search.fit(ROWS)
    assert search.best_params_ == {"learning_rate": 1e-2}


def test_agreement_is_highest_where_halves_find_the_same():
    rows, _ = make_blobs(300, centers=4, random_state=3)
    scores = {
        k: agreement_scorer(KMeans(k, n_init=5, random_state=0).fit(rows[::2]), rows[1::2])
        for k in (3, 4, 5, 6)
    }
    assert max(scores, key=scores.get) == 4
    assert scores[4] == 1.0


def test_starts_are_chosen_without_labels(quick):
    several = clone(quick).set_params(n_init=2).fit(ROWS)
    assert several.score(ROWS) >= quick.score(ROWS)


def test_one_random_state_is_one_result(quick):
    random.seed(1)
    np.random.seed(1)
    states = random.getstate(), np.random.get_state()[1]
    again = clone(quick).fit(ROWS)
    np.testing.assert_array_equal(again.predict_proba(ROWS), quick.predict_proba(ROWS))
    assert random.getstate() == states[0]
    np.testing.assert_array_equal(np.random.get_state()[1], states[1])


@pytest.mark.slow
def test_copies_answer_and_go_on_alike(quick, tmp_path):
    joblib.dump(quick, tmp_path / "quick.joblib")
    copies = joblib.load(tmp_path / "quick.joblib"), copy.deepcopy(quick)
    for each in copies:
        np.testing.assert_array_equal(each.predict_proba(ROWS), quick.predict_proba(ROWS))
    one, other = (each.partial_fit(ROWS[:100]).predict_proba(ROWS) for each in copies)
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_an_augmentation_is_an_argument_like_others():
    noise = tfbind.layers.AdditiveGaussianNoise(0.1, seed=0)
    found = clone(SelfLabelingClusterer(4, augmentation=noise, **QUICK)).fit(ROWS)
    assert found.model_.augmentation.stddev == 0.1
    assert found.model_.augmentation is not found.augmentation


# Going on.


@pytest.mark.slow
@pytest.mark.parametrize("kind", [SelfLabelingClusterer, AdversarialMixtureClusterer])
def test_going_on_keeps_the_clusters(kind):
    clusterer = kind(4, max_iter=10, random_state=0).fit(ROWS)
    labels, weights = clusterer.labels_, clusterer.model_.get_weights()
    clusterer.partial_fit(ROWS[::3])
    assert clusterer.n_iter_ == 11
    assert clusterer.labels_.shape == (100,)
    found = clusterer.predict(ROWS)
    assert np.mean(found == labels) == metrics.clustering_accuracy(labels, found) > 0.6
    after = clusterer.model_.get_weights()
    assert any(not np.array_equal(a, b) for a, b in zip(weights, after, strict=True))


@pytest.mark.slow
def test_it_may_begin_so():
    clusterer = SelfLabelingClusterer(4, **QUICK)
    for _ in range(10):
        clusterer.partial_fit(ROWS)
    assert clusterer.n_iter_ == 10
    assert accuracy(clusterer.labels_) > 0.8


def test_an_ensemble_cannot():
    assert "partial_fit" not in dir(PseudoLabelEnsembleClusterer)


# Errors.


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_clusters": 1}, "`n_clusters` must be an integer >= 2. Received: n_clusters=1."),
        ({"n_clusters": 301}, "`X` must hold .* n_clusters=301, and 300 rows."),
        ({"n_init": 0}, "`n_init` must be an integer >= 1. Received: n_init=0."),
        ({"batch_size": 0}, "`batch_size` must be an integer >= 1. Received: batch_size=0."),
        ({"max_iter": "long"}, "`max_iter` must be an integer >= 1. Received: max_iter='long'."),
        ({"learning_rate": 0}, r"`learning_rate` must be a number in \(0, inf\)"),
        ({"image_shape": (8, 8, 1)}, r"`image_shape` must .* image_shape=\(8, 8, 1\), and 5"),
        ({"marginal": "known"}, "`marginal`"),
    ],
)
def test_what_is_out_of_range_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        SelfLabelingClusterer(4).set_params(**settings).fit(ROWS)
