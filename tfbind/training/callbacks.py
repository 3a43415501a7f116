"""Callbacks that make a run resumable, and its early stopping with it."""

import importlib.util
import io
import json
import os
import pathlib
import shutil
import sys
import time
import warnings

import keras
import numpy as np
import tensorflow as tf

from tfbind import metrics, plots
from tfbind._validation import check_integer


class ResumableEarlyStopping(keras.callbacks.EarlyStopping):
    """Keras' early stopping, whose memory can be saved and put back.

    Example:

    >>> stopping = tfbind.training.callbacks.ResumableEarlyStopping(monitor="loss", patience=3)
    >>> stopping.resume({"best": 0.5, "wait": 2}, best_weights=None)
    """

    _resumed = None

    def resume(self, memory, best_weights):
        """Makes the next training start from `memory` instead of from nothing."""
        self._resumed = (memory, best_weights)

    def memory(self):
        """Returns what `resume` needs besides the best weights, JSON-able."""
        return {
            "best": None if self.best is None else float(self.best),
            "best_epoch": int(self.best_epoch),
            "wait": int(self.wait),
        }

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        if self._resumed is not None:
            memory, self.best_weights = self._resumed
            for name, value in memory.items():
                setattr(self, name, value)


class Checkpoint(keras.callbacks.Callback):
    """Saves all that a killed run needs to go on to the same weights.

    A checkpoint is a folder `checkpoint-00012` after epoch 12, made under another name and then
    renamed, so that one that has its name is whole. The older one is removed afterwards.

    Args:
        directory: Folder for the checkpoints; must exist.
        stopping: The run's `ResumableEarlyStopping`, or None if it has none.
        interval: Seconds between checkpoints at least. A run that is killed in between repeats
            the epochs since the last one, to the same result.
    """

    def __init__(self, directory, stopping, interval=20.0):
        super().__init__()
        self.directory = pathlib.Path(directory)
        self.stopping = stopping
        self.interval = interval
        self.history = []
        self.initial_epoch = 0

    def restore(self, model):
        """Puts the newest checkpoint's state into `model`, which is compiled; returns the epoch.

        Restores each optimiser that the model names in `OPTIMIZERS`.
        """
        found = sorted(self.directory.glob("checkpoint-?????"))
        if not found:
            return 0
        state = json.loads((found[-1] / "state.json").read_text())
        restored = keras.saving.load_model(found[-1] / "model.keras")
        model.set_weights(restored.get_weights())
        for name in getattr(model, "OPTIMIZERS", ("optimizer",)):
            optimizer = getattr(model, name)
            if not optimizer.built:
                optimizer.build(model.trainable_variables)
            saved = getattr(restored, name).variables
            for mine, theirs in zip(optimizer.variables, saved, strict=True):
                mine.assign(theirs)
        if self.stopping is not None:
            with np.load(found[-1] / "best.npz") as best:
                self.stopping.resume(state["stopping"], [best[key] for key in best.files])
        self.history = state["history"]
        self.initial_epoch = len(self.history)
        return self.initial_epoch

    def on_train_begin(self, logs=None):
        self._last_save = self._last_epoch_end = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        now = time.monotonic()
        seconds, self._last_epoch_end = now - self._last_epoch_end, now
        row = {name: float(value) for name, value in (logs or {}).items()}
        self.history.append({"epoch": epoch + 1, **row, "seconds": seconds})
        # After the last epoch of early stopping there is nothing to go on with: a run killed then
        # repeats that epoch, where from its end it would train one too many.
        if now - self._last_save >= self.interval and not self.model.stop_training:
            self.save(epoch + 1)
            self._last_save = now

    def save(self, epoch):
        """Writes the checkpoint of the state after `epoch` epochs."""
        old = list(self.directory.glob("checkpoint-*"))
        folder = self.directory / f"checkpoint-{epoch:05d}.partial"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        self.model.save(folder / "model.keras")
        state = {"history": self.history}
        if self.stopping is not None:
            state["stopping"] = self.stopping.memory()
            weights = self.stopping.best_weights or self.model.get_weights()
            np.savez(folder / "best.npz", *weights)
        (folder / "state.json").write_text(json.dumps(state))
        os.rename(folder, folder.with_suffix(""))
        for path in old:
            shutil.rmtree(path, ignore_errors=True)


class ProgressLine(keras.callbacks.Callback):
    """One line on standard output that says how far a training is.

    It has no time to go, since early stopping may end the training at any epoch. Where nobody
    watches, in a log file, there is a new line every ten seconds instead.
    """

    _WIDTH = 30
    _LOG_INTERVAL = 10.0

    def on_train_begin(self, logs=None):
        self._start = self._last_line = time.monotonic()
        self._best = np.inf
        self._text = ""

    def on_epoch_end(self, epoch, logs=None):
        logs = logs or {}
        monitor = "val_loss" if "val_loss" in logs else "loss"
        value = logs.get(monitor, np.nan)
        self._best = min(self._best, value)
        now = time.monotonic()
        done, total = epoch + 1, self.params["epochs"]
        bar = "#" * (self._WIDTH * done // total)
        text = (
            f"epoch {done} of at most {total} [{bar:.<{self._WIDTH}}] "
            f"{now - self._start:.0f} s, {monitor} {value:.4g}, best {self._best:.4g}"
        )
        if sys.stdout.isatty():
            print(f"\r{text:{len(self._text)}}", end="", flush=True)
        elif now - self._last_line >= self._LOG_INTERVAL:
            print(text, flush=True)
            self._last_line = now
        self._text = text

    def on_train_end(self, logs=None):
        if sys.stdout.isatty():
            print()
        elif self._text:
            print(self._text, flush=True)


class IterationScores(keras.callbacks.Callback):
    """Adds what each iteration of a `Tagger` makes of a few images to the logs of every epoch.

    `val_cost_1` to `val_cost_T` are the denoising costs of noisy images, in nats per element, and
    `val_ami_1` to `val_ami_T` the adjusted mutual information (normaliser "max") of clean ones.

    Args:
        images: float32 `[n, *event_shape]`.
        groups: Integer `[n, *spatial_shape]`, the true groups.
        seed: Integer seed of the starting assignments.
    """

    def __init__(self, images, groups, seed):
        super().__init__()
        self.images, self.groups, self.seed = images, groups, seed

    def on_train_begin(self, logs=None):
        self._start = self.model.initial_assignments(len(self.images), self.seed)

    def on_epoch_end(self, epoch, logs=None):
        if self.model.normalization == "batch":
            self.model.calibrate(self.images)
        costs = self.model.evaluate(self.images, batch_size=100, return_dict=True, verbose=0)
        logs |= {f"val_{name}": cost for name, cost in costs.items() if name != "loss"}
        assignments = self.model.trace(self.images, self._start)["assignments"][1:]
        for number, found in enumerate(assignments.numpy().argmax(axis=2), 1):
            scores = metrics.adjusted_mutual_information(
                self.groups, found, int(self.groups.max()), self.model.num_groups
            )
            logs[f"val_ami_{number}"] = float(np.nanmean(scores))


class LearningRates(keras.callbacks.LearningRateScheduler):
    """Sets the learning rate of every optimiser of a model, before each epoch.

    Args:
        schedule: Function from the epoch, from 0 on, to the learning rate.
    """

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        for name in self.model.OPTIMIZERS:
            getattr(self.model, name).learning_rate = self.schedule(epoch)


class ClusteringErrors(keras.callbacks.Callback):
    """Adds how well the clusters of a few labelled examples are classes to the logs of each epoch.

    `val_error_percent` takes each cluster for one class and each class for one cluster, as
    `tfbind.metrics.clustering_accuracy`; `val_majority_error_percent` takes a cluster for its most
    frequent class, as `tfbind.metrics.purity`.

    Args:
        images: float32 `[n, *event_shape]`.
        labels: Integer `[n]`, which the training does not see.
    """

    def __init__(self, images, labels):
        super().__init__()
        self.images, self.labels = images, labels

    def on_epoch_end(self, epoch, logs=None):
        errors = clustering_errors(self.labels, self.model.cluster(self.images, batch_size=500))
        logs |= {f"val_{name}": error for name, error in errors.items()}


def clustering_errors(labels, clusters):
    """Returns `error_percent` and `majority_error_percent`, as `ClusteringErrors` says."""
    return {
        "error_percent": 100.0 * (1.0 - metrics.clustering_accuracy(labels, clusters)),
        "majority_error_percent": 100.0 * (1.0 - metrics.purity(labels, clusters)),
    }


class CollapseWarning(keras.callbacks.Callback):
    """Warns when an `AdversarialMixture` collapses, or its discriminator has won.

    Args:
        patience: Integer >= 1, epochs in a row for which that must be so. A game swings, and most
            of what it loses in an epoch comes back.

    Example:

    >>> warn = tfbind.training.callbacks.CollapseWarning(patience=2)
    """

    _WON = 0.95  # of the discriminator's accuracy, on both sides

    def __init__(self, patience=5):
        super().__init__()
        self.patience = check_integer("patience", patience, 1)

    def on_train_begin(self, logs=None):
        self._epochs = {"collapsed": 0, "lost": 0}

    def on_epoch_end(self, epoch, logs=None):
        size = self.model.num_clusters
        sides = logs["inferred_accuracy"], logs["generated_accuracy"]
        self._warn(
            "collapsed",
            logs["used_clusters"] < size,
            f"only {logs['used_clusters']:.0f} of {size} components are in use (marginal entropy "
            f"{logs['marginal_entropy']:.2f} of {np.log(size):.2f} nats); try another seed, fewer "
            "dimensions of the latent, or a smaller learning rate.",
        )
        self._warn(
            "lost",
            min(sides) > self._WON,
            f"the discriminator tells inferred from generated triples ({sides[0]:.2f} and "
            f"{sides[1]:.2f} right), and the others learn little from it; try a larger "
            "gradient_penalty, or a smaller learning rate for the discriminator.",
        )

    def _warn(self, state, holds, sentence):
        self._epochs[state] = self._epochs[state] + 1 if holds else 0
        if self._epochs[state] == self.patience:
            warnings.warn(f"For {self.patience} epochs {sentence}", stacklevel=2)


class GroupPictures(keras.callbacks.Callback):
    """Shows in TensorBoard how a grouping model groups a few images, after every epoch.

    Args:
        directory: Folder of TensorBoard's logs.
        images: float32 `[n, *event_shape]`, a few.
        groups: Integer `[n, H, W]`, their true groups, or None.

    Raises:
        ValueError: If TensorBoard is not installed.
    """

    def __init__(self, directory, images, groups=None):
        if importlib.util.find_spec("tensorboard") is None:
            raise ValueError(
                "`GroupPictures` needs TensorBoard, which is not installed; "
                "pip install tensorboard and try again."
            )
        super().__init__()
        self.images, self.groups = images, groups
        self._writer = tf.summary.create_file_writer(str(directory))

    def on_epoch_end(self, epoch, logs=None):
        trace = self.model.trace(self.images)
        figure = plots.groups_figure(self.images, trace, self.groups, whole=True)
        with io.BytesIO() as buffer:
            figure.savefig(buffer, format="png")
            picture = tf.io.decode_png(buffer.getvalue(), channels=3)
        with self._writer.as_default(epoch):
            tf.summary.image("groups", picture[None])
        self._writer.flush()
