"""ONNX files: the answers of ONNX Runtime are those of Keras."""

import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfbind
from tfbind import export

pytest.importorskip("tf2onnx", reason="tf2onnx is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")


@pytest.fixture(scope="module")
def file(tiny_model, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "tiny.onnx"
    export.export_onnx(tiny_model, path)
    return path


@pytest.mark.parametrize("signature, rtol", [("serving_default", 1e-5), ("gated", 1e-3)])
def test_the_answers_are_those_of_keras(tiny_model, tmp_path, inputs, expected, signature, rtol):
    """tf2onnx drops the rounding to half precision that the second endpoint does."""
    report = export.export_onnx(tiny_model, tmp_path / "tiny.onnx", signature)
    outputs = export.OnnxRunner(report["path"])(signature, inputs[signature])
    assert outputs.pop("valid").tolist() == [1] * 5
    assert outputs.keys() == expected[signature].keys()
    for name, array in outputs.items():
        assert array.dtype == np.float32
        np.testing.assert_allclose(array, expected[signature][name], rtol=rtol, atol=rtol)


def test_reconstruction_clustering(test_seed, tmp_path):
    """Its logarithms of small numbers are where tf2onnx has no op."""
    keras.utils.set_random_seed(test_seed)
    autoencoder = tfbind.DenoisingAutoencoder((8, 8, 1), hidden_units=30)
    model = tfbind.ReconstructionClustering(autoencoder, num_groups=2, num_iterations=2, seed=1)
    export.export_onnx(model, tmp_path / "model.onnx")
    images = np.random.default_rng(test_seed).uniform(size=(5, 8, 8, 1)).astype("float32")
    runner = export.OnnxRunner(tmp_path / "model.onnx")
    answer = runner("serving_default", {"image": images})
    for name, array in model(images).items():
        np.testing.assert_allclose(answer[name], array, rtol=1e-4, atol=1e-4)


def test_log1p_keeps_the_digits_of_small_numbers(model_with, tmp_path):
    x = np.array([[1.0, 0.5, 1e-3, 0.75], [1e-30, 1e-8, 1e-7, 0.0]], "float32")
    function = {"code": tf.math.log1p, "total": lambda x: tf.math.log1p(-x)}
    model = model_with(lambda x: {name: f(x) for name, f in function.items()}, tuple(function))
    export.export_onnx(model, tmp_path / "model.onnx")
    answer = export.OnnxRunner(tmp_path / "model.onnx")("serving_default", {"point": x})
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(answer["code"], np.log1p(x), rtol=1e-6)
        np.testing.assert_allclose(answer["total"], np.log1p(-x), rtol=1e-6)


def test_shapes_are_broadcast(model_with, tmp_path):
    def function(x):
        shape = tf.broadcast_dynamic_shape(tf.shape(x), tf.shape(x[:, None, :1]))
        return {"code": tf.broadcast_to(x, shape)[0]}

    export.export_onnx(model_with(function), tmp_path / "model.onnx")
    x = np.arange(12, dtype="float32").reshape(3, 4) / 16
    answer = export.OnnxRunner(tmp_path / "model.onnx")("serving_default", {"point": x})
    np.testing.assert_array_equal(answer["code"], x)


def test_rows_that_are_not_finite_may_be_told(model_with, tmp_path):
    """What an endpoint says of the validity of its rows."""

    def function(x):
        fine = tf.reduce_all(tf.math.is_finite(x) & (x >= 0) & (x <= 1), axis=1)
        return {"code": tf.where(fine[:, None], x, 0.0), "valid": tf.cast(fine, tf.int32)}

    export.export_onnx(model_with(function, ("code", "valid")), tmp_path / "model.onnx")
    x = np.array([[0, 0.5, 1, 0], [0, np.nan, 0, 0], [0, np.inf, 0, 0], [2, 0, 0, 0]], "float32")
    answer = export.OnnxRunner(tmp_path / "model.onnx")("serving_default", {"point": x})
    assert answer["valid"].tolist() == [1, 0, 0, 0]


def test_the_report_is_on_the_card_and_the_batch_is_open(file):
    card = export.read_card(file)
    assert card["artifact"]["kind"] == "onnx" and card["artifact"]["opset"] == 18
    assert card["artifact"]["bytes"] == file.stat().st_size
    errors = card["artifact"]["errors"]["serving_default"]["code"]
    assert 0 <= errors["mean"] <= errors["max"] < 1e-5
    signatures = export.OnnxRunner(file).signatures
    assert signatures["serving_default"]["inputs"]["point"] == {
        "shape": [None, 4],
        "dtype": "float32",
    }


def test_check(file):
    report = export.check_artifact(file)
    assert report["endpoints"]["serving_default"]["batch_sizes"] == [1, 3]
    assert report["endpoints"]["serving_default"]["row_difference"] < 1e-5


def test_a_changed_file_is_named(file, tmp_path):
    copy = tmp_path / "tiny.onnx"
    shutil.copy(file, copy)
    shutil.copy(f"{file}.json", f"{copy}.json")
    content = bytearray(copy.read_bytes())
    content[len(content) // 2] ^= 1
    copy.write_bytes(content)
    with pytest.raises(ValueError, match="whose contents have changed since the export"):
        export.check_artifact(copy)


def test_a_damaged_file(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(ValueError, match="must be a readable ONNX file. .* cannot be loaded"):
        export.OnnxRunner(tmp_path / "model.onnx")


def test_an_op_that_onnx_lacks_is_named_and_the_old_file_stays(model_with, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_text("old")
    model = model_with(lambda x: {"code": tf.math.igamma(x, x)})
    with pytest.raises(ValueError, match="ops alone that ONNX has. Received: .* with Igamma;"):
        export.export_onnx(model, path)
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]
    assert path.read_text() == "old"


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"path": "model.onx"}, "`path` must end in '.onnx'. Received: path='model.onx'."),
        ({"endpoint": "denoise"}, "`endpoint` must be one of 'serving_default', 'gated'. Received"),
    ],
)
def test_bad_arguments_are_refused(tiny_model, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        export.export_onnx(tiny_model, **{"path": "model.onnx", **arguments})
    assert list(tmp_path.iterdir()) == []


def test_bad_inputs_are_refused(file):
    runner = export.OnnxRunner(file)
    with pytest.raises(ValueError, match="`point` must have dtype float32"):
        runner("serving_default", {"point": np.ones((1, 4))})
    with pytest.raises(ValueError, match="`signature` must be one of 'serving_default'"):
        runner("other", {"point": np.ones((1, 4), "float32")})


@pytest.mark.parametrize("package", ["tf2onnx", "onnxruntime"])
def test_without_a_package_it_is_named(tiny_model, tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=f"ONNX files need {package}. Run: pip install"):
        export.export_onnx(tiny_model, tmp_path / "model.onnx")


def test_the_runner_loads_no_tensorflow(file):
    code = (
        "import sys, numpy as np; from tfbind import export; "
        f"runner = export.OnnxRunner({str(file)!r}); "
        "print(runner('serving_default', {'point': np.ones((5, 4), 'float32')})['code'].shape); "
        f"export.check_artifact({str(file)!r}); sys.exit('tensorflow' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, "(5, 3)\n"), result.stderr
