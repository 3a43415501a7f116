"""The check finds what is wrong with an artifact, and says it in one sentence."""

import json
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tfbind import export
from tfbind.export import _sealing


@pytest.fixture
def copy(saved_model, tmp_path):
    """A copy of the SavedModel to damage."""
    return pathlib.Path(shutil.copytree(saved_model, tmp_path / "copy"))


@pytest.fixture
def edit_card(copy):
    """Returns a function that changes the card of `copy`, which has the hash of what it says."""

    def edit(change):
        file = copy / "1" / "assets.extra" / "tfbind_card.json"
        card = json.loads(file.read_text())
        change(card["endpoints"])
        file.write_text(json.dumps(_sealing.sealed(card)))

    return edit


@pytest.mark.parametrize("path", ["", "1"])
def test_a_good_saved_model(saved_model, path):
    report = export.check_artifact(saved_model / path)
    assert report["path"] == str(saved_model / "1")
    assert (report["artifact"]["kind"], report["artifact"]["version"]) == ("saved_model", 1)
    assert report["loaders"] == ["session", "python", "c"]
    assert (report["warm_up_requests"], report["signed"]) == (4, False)
    assert list(report["endpoints"]) == ["serving_default", "gated"]
    for endpoint in report["endpoints"].values():
        assert endpoint["batch_sizes"] == [1, 2, 3, 64]
        assert 0 <= endpoint["loader_difference"] < 1e-6
        assert 0 <= endpoint["row_difference"] < 1e-5
    json.dumps(report)


def test_a_folder_whose_name_looks_like_a_pattern(saved_model, tmp_path):
    folder = shutil.copytree(saved_model, tmp_path / "a [1] *b?")
    assert export.check_artifact(folder)["loaders"] == ["session", "python", "c"]


@pytest.mark.tflite
def test_a_good_tflite_file(tflite):
    report = export.check_artifact(tflite)
    assert report["endpoints"]["gated"] == {"batch_sizes": [5], "row_difference": None}
    json.dumps(report)


@pytest.mark.parametrize(
    "function, message",
    [
        (lambda x: {"code": x - tf.reduce_mean(x, 0)}, "'code' .* must depend on its own row"),
        (lambda x: {"code": tf.repeat(x, 2, 0)}, "must run on 3 rows and give as many. Received"),
        (lambda x: {"code": x[:1]}, "must depend on its own row"),
        (lambda x: {"code": tf.math.log(-x)}, "'code' of .* must be finite. Received: NaN"),
        (lambda x: {"code": x / tf.cast(tf.shape(x)[0], x.dtype)}, "must depend on its own row"),
    ],
)
def test_what_shows_only_when_it_runs(model_with, tmp_path, function, message):
    with pytest.raises(ValueError, match=message):
        export.export_saved_model(model_with(function), tmp_path)
        export.check_artifact(tmp_path)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda card: card.pop("gated"), r"endpoints on its card, \['serving_default'\]. Received"),
        (
            lambda card: card["gated"]["inputs"].pop("gate"),
            r"'gated' must have the inputs on the card, .* Received: .*'gate'",
        ),
        (
            lambda card: card["gated"]["inputs"]["point"].update(shape=[None, 5]),
            r"inputs on the card, .*\[None, 5\].* Received: .*\[None, 4\]",
        ),
        (
            lambda card: card["serving_default"]["outputs"].pop("total"),
            r"on the card, \['code', 'valid'\]. Received: \['code', 'total', 'valid'\].",
        ),
        (
            lambda card: card["serving_default"]["outputs"]["total"].update(shape=[None, 1]),
            r"float32 of shape \[None, 1\], as on the card. Received: float32 of shape \(64,\).",
        ),
        (
            lambda card: card["serving_default"]["outputs"]["total"].update(dtype="int32"),
            "must be int32 .* as on the card. Received: float32",
        ),
    ],
)
def test_a_card_that_tells_something_else(copy, edit_card, change, message):
    edit_card(change)
    with pytest.raises(ValueError, match=message):
        export.check_artifact(copy)


def test_no_artifact_at_all(tmp_path):
    for path in (tmp_path / "missing", tmp_path / "missing.tflite"):
        with pytest.raises(ValueError, match="must be an existing SavedModel folder or .tflite"):
            export.check_artifact(path)
    (tmp_path / "file.h5").touch()
    with pytest.raises(ValueError, match="must be an existing SavedModel folder or .tflite"):
        export.check_artifact(tmp_path / "file.h5")


def test_a_folder_without_a_version(tmp_path):
    (tmp_path / ".export-abc").mkdir()
    with pytest.raises(ValueError, match="must hold a version folder, .*has none; export a model"):
        export.check_artifact(tmp_path)


def test_a_half_written_version(copy):
    (copy / "2").mkdir()
    with pytest.raises(ValueError, match="where 2 has no saved_model.pb; export the model again."):
        export.check_artifact(copy)
    with pytest.raises(ValueError, match="must hold a version folder"):
        export.check_artifact(copy / "2")


@pytest.mark.tflite
@pytest.mark.parametrize("position", [0, 100, -1])
def test_a_damaged_tflite_file(tflite, tmp_path, position):
    file = pathlib.Path(shutil.copy(tflite, tmp_path))
    shutil.copy(f"{tflite}.json", tmp_path)
    content = bytearray(file.read_bytes())
    content[position] ^= 0xFF
    file.write_bytes(content)
    with pytest.raises(ValueError, match="whose contents have changed since the export"):
        export.check_artifact(file)


@pytest.mark.tflite
@pytest.mark.parametrize("content", [b"", b"not a model", b"\xff" * 1000])
def test_a_runner_of_a_damaged_file(tmp_path, content):
    (tmp_path / "model.tflite").write_bytes(content)
    with pytest.raises(ValueError, match="must be a readable TFLite file. .* cannot be loaded"):
        export.TFLiteRunner(tmp_path / "model.tflite")


def test_rows_of_any_size_may_be_asked_for(saved_model):
    runner = export.SavedModelRunner(saved_model)
    card = export.read_card(saved_model)
    for batch_size in (1, 2, 64):
        inputs = export.sample_inputs(card["endpoints"]["gated"], batch_size)
        assert np.shape(runner("gated", inputs)["code"]) == (batch_size, 3)
