"""Convolutions that are products of patches, in a SavedModel and in TFLite."""

import keras
import numpy as np
import pytest

from tfbind import export, models


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    networks = models.adversarial_networks.convolutional_networks(
        (8, 8, 1), 3, 2, ((4, 4, 2), (6, 3, 1)), prior_units=(), units=4, joint_units=4
    )
    return models.AdversarialMixture((8, 8, 1), 3, 2, **networks, seed=0)


@pytest.mark.parametrize(
    ("write", "runner", "name"),
    [
        (export.export_saved_model, export.SavedModelRunner, "model"),
        pytest.param(
            export.export_tflite,
            export.TFLiteRunner,
            "model.tflite",
            marks=pytest.mark.tflite,
        ),
    ],
)
def test_answers_are_those_of_keras(model, write, runner, name, tmp_path):
    images = np.random.default_rng(0).random((1, 8, 8, 1)).astype("float32")
    write(model, tmp_path / name)
    found = runner(tmp_path / name)("serving_default", {"image": images})
    for key, expected in model(images).items():
        np.testing.assert_allclose(found[key], expected, rtol=1e-4, atol=1e-5)
