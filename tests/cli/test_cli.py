"""Every verb of the command line on a small run, and one sentence for everything bad."""

import csv
import json
import shutil
import subprocess
import sys
import types
import urllib.error

import numpy as np
import PIL.Image
import pytest

from tfbind import _catalogue, _inputs, _models, data, plots, quickstart, reading, serving, training

from .calls import fail, succeed, succeed_json, tfbind

SIZE = 8  # pixels; of the images of rc-tiny


@pytest.fixture(scope="session")
def trained(tmp_path_factory, data_dir):
    """The run folder of rc-tiny, and what `tfbind train` printed."""
    run = tmp_path_factory.mktemp("runs") / "tiny"
    changes = ("--seed", 3, "--set", "max_epochs=40")
    return run, succeed_json("train", "rc-tiny", "--run", run, "--data-dir", data_dir, *changes)


@pytest.fixture(scope="session")
def run(trained):
    return trained[0]


@pytest.fixture(scope="session")
def images(data_dir):
    return data.load("simple_superposition", "test", data_dir)[0]


@pytest.fixture
def scene(images, tmp_path):
    """Path of a picture of the first test image."""
    path = tmp_path / "scene.png"
    PIL.Image.fromarray(np.uint8(255 * images[0, ..., 0])).save(path)
    return path


def test_the_package_is_the_command():
    command = [sys.executable, "-m", "tfbind", "--version"]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout.startswith("tfbind, version ")


def test_train_makes_a_run_with_pictures(trained):
    run, printed = trained
    preset = training.Run(run).preset
    assert (preset.seed, preset.max_epochs) == (3, 40)
    assert printed["epochs"] == len(training.Run(run).history) == 40
    assert printed["report"] == str(run / "report.html") and (run / "report.html").exists()
    for name in ("groups.png", "likelihood.png"):
        with PIL.Image.open(run / name) as picture:
            assert min(picture.size) > 200


def test_train_again_finds_it_finished(trained, data_dir):
    run, printed = trained
    again = ("train", "rc-tiny", "--run", run, "--data-dir", data_dir)
    assert succeed_json(*again, "--set", "max_epochs=40", "--set", "seed=3") == printed
    assert "choose another folder" in fail(*again)  # other settings


def test_evaluate_prints_the_scores_beside_the_paper(run, data_dir):
    scores = succeed_json("evaluate", run, "--data-dir", data_dir, "--starts", 2)
    assert scores["ami"] > 0.5
    assert scores["paper_score"] is None
    noted = training.Run(run).metrics["test"]
    assert noted["num_starts"] == 2
    assert noted["ami"] == scores["ami"]


def test_group_writes_what_the_model_predicts(run, images, scene, tmp_path):
    np.save(tmp_path / "stack.npy", images[1:4, ..., 0])
    np.save(tmp_path / "one.npy", images[4])
    files = (scene, tmp_path / "stack.npy", tmp_path / "one.npy")
    rows = succeed_json("group", run, *files, "--out", tmp_path / "out")
    assert [row["image"] for row in rows] == ["scene", "stack-0", "stack-1", "stack-2", "one"]
    assert len(list((tmp_path / "out").iterdir())) == 16  # and nothing half-written
    expected = training.Run(run).load().predict(images[:5], verbose=0)
    for i, row in enumerate(rows):
        masks = np.load(row["masks"])
        np.testing.assert_allclose(masks, expected["assignments"][i], atol=1e-5)
        assert row["log_likelihood"] == pytest.approx(expected["log_likelihood"][i], rel=1e-4)
        assert row["confidence"] == pytest.approx(expected["confidence"][i], rel=1e-4)
        check_pictures(row, masks, images[i, ..., 0])


def check_pictures(row, masks, image):
    with PIL.Image.open(row["groups"]) as picture:
        assert picture.mode == "P"
        labels = np.asarray(picture)
        colors = np.asarray(picture.convert("RGB"))
    np.testing.assert_array_equal(labels, np.where(image > 0, masks.argmax(axis=0) + 1, 0))
    for group in (0, 1):
        assert (colors[labels == group + 1] == plots.group_colors(2)[group]).all()
    with PIL.Image.open(row["overlay"]) as picture:
        assert picture.size == (224, 224)
        enlarged = np.asarray(picture)
    np.testing.assert_array_equal(enlarged[14::28, 14::28], plots.overlay(image, masks))


def test_group_with_other_settings(run, scene, tmp_path):
    settings = ("--num-groups", 3, "--iterations", 2, "--out", tmp_path)
    (row,) = succeed_json("group", run, scene, *settings)
    assert np.load(row["masks"]).shape == (3, SIZE, SIZE)
    assert "scene" in succeed("group", run, scene, *settings)


def test_pictures_are_read_by_brightness(run, images, tmp_path):
    model = training.Run(run).load()
    image = images[0, ..., 0]
    grey = np.uint8(100 + 80 * image)
    PIL.Image.fromarray(grey).save(tmp_path / "grey.png")
    PIL.Image.fromarray(255 - grey).save(tmp_path / "dark.png")
    PIL.Image.fromarray(np.uint16(257) * grey).save(tmp_path / "deep.png")
    PIL.Image.fromarray(np.repeat(grey[..., None], 3, axis=2)).save(tmp_path / "color.png")
    PIL.Image.fromarray(np.uint8(255 * image)).save(tmp_path / "photo.jpg", quality=95)

    def read(name, **told):
        preparation = reading.Pictures(height=SIZE, width=SIZE, **{"threshold": 0.5, **told})
        reader = _inputs.Reader(model, preparation, [tmp_path / name])
        return reader.read(tmp_path / name)[0].array

    for name in ("grey.png", "deep.png", "color.png", "photo.jpg"):
        np.testing.assert_array_equal(read(name), images[0], err_msg=name)
    np.testing.assert_array_equal(read("dark.png", invert=True), images[0])
    assert read("grey.png", threshold=0.2).all()


@pytest.fixture
def classifier(monkeypatch, tmp_path):
    """A run of a model that tells a bright image from a dark one, as the verbs see it."""

    def predict(images, **kwargs):
        light = images.mean(axis=(1, 2, 3))
        return {"probabilities": np.stack([1 - light, light], axis=1)}

    model = types.SimpleNamespace(
        event_shape=(2, 2, 1),
        value_range=(0.0, 1.0),
        predict=predict,
        serving_endpoints=lambda: {
            "serving_default": types.SimpleNamespace(outputs={"probabilities": ""})
        },
    )
    monkeypatch.setattr(_models, "load", lambda path, *arguments, **changes: loaded)
    preparation = reading.Pictures(height=2, width=2)
    loaded = _models.Loaded(model, "classifier", preparation, tmp_path)
    return model


@pytest.fixture
def greys(tmp_path):
    """Paths of a picture at a brightness of 0.2 and of an array of two at 0.9 and 0.4."""
    PIL.Image.fromarray(np.full((2, 2), 51, "uint8")).save(tmp_path / "dark.png")
    np.save(tmp_path / "two.npy", np.full((2, 2, 2), [[[0.9]], [[0.4]]]))
    return tmp_path / "dark.png", tmp_path / "two.npy"


def test_cluster_writes_labels_of_grey_images(classifier, greys, tmp_path):
    rows = succeed_json("cluster", "run", *greys, "--out", tmp_path / "new" / "labels.csv")
    assert [(row["image"], row["label"]) for row in rows] == [
        ("dark", 0),
        ("two-0", 1),
        ("two-1", 0),
    ]
    np.testing.assert_allclose([row["probability"] for row in rows], [0.8, 0.9, 0.6], atol=1e-6)
    with open(tmp_path / "new" / "labels.csv", newline="") as file:
        written = list(csv.DictReader(file))
    assert [{key: str(value) for key, value in row.items()} for row in rows] == written
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["labels.csv"]
    text = succeed("cluster", "run", *greys)
    assert text.splitlines()[2].split() == ["two-0", "1", "0.900"]


def test_runs_of_another_kind_are_refused(run, scene, classifier, greys, tmp_path, monkeypatch):
    sentence = "`run` must be of a model that groups the parts of an image. Received: 'run', a "
    assert sentence in fail("group", "run", greys[0], "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    monkeypatch.undo()
    sentence = "`run` must be of a model that gives an image one of several classes. Received: "
    assert f"{sentence}{str(run)!r}, a ReconstructionClustering, " in fail("cluster", run, scene)


def test_pictures_for_a_run_on_vectors(classifier, greys, monkeypatch):
    loaded = _models.load("run")._replace(preparation=reading.Arrays(shape=(4,)))
    monkeypatch.setattr(_models, "load", lambda path, *arguments, **changes: loaded)
    assert "must be a .npy file or a table, since the examples" in fail("cluster", "run", greys[0])


def test_select_writes_a_plot(run, scene, data_dir, tmp_path):
    options = ("--data-dir", data_dir, "--max", 3, "--out", tmp_path / "plot.png")
    found = succeed_json("select", run, *options)
    assert found["candidates"] == [2, 3]
    assert found["best"] == found["candidates"][int(np.argmax(found["log_likelihoods"]))]
    assert (tmp_path / "plot.png").exists()
    of_one = succeed_json("select", run, scene, *options)
    assert of_one["log_likelihoods"] != found["log_likelihoods"]


@pytest.mark.tflite
def test_export_and_check(run, tmp_path):
    written = succeed_json("export", run, "--out", tmp_path, "--quantize", "float16")
    assert (tmp_path / "rc-tiny" / "1" / "saved_model.pb").exists()
    assert written["tflite"]["quantize"] == "float16"
    for artifact in (tmp_path / "rc-tiny", tmp_path / "rc-tiny.tflite"):
        assert "serving_default" in succeed_json("check", artifact)["endpoints"]
        assert "is sound" in succeed("check", artifact)


@pytest.mark.slow
def test_export_of_one_format(run, tmp_path):
    text = succeed("export", run, "--out", tmp_path, "--format", "savedmodel")
    assert f"tfbind serve {tmp_path / 'rc-tiny'}" in text
    assert [path.name for path in tmp_path.iterdir()] == ["rc-tiny"]


def test_serve_passes_its_options_on(monkeypatch, tmp_path):
    calls = []

    def record(*arguments, **options):
        calls.append((arguments, options))

    monkeypatch.setattr("tfbind.serving.launch.serve", record)
    succeed("serve", tmp_path, "--port", 1, "--rest-port", 2, "--name", "x")
    assert calls.pop() == ((tmp_path, 1, 2, "x"), {})
    config = tmp_path / "models.config"
    config.touch()
    limits = ("--max-body", 9, "--max-rows", 8, "--max-requests", 7, "--deadline", 6, "--drain", 5)
    succeed("serve", config, *limits, "--host", "::1", "--request-log", "--poll", 4)
    limits = serving.Limits(body=9, rows=8, requests=7, deadline=6.0, drain=5.0)
    options = {"limits": limits, "host": "::1", "request_log": True, "poll": 4.0}
    assert calls.pop() == ((config, 8500, 8501, None), options)


def test_search_of_another_system():
    line = fail("search", "tagger-tiny")
    assert "must be one of Reconstruction Clustering, whose settings the search knows" in line


def test_search_prints_the_best_first(monkeypatch, tmp_path):
    calls = []

    def search(base, directory, num_trials, data_dir, seed, verbose):
        calls.append((base.name, directory, num_trials, data_dir, seed))
        return [(base, 0.9), (training.presets.get("rc-shapes"), 0.8)]

    monkeypatch.setattr("tfbind.training.search.search", search)
    options = ("--trials", 2, "--out", tmp_path, "--seed", 7, "--data-dir", "d")
    rows = succeed_json("search", "rc-tiny", *options)
    assert calls == [("rc-tiny", tmp_path, 2, "d", 7)]
    assert [(row["ami"], row["hidden_units"]) for row in rows] == [(0.9, 50), (0.8, 500)]
    assert succeed("search", "rc-tiny", *options).split()[:2] == ["ami", "learning_rate"]


@pytest.mark.tflite
@pytest.mark.serving
def test_quickstart_goes_all_the_way(run, data_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(quickstart, "_LOWEST_AMI", 0.5)
    directory = tmp_path / "quickstart"
    shutil.copytree(run, directory)
    preset = training.Run(run).preset.changed(paper=training.Paper(score=0.89, source="made"))
    fields = {**preset.to_json(), "given": None}
    (directory / "preset.json").write_text(json.dumps(fields))
    monkeypatch.setattr(training.presets, "get", lambda name: preset)
    text = succeed("quickstart", "--out", directory, "--data-dir", data_dir)
    for step in range(1, 7):
        assert f"\n{step}/6 " in text
    assert "on 120 images; the paper has 0.890 " in text
    assert f"Done. Open {directory / 'report.html'}" in text
    assert "All 4 answers to the same 4 images agree." in text
    assert f"tfbind serve {directory / 'export' / 'rc-tiny'}" in text
    monkeypatch.setattr(quickstart, "_LOWEST_AMI", 0.999)
    result = tfbind("quickstart", "--out", directory, "--data-dir", data_dir)
    assert result.exit_code == 1
    assert "Error: The AMI must be at least 0.999. Received: 0." in result.stderr


def test_quickstart_refuses_answers_that_differ(capsys):
    expected = dict.fromkeys(quickstart._COMPARED, np.zeros(2))
    close, far = ({name: array + d for name, array in expected.items()} for d in (5e-5, 2e-4))
    quickstart._compare(expected, {"REST": close})
    assert "REST: at most 5.0e-05" in capsys.readouterr().out
    for answer in (far, {**close, "confidence": np.array([0, np.nan])}):
        with pytest.raises(RuntimeError, match=r"must be within 1e-04 of Keras'\. Received: "):
            quickstart._compare(expected, {"REST": close, "gRPC": answer})


FAKE_SERVER = """#!/usr/bin/env python3
import http.server, json, sys
options = dict(option[2:].split("=") for option in sys.argv[1:])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"model_version_status": [{"version": "1", "state": "AVAILABLE"}]})
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body.encode())
address = ("127.0.0.1", int(options["rest_api_port"]))
http.server.HTTPServer(address, Handler).serve_forever()
"""


@pytest.mark.serving
@pytest.mark.parametrize("script", [FAKE_SERVER, "#!/bin/sh\nexit 1\n"], ids=["good", "bad"])
def test_quickstart_uses_tensorflow_model_server(script, tmp_path, monkeypatch):
    executable = tmp_path / "tensorflow_model_server"
    executable.write_text(script)
    executable.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    if script is not FAKE_SERVER:
        with pytest.raises(RuntimeError, match="tensorflow_model_server must start to serve"):
            quickstart._server(tmp_path).__enter__()
        return
    with quickstart._server(tmp_path) as (what, url, target, name):
        assert (what, name) == ("tensorflow_model_server", tmp_path.name)
        assert url.startswith("http://127.0.0.1:") and target.startswith("127.0.0.1:")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nonsense",), "No such command 'nonsense'."),
        (("train",), "Missing argument 'PRESET'."),
        (("train", "rc-shape"), "Received: preset='rc-shape'. Did you mean 'rc-shapes', "),
        (
            ("train", "rc-tiny", "--set", "probability"),
            "`--set probability` must be a number. Received",
        ),
        (("train", "rc-tiny", "--set", "seed=1.5"), "`--set seed` must be an integer."),
        (("train", "rc-tiny", "--set", "name=x"), "`setting` must be one of 'num_groups', "),
        (
            ("train", "rc-tiny", "--set", "autoencoder=x"),
            "`--set autoencoder` must be made in Python",
        ),
        (("train", "rc-tiny", "--set", "batch_size=0"), "`batch_size` must be an integer >= 1."),
        (("train", "rc-tiny", "--set", "dataset=x"), "`dataset` must be one of "),
        (("evaluate", "nowhere"), "Received: 'nowhere', which is none of them."),
        (("export", "nowhere"), "Received: 'nowhere', which is none of them."),
        (("check", "nowhere.tflite"), "Received: path='nowhere.tflite'"),
        (("serve", "runs/nowhere"), "Received: directory='runs/nowhere'"),
        (("serve", "nowhere"), "Received: 'nowhere', which is none of them."),
        (("serve", "."), "must hold version folders"),
        (("search", "nonsense"), "`preset` must be the name of a preset."),
        (("group", "nowhere", "nothing.png"), "Received: 'nowhere', which is none of them."),
    ],
)
def test_bad_arguments(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in fail(*arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("probability=2", "`probability` must be a number in [0, 1]."),
        ("num_groups=1", "`num_groups` must be an integer >= 2."),
    ],
)
def test_settings_of_parts_that_do_not_fit(change, message, images, data_dir, tmp_path):
    run = tmp_path / "run"
    data.load("simple_superposition", "train_single", data_dir)
    options = ("--run", run, "--data-dir", data_dir, "--set", change)
    assert message in fail("train", "rc-tiny", *options)
    assert not run.exists()


def test_runs_that_are_not_whole(run, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "which has no preset.json." in fail("evaluate", tmp_path / "empty")
    (tmp_path / "half").mkdir()
    shutil.copy(run / "preset.json", tmp_path / "half")
    assert "half written; run `tfbind train rc-tiny" in fail("evaluate", tmp_path / "half")
    shutil.copytree(run, tmp_path / "damaged")
    model = tmp_path / "damaged" / "model.keras"
    model.write_bytes(model.read_bytes()[:1000])
    for verb in ("evaluate", "export", "select"):
        assert "Received: a damaged file" in fail(verb, tmp_path / "damaged")
    (tmp_path / "damaged" / "preset.json").write_text("{")
    assert "must describe a preset." in fail("evaluate", tmp_path / "damaged")


def test_artifacts_that_are_not_whole(tmp_path):
    (tmp_path / "1").mkdir()
    assert "where 1 has no saved_model.pb; export the model again." in fail("check", tmp_path)
    assert "as if half-written" in fail("serve", tmp_path)


def test_training_data_that_cannot_be_had(tmp_path, monkeypatch):
    def no_network(url, timeout):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    options = ("--run", tmp_path / "run", "--data-dir", tmp_path / "tfds")
    assert "This data set needs MNIST" in fail("train", "rc-mnist-shape", *options)


def test_images_that_do_not_fit(run, images, tmp_path):
    good = images[0, ..., 0]
    PIL.Image.fromarray(np.zeros((8, 8), "uint8")).save(tmp_path / "black.png")
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "text.npy").write_text("not an array")
    np.save(tmp_path / "bytes.npy", 255 * good)
    np.save(tmp_path / "nan.npy", np.where(good > 0, np.nan, 0))
    np.save(tmp_path / "shape.npy", np.zeros((8, 9)))
    np.save(tmp_path / "none.npy", np.zeros((0, 8, 8)))
    messages = {
        "black.png": "brighter than the threshold 0.5. Received: none; lower --threshold, or",
        "text.png": "must be a picture (PNG, JPEG, TIFF).",
        "text.npy": "must be an array that numpy.save wrote",
        "bytes.npy": "must lie in [0.0, 1.0]. Received: values from 0 to 255",
        "nan.npy": "must be finite. Received: NaN or infinity",
        "shape.npy": "must have shape (n, 8, 8, 1). Received: shape (8, 9).",
        "none.npy": "must hold at least one example.",
    }
    for name, message in messages.items():
        line = fail("group", run, tmp_path / name, "--out", tmp_path / "out")
        assert message in line and name in line
    assert not (tmp_path / "out").exists()


def test_settings_and_names_that_do_not_fit(run, scene, tmp_path):
    assert "`num_groups` must be an integer >= 2." in fail("group", run, scene, "--num-groups", 1)
    assert "`candidates` must hold at least" in fail("select", run, scene, "--max", 1)
    assert "`num_starts` must be an integer >= 1." in fail("evaluate", run, "--starts", 0)


def test_an_error_nobody_thought_of(monkeypatch):
    def broken():
        raise KeyError("lost")

    monkeypatch.setattr(_catalogue, "presets", broken)
    message = "KeyError: 'lost'; `tfbind --debug ...` shows where it comes from."
    assert fail("list") == f"Error: {message}"
    assert isinstance(tfbind("--debug", "list").exception, KeyError)
