import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfbind
from tfbind import export

pytestmark = pytest.mark.tflite


@pytest.fixture(scope="module")
def model(test_seed):
    """Large enough for the converter to quantise, and sharp enough for it to show."""
    keras.utils.set_random_seed(test_seed)
    autoencoder = tfbind.DenoisingAutoencoder((8, 8, 1), hidden_units=300)
    return tfbind.ReconstructionClustering(autoencoder, num_groups=2, num_iterations=2, seed=1)


@pytest.fixture(scope="module")
def reports(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("quantized")
    return {
        quantize: export.export_tflite(model, folder / f"{quantize}.tflite", quantize)
        for quantize in ("none", "float16", "dynamic")
    }


@pytest.mark.parametrize("signature", ["serving_default", "gated"])
def test_litert_gives_the_answers_of_keras(tflite, inputs, expected, signature):
    outputs = export.TFLiteRunner(tflite)(signature, inputs[signature])
    assert outputs.pop("valid").tolist() == [1] * 5
    assert outputs.keys() == expected[signature].keys()
    for name, array in outputs.items():
        assert array.dtype == np.float32
        np.testing.assert_allclose(array, expected[signature][name], rtol=1e-4, atol=1e-4)


def test_reconstruction_clustering_through_litert(model, reports, test_seed):
    images = np.random.default_rng(test_seed).uniform(size=(1, 8, 8, 1)).astype("float32")
    answer = export.TFLiteRunner(reports["none"]["path"])("serving_default", {"image": images})
    for name, array in model(images).items():
        np.testing.assert_allclose(answer[name], array, rtol=1e-4, atol=1e-4)


def test_the_report_is_on_the_card(reports):
    for quantize, report in reports.items():
        artifact = dict(export.read_card(report["path"])["artifact"])
        assert artifact.pop("kind") == "tflite"
        assert artifact["quantize"] == quantize
        assert artifact == {key: report[key] for key in artifact}


def test_smaller_files_are_further_off_and_say_how_much(reports):
    sizes = [report["bytes"] for report in reports.values()]
    assert sizes[2] < sizes[1] < 0.7 * sizes[0] and sizes[2] < 0.6 * sizes[0]
    errors = {
        quantize: report["errors"]["denoise"]["reconstruction"]
        for quantize, report in reports.items()
    }
    assert errors["none"]["max"] < 1e-5 < errors["float16"]["max"] < errors["dynamic"]["max"] < 0.1
    assert all(0 < error["mean"] <= error["max"] for error in errors.values())


def test_the_reported_error_is_the_error(model, reports):
    card = export.read_card(reports["dynamic"]["path"])
    runner = export.TFLiteRunner(reports["dynamic"]["path"])
    images = export.sample_inputs(card["endpoints"]["denoise"], 4)["image"]  # the exporter's own
    truth = model.autoencoder(images)["reconstruction"].numpy()
    rows = [runner("denoise", {"image": image[None]})["reconstruction"][0] for image in images]
    reported = reports["dynamic"]["errors"]["denoise"]["reconstruction"]
    assert reported["max"] == pytest.approx(np.abs(rows - truth).max(), rel=1e-3)
    assert reported["mean"] == pytest.approx(np.abs(rows - truth).mean(), rel=1e-3)


def test_an_existing_file_is_replaced(tiny_model, tmp_path):
    path = tmp_path / "new" / "tiny.tflite"
    path.parent.mkdir()
    path.write_text("old")
    export.export_tflite(tiny_model, path, batch_size=2)
    assert export.check_artifact(path)["endpoints"]["gated"]["batch_sizes"] == [2]
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name, path.name + ".json"]


def test_an_op_that_needs_flex_is_named_and_the_old_file_stays(model_with, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_text("old")
    model = model_with(lambda x: {"code": tf.math.igamma(x, x)})
    with pytest.raises(ValueError, match="built-in TFLite ops alone. Received: .* with Igamma;"):
        export.export_tflite(model, path)
    assert [file.name for file in tmp_path.iterdir()] == ["model.tflite"]
    assert path.read_text() == "old"


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"path": "model.tfl"}, r"`path` must end in '.tflite'. Received: path='model.tfl'."),
        ({"quantize": "int4"}, "`quantize` must be one of .*'int8'. Received: quantize='int4'."),
        ({"batch_size": 0}, "`batch_size` must be an integer >= 1. Received: batch_size=0."),
    ],
)
def test_bad_arguments_are_refused(tiny_model, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        export.export_tflite(tiny_model, **{"path": "model.tflite", **arguments})
    assert list(tmp_path.iterdir()) == []


def test_without_litert_the_extra_is_named(tiny_model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    message = r"TFLite files need ai_edge_litert. Run: pip install ai-edge-litert"
    with pytest.raises(ImportError, match=message):
        export.export_tflite(tiny_model, tmp_path / "model.tflite")
    with pytest.raises(ImportError, match=message):
        export.TFLiteRunner(tmp_path / "model.tflite")


def test_the_runner_loads_no_tensorflow(tflite):
    code = (
        "import sys, numpy as np; from tfbind import export; "
        f"runner = export.TFLiteRunner({str(tflite)!r}); "
        "print(runner('serving_default', {'point': np.ones((5, 4), 'float32')})['code'].shape); "
        f"export.check_artifact({str(tflite)!r}); sys.exit('tensorflow' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, "(5, 3)\n"), result.stderr


def test_another_batch_size_is_refused(tflite):
    with pytest.raises(ValueError, match=r"shape \(5, 4\). Received: shape \(1, 4\)."):
        export.TFLiteRunner(tflite)("serving_default", {"point": np.ones((1, 4), "float32")})


@pytest.mark.tflite
def test_a_bad_row_spoils_no_other(tflite, inputs):
    runner = export.TFLiteRunner(tflite)
    good = inputs["gated"]
    expected = runner("gated", good)["code"]
    for name, bad in (("point", np.nan), ("gate", np.inf), ("count", 9)):
        spoilt = {key: array.copy() for key, array in good.items()}
        spoilt[name][1] = bad
        found = runner("gated", spoilt)
        assert found["valid"].tolist() == [1, 0, 1, 1, 1]
        assert np.isnan(found["code"][1]).all()
        np.testing.assert_allclose(np.delete(found["code"], 1, 0), np.delete(expected, 1, 0))
