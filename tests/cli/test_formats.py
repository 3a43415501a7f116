"""The verbs that write, check and compare artefacts in several formats."""

import pytest

import tfbind
from tfbind import _export_verbs
from tfbind.export import tflite

from .calls import fail, succeed, succeed_json

pytest.importorskip("tf2onnx", reason="tf2onnx is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("formats") / "small.keras"
    tfbind.DenoisingAutoencoder((4,), hidden_units=400).save(path)
    return path


def test_onnx_and_stablehlo(file, tmp_path):
    formats = ("--format", "onnx", "--format", "stablehlo")
    written = succeed_json("export", file, "--out", tmp_path, *formats)
    assert set(written) == {"onnx", "stablehlo"}
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "small.onnx",
        "small.onnx.json",
        "small.stablehlo",
    ]
    assert "is sound" in succeed("check", tmp_path / "small.onnx")


@pytest.mark.slow
def test_every_endpoint_has_an_onnx_file(tmp_path):
    autoencoder = tfbind.DenoisingAutoencoder((6, 6, 1), hidden_units=5)
    model = tfbind.ReconstructionClustering(autoencoder, num_groups=2, num_iterations=1)
    model.save(tmp_path / "rc.keras")
    text = succeed("export", tmp_path / "rc.keras", "--format", "onnx")
    assert f"Wrote {tmp_path / 'export' / 'rc.onnx'}" in text
    for name in ("group_from", "denoise"):
        assert (tmp_path / "export" / f"rc.{name}.onnx").is_file()


@pytest.mark.tflite
def test_a_file_has_no_data_to_calibrate_on(file, tmp_path):
    pytest.importorskip("ai_edge_quantizer", reason="ai_edge_quantizer is not installed")
    arguments = ("--out", tmp_path, "--format", "tflite", "--quantize", "int8")
    written = succeed_json("export", file, *arguments)
    assert written["tflite"]["quantize"] == "int8"


def test_the_choices_are_those_of_the_library():
    assert _export_verbs.PRECISIONS == tflite.PRECISIONS


def test_what_does_not_go_together(file):
    line = fail("export", file, "--format", "onnx", "--quantize", "int8")
    assert "`--quantize` must go with `--format tflite`. Received: quantize='int8'" in line


def test_a_stablehlo_folder_is_not_written_over(file, tmp_path):
    arguments = ("export", file, "--out", tmp_path, "--format", "stablehlo")
    succeed(*arguments)
    assert "`folder` must be a new one." in fail(*arguments)


@pytest.mark.slow
@pytest.mark.tflite
def test_bench_artifact(file):
    pytest.importorskip("ai_edge_quantizer", reason="ai_edge_quantizer is not installed")
    rows = succeed_json("bench-artifact", file, "--images", 5)
    assert [row["artifact"] for row in rows] == [
        "SavedModel",
        *(f"TFLite {x}" for x in ("float32", "float16", "dynamic", "weight_only", "int8")),
        "ONNX float32",
    ]
    assert rows[0]["times_saved_model"] == 1.0 and rows[0]["difference"] == 0.0
    assert all(row["milliseconds"] > 0 and row["score"] is None for row in rows)
    assert rows[1]["difference"] < 1e-5 < rows[2]["difference"] < 1e-2
    assert rows[2]["bytes"] < rows[1]["bytes"] < rows[0]["bytes"]


@pytest.mark.parametrize("images", [0, -1])
def test_bench_artifact_without_images(file, images):
    assert "`images` must be an integer >= 1." in fail("bench-artifact", file, "--images", images)


def test_a_signed_card_and_deployment_files(file, tmp_path):
    key, other = tmp_path / "key", tmp_path / "other key"
    key.write_text("0123456789abcdef0123456789abcdef\n")
    other.write_text("f" * 32)
    out = tmp_path / "out put"
    arguments = ("--out", out, "--format", "savedmodel", "--serving", "--key-file", key)
    text = succeed("export", file, *arguments)
    assert f"Next: tfbind serve '{out / 'small'}'" in text
    assert f"Wrote {out / 'serving'}, for TF Serving, Docker and Kubernetes" in text
    assert "models.config" in {path.name for path in (out / "serving").iterdir()}
    assert "is sound" in succeed("check", out / "small", "--key-file", key)
    assert "signature" in fail("check", out / "small", "--key-file", other)


@pytest.mark.parametrize("option", [("--serving",), ("--key-file", "key")])
def test_what_goes_with_a_saved_model_alone(file, option):
    line = fail("export", file, "--format", "onnx", *option)
    assert f"`{option[0]}` must go with `--format savedmodel`. Received: format=onnx." in line


@pytest.mark.slow
@pytest.mark.tflite
def test_a_page_in_the_browser(tmp_path):
    grouped = tfbind.ReconstructionClustering(
        tfbind.DenoisingAutoencoder((6, 6, 1), hidden_units=5), num_groups=2, num_iterations=1
    )
    grouped.save(tmp_path / "rc.keras")
    result = succeed_json("web", tmp_path / "rc.keras", "--out", tmp_path / "page")
    assert result["models"] == ["rc"]
    names = {path.name for path in (tmp_path / "page").rglob("*")}
    assert {"index.html", "rc.tflite", "litert_wasm_compat_internal.wasm"} <= names
