"""A model small enough to export in a second, whose endpoints a test may replace."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbind import export
from tfbind.models._base import Endpoint

POINT = tf.TensorSpec([None, 4], tf.float32, name="point")
GATE = tf.TensorSpec([None, 3], tf.float32, name="gate")
COUNT = tf.TensorSpec([None], tf.int32, name="count")


@keras.saving.register_keras_serializable("tests")
class TinyModel(keras.Model):
    """One dense layer, and two endpoints, of which the second has three inputs."""

    def __init__(self, scale=2.0, hidden=None, **kwargs):
        super().__init__(**kwargs)
        self.scale = scale
        self.hidden = hidden
        self.dense = keras.layers.Dense(3, bias_initializer="ones")
        self.dense.build((None, 4))
        self.built = True

    def call(self, point):
        code = self.dense(point) * self.scale
        return {"code": code, "total": tf.reduce_sum(code, axis=1)}

    def gated(self, point, gate, count):
        code = self.dense(point) * gate * tf.cast(count, tf.float32)[:, None]
        return {"code": tf.cast(code, tf.float16)}

    def serving_endpoints(self):
        ranges = {"point": (-9.0, 9.0), "gate": (None, None), "count": (2, 5)}
        described = {"code": "three numbers", "total": "their sum"}
        return {
            "serving_default": Endpoint(self.call, (POINT,), described, ranges),
            "gated": Endpoint(self.gated, (POINT, GATE, COUNT), {"code": "gated"}, ranges),
        }

    def get_config(self):
        hidden = keras.saving.serialize_keras_object(self.hidden)
        return {**super().get_config(), "scale": self.scale, "hidden": hidden, "sizes": (4, 3)}


@pytest.fixture(scope="session")
def tiny_model(test_seed):
    keras.utils.set_random_seed(test_seed)
    return TinyModel(hidden=keras.layers.Dense(7, activation="relu"))


@pytest.fixture
def model_with(tiny_model):
    """Returns a function that makes a model with one endpoint of your own, on `point`."""

    def make(function, outputs=("code",), inputs=(POINT,), name="serving_default"):
        model = TinyModel()
        described = dict.fromkeys(outputs, "")
        endpoint = Endpoint(function, inputs, described, {"point": (0.0, 1.0)})
        model.serving_endpoints = lambda: {name: endpoint}
        return model

    return make


@pytest.fixture(scope="session")
def inputs(test_seed):
    """Five rows for each endpoint of `tiny_model`."""
    random = np.random.default_rng(test_seed)
    point = random.normal(size=(5, 4)).astype("float32")
    gate = random.normal(size=(5, 3)).astype("float32")
    count = random.integers(2, 6, size=5).astype("int32")
    return {
        "serving_default": {"point": point},
        "gated": {"point": point, "gate": gate, "count": count},
    }


@pytest.fixture(scope="session")
def expected(tiny_model, inputs):
    """What Keras answers to `inputs`."""
    gated = inputs["gated"]
    answers = {
        "serving_default": tiny_model(inputs["serving_default"]["point"]),
        "gated": tiny_model.gated(gated["point"], gated["gate"], gated["count"]),
    }
    return {
        name: {key: value.numpy() for key, value in outputs.items()}
        for name, outputs in answers.items()
    }


@pytest.fixture(scope="session")
def saved_model(tiny_model, tmp_path_factory):
    """A folder with one version; do not write to it."""
    directory = tmp_path_factory.mktemp("models") / "tiny"
    export.export_saved_model(tiny_model, directory)
    return directory


@pytest.fixture(scope="session")
def tflite(tiny_model, tmp_path_factory):
    """A TFLite file for batches of 5; do not write to it."""
    path = tmp_path_factory.mktemp("tflite") / "tiny.tflite"
    export.export_tflite(tiny_model, path, batch_size=5)
    return path
