"""Sparse vectors give what dense ones give, to the bit, and are never made dense as a whole."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import sparse

from tfbind import models

# A training of two epochs, of three kinds that are hardly apart
pytestmark = pytest.mark.filterwarnings(
    "ignore:The members agree on", "ignore:Members .* use their clusters"
)

RANDOM = np.random.default_rng(0)
KINDS = np.repeat(np.eye(3, 12), 14, axis=0)[:40] * (1 + RANDOM.random((40, 1)))
DENSE = np.where(RANDOM.random((40, 12)) < 0.2, RANDOM.random((40, 12)), KINDS).astype("float32")
SPARSE = sparse.csr_array(DENSE)
LABELS = np.arange(40) % 3
MODELS = {
    "ensemble": lambda: models.PseudoLabelEnsemble(
        *((12,), 3, 2),
        hidden_units=(6,),
        denoising_weights=(1.0, 1.0, 1.0),
        confidence_threshold=0.0,
        first_epochs=1,
        round_epochs=1,
        seed=0,
    ),
    "self-labelling": lambda: models.SelfLabeling((12,), 3, num_heads=2, units=(6,), seed=0),
    "mixture": lambda: models.AdversarialMixture(
        (12,), 3, 2, hidden_units=(6,), output_activation="linear", seed=0
    ),
}
FORMS = {
    "csr": lambda: SPARSE,
    "coo": lambda: sparse.coo_matrix(DENSE),
    "float64": lambda: sparse.csc_array(DENSE.astype("float64")),
    "tensor": lambda: tf.sparse.from_dense(DENSE),
    "dict": lambda: {"image": SPARSE},
}


def compiled(make):
    keras.utils.set_random_seed(1)
    model = make()
    model.compile(keras.optimizers.Adam(0.01), run_eagerly=True)  # quicker: nothing is traced
    return model


def trained(make, x, **settings):
    model = compiled(make)
    keras.utils.set_random_seed(2)
    history = model.fit(x, batch_size=16, epochs=2, verbose=0, **settings)
    return model, history.history


@pytest.fixture(scope="module", params=MODELS)
def pair(request):
    """A model trained on dense vectors, and what was logged, with how to make another."""
    make = MODELS[request.param]
    return make, *trained(make, DENSE, validation_data=(DENSE, LABELS))


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(form, marks=[pytest.mark.slow] * (form not in ("csr", "dict")))
        for form in FORMS
    ],
)
def test_sparse_is_as_dense(pair, form):
    make, expected, logged = pair
    x = FORMS[form]()
    model, history = trained(make, x, validation_data=(x, LABELS))
    for one, other in zip(model.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(one, other, err_msg=one.path)
    np.testing.assert_equal(history, logged)


def test_inference(pair):
    _, model, _ = pair
    score = model.evaluate(DENSE, LABELS, verbose=0, return_dict=True)
    np.testing.assert_equal(model.evaluate(SPARSE, LABELS, verbose=0, return_dict=True), score)
    for size in (7, 100):
        found, expected = (model.predict(x, size, verbose=0) for x in (SPARSE, DENSE))
        keras.tree.map_structure(np.testing.assert_array_equal, found, expected)
    np.testing.assert_array_equal(model.cluster(SPARSE), model.cluster(DENSE))


def test_one_batch(pair):
    make = pair[0]
    models_of = [compiled(make) for _ in range(2)]
    for model, x in zip(models_of, (SPARSE, DENSE), strict=True):
        index = {}
        if "index" in model.fields(training=True):
            model.prepare_labels(40)
            index = {"index": np.arange(40)}
        model.logs = model.train_on_batch({"image": x, **index}, return_dict=True)
        model.logs |= model.test_on_batch(x, LABELS, return_dict=True)
        model.found = model.predict_on_batch(x)["probabilities"]
    np.testing.assert_equal(models_of[0].logs, models_of[1].logs)
    np.testing.assert_array_equal(models_of[0].found, models_of[1].found)


def dataset_of(x):
    return tf.data.Dataset.from_tensor_slices({"image": x, "index": np.arange(40)}).batch(16)


def test_datasets_of_sparse_tensors():
    make = MODELS["ensemble"]
    found = []
    for x in (tf.sparse.from_dense(DENSE), DENSE):
        model, _ = trained(make, dataset_of(x), callbacks=[models._relabeling.Relabeling(SPARSE)])
        model.calibrate(tf.data.Dataset.from_tensor_slices(x).batch(16))
        found.append(model.predict(dataset_of(x), verbose=0)["probabilities"])
    np.testing.assert_array_equal(*found)


def test_labelled_and_unlabelled_streams():
    found = []
    for x in (SPARSE, DENSE):
        keras.utils.set_random_seed(1)
        model = models.LadderNetwork(
            (12,), 3, hidden_units=(6,), denoising_weights=(1.0, 1.0, 1.0), seed=0
        )
        model.compile("adam", run_eagerly=True)
        data = {"image": x[:9], "label": LABELS[:9], "unlabeled_image": x}
        model.fit(data, batch_size=8, verbose=0)
        found.append(model.predict(x, verbose=0)["probabilities"])
    np.testing.assert_array_equal(*found)


def bad(value):
    matrix = SPARSE.astype("float64")
    matrix.data[3] = value
    return matrix


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e39])
@pytest.mark.parametrize("method", ["fit", "evaluate", "predict", "calibrate"])
def test_values_that_are_no_numbers(value, method):
    model = compiled(MODELS["ensemble"])
    for x in (bad(value), bad(value).toarray()):
        with pytest.raises(ValueError, match="`images` must be finite. Received: NaN or infinity"):
            getattr(model, method)(x)


def test_other_things_that_do_not_go():
    model = compiled(MODELS["self-labelling"])
    with pytest.raises(ValueError, match=r"must have shape \(n, 12\). Received: shape \(40, 11\)"):
        model.fit(SPARSE[:, :11])
    with pytest.raises(ValueError, match="`validation_split` must be 0 .* sparse ones."):
        model.fit(SPARSE, validation_split=0.5)
    with pytest.raises(ValueError, match="Received: 39 for 40 images."):
        model.evaluate(SPARSE, LABELS[:39])
    tensor = tf.sparse.from_dense(bad(np.nan).toarray().astype("float32"))
    dataset = tf.data.Dataset.from_tensor_slices(tensor)
    with pytest.raises(ValueError, match="`images` must be finite. Received: values from nan"):
        model.predict(dataset.batch(9), verbose=0)


@pytest.mark.slow
def test_memory_is_not_that_of_a_dense_matrix():
    script = """
import resource
import numpy as np
from scipy import sparse
from tfbind import models
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
def fit(num_rows):
    columns = np.random.default_rng(0).integers(0, 20_000, 2 * num_rows)
    starts = np.arange(0, 2 * num_rows + 1, 2)
    x = sparse.csr_array((np.ones_like(columns), columns, starts), shape=(num_rows, 20_000))
    model = models.SelfLabeling((20_000,), 3, num_heads=1, units=(2,), seed=0)
    model.compile("sgd")
    model.fit(x, batch_size=500, verbose=0)
    model.evaluate(x, batch_size=500, verbose=0)
fit(1000)
before = peak()
fit(30_000)  # dense, 2.4 GB
print(peak() - before)
"""
    command = [sys.executable, "-c", script]
    finished = subprocess.run(command, capture_output=True, check=True, text=True)
    assert float(finished.stdout) < 800
