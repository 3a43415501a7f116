"""What a training says of itself: progress, scores, warnings, pictures."""

import importlib.util
import io
import os
import sys
import time
import warnings
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfbind import metrics, plots
from tfbind._validation import check_integer

Logs = Any  # of Keras, a dict that callbacks add to


class ProgressLine(keras.callbacks.Callback):
    """One line on standard output that says how far a training is.

    It has no time to go, since early stopping may end the training at any epoch. Where nobody
    watches, in a log file, there is a new line every ten seconds instead.
    """

    _WIDTH = 30
    _LOG_INTERVAL = 10.0

    def on_train_begin(self, logs: Logs = None) -> None:
        self._start = self._last_line = time.monotonic()
        self._best = np.inf
        self._text = ""

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
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

    def on_train_end(self, logs: Logs = None) -> None:
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

    def __init__(self, images: np.ndarray, groups: np.ndarray, seed: int) -> None:
        super().__init__()
        self.images, self.groups, self.seed = images, groups, seed

    def on_train_begin(self, logs: Logs = None) -> None:
        self._start = self.model.initial_assignments(len(self.images), self.seed)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if self.model.needs_calibration:
            self.model.calibrate(self.images)
        costs = self.model.evaluate(self.images, batch_size=100, return_dict=True, verbose=0)
        logs |= {f"val_{name}": cost for name, cost in costs.items() if name != "loss"}
        assignments = self.model.trace(self.images, self._start)["assignments"][1:]
        for number, found in enumerate(assignments.numpy().argmax(axis=2), 1):
            scores = metrics.adjusted_mutual_information(
                self.groups, found, int(self.groups.max()), self.model.num_groups
            )
            logs[f"val_ami_{number}"] = float(np.nanmean(scores))


class ClusteringErrors(keras.callbacks.Callback):
    """Adds how well the clusters of a few labelled examples are classes to the logs of each epoch.

    `val_error` takes each cluster for one class and each class for one cluster, as
    `tfbind.metrics.clustering_accuracy`; `val_majority_error` takes a cluster for its most
    frequent class, as `tfbind.metrics.purity`. Both are shares of the examples.

    Args:
        images: float32 `[n, *event_shape]`.
        labels: Integer `[n]`, which the training does not see.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        super().__init__()
        self.images, self.labels = images, labels

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        errors = clustering_errors(self.labels, self.model.cluster(self.images, batch_size=500))
        logs |= {f"val_{name}": error for name, error in errors.items()}


def clustering_errors(labels: np.ndarray, clusters: np.ndarray) -> dict[str, float]:
    """Returns `error` and `majority_error`, as `ClusteringErrors` says."""
    return {
        "error": 1.0 - metrics.clustering_accuracy(labels, clusters),
        "majority_error": 1.0 - metrics.purity(labels, clusters),
    }


class ClassificationErrors(keras.callbacks.Callback):
    """Adds the share of a few labelled examples that get another class to the logs of each epoch.

    It is `val_error`.

    Args:
        images: float32 `[n, *event_shape]`.
        labels: Integer `[n]`, which the training does not see.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        super().__init__()
        self.images, self.labels = images, labels

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        found = self.model.predict(self.images, batch_size=500, verbose=0)["probabilities"]
        logs["val_error"] = float(np.mean(found.argmax(axis=1) != self.labels))


class CollapseWarning(keras.callbacks.Callback):
    """Warns when a clustering model collapses, or the discriminator of its game has won.

    It reads what the model logs. A collapse shows in `used_clusters`, and a lost game in
    `inferred_accuracy` and `generated_accuracy`, which only an adversarial model has.

    Args:
        patience: Integer >= 1, epochs in a row for which that must be so. A game swings, and most
            of what it loses in an epoch comes back.
        min_steps: Integer >= 0, training steps in a row for which it must be so, too: a classifier
            needs some to use a rare cluster at all. What is so at the end of a shorter training
            is said then.

    Example:

    >>> warn = tfbind.training.callbacks.CollapseWarning(patience=2)
    """

    _WON = 0.95  # of the discriminator's accuracy, on both sides

    def __init__(self, patience: int = 5, min_steps: int = 500) -> None:
        super().__init__()
        self.patience = check_integer("patience", patience, 1)
        self.min_steps = check_integer("min_steps", min_steps, 0)

    def on_train_begin(self, logs: Logs = None) -> None:
        self._num_steps = 0  # of the epoch
        self._held: dict[str, tuple[int, int, str]] = {}  # for how many epochs and steps, and what

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        self._num_steps = batch + 1

    def on_train_end(self, logs: Logs = None) -> None:
        for epochs, steps, sentence in self._held.values():
            if epochs >= self.patience and steps < self.min_steps:
                self._say(epochs, sentence)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self._watch_clusters(logs, self.model.num_clusters)
        if {"inferred_accuracy", "generated_accuracy"} <= logs.keys():
            self._watch_game((logs["inferred_accuracy"], logs["generated_accuracy"]))

    def _watch_clusters(self, logs, size):
        self._warn(
            "collapsed",
            logs["used_clusters"] < size,
            f"only {logs['used_clusters']:.0f} of {size} clusters are in use (marginal entropy "
            f"{logs['marginal_entropy']:.2f} of {np.log(size):.2f} nats); try another seed, a "
            "smaller learning rate, or fewer dimensions of the latent if the model has one.",
        )

    def _watch_game(self, sides):
        self._warn(
            "lost",
            min(sides) > self._WON,
            f"the discriminator tells inferred from generated triples ({sides[0]:.2f} and "
            f"{sides[1]:.2f} right), and the others learn little from it; try a larger "
            "gradient_penalty, or a smaller learning rate for the discriminator.",
        )

    def _warn(self, state, holds, sentence):
        epochs, steps, _ = self._held.pop(state, (0, 0, ""))
        if not holds:
            return
        was_due = self._is_due(epochs, steps)
        epochs, steps = epochs + 1, steps + self._num_steps
        self._held[state] = epochs, steps, sentence
        if self._is_due(epochs, steps) and not was_due:
            self._say(epochs, sentence)

    def _is_due(self, epochs, steps):
        return epochs >= self.patience and steps >= self.min_steps

    def _say(self, epochs, sentence):
        warnings.warn(f"For {epochs} epochs {sentence}", stacklevel=2)


class GroupPictures(keras.callbacks.Callback):
    """Shows in TensorBoard how a grouping model groups a few images, after every epoch.

    Args:
        directory: Folder of TensorBoard's logs.
        images: float32 `[n, *event_shape]`, a few.
        groups: Integer `[n, H, W]`, their true groups, or None.

    Raises:
        ValueError: If TensorBoard is not installed.
    """

    def __init__(
        self, directory: str | os.PathLike, images: np.ndarray, groups: np.ndarray | None = None
    ) -> None:
        if importlib.util.find_spec("tensorboard") is None:
            raise ValueError(
                "`GroupPictures` needs TensorBoard, which is not installed; "
                "pip install tensorboard and try again."
            )
        super().__init__()
        self.images, self.groups = images, groups
        self._writer = tf.summary.create_file_writer(str(directory))

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        trace = self.model.trace(self.images)
        figure = plots.groups_figure(self.images, trace, self.groups, whole=True)
        with io.BytesIO() as buffer:
            figure.savefig(buffer, format="png")
            picture = tf.io.decode_png(buffer.getvalue(), channels=3)
        with self._writer.as_default(epoch):
            tf.summary.image("groups", picture[None])
        self._writer.flush()
