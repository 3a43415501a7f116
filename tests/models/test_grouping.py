"""What the models that group share: the endpoint that shows every iteration."""

import numpy as np
import pytest

import tfbind

SHAPE = (6, 6, 1)


def reconstruction_clustering(**settings):
    autoencoder = tfbind.DenoisingAutoencoder(SHAPE, hidden_units=9)
    return tfbind.ReconstructionClustering(autoencoder, 3, num_iterations=4, seed=0, **settings)


def tagger(**settings):
    settings = {"units": (12, 6), "normalization": "layer", **settings}
    return tfbind.Tagger(SHAPE, 3, 2, inference_iterations=4, seed=0, **settings)


MODELS = {
    "rc": reconstruction_clustering,
    "rc-hard": lambda: reconstruction_clustering(assignment="hard"),
    "rc-weights": lambda: reconstruction_clustering(estimate_weights=True),
    "tagger": tagger,
    "tagger-batch": lambda: tagger(normalization="batch"),
    "tagger-gaussian": lambda: tagger(likelihood="gaussian"),
    "tagger-classes": lambda: tagger(units=(12, 5), num_classes=4),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_trace_is_that_of_python_and_ends_at_the_answer(name):
    model = MODELS[name]()
    images = (np.random.default_rng(0).random((5, *SHAPE)) < 0.4).astype("float32")
    start = model.initial_assignments(5, seed=1)
    endpoints = model.serving_endpoints()
    found = endpoints["trace"].function(images, start)
    assert found.keys() == endpoints["trace"].outputs.keys()
    expected = model.trace(images, start)
    masks = np.swapaxes(expected["assignments"], 0, 1)
    assert found["assignments"].shape == (5, 5, 3, 6, 6)  # batch, T + 1, K
    np.testing.assert_allclose(found["assignments"], masks, atol=1e-6)
    np.testing.assert_allclose(found["assignments"][:, 0], start, atol=1e-6)
    for key, last in endpoints["group_from"].function(images, start).items():
        np.testing.assert_allclose(found[key][:, -1], last, rtol=1e-5, atol=1e-6)


def test_the_trace_has_the_likelihood_after_every_iteration():
    model = reconstruction_clustering()
    images = (np.random.default_rng(0).random((2, *SHAPE)) < 0.4).astype("float32")
    start = model.initial_assignments(2, seed=1)
    found = model.serving_endpoints()["trace"].function(images, start)["log_likelihood"]
    expected = np.transpose(model.trace(images, start)["log_likelihoods"])[:, ::2]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
