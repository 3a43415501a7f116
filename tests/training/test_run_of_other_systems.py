"""What a run does for any task and model: dict batches, a schedule, callbacks, calibration.

The stand-in classifies points by a linear part, and finds their mean by another.
"""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbind import training
from tfbind.data import pipelines
from tfbind.models._base import BaseModel, means
from tfbind.models._batch import semi_supervised_fields
from tfbind.training import Optimizer, Paper, Part, Preset, Run, tasks
from tfbind.training.checkpoint import Checkpoint

RANDOM = np.random.default_rng(0)
POINTS = RANDOM.standard_normal((24, 2)).astype("float32")
LABELS = (POINTS[:, 0] > 0).astype("int32")
NUM_EPOCHS = 5


@keras.saving.register_keras_serializable("tfbind-tests")
class TwoParts(BaseModel):
    """Classifies points by one part, and finds their mean by the other."""

    needs_calibration = True
    num_classes = 2
    seed = 0
    term_weights = {"cross_entropy": 1.0, "distance": 1.0}  # noqa: RUF012

    def __init__(self, event_shape, **kwargs):
        super().__init__(event_shape, **kwargs)
        self.trackers |= means("cross_entropy", "distance")
        self.classifier = keras.layers.Dense(2)
        self.classifier.build((None, *self.event_shape))
        self.center = self.add_weight(shape=self.event_shape, initializer="zeros", name="center")
        self.scale = self.add_weight(shape=(), trainable=False, initializer="ones", name="scale")
        self.built = True

    def fields(self, training):
        fields = super().fields(training)
        return {**fields, **semi_supervised_fields(fields["image"], 2)}

    def call(self, inputs):
        points = inputs["image"] if isinstance(inputs, dict) else inputs
        return {"probabilities": tf.nn.softmax(self.scale * self.classifier(points))}

    def loss_terms(self, batch, seed, training):
        logits = self.classifier(batch["image"])
        return {
            "cross_entropy": keras.losses.sparse_categorical_crossentropy(
                batch["label"], logits, from_logits=True
            ),
            "distance": tf.reduce_mean(tf.abs(batch["unlabeled_image"] - self.center), axis=1),
        }

    def calibrate(self, x, batch_size=100):
        self.scale.assign(sum(len(batch["unlabeled_image"]) for batch in x))


class Noting(keras.callbacks.Callback):
    """Logs a value after every second epoch."""

    def on_epoch_end(self, epoch, logs=None):
        if epoch % 2:
            logs["norm"] = float(np.abs(self.model.center.numpy()).sum())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Halves(tasks.Task):
    """Which half of the plane a point is in, told of a few."""

    METRIC = "error"

    shapes: tuple = (3, (4, 5))

    def load(self, split, data_dir=None, dtype="float32"):
        return tasks.Examples(POINTS, LABELS)

    def training_data(self, examples, batch_size, seed):
        points, labels, _ = examples
        return tasks.TrainingData(
            event_shape=(2,),
            stream=lambda initial_epoch: pipelines.semi_supervised_epochs(
                points[:5], labels[:5], points, batch_size, seed, initial_epoch
            ),
        )

    def callbacks(self, model, watched, seed):
        return (Noting(),)

    def score(self, model, examples, *, seed, num_starts=5, verbose=0):
        found = model.predict(examples.image, verbose=0)["probabilities"].argmax(axis=1)
        return {"error": float(np.mean(found != examples.label)), "num_starts": num_starts}


PRESET = Preset(
    name="two-parts",
    summary="for tests",
    model=Part("tfbind-tests>TwoParts"),
    task=Halves(dataset="simple_superposition"),
    optimizer=Optimizer(learning_rate=0.1, schedule="cosine"),
    batch_size=6,
    max_epochs=NUM_EPOCHS,
    paper=Paper(source="made for tests"),
)


@pytest.fixture
def finished(tmp_path):
    return training.train(PRESET, tmp_path / "run", verbose=0), Run(tmp_path / "run")


def test_without_patience_the_last_weights_are_kept(finished):
    model, run = finished
    assert run.metrics["epochs"] == len(run.history) == NUM_EPOCHS
    assert run.metrics["loss"] == run.history[-1]["loss"]
    assert not run.metrics.keys() & {"best_epoch", "val_loss"}
    assert int(model.optimizer.iterations) == 20
    for one, other in zip(model.get_weights(), run.load().get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_it_is_calibrated_on_one_epoch(finished):
    assert float(finished[1].load().scale) == len(POINTS)


def test_what_its_callbacks_log_is_in_the_history(finished):
    norms = [row["norm"] for row in finished[1].history]
    assert [norm is not None for norm in norms] == [False, True, False, True, False]
    rates = [row["learning_rate"] for row in finished[1].history]
    np.testing.assert_allclose(rates, [PRESET.learning_rate(epoch) for epoch in range(5)])


def test_settings_come_back_as_they_were(finished):
    model, run = finished
    assert run.preset == PRESET
    again = training.train(PRESET, run, verbose=0)
    np.testing.assert_array_equal(again.get_weights()[0], model.get_weights()[0])


def test_evaluate_notes_what_the_task_finds(finished):
    scores = training.evaluate(finished[1], num_starts=3)
    assert scores["num_starts"] == 3
    assert scores["error"] < 0.5
    assert finished[1].metrics["test"] == scores


class Killed(BaseException):
    """Stands in for a signal: nothing in the library may catch it."""


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [1, 4])
def test_a_killed_run_ends_at_the_same_weights(epoch, finished, tmp_path, monkeypatch):
    class Kill(keras.callbacks.Callback):
        def on_epoch_begin(self, current, logs=None):
            if current == epoch:
                raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Halves, "callbacks", lambda *arguments: (Noting(), Kill()))
        training.train(PRESET, tmp_path / "killed", checkpoint_interval=0.0, verbose=0)
    assert (tmp_path / "killed" / f"checkpoint-{epoch:05d}").exists()
    resumed = training.train(PRESET, tmp_path / "killed", verbose=0)
    mine, theirs = (each.weights + each.optimizer.variables for each in (resumed, finished[0]))
    for one, other in zip(mine, theirs, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy(), err_msg=one.path)
    losses = [[row["loss"] for row in Run(tmp_path / name).history] for name in ("killed", "run")]
    assert losses[0] == losses[1]


def test_a_training_that_diverged(tmp_path):
    with pytest.raises(ValueError, match=r"loss must be finite. Received: (nan|inf) in batch \d"):
        training.train(PRESET.changed(learning_rate=1e38), tmp_path / "run", verbose=0)


def test_the_progress_line_shows_the_loss(tmp_path, capsys):
    training.train(PRESET, tmp_path / "run", verbose=1)
    assert f"epoch {NUM_EPOCHS} of at most {NUM_EPOCHS}" in (text := capsys.readouterr().out)
    assert " loss " in text and "val_loss" not in text


def test_a_checkpoint_without_early_stopping_holds_no_best_weights(tmp_path):
    model = PRESET.build((2,))
    examples = PRESET.task.load("train")
    dataset, steps = PRESET.task.training_data(examples, 6, seed=1).stream(0)
    checkpoint = Checkpoint(tmp_path, None, interval=0.0)
    arguments = {"steps_per_epoch": steps, "shuffle": False, "verbose": 0}
    model.fit(dataset, epochs=2, callbacks=[checkpoint], **arguments)
    assert {path.name for path in (tmp_path / "checkpoint-00002").iterdir()} == {
        "model.keras",
        "state.json",
    }


# Data that the caller gives.

MORE = RANDOM.standard_normal((12, 2)).astype("float32")
OF_MORE = (MORE[:, 0] > 0).astype("int32")


@pytest.fixture
def given(tmp_path):
    training.train(PRESET, tmp_path / "given", images=MORE, labels=OF_MORE, verbose=0)
    return Run(tmp_path / "given")


def test_a_run_remembers_that_its_data_was_given(given):
    assert given.given["shape"] == [12, 2]
    assert float(given.load().scale) == 12
    model = training.train(PRESET, given, images=MORE, labels=OF_MORE, verbose=0)
    np.testing.assert_array_equal(model.get_weights()[0], given.load().get_weights()[0])


@pytest.mark.parametrize(
    "data",
    [{}, {"images": MORE}, {"images": MORE + 1, "labels": OF_MORE}],
    ids=["none", "no labels", "others"],
)
def test_other_data_than_it_began_with_is_refused(data, given):
    with pytest.raises(ValueError, match="must be what the run began with, read as then"):
        training.train(PRESET, given, verbose=0, **data)


def test_data_for_a_run_of_the_task_s_own_is_refused(finished):
    with pytest.raises(ValueError, match="must be what the run began with"):
        training.train(PRESET, finished[1], images=MORE, labels=OF_MORE, verbose=0)


def test_given_data_is_scored(given):
    with pytest.raises(ValueError, match="`images` must be given for .*, whose training images"):
        training.evaluate(given)
    with pytest.raises(ValueError, match="`images` must be given for "):
        training.figures(given)
    scores = training.evaluate(given, images=MORE, labels=1 - OF_MORE)
    right = training.evaluate(given, images=MORE, labels=OF_MORE)
    assert scores["error"] == pytest.approx(1 - right["error"])
    assert "test" not in given.metrics


def test_given_images_are_checked(tmp_path):
    with pytest.raises(ValueError, match="`images` must be finite"):
        training.train(PRESET, tmp_path / "run", images=MORE * np.nan, labels=OF_MORE, verbose=0)
    assert not (tmp_path / "run").exists()
