"""A new model goes from data to a served answer with its file, one preset and one entry."""

import inspect
import json

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from tfbind import cli, data, export, training
from tfbind.training import presets

from .toy import SoftMeans

PRESET = training.Preset(
    name="toy",
    summary="A toy, made for a test",
    model=training.Part("tfbind>SoftMeans", num_clusters=20),
    task=training.tasks.Clustering(dataset="digits"),
    optimizer=training.Optimizer(learning_rate=0.02),
    max_epochs=15,
    paper=training.Paper(source="made for tests"),
)


@pytest.fixture
def tfbind(monkeypatch):
    monkeypatch.setattr(presets, "_PRESETS", (*presets._PRESETS, PRESET))

    def run(*arguments):
        result = CliRunner().invoke(cli.main, [*map(str, arguments), "--json"])
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return run


def test_it_is_short():
    assert len(inspect.getsource(SoftMeans).splitlines()) <= 40


@pytest.mark.tflite
def test_from_data_to_a_served_answer(tfbind, tmp_path):
    run = tmp_path / "run"
    assert "toy" in [row["preset"] for row in tfbind("list")]
    tfbind("train", "toy", "--run", run, "--set", "num_clusters=15")
    scores = tfbind("evaluate", run)
    assert scores["majority_error"] < 0.4
    assert scores["used_clusters"] > 5
    images, _ = data.load("digits", "test[:4]", keys=("image", "label"))
    np.save(tmp_path / "images.npy", images)
    found = tfbind("cluster", run, tmp_path / "images.npy")
    model = keras.saving.load_model(run / "model.keras")
    assert [row["label"] for row in found] == model.cluster(images).tolist()
    tfbind("export", run)
    expected = model.predict(images, verbose=0)["probabilities"]
    served = export.SavedModelRunner(run / "export" / "toy")("serving_default", {"image": images})
    np.testing.assert_allclose(served["probabilities"], expected, atol=1e-5)
    tfbind("check", run / "export" / "toy")
    tfbind("check", run / "export" / "toy.tflite")
