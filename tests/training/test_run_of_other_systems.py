"""What a run does for any system: dict batches, two optimisers, a schedule, no early stopping.

The stand-in classifies points by two linear parts, each with an optimiser of its own.
"""

import csv
import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbind import training
from tfbind.data import pipelines
from tfbind.models._base import EventModel
from tfbind.training import callbacks, presets

RANDOM = np.random.default_rng(0)
POINTS = RANDOM.standard_normal((24, 2)).astype("float32")
LABELS = (POINTS[:, 0] > 0).astype("int32")
NUM_EPOCHS = 5


@keras.saving.register_keras_serializable("tfbind-tests")
class TwoParts(EventModel):
    """Classifies points by one part, and finds their mean by the other."""

    OPTIMIZERS = ("optimizer", "second_optimizer")
    num_classes = 2

    def __init__(self, event_shape, **kwargs):
        super().__init__(event_shape, **kwargs)
        self.classifier = keras.layers.Dense(2)
        self.classifier.build((None, *self.event_shape))
        self.center = self.add_weight(shape=self.event_shape, initializer="zeros", name="center")
        self.scale = self.add_weight(shape=(), trainable=False, initializer="ones", name="scale")
        self.built = True

    def compile(self, optimizer, second_optimizer, **kwargs):
        super().compile(optimizer, **kwargs)
        self.second_optimizer = second_optimizer
        optimizer.build(self.classifier.trainable_variables)
        second_optimizer.build([self.center])

    def get_compile_config(self):
        names = {name: getattr(self, name) for name in self.OPTIMIZERS}
        return {name: keras.saving.serialize_keras_object(each) for name, each in names.items()}

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))

    def call(self, inputs):
        points = inputs["image"] if isinstance(inputs, dict) else inputs
        return {"probabilities": tf.nn.softmax(self.scale * self.classifier(points))}

    def train_step(self, x):
        with tf.GradientTape(persistent=True) as tape:
            loss = tf.reduce_mean(
                keras.losses.sparse_categorical_crossentropy(
                    x["label"], self.classifier(x["image"]), from_logits=True
                )
            )
            distance = tf.reduce_mean(tf.abs(x["unlabeled_image"] - self.center))
        first, second = self.classifier.trainable_variables, [self.center]
        self.optimizer.apply(tape.gradient(loss, first), first)
        self.second_optimizer.apply(tape.gradient(distance, second), second)
        self._loss_tracker.update_state(loss + distance)
        return self.get_metrics_result()


class Noting(keras.callbacks.Callback):
    """Logs a value after every second epoch."""

    def on_epoch_end(self, epoch, logs=None):
        if epoch % 2:
            logs["norm"] = float(np.abs(self.model.center.numpy()).sum())


@dataclasses.dataclass(frozen=True, kw_only=True)
class TwoPartsPreset(presets.Preset):
    units: tuple = (3, (4, 5))

    def training_data(self, data_dir=None):
        return presets.TrainingData(
            event_shape=(2,),
            stream=lambda initial_epoch: pipelines.semi_supervised_epochs(
                POINTS[:5], LABELS[:5], POINTS, self.batch_size, self.seed, initial_epoch
            ),
        )

    def build(self, event_shape):
        keras.utils.set_random_seed(self.seed)
        model = TwoParts(event_shape)
        schedule = keras.optimizers.schedules.CosineDecay(self.learning_rate, 4 * NUM_EPOCHS)
        second = keras.optimizers.SGD(self.learning_rate, momentum=0.9)
        model.compile(keras.optimizers.Adam(schedule), second_optimizer=second)
        return model

    def callbacks(self, model, data_dir=None):
        return (Noting(),)

    def finish(self, model, training_data):
        dataset, steps = training_data.stream(0)
        model.scale.assign(steps * len(next(iter(dataset))["unlabeled_image"]))

    def evaluate(self, model, data_dir=None, num_starts=5, verbose=0):
        found = model.predict(POINTS, verbose=0)["probabilities"].argmax(axis=1)
        return {"error": float(np.mean(found != LABELS)), "num_starts": num_starts}


PRESET = TwoPartsPreset(
    name="two-parts",
    summary="for tests",
    dataset="simple_superposition",
    train_split="train",
    learning_rate=0.1,
    batch_size=6,
    max_epochs=NUM_EPOCHS,
    metric="error",
    source="made for tests",
)


@pytest.fixture(autouse=True)
def known(monkeypatch):
    monkeypatch.setattr(presets, "TwoPartsPreset", TwoPartsPreset, raising=False)


@pytest.fixture
def finished(tmp_path):
    return training.train(PRESET, tmp_path / "run", verbose=0), tmp_path / "run"


def rows_of(folder):
    with open(folder / "history.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_without_patience_the_last_weights_are_kept(finished):
    model, folder = finished
    notes = json.loads((folder / "metrics.json").read_text())
    rows = rows_of(folder)
    assert notes["epochs"] == len(rows) == NUM_EPOCHS
    assert notes["loss"] == float(rows[-1]["loss"])
    assert not notes.keys() & {"best_epoch", "val_loss"}
    assert int(model.optimizer.iterations) == int(model.second_optimizer.iterations) == 20
    for one, other in zip(model.get_weights(), training.load(folder)[0].get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_the_preset_finishes_is_saved(finished):
    assert float(training.load(finished[1])[0].scale) == len(POINTS)


def test_what_its_callbacks_log_is_in_the_history(finished):
    model, folder = finished
    norms = [row["norm"] for row in rows_of(folder)]
    assert [norm != "" for norm in norms] == [False, True, False, True, False]


def test_settings_come_back_as_they_were(finished):
    model, folder = finished
    assert training.load(folder)[1] == PRESET
    again = training.train(PRESET, folder, verbose=0)
    np.testing.assert_array_equal(again.get_weights()[0], model.get_weights()[0])


def test_evaluate_notes_what_the_preset_finds(finished):
    scores = training.evaluate(finished[1], num_starts=3)
    assert scores["num_starts"] == 3
    assert scores["error"] < 0.5
    assert json.loads((finished[1] / "metrics.json").read_text())["test"] == scores


class Killed(BaseException):
    """Stands in for a signal: nothing in the library may catch it."""


@pytest.mark.parametrize("epoch", [1, 4])
def test_a_killed_run_ends_at_the_same_weights(epoch, finished, tmp_path, monkeypatch):
    class Kill(keras.callbacks.Callback):
        def on_epoch_begin(self, current, logs=None):
            if current == epoch:
                raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(TwoPartsPreset, "callbacks", lambda *arguments: (Noting(), Kill()))
        training.train(PRESET, tmp_path / "killed", checkpoint_interval=0.0, verbose=0)
    assert (tmp_path / "killed" / f"checkpoint-{epoch:05d}").exists()
    resumed = training.train(PRESET, tmp_path / "killed", verbose=0)
    mine, theirs = (
        each.weights + each.optimizer.variables + each.second_optimizer.variables
        for each in (resumed, finished[0])
    )
    for one, other in zip(mine, theirs, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy(), err_msg=one.path)
    losses = [[row["loss"] for row in rows_of(tmp_path / name)] for name in ("killed", "run")]
    assert losses[0] == losses[1]


def test_a_training_that_diverged(tmp_path):
    preset = dataclasses.replace(PRESET, learning_rate=1e38)
    with pytest.raises(
        ValueError, match=r"'two-parts' must have a finite loss. Received: (nan|inf) "
    ):
        training.train(preset, tmp_path / "run", verbose=0)


def test_the_progress_line_shows_the_loss(tmp_path, capsys):
    training.train(PRESET, tmp_path / "run", verbose=1)
    assert f"epoch {NUM_EPOCHS} of at most {NUM_EPOCHS}" in (text := capsys.readouterr().out)
    assert " loss " in text and "val_loss" not in text


def test_patience_is_checked():
    with pytest.raises(
        ValueError, match="`patience` must be an integer >= 1. Received: patience=0"
    ):
        dataclasses.replace(PRESET, patience=0)


def test_a_checkpoint_without_early_stopping_holds_no_best_weights(tmp_path):
    model = PRESET.build((2,))
    dataset, steps = PRESET.training_data().stream(0)
    checkpoint = callbacks.Checkpoint(tmp_path, None, interval=0.0)
    arguments = {"steps_per_epoch": steps, "shuffle": False, "verbose": 0}
    model.fit(dataset, epochs=2, callbacks=[checkpoint], **arguments)
    assert {path.name for path in (tmp_path / "checkpoint-00002").iterdir()} == {
        "model.keras",
        "state.json",
    }
