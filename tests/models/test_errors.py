"""Bad arguments and bad data: one clear sentence each, wherever the data comes in."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbind import layers, models

EVENT_SHAPE = (4, 4, 1)
IMAGES = np.random.default_rng(0).random((6, *EVENT_SHAPE)).round().astype("float32")


def autoencoder(**settings):
    return models.DenoisingAutoencoder(EVENT_SHAPE, hidden_units=3, **settings)


def clustering(**settings):
    return models.ReconstructionClustering(autoencoder(), **{"num_groups": 2, **settings})


MAKERS = {"autoencoder": autoencoder, "clustering": clustering}


@pytest.fixture(scope="module", params=MAKERS)
def model(request):
    model = MAKERS[request.param]()
    model.compile("sgd")
    return model


@pytest.fixture(scope="module")
def grouping():
    model = clustering(num_iterations=1)
    model.compile("sgd")
    return model


def raises(sentence):
    """Expects a ValueError with this sentence in its message."""
    return pytest.raises(ValueError, match=re.escape(sentence))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: models.DenoisingAutoencoder(28),
            "`event_shape` must be a tuple of one integer or more. Received: event_shape=28.",
        ),
        (
            lambda: models.DenoisingAutoencoder(()),
            "`event_shape` must be a tuple of one integer or more. Received: event_shape=().",
        ),
        (
            lambda: models.DenoisingAutoencoder((28, 0)),
            "`event_shape` must be an integer >= 1. Received: event_shape=0.",
        ),
        (
            lambda: models.DenoisingAutoencoder((4,), hidden_units=2.5),
            "`hidden_units` must be an integer >= 1. Received: hidden_units=2.5.",
        ),
        (
            lambda: autoencoder(activation="gelu"),
            "`activation` must be one of 'relu', 'tanh', 'sigmoid'. Received: activation='gelu'.",
        ),
        (
            lambda: autoencoder(likelihood="poisson"),
            "`likelihood` must be one of 'bernoulli', 'gaussian'. Received: likelihood='poisson'.",
        ),
        (
            lambda: autoencoder(corruption="salt"),
            "`corruption` must be a noise layer of `tfbind.layers` or None. "
            "Received: corruption='salt'.",
        ),
        (
            lambda: models.ReconstructionClustering(keras.Sequential([]), 2),
            "`autoencoder` must be a `DenoisingAutoencoder`. Received: autoencoder=<Sequential",
        ),
        (
            lambda: clustering(num_groups=1),
            "`num_groups` must be an integer >= 2. Received: num_groups=1.",
        ),
        (
            lambda: clustering(num_groups=True),
            "`num_groups` must be an integer >= 2. Received: num_groups=True.",
        ),
        (
            lambda: clustering(num_iterations=0),
            "`num_iterations` must be an integer >= 1. Received: num_iterations=0.",
        ),
        (
            lambda: clustering(num_restarts=0),
            "`num_restarts` must be an integer >= 1. Received: num_restarts=0.",
        ),
        (
            lambda: clustering(assignment="medium"),
            "`assignment` must be one of 'soft', 'hard'. Received: assignment='medium'.",
        ),
        (
            lambda: clustering(initialization="zeros"),
            "`initialization` must be one of 'normal', 'uniform', 'spatial'. "
            "Received: initialization='zeros'.",
        ),
        (
            lambda: clustering(initialization="spatial"),
            "`initialization='spatial'` needs num_groups=3 and images. "
            "Received: num_groups=2, event_shape=(4, 4, 1).",
        ),
        (
            lambda: models.ReconstructionClustering(
                models.DenoisingAutoencoder((9,)), 3, initialization="spatial"
            ),
            "`initialization='spatial'` needs num_groups=3 and images. "
            "Received: num_groups=3, event_shape=(9,).",
        ),
    ],
)
def test_arguments(make, sentence):
    with raises(sentence):
        make()


def spoiled(value):
    images = IMAGES.copy()
    images[1, 2, 3] = value
    return images


BAD_IMAGES = {
    "too small": (
        IMAGES[:, :3],
        "`images` must have shape (n, 4, 4, 1). Received: shape (6, 3, 4, 1).",
    ),
    "no channels": (
        IMAGES[..., 0],
        "`images` must have shape (n, 4, 4, 1). Received: shape (6, 4, 4).",
    ),
    "no batch": (
        IMAGES[0],
        "`images` must have shape (n, 4, 4, 1). Received: shape (4, 4, 1).",
    ),
    "same size": (  # could be reshaped without an error
        IMAGES.reshape(6, 2, 8, 1),
        "`images` must have shape (n, 4, 4, 1). Received: shape (6, 2, 8, 1).",
    ),
    "empty": (
        IMAGES[:0],
        "`images` must hold at least one example. Received: an empty array.",
    ),
    "NaN": (
        spoiled(np.nan),
        "`images` must be finite. Received: NaN or infinity among its values.",
    ),
    "infinite": (
        spoiled(-np.inf),
        "`images` must be finite. Received: NaN or infinity among its values.",
    ),
    "grey bytes": (
        (IMAGES * 255).astype("uint8"),
        "`images` must lie in [0.0, 1.0]. Received: values from 0 to 255; rescale them first.",
    ),
    "negative": (
        spoiled(-0.5),
        "`images` must lie in [0.0, 1.0]. Received: values from -0.5 to 1; rescale them first.",
    ),
    "text": (
        IMAGES.astype(str),
        "`images` must be numeric. Received: dtype <U",
    ),
    "empty dataset": (
        tf.data.Dataset.from_tensor_slices(IMAGES[:0]).batch(2),
        "`images` must hold at least one example. Received: an empty dataset.",
    ),
    "dataset of another shape": (
        tf.data.Dataset.from_tensor_slices(IMAGES[:, :3]).batch(2),
        "`images` must have shape (n, 4, 4, 1). Received: shape (n, 3, 4, 1).",
    ),
    "dataset without batches": (
        tf.data.Dataset.from_tensor_slices(IMAGES),
        "`images` must have shape (n, 4, 4, 1). Received: shape (4, 4, 1).",
    ),
    "dataset of bytes": (
        tf.data.Dataset.from_tensor_slices(IMAGES.astype("uint8")).batch(2),
        "`images` must be float32. Received: a dataset of uint8; cast and rescale them in its "
        "pipeline.",
    ),
}


@pytest.mark.parametrize("case", BAD_IMAGES)
@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_images(model, method, case):
    images, sentence = BAD_IMAGES[case]
    with raises(sentence):
        getattr(model, method)(images, verbose=0)


@pytest.mark.parametrize("case", ["too small", "no channels", "no batch", "same size"])
def test_shape_of_images_in_a_call(model, case):
    images, sentence = BAD_IMAGES[case]
    with raises(sentence):
        model(images)


@pytest.mark.parametrize("case", [case for case in BAD_IMAGES if "dataset" not in case])
def test_images_in_a_trace_and_in_a_dict(grouping, case):
    images, sentence = BAD_IMAGES[case]
    with raises(sentence):
        grouping.trace(images)
    with raises(sentence):
        grouping.predict({"image": images}, verbose=0)


def test_real_values_are_welcome_to_a_gaussian_model():
    model = autoencoder(likelihood="gaussian")
    model.compile("sgd")
    assert np.isfinite(model.evaluate(300 * IMAGES - 100, verbose=0)).all()
    with raises("`images` must be finite."):
        model.evaluate(spoiled(np.nan), verbose=0)


START = np.full((6, 2, 4, 4), 0.5, "float32")
BAD_STARTS = {
    "groups": (
        START[:, :1],
        "`initial_assignments` must have shape (n, 2, 4, 4). Received: shape (6, 1, 4, 4).",
    ),
    "rows": (
        START[:5],
        "`initial_assignments` must hold one row for each of `image`. Received: 5 for 6 images.",
    ),
    "range": (
        3 * START,
        "`initial_assignments` must lie in [0.0, 1.0]. Received: values from 1.5 to 1.5",
    ),
    "NaN": (
        np.nan * START,
        "`initial_assignments` must be finite. Received: NaN or infinity among its values.",
    ),
}


@pytest.mark.parametrize("case", BAD_STARTS)
def test_initial_assignments(grouping, case):
    start, sentence = BAD_STARTS[case]
    with raises(sentence):
        grouping.predict({"image": IMAGES, "initial_assignments": start}, verbose=0)
    with raises(sentence):
        grouping.trace(IMAGES, start)


def test_shape_of_initial_assignments_in_a_call(grouping):
    sentence = "`initial_assignments` must have shape (6, 2, 4, 4). Received: shape "
    for start, shape in ((START[:, :1], "(6, 1, 4, 4)."), (START[..., None], "(6, 2, 4, 4, 1).")):
        with raises(sentence + shape):
            grouping({"image": IMAGES, "initial_assignments": start})


def test_other_dtypes_are_cast(grouping):
    expected = grouping({"image": IMAGES, "initial_assignments": START})
    found = grouping(
        {"image": IMAGES.astype("uint8"), "initial_assignments": START.astype("float64")}
    )
    for key in expected:
        np.testing.assert_array_equal(found[key], expected[key])


def test_groups(grouping):
    with raises("`groups` must have shape (n, 4, 4). Received: shape (6, 4, 4, 1)."):
        grouping.evaluate(IMAGES, np.ones(IMAGES.shape, int), verbose=0)


def test_a_good_corruption_is_not_refused():
    assert autoencoder(corruption=layers.BitFlipNoise(0.1)).corruption.probability == 0.1
