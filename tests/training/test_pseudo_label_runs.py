"""A run of Kingdra's ensemble: rows are told apart, rounds happen, a kill changes nothing."""

import csv
import dataclasses
import warnings

import keras
import numpy as np
import pytest

from tfbind import data, metrics, training
from tfbind.models._relabeling import Relabeling
from tfbind.training import Run, presets, tasks

pytestmark = pytest.mark.slow

PRESET = presets.get("kingdra-tiny")


def train(folder, data_dir, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a round without ten pseudo-classes
        return training.train(PRESET, folder, data_dir, verbose=0, **settings)


@pytest.fixture(scope="module")
def run(tmp_path_factory, data_dir):
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    train(folder, data_dir)
    return folder


def test_some_get_labels_after_the_first_round(run):
    shares = [row["pseudo_labelled"] for row in Run(run).history]
    first = PRESET.setting("first_epochs").value
    assert not any(shares[:first])
    assert 0.2 < shares[-1] <= 1.0


def test_the_scores(run, data_dir):
    scores = training.evaluate(run, data_dir)
    model = Run(run).load()
    images, labels = data.load("digits", "test", data_dir, keys=("image", "label"))
    p = model.predict(images, verbose=0)["member_probabilities"]
    errors = [1 - metrics.clustering_accuracy(labels, each) for each in p.argmax(axis=-1).T]
    assert scores["member_error"] == pytest.approx(np.mean(errors))
    assert scores["best_member_error"] == pytest.approx(min(errors))
    assert scores["error"] < 0.6  # ten equal clusters drawn at random have about 84
    assert model.row_labels.num_rows is None  # a finished run has no use for them


def test_its_rounds(run, data_dir):
    rounds = Run(run).load().rounds
    first, later = (PRESET.setting(name).value for name in ("first_epochs", "round_epochs"))
    assert len(rounds) == len(range(first, PRESET.max_epochs, later))
    assert 0.2 < rounds[-1]["precision"] <= 1.0
    with (run / "rounds.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["round"]) for row in rows] == list(range(len(rounds)))
    assert float(rows[-1]["precision"]) == rounds[-1]["precision"]
    assert [int(rows[-1][f"class_sizes_{k}"]) for k in range(10)] == rounds[-1]["class_sizes"]
    assert "rounds.png" in training.figures(run, data_dir)


class Killed(BaseException):
    """Stands in for a signal: nothing in the library may catch it."""


def test_a_run_killed_amid_a_round_ends_at_the_same_weights(run, tmp_path, data_dir, monkeypatch):
    class Kill(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 5:
                raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(tasks.Clustering, "callbacks", lambda *arguments: (Kill(),))
        train(tmp_path / "run", data_dir, checkpoint_interval=0.0)
    resumed = train(tmp_path / "run", data_dir)
    for one, other in zip(resumed.weights, Run(run).load().weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy(), err_msg=one.path)


def test_bytes_are_labelled_as_floats(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(Relabeling, "on_train_begin", lambda self, logs: seen.append(self.images))
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1)).astype("uint8")
    preset = PRESET.changed(max_epochs=1)
    training.train(preset, tmp_path / "run", images=images, verbose=0)
    np.testing.assert_allclose(seen[0], images / 255, rtol=1e-6)


def test_a_task_without_row_numbers_is_refused(tmp_path, data_dir, monkeypatch):
    of_task = tasks.Clustering.training_data
    monkeypatch.setattr(
        tasks.Clustering,
        "training_data",
        lambda *arguments: dataclasses.replace(of_task(*arguments), images=None),
    )
    with pytest.raises(ValueError, match="`task` must be one of clustering for a model that"):
        training.train(PRESET, tmp_path / "run", data_dir, verbose=0)
