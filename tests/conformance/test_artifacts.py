"""What is exported answers as Keras does, on every endpoint."""

import numpy as np
import pytest

from tfbind import export
from tfbind.models._grouping import GroupingModel


def endpoint_inputs(model, batch_size):
    """Yields name, inputs and expected outputs of every endpoint of a model, all rows valid."""
    card = export.build_card(model)
    for name, endpoint in model.serving_endpoints().items():
        inputs = export.sample_inputs(card["endpoints"][name], batch_size)
        expected = endpoint.function(*(inputs[spec.name] for spec in endpoint.inputs))
        yield name, inputs, {**expected, "valid": np.ones(batch_size, "int32")}


def assert_close(found, expected):
    assert found.keys() == expected.keys()
    for key in expected:
        np.testing.assert_allclose(found[key], expected[key], atol=1e-5, rtol=1e-4, err_msg=key)


def test_saved_model_in_a_session(entry, event_shape, make, tmp_path):
    """The TF1 Session loader is what TF Serving uses; it finds what an eager reload hides."""
    model = make(entry, event_shape)
    export.export_saved_model(model, tmp_path)
    runner = export.SavedModelRunner(tmp_path)
    for batch_size in (1, 3):
        for name, inputs, expected in endpoint_inputs(model, batch_size):
            assert_close(runner(name, inputs), expected)
    assert export.check_artifact(tmp_path)["loaders"] == ["session", "python", "c"]


def spoilt(inputs):
    """Yields inputs whose second row has one number that is not finite, or not in its range."""
    for key, array in inputs.items():
        damaged = array.copy()
        damaged[1].flat[-1:] = np.nan if array.dtype.kind == "f" else 1000
        if array.ndim == 1:
            damaged[1] = 1000
        yield {**inputs, key: damaged}


def test_a_bad_row_spoils_no_other(entry, make, tmp_path):
    model = make(entry)
    export.export_saved_model(model, tmp_path)
    runner = export.SavedModelRunner(tmp_path)
    for name, inputs, expected in endpoint_inputs(model, 3):
        for damaged in spoilt(inputs):
            found = runner(name, damaged)
            assert found["valid"].tolist() == [1, 0, 1]
            assert all(np.isnan(x[1]).all() for x in found.values() if x.dtype.kind == "f")
            assert_close(
                {key: value[::2] for key, value in found.items()},
                {key: np.asarray(value)[::2] for key, value in expected.items()},
            )


@pytest.mark.tflite
def test_tflite(entry, make, tmp_path):
    model, path = make(entry), tmp_path / "model.tflite"
    export.export_tflite(model, path)
    runner = export.TFLiteRunner(path)
    for name, inputs, expected in endpoint_inputs(model, 1):
        assert_close(runner(name, inputs), expected)


@pytest.mark.slow
def test_onnx(entry, make, tmp_path):
    pytest.importorskip("tf2onnx", reason="tf2onnx is not installed")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    model = make(entry)
    for name in model.serving_endpoints():
        export.export_onnx(model, tmp_path / f"{name}.onnx", name)
    for name, inputs, expected in endpoint_inputs(model, 3):
        runner = export.OnnxRunner(tmp_path / f"{name}.onnx")
        assert_close(runner(name, inputs), expected)


@pytest.mark.slow
@pytest.mark.tflite
@pytest.mark.parametrize("quantize", ["weight_only", "int8"])
def test_quantized(entry, make, tmp_path, quantize):
    """Only names and types: how good the answers are is for the model's own metric to say."""
    pytest.importorskip("ai_edge_quantizer", reason="ai_edge_quantizer is not installed")
    if quantize == "int8" and issubclass(entry.model, GroupingModel):
        pytest.skip("the quantizer refuses what keeps every iteration")
    model, path = make(entry), tmp_path / "model.tflite"
    export.export_tflite(model, path, quantize)
    runner = export.TFLiteRunner(path)
    for name, inputs, expected in endpoint_inputs(model, 1):
        answer = runner(name, inputs)
        assert answer.keys() == expected.keys()
        for key, array in answer.items():
            assert array.dtype == expected[key].dtype and array.shape == expected[key].shape
