"""TFLite files with 8-bit weights or arithmetic, by ai-edge-quantizer."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfbind
from tfbind import export

pytest.importorskip("ai_edge_quantizer", reason="ai_edge_quantizer is not installed")
pytestmark = pytest.mark.tflite


@pytest.fixture(scope="module")
def model(test_seed):
    keras.utils.set_random_seed(test_seed)
    return tfbind.DenoisingAutoencoder((8, 8, 1), hidden_units=300)


@pytest.fixture(scope="module")
def images(test_seed):
    return np.random.default_rng(test_seed).uniform(size=(40, 8, 8, 1)).astype("float32")


@pytest.fixture(scope="module")
def reports(model, images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("quantized")
    return {
        quantize: export.export_tflite(
            model, folder / f"{quantize}.tflite", quantize, calibration={"image": images}
        )
        for quantize in ("none", "weight_only", "int8")
    }


def test_files_are_smaller_and_answers_close(reports):
    assert reports["weight_only"]["bytes"] < 0.35 * reports["none"]["bytes"]
    assert reports["int8"]["bytes"] < 0.35 * reports["none"]["bytes"]
    errors = {
        quantize: report["errors"]["serving_default"]["reconstruction"]["max"]
        for quantize, report in reports.items()
    }
    assert errors["none"] < 1e-6 < errors["weight_only"] < errors["int8"] < 0.1


def test_inputs_and_outputs_are_float_for_the_caller(reports, images):
    runner = export.TFLiteRunner(reports["int8"]["path"])
    assert runner.signatures["serving_default"]["inputs"]["image"]["dtype"] == "float32"
    answer = runner("serving_default", {"image": images[:1]})
    assert answer.pop("valid").tolist() == [1]
    assert {array.dtype.name for array in answer.values()} == {"float32"}
    assert export.check_artifact(reports["int8"]["path"])["artifact"]["quantize"] == "int8"


def test_what_eight_bits_cannot_say(reports, images):
    runner = export.TFLiteRunner(reports["int8"]["path"])
    ends = runner("serving_default", {"image": np.ones_like(images[:1])})
    beyond = runner("serving_default", {"image": 9 * np.ones_like(images[:1])})
    np.testing.assert_allclose(beyond["code"], ends["code"], atol=0.05)
    with pytest.raises(ValueError, match="`image` must be finite. Received: NaN or infinity."):
        runner("serving_default", {"image": np.nan * images[:1]})


def test_ranges_are_those_of_the_examples(model, images, tmp_path):
    """A range that is a thousand times too narrow leaves nothing of images in [0, 1]."""
    errors = []
    for scale in (1.0, 0.001):
        report = export.export_tflite(
            model, tmp_path / "m.tflite", "int8", calibration={"image": scale * images}
        )
        errors.append(report["errors"]["serving_default"]["code"]["mean"])
    assert errors[0] < 0.02 < 0.1 < errors[1]


def test_an_output_that_is_read_again(model_with, tmp_path):
    first, second = (tf.constant(x * np.eye(4, dtype="float32")) for x in (2, 0.5))

    def function(x):
        code = tf.nn.relu(tf.matmul(x, first))
        return {"code": code, "total": tf.matmul(code, second)}

    x = np.array([[0.0, 0.25, 0.5, 1.0]], "float32")
    path, model = tmp_path / "model.tflite", model_with(function, ("code", "total"))
    export.export_tflite(model, path, "int8", calibration={"point": np.repeat(x, 20, axis=0)})
    answer = export.TFLiteRunner(path)("serving_default", {"point": x})
    np.testing.assert_allclose(answer["code"], 2 * x, atol=0.03)
    np.testing.assert_allclose(answer["total"], x, atol=0.03)


@pytest.mark.parametrize(
    "calibration, message",
    [
        ({"image": np.zeros((9, 7, 8, 1))}, r"`calibration\['image'\]` must have shape"),
        ({"image": np.full((9, 8, 8, 1), 2.0)}, r"`calibration\['image'\]` must lie in"),
        ({"image": np.full((9, 8, 8, 1), np.nan)}, r"`calibration\['image'\]` must be finite"),
        ({"image": np.zeros((1, 8, 8, 1))}, "`calibration` must have a batch of 2 rows at least"),
    ],
)
def test_examples_that_do_not_fit(model, tmp_path, calibration, message):
    with pytest.raises(ValueError, match=message):
        export.export_tflite(
            model, tmp_path / "m.tflite", "int8", batch_size=2, calibration=calibration
        )
    assert list(tmp_path.iterdir()) == []


def test_what_the_quantizer_refuses_is_one_sentence(model, tmp_path, monkeypatch):
    from ai_edge_quantizer import quantizer

    def refuse(*_, **__):
        raise RuntimeError("no such op.\nAnd a trace")

    monkeypatch.setattr(quantizer.Quantizer, "quantize", refuse)
    with pytest.raises(ValueError, match=r"which some do not \(no such op\); choose another"):
        export.export_tflite(model, tmp_path / "m.tflite", "int8")
    assert list(tmp_path.iterdir()) == []


def test_without_the_quantizer_the_extra_is_named(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_quantizer.quantizer", None)
    with pytest.raises(ImportError, match=r"needs ai_edge_quantizer. Run: pip install"):
        export.export_tflite(model, tmp_path / "m.tflite", "weight_only")
