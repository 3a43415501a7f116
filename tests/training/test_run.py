"""A run, killed wherever one likes, ends at the weights of a run that was left alone."""

import functools
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tfbind import data, training
from tfbind.training import Run, checkpoint, presets, run

# Early stopping ends it; the 14 training images make 7 batches of 2.
PRESET = presets.get("rc-tiny").changed(
    hidden_units=12,
    num_iterations=1,
    batch_size=2,
    max_epochs=60,
    patience=2,
    seed=3,
)
# The limit of epochs ends it.
LIMITED = PRESET.changed(max_epochs=3, patience=99)


class Killed(BaseException):
    """Stands in for a signal: nothing in the library may catch it."""


@pytest.fixture(scope="module")
def straight(tmp_path_factory, data_dir):
    """Folder of an uninterrupted run, one for every preset that a test asks for."""

    @functools.cache
    def straight(preset):
        folder = tmp_path_factory.mktemp("straight") / "run"
        training.train(preset, folder, data_dir, verbose=0)
        return folder

    return straight


def history_of(folder):
    """Returns the rows of the history without their times."""
    return [{key: row[key] for key in row if key != "seconds"} for row in Run(folder).history]


def assert_same_run(folder, expected):
    """Asserts that two finished runs have the same weights and history, to the bit."""
    assert Run(folder).preset == Run(expected).preset
    model, straight = Run(folder).load(), Run(expected).load()
    for one, other in zip(model.get_weights(), straight.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert history_of(folder) == history_of(expected)
    assert sorted(path.name for path in folder.iterdir()) == [
        "history.csv",
        "metrics.json",
        "model.keras",
        "preset.json",
    ]


def test_the_presets_of_this_file_end_as_they_should(straight):
    num_epochs = len(history_of(straight(PRESET)))
    assert 4 < num_epochs < PRESET.max_epochs
    notes = Run(straight(PRESET)).metrics
    assert notes["epochs"] == num_epochs == notes["best_epoch"] + PRESET.patience
    assert len(history_of(straight(LIMITED))) == LIMITED.max_epochs


def test_the_best_weights_are_kept(straight):
    rows = history_of(straight(PRESET))
    notes = Run(straight(PRESET)).metrics
    losses = [row["val_loss"] for row in rows]
    assert notes["val_loss"] == min(losses)
    assert notes["best_epoch"] == 1 + losses.index(min(losses))


def kill_in_epoch(epoch_to_kill):
    """Returns a `Checkpoint` that dies when the batches of an epoch are done, before its end."""

    class KilledInEpoch(checkpoint.Checkpoint):
        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch

        def on_train_batch_end(self, batch, logs=None):
            if self.epoch == epoch_to_kill:
                raise Killed

    return KilledInEpoch


@pytest.mark.parametrize(("interval", "from_epoch"), [(0.0, 3), (1000.0, None)])
def test_killed_in_an_epoch(interval, from_epoch, straight, data_dir, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(run, "Checkpoint", kill_in_epoch(3))
        training.train(PRESET, folder, data_dir, checkpoint_interval=interval, verbose=0)
    kept = [] if from_epoch is None else [from_epoch - 1, from_epoch]
    expected = [".lock", *(f"checkpoint-{epoch:05d}" for epoch in kept), "preset.json"]
    assert sorted(path.name for path in folder.iterdir()) == expected
    training.train(PRESET, folder, data_dir, checkpoint_interval=interval, verbose=0)
    assert_same_run(folder, straight(PRESET))


def test_killed_twice_and_while_it_writes_a_checkpoint(straight, data_dir, tmp_path, monkeypatch):
    folder = tmp_path / "run"

    def rename(source, target):
        if "00003" in str(target):
            raise Killed
        os.replace(source, target)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(checkpoint.os, "rename", rename)
        training.train(PRESET, folder, data_dir, checkpoint_interval=0.0, verbose=0)
    names = {path.name for path in folder.iterdir()}
    checkpoints = {"checkpoint-00001", "checkpoint-00002", "checkpoint-00003.partial"}
    assert names == {*checkpoints, ".lock", "preset.json"}
    (folder / "checkpoint-00003.partial" / "model.keras").write_bytes(b"half")
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(run, "Checkpoint", kill_in_epoch(3))
        training.train(PRESET, folder, data_dir, checkpoint_interval=0.0, verbose=0)
    training.train(PRESET, folder, data_dir, checkpoint_interval=0.0, verbose=0)
    assert_same_run(folder, straight(PRESET))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("preset", "file"),
    [(PRESET, "model.keras"), (LIMITED, "metrics.json")],
    ids=["stopped", "limited"],
)
def test_killed_after_the_last_epoch(preset, file, straight, data_dir, tmp_path, monkeypatch):
    """Before a file of the finished run is in place."""
    folder, replace = tmp_path / "run", os.replace

    def killing_replace(source, target):
        if pathlib.Path(target).name == file:
            raise Killed
        replace(source, target)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(os, "replace", killing_replace)
        training.train(preset, folder, data_dir, checkpoint_interval=0.0, verbose=0)
    with pytest.raises(ValueError, match="which is half written; run `tfbind train rc-tiny --run"):
        Run(folder).load()
    training.train(preset, folder, data_dir, checkpoint_interval=0.0, verbose=0)
    assert_same_run(folder, straight(preset))


def test_killed_before_it_began(straight, data_dir, tmp_path, monkeypatch):
    """While it writes the very first file."""

    def replace(source, target):
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(os, "replace", replace)
        training.train(LIMITED, tmp_path / "run", data_dir, verbose=0)
    # An exception cleans up behind itself, a signal does not.
    (tmp_path / "run" / ".partial-preset.json").write_text("{")
    training.train(LIMITED, tmp_path / "run", data_dir, verbose=0)
    assert_same_run(tmp_path / "run", straight(LIMITED))


def test_killed_by_a_signal(data_dir, tmp_path):
    """A process of its own, killed by the kernel in the middle of whatever it did."""
    preset = PRESET.changed(max_epochs=40, patience=99)
    script = (
        "import json, sys\n"
        "from tfbind import training\n"
        "preset = training.Preset.from_json(json.loads(sys.argv[2]))\n"
        f"training.train(preset, sys.argv[1], {str(data_dir)!r}, checkpoint_interval=0.0, "
        "verbose=0)\n"
    )
    folder = tmp_path / "killed"
    described = json.dumps(preset.to_json())
    process = subprocess.Popen([sys.executable, "-c", script, folder, described])
    try:
        while not list(folder.glob("checkpoint-0000[5-9]")) and process.poll() is None:
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    training.train(preset, folder, data_dir, verbose=0)
    training.train(preset, tmp_path / "straight", data_dir, verbose=0)
    assert_same_run(folder, tmp_path / "straight")


def test_a_finished_run_returns_at_once(straight, monkeypatch):
    def load(*args):
        raise AssertionError("loaded data")

    monkeypatch.setattr(data, "load", load)
    model = training.train(PRESET, straight(PRESET), verbose=0)
    expected = Run(straight(PRESET)).load()
    for one, other in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_evaluate_notes_the_scores(straight, data_dir):
    folder = straight(LIMITED)
    before = Run(folder).metrics
    scores = training.evaluate(folder, data_dir, num_starts=2)
    notes = Run(folder).metrics
    assert notes.pop("test") == scores
    assert (scores["num_images"], scores["num_starts"]) == (120, 2)
    before.pop("test", None)
    assert notes == before
    assert training.evaluate(folder, data_dir, num_starts=2) == scores


def raises(sentence):
    return pytest.raises(ValueError, match=re.escape(sentence))


def test_a_folder_of_another_preset_is_refused(straight):
    folder = straight(PRESET)
    for preset in (presets.get("rc-shapes"), LIMITED):
        with raises(
            f"`run` must be a folder of preset {preset.name!r} with the same settings. Received: "
            f"{str(folder)!r}, a run of 'rc-tiny'; choose another folder."
        ):
            training.train(preset, folder)


def test_a_folder_of_other_files_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("...")
    with raises(
        f"`run` must be a new folder or a run's. Received: {str(tmp_path)!r}, which holds other "
        "files; choose another."
    ):
        training.train(PRESET, tmp_path)


def test_no_run_there(tmp_path):
    sentence = "`run` must be a run folder made by `tfbind train`. Received: "
    with raises(f"{sentence}{str(tmp_path)!r}, which has no preset.json."):
        Run(tmp_path).load()
    with raises(f"{sentence}{str(tmp_path / 'gone')!r}, which does not exist."):
        training.evaluate(tmp_path / "gone")


@pytest.fixture
def copied(straight, tmp_path):
    """Folder of a finished run, to be damaged."""
    for path in straight(LIMITED).iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


@pytest.mark.parametrize("damage", ["cut", "emptied", "overwritten", "removed"])
def test_damaged_model(copied, damage):
    path = copied / "model.keras"
    content = path.read_bytes()
    if damage == "removed":
        path.unlink()
    else:
        path.write_bytes({"cut": content[:-500], "emptied": b"", "overwritten": b"?"}[damage])
    with raises(f"`{path}` must be a Keras model. Received: a damaged file, or one with parts"):
        Run(copied).load()


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "{}", "[]", "null", '{"given": null}'),
        '{"given": null, "task": {"kind": "Nothing"}}',
    ],
)
def test_damaged_preset(copied, text):
    path = copied / "preset.json"
    path.write_text(text)
    with raises(f"{str(path)!r} must describe a preset. Received: "):
        Run(copied).load()


def test_a_run_is_its_folder(straight):
    folder = Run(straight(LIMITED))
    assert Run(folder).path == pathlib.Path(folder) == straight(LIMITED)
    assert folder.is_finished and folder.given is None
    assert not Run("nowhere").is_finished
    assert repr(Run("nowhere")) == "Run('nowhere')"


def test_early_stopping_needs_images_that_validate(data_dir, tmp_path):
    preset = PRESET.changed(validation=0.0)
    with raises("`patience` must be None where no images validate. Received: patience=2."):
        training.train(preset, tmp_path / "run", data_dir, verbose=0)
    assert not (tmp_path / "run").exists()


def test_nothing_is_written_before_model_and_data_are_there(tmp_path, data_dir):
    with raises("`num_groups` must be an integer >= 2."):
        training.train(PRESET.changed(num_groups=1), tmp_path / "run", data_dir, verbose=0)
    assert not (tmp_path / "run").exists()


def test_a_task_is_judged_by_its_test_images(tmp_path, data_dir, monkeypatch):
    """The training images of some tasks show one thing each, where no groups can be told."""
    judged = []
    monkeypatch.setattr(run, "diagnose", lambda model, images, unseen: judged.append(images) or [])
    training.train(LIMITED.changed(max_epochs=1), tmp_path / "run", data_dir, verbose=0)
    expected = LIMITED.task.load(LIMITED.task.test_split, data_dir).image
    np.testing.assert_array_equal(judged, [expected])


def test_two_trainings_in_one_folder(tmp_path):
    """The second is refused; when the first is over, however it ended, the folder is free."""
    program = (
        "import sys; from tfbind import training\n"
        "with training.Run(sys.argv[1]).claimed(training.presets.get('rc-shapes')):\n"
        "    print('at work', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    pipe = subprocess.PIPE
    other = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
    mine = Run(tmp_path)
    try:
        assert other.stdout.readline() == b"at work\n"
        with (
            pytest.raises(ValueError, match="no other training is at work. Received: .*choose"),
            mine.claimed(training.presets.get("rc-shapes")),
        ):
            pass
    finally:
        other.kill()
        other.communicate()
    with mine.claimed(training.presets.get("rc-shapes")):
        assert mine.preset.name == "rc-shapes"


def test_scores_that_cannot_be_noted_are_returned(straight, data_dir, monkeypatch):
    folder = straight(PRESET)

    def read_only(*_):
        raise OSError(30, "Read-only file system", str(folder))

    before = (folder / "metrics.json").read_text()
    monkeypatch.setattr(Run, "note_scores", read_only)
    with pytest.warns(UserWarning, match="The scores were not noted in .*Read-only file system"):
        scores = training.evaluate(folder, data_dir, num_starts=1)
    assert "ami" in scores
    assert (folder / "metrics.json").read_text() == before
