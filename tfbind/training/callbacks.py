"""Callbacks that make a run resumable, and its early stopping with it."""

import json
import os
import pathlib
import shutil
import sys
import time

import keras
import numpy as np


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
        stopping: The run's `ResumableEarlyStopping`.
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
        """Puts the newest checkpoint's state into `model`, which is compiled; returns the epoch."""
        found = sorted(self.directory.glob("checkpoint-?????"))
        if not found:
            return 0
        state = json.loads((found[-1] / "state.json").read_text())
        restored = keras.saving.load_model(found[-1] / "model.keras")
        model.set_weights(restored.get_weights())
        model.optimizer.build(model.trainable_variables)
        for mine, saved in zip(
            model.optimizer.variables, restored.optimizer.variables, strict=True
        ):
            mine.assign(saved)
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
            self._save(epoch + 1)
            self._last_save = now

    def _save(self, epoch):
        old = list(self.directory.glob("checkpoint-*"))
        folder = self.directory / f"checkpoint-{epoch:05d}.partial"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        self.model.save(folder / "model.keras")
        weights = self.stopping.best_weights or self.model.get_weights()
        np.savez(folder / "best.npz", *weights)
        state = {"stopping": self.stopping.memory(), "history": self.history}
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
        value = (logs or {}).get("val_loss", np.nan)
        self._best = min(self._best, value)
        now = time.monotonic()
        done, total = epoch + 1, self.params["epochs"]
        bar = "#" * (self._WIDTH * done // total)
        text = (
            f"epoch {done} of at most {total} [{bar:.<{self._WIDTH}}] "
            f"{now - self._start:.0f} s, val_loss {value:.4g}, best {self._best:.4g}"
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
