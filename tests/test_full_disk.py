"""No room for a file: the error names it, what was there stays, and nothing half is left.

The kernel refuses to let a file grow over a limit, which needs no disk and no root.
"""

import contextlib
import csv
import pathlib
import resource

import keras
import numpy as np
import pytest
from matplotlib.figure import Figure

import tfbind
from tfbind import _files, _image_files, export, plots
from tfbind._console import _sentence
from tfbind.training import Run, checkpoint, presets


@contextlib.contextmanager
def no_file_over(size):
    """Lets no file of this process grow over so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(scope="module")
def model():
    model = tfbind.DenoisingAutoencoder((6,), hidden_units=50)
    model.compile("sgd")
    return model


def run_of(folder):
    run = Run(folder)
    with run.claimed(presets.get("rc-tiny")):
        return run


def history(length):
    return [{"epoch": i, "loss": 0.5, "seconds": 1.0} for i in range(length)]


def finish(path, model):
    run_of(path.parent).finish(model, history(10_000), {"epochs": 1, "loss": 0.5})


def save_checkpoint(path, model):
    saved = checkpoint.Checkpoint(path.parent, None, 0.0)
    saved.set_model(model)
    saved.save(3)


def write_csv(path, model):
    _image_files.write_rows(path, [{"image": "a", "cluster": 1}] * 1000)


def draw(path, model):
    figure = Figure()
    figure.subplots().plot([0, 1])
    plots.save(figure, path)


def write_array(path, model):
    with _files.replacing(path) as partial:
        np.savez(partial, np.zeros(10_000))


WRITES = {
    "model.keras": (finish, 3000),
    "history.csv": (finish, 60_000),
    "checkpoint-00003": (save_checkpoint, 3000),
    "labels.csv": (write_csv, 3000),
    "groups.png": (draw, 3000),
    "masks.npz": (write_array, 3000),
    "made": (lambda path, model: export.export_saved_model(model, path), 1000),
    "made.tflite": (lambda path, model: export.export_tflite(model, path), 2000),
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.tflite] * name.endswith("tflite")) for name in WRITES],
)
def test_what_could_not_be_written_is_named(name, model, tmp_path):
    write, limit = WRITES[name]
    path = tmp_path / "in [a] folder" / name
    path.parent.mkdir()
    with no_file_over(limit), pytest.raises(OSError) as info:
        write(path, model)
    said = str(path.parent if name.endswith("tflite") else path)
    assert info.value.filename.startswith(said), info.value
    assert said in _sentence(info.value)
    left = {file.name for file in path.parent.iterdir()}
    assert left <= {"model.keras", "preset.json", ".lock"}
    write(path, model)  # there is room again
    assert path.exists()


def test_what_was_there_stays(model, tmp_path):
    path = tmp_path / "labels.csv"
    _image_files.write_rows(path, [{"image": "a"}])
    with no_file_over(3000), pytest.raises(OSError, match="File too large: .*labels.csv"):
        write_csv(path, model)
    with path.open(newline="") as file:
        assert list(csv.DictReader(file)) == [{"image": "a"}]


def test_a_training_goes_on_from_the_checkpoint_before(model, tmp_path):
    saved = checkpoint.Checkpoint(pathlib.Path(tmp_path), None, 0.0)
    saved.set_model(model)
    saved.save(1)
    with no_file_over(3000), pytest.raises(OSError, match="File too large: .*checkpoint-00002'"):
        saved.save(2)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-00001"]
    again = keras.saving.load_model(tmp_path / "checkpoint-00001" / "model.keras")
    np.testing.assert_array_equal(again.get_weights()[0], model.get_weights()[0])
