"""`import tfbind` is quick, and enough for Keras to load what was saved."""

import subprocess
import sys

import keras
import numpy as np
import pytest

import tfbind
from tfbind import layers, models


def run(code):
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("imports", ["import keras, tfbind", "import tfbind, keras"])
def test_a_fresh_process_loads_a_model(imports, tmp_path):
    model = tfbind.DenoisingAutoencoder(
        (4,), hidden_units=2, corruption=layers.AdditiveGaussianNoise(0.1)
    )
    model.compile("adam")
    model.fit(np.eye(4, dtype="float32"), verbose=0)
    path = tmp_path / "model.keras"
    model.save(path)
    found = run(f"{imports}\nprint(type(keras.saving.load_model({str(path)!r})).__name__)")
    assert found.stdout.strip() == "DenoisingAutoencoder", found.stderr


def test_a_fresh_process_loads_a_layer_in_a_model_of_keras(tmp_path):
    path = tmp_path / "model.keras"
    keras.Sequential([keras.layers.Input((4,)), layers.BitFlipNoise(0.1)]).save(path)
    found = run(f"import keras, tfbind\nprint(keras.saving.load_model({str(path)!r}).layers)")
    assert "BitFlipNoise" in found.stdout, found.stderr


def test_importing_loads_nothing():
    found = run("import sys, tfbind\nprint({'keras', 'tensorflow', 'numpy'} & set(sys.modules))")
    assert found.stdout.strip() == "set()"


def test_all_that_a_file_may_name_is_known():
    import tfbind.models._joint_optimizer  # noqa: F401

    known = {*tfbind._MODELS, *tfbind._LAYERS, "JointOptimizer"}
    public = {*models.__all__, *(n for n in layers.__all__ if isinstance(getattr(layers, n), type))}
    assert public <= known


def test_another_backend_is_refused_at_import():
    found = run("import os\nos.environ['KERAS_BACKEND'] = 'numpy'\nimport tfbind.layers")
    assert "tfbind needs Keras on the TensorFlow backend. Received: KERAS_BACKEND='numpy'" in (
        found.stderr
    )
