import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfbind
from tfbind import export
from tfbind.export import _warmup


@pytest.fixture(scope="module")
def runner(saved_model):
    return export.SavedModelRunner(saved_model)


@pytest.mark.parametrize("signature", ["serving_default", "gated"])
def test_a_session_gives_the_answers_of_keras(runner, inputs, expected, signature):
    outputs = runner(signature, inputs[signature])
    assert outputs.pop("valid").tolist() == [1] * 5
    assert outputs.keys() == expected[signature].keys()
    for name, array in outputs.items():
        assert array.dtype == np.float32
        np.testing.assert_allclose(array, expected[signature][name], rtol=1e-5, atol=1e-5)


def test_an_empty_batch_has_an_empty_answer(runner):
    outputs = runner("serving_default", {"point": np.zeros((0, 4), "float32")})
    assert outputs["code"].shape == (0, 3)


def test_every_weight_is_stored_once(tiny_model, saved_model):
    stored = tf.train.list_variables(str(saved_model / "1" / "variables" / "variables"))
    assert sum(np.prod(shape, dtype=int) for _, shape in stored if shape) == 15


def test_a_trained_and_compiled_model_is_exported_without_its_optimizer(tmp_path):
    model = tfbind.DenoisingAutoencoder((6,), hidden_units=2)
    model.compile(keras.optimizers.Adam())
    model.fit(np.ones((4, 6), "float32"), verbose=0)
    export.export_saved_model(model, tmp_path)
    stored = tf.train.list_variables(str(tmp_path / "1" / "variables" / "variables"))
    assert sum(np.prod(shape, dtype=int) for _, shape in stored if shape) == model.count_params()


def test_reconstruction_clustering_through_a_session(tmp_path, test_seed):
    autoencoder = tfbind.DenoisingAutoencoder((5, 5, 1), hidden_units=8)
    model = tfbind.ReconstructionClustering(autoencoder, num_groups=2, num_iterations=2, seed=1)
    export.export_saved_model(model, tmp_path)
    report = export.check_artifact(tmp_path)
    assert list(report["endpoints"]) == list(model.serving_endpoints())
    images = np.random.default_rng(test_seed).uniform(size=(3, 5, 5, 1)).astype("float32")
    answer = export.SavedModelRunner(tmp_path)("serving_default", {"image": images})
    for name, array in model(images).items():
        np.testing.assert_allclose(answer[name], array, rtol=1e-5, atol=1e-5)


def test_versions_count_up_and_leave_the_others_alone(tiny_model, tmp_path):
    directory = tmp_path / "models" / "tiny"
    assert export.export_saved_model(tiny_model, directory) == str(directory / "1")
    assert export.export_saved_model(tiny_model, directory, 7) == str(directory / "7")
    (directory / "9").touch()  # a file is no version
    before = (directory / "7" / "saved_model.pb").stat()
    assert export.export_saved_model(tiny_model, directory) == str(directory / "8")
    assert (directory / "7" / "saved_model.pb").stat() == before
    assert sorted(path.name for path in directory.iterdir()) == ["1", "7", "8", "9"]
    assert export.read_card(directory)["artifact"]["version"] == 8


def test_everybody_may_read_a_version(saved_model):
    # The server often is another user, and a temporary folder is its owner's alone.
    (saved_model / "probe").mkdir()
    assert (saved_model / "1").stat().st_mode == (saved_model / "probe").stat().st_mode
    (saved_model / "probe").rmdir()


def test_an_existing_version_is_refused(tiny_model, saved_model):
    with pytest.raises(ValueError, match="`version` must be a new one.* Received: version=1,"):
        export.export_saved_model(tiny_model, saved_model, 1)


def test_a_version_that_appears_meanwhile_is_refused(tiny_model, tmp_path, monkeypatch):
    def other_process(*_):
        (tmp_path / "1").mkdir()
        (tmp_path / "1" / "saved_model.pb").write_text("theirs")

    monkeypatch.setattr(_warmup, "write_warmup", other_process)
    with pytest.raises(ValueError, match="`version` must be a new one"):
        export.export_saved_model(tiny_model, tmp_path)
    assert (tmp_path / "1" / "saved_model.pb").read_text() == "theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


@pytest.mark.parametrize("version", [0, -1, 1.0, "1", True])
def test_a_version_is_a_positive_integer(tiny_model, tmp_path, version):
    with pytest.raises(ValueError, match="`version` must be an integer >= 1. Received: version="):
        export.export_saved_model(tiny_model, tmp_path / "models", version)


def test_a_file_is_no_directory(tiny_model, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="`directory` must be a folder. .*a file."):
        export.export_saved_model(tiny_model, tmp_path / "file")


@pytest.mark.parametrize("existing", [False, True])
def test_a_broken_export_leaves_nothing(tiny_model, tmp_path, monkeypatch, existing):
    directory = tmp_path / "tiny"
    if existing:
        export.export_saved_model(tiny_model, directory)

    def disk_full(card, folder, name):
        assert (folder / "saved_model.pb").exists()
        assert not folder.parent.name.isdigit()  # a polling server passes it over
        raise OSError("No space left on device")

    monkeypatch.setattr(_warmup, "write_warmup", disk_full)
    with pytest.raises(OSError, match="No space left"):
        export.export_saved_model(tiny_model, directory)
    assert directory.exists() == existing
    if existing:
        assert [path.name for path in directory.iterdir()] == ["1"]
        export.check_artifact(directory)


def test_the_warm_up_file_replays(saved_model, runner):
    from tensorflow_serving.apis import prediction_log_pb2

    file = saved_model / "1" / "assets.extra" / "tf_serving_warmup_requests"
    seen = []
    for record in tf.data.TFRecordDataset(str(file)):
        request = prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
        arrays = {name: tf.make_ndarray(proto) for name, proto in request.inputs.items()}
        outputs = runner(request.model_spec.signature_name, arrays)
        assert request.model_spec.name == "tiny"
        assert all(np.all(np.isfinite(array)) for array in outputs.values())
        seen.append((request.model_spec.signature_name, len(arrays["point"])))
    assert seen == [("serving_default", 1), ("serving_default", 8), ("gated", 1), ("gated", 8)]


def test_without_the_serving_extra_there_is_no_warm_up_file(tiny_model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    export.export_saved_model(tiny_model, tmp_path)
    extra = tmp_path / "1" / "assets.extra"
    assert [path.name for path in extra.iterdir()] == ["tfbind_card.json"]


@pytest.mark.parametrize(
    "inputs, message",
    [
        ({}, "of signature 'serving_default' must be 'point'. Received: none; missing 'point'."),
        ({"x": 1}, "must be 'point'. Received: 'x'; missing 'point', unknown 'x'."),
        ({"point": np.zeros((1, 4))}, "`point` must have dtype float32. Received: dtype float64;"),
        ({"point": np.zeros((1, 5), "float32")}, r"shape \(n, 4\). Received: shape \(1, 5\)."),
        ({"point": np.zeros(4, "float32")}, r"shape \(n, 4\). Received: shape \(4,\)."),
    ],
)
def test_a_call_that_does_not_fit_is_refused(runner, inputs, message):
    with pytest.raises(ValueError, match=message):
        runner("serving_default", inputs)


def test_an_unknown_signature_is_refused(runner, inputs):
    with pytest.raises(ValueError, match="`signature` must be one of .*'gated'.* Received: sig"):
        runner("predict", inputs["gated"])


def test_rows_that_do_not_pair_up_are_refused(runner, inputs):
    gated = inputs["gated"]
    with pytest.raises(ValueError, match="cannot run on these inputs"):
        runner("gated", {**gated, "gate": gated["gate"][:2]})
