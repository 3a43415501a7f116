"""Early stopping with a memory that outlives the process, and checkpoints."""

import json
import os
import shutil
import signal
import types

import keras
import numpy as np
import pytest

from tfbind import models
from tfbind.training import checkpoint as checkpoint_module
from tfbind.training.checkpoint import Checkpoint, ResumableEarlyStopping

LOSSES = [5.0, 4.0, 4.5, 3.0, 3.5, 2.5, 2.9, 2.6, 2.8, 1.0]
PATIENCE = 3
LAST_EPOCH = 8  # the third without a value below 2.5
BEST_EPOCH = 5


def stop_early(first, last, memory=None, best_weights=None):
    """Runs early stopping over epochs first..last-1; epoch e ends with the weights [e]."""
    stopping = ResumableEarlyStopping(
        monitor="val_loss", patience=PATIENCE, mode="min", restore_best_weights=True
    )
    if memory is not None:
        stopping.resume(json.loads(json.dumps(memory)), best_weights)
    model = types.SimpleNamespace(stop_training=False)
    stopping.set_model(model)
    stopping.on_train_begin()
    for epoch in range(first, last):
        model.get_weights = lambda epoch=epoch: [np.array(epoch)]
        stopping.on_epoch_end(epoch, {"val_loss": LOSSES[epoch]})
        if model.stop_training:
            break
    return stopping, epoch


def test_early_stopping_stops_where_keras_does():
    stopping, epoch = stop_early(0, len(LOSSES))
    assert epoch == LAST_EPOCH
    assert stopping.best_weights == [BEST_EPOCH]


@pytest.mark.parametrize("killed", range(1, LAST_EPOCH + 1))
def test_early_stopping_survives_a_kill_after_any_epoch(killed):
    before, _ = stop_early(0, killed)
    after, epoch = stop_early(killed, len(LOSSES), before.memory(), before.best_weights)
    assert epoch == LAST_EPOCH
    assert after.best_weights == [BEST_EPOCH]
    assert after.memory() == stop_early(0, len(LOSSES))[0].memory()


@pytest.fixture
def model():
    model = models.DenoisingAutoencoder((2,), hidden_units=3, likelihood="gaussian")
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9))
    return model


def fit(model, directory, epochs, interval=0.0, patience=99):
    """Trains to `epochs`, from a checkpoint in `directory` if there is one."""
    stopping = ResumableEarlyStopping(monitor="loss", patience=patience, restore_best_weights=True)
    checkpoint = Checkpoint(directory, stopping, interval)
    initial_epoch = checkpoint.restore(model)
    x = np.arange(8, dtype="float32").reshape(4, 2)
    model.fit(
        x / 10,
        epochs=epochs,
        initial_epoch=initial_epoch,
        callbacks=[stopping, checkpoint],
        shuffle=False,
        verbose=0,
    )
    return checkpoint


def test_the_newest_two_are_kept(model, tmp_path):
    (tmp_path / "checkpoint-00002.partial").mkdir()  # a run was killed while it wrote this one
    (tmp_path / "checkpoint-00002.partial" / "model.keras").write_bytes(b"half")
    assert Checkpoint(tmp_path, None).restore(model) == 0
    fit(model, tmp_path, epochs=3)
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-00002", "checkpoint-00003"}
    assert Checkpoint(tmp_path, ResumableEarlyStopping(monitor="loss")).restore(model) == 3


def test_of_two_checkpoints_the_newest_is_restored(model, tmp_path):
    fit(model, tmp_path, epochs=2)
    stopping = ResumableEarlyStopping(monitor="loss")
    assert Checkpoint(tmp_path, stopping).restore(model) == 2


def test_momentum_is_restored_too(model, tmp_path):
    start = model.get_weights()
    fit(model, tmp_path, epochs=4)
    (tmp_path / "checkpoint-00004").rename(tmp_path / "aside")
    shutil.rmtree(tmp_path / "checkpoint-00003")
    expected = keras.saving.load_model(tmp_path / "aside" / "model.keras")

    def fresh():
        fresh = keras.models.clone_model(model)
        fresh.compile(keras.optimizers.SGD(0.01, momentum=0.9))
        fresh.set_weights(start)
        return fresh

    fit(fresh(), tmp_path, epochs=2)
    fit(fresh(), tmp_path, epochs=4)
    found = keras.saving.load_model(tmp_path / "checkpoint-00004" / "model.keras")
    for one, other in zip(
        found.weights + found.optimizer.variables,
        expected.weights + expected.optimizer.variables,
        strict=True,
    ):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_checkpoints_keep_their_distance(model, tmp_path):
    checkpoint = fit(model, tmp_path, epochs=3, interval=1000.0)
    assert list(tmp_path.iterdir()) == []
    assert [row["epoch"] for row in checkpoint.history] == [1, 2, 3]
    assert all(row["seconds"] > 0 for row in checkpoint.history)


def test_a_stopped_training_has_no_checkpoint_of_its_end(model, tmp_path):
    """It would resume with an epoch that the training did not have."""
    model.optimizer.learning_rate = 0.0
    checkpoint = fit(model, tmp_path, epochs=9, patience=2)
    assert len(checkpoint.history) == 3
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-00001", "checkpoint-00002"}


@pytest.mark.parametrize("file", ["model.keras", "state.json", "best.npz"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_taken(model, tmp_path, file):
    fit(model, tmp_path, epochs=3)
    (tmp_path / "checkpoint-00003" / file).write_bytes(b"PK half")
    stopping = ResumableEarlyStopping(monitor="loss")
    with pytest.warns(UserWarning, match="checkpoint-00003' was damaged .* goes on from what was"):
        assert Checkpoint(tmp_path, stopping).restore(model) == 2
    fit(model, tmp_path, epochs=3)
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-00002", "checkpoint-00003"}


def test_a_full_disk_leaves_the_checkpoint_before(model, tmp_path, monkeypatch):
    fit(model, tmp_path, epochs=1)

    def full(*_, **__):
        raise OSError(28, "No space left on device", str(tmp_path / "checkpoint-00002.partial"))

    monkeypatch.setattr(checkpoint_module.np, "savez", full)
    with pytest.raises(OSError, match="No space left on device: .*checkpoint-00002.partial"):
        fit(model, tmp_path, epochs=2)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-00001"]


class Press(keras.callbacks.Callback):
    """Presses Ctrl-C in the middle of an epoch."""

    def __init__(self, times):
        super().__init__()
        self.times = times

    def on_train_batch_end(self, batch, logs=None):
        if batch == 0 and len(self.model.history.epoch) == 1:
            for _ in range(self.times):
                os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(("times", "expected"), [(1, 2), (2, 1)])
def test_ctrl_c(model, tmp_path, times, expected, capsys):
    """Once, it waits for the end of the second epoch; twice, it does not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    images = np.random.default_rng(0).random((8, 2)).astype("float32")
    checkpoint = Checkpoint(tmp_path, None, interval=0.0)
    with pytest.raises(KeyboardInterrupt) as raised, checkpoint.stoppable():
        model.fit(images, batch_size=4, epochs=9, callbacks=[checkpoint, Press(times)], verbose=0)
    assert signal.signal(signal.SIGINT, before) == signal.default_int_handler
    assert Checkpoint(tmp_path, None).restore(model) == expected
    assert "Ctrl-C again" in capsys.readouterr().err
    if times == 1:
        assert "Stopped after epoch 2, with a checkpoint in" in str(raised.value)
