"""Callbacks that make a run resumable, and its early stopping with it."""

import json
import os
import pathlib
import shutil
import time
from typing import Any

import keras
import numpy as np

from tfbind.training.keras_file import load_keras


class ResumableEarlyStopping(keras.callbacks.EarlyStopping):
    """Keras' early stopping, whose memory can be saved and put back.

    Example:

    >>> stopping = tfbind.training.checkpoint.ResumableEarlyStopping(monitor="loss", patience=3)
    >>> stopping.resume({"best": 0.5, "wait": 2}, best_weights=None)
    """

    _resumed = None

    def resume(self, memory: dict[str, Any], best_weights: list[np.ndarray] | None) -> None:
        """Makes the next training start from `memory` instead of from nothing."""
        self._resumed = (memory, best_weights)

    def memory(self) -> dict[str, Any]:
        """Returns what `resume` needs besides the best weights, JSON-able."""
        return {
            "best": None if self.best is None else float(self.best),
            "best_epoch": int(self.best_epoch),
            "wait": int(self.wait),
        }

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
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

    def __init__(
        self,
        directory: str | os.PathLike,
        stopping: ResumableEarlyStopping | None,
        interval: float = 20.0,
    ) -> None:
        super().__init__()
        self.directory = pathlib.Path(directory)
        self.stopping = stopping
        self.interval = interval
        self.history: list[dict[str, Any]] = []
        self.initial_epoch = 0

    def restore(self, model: keras.Model) -> int:
        """Puts the newest checkpoint's state into `model`, compiled; returns its epoch."""
        found = sorted(self.directory.glob("checkpoint-?????"))
        if not found:
            return 0
        state = json.loads((found[-1] / "state.json").read_text())
        restored = load_keras(found[-1] / "model.keras", f"remove {found[-1]} and train again")
        model.restore_from(restored)
        if self.stopping is not None:
            with np.load(found[-1] / "best.npz") as best:
                self.stopping.resume(state["stopping"], [best[key] for key in best.files])
        self.history = state["history"]
        self.initial_epoch = len(self.history)
        return self.initial_epoch

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._last_save = self._last_epoch_end = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        now = time.monotonic()
        seconds, self._last_epoch_end = now - self._last_epoch_end, now
        row = {name: float(value) for name, value in (logs or {}).items()}
        self.history.append({"epoch": epoch + 1, **row, "seconds": seconds})
        # After the last epoch of early stopping there is nothing to go on with: a run killed then
        # repeats that epoch, where from its end it would train one too many.
        if now - self._last_save >= self.interval and not self.model.stop_training:
            self.save(epoch + 1)
            self._last_save = now

    def save(self, epoch: int) -> None:
        """Writes the checkpoint of the state after `epoch` epochs."""
        old = list(self.directory.glob("checkpoint-*"))
        folder = self.directory / f"checkpoint-{epoch:05d}.partial"
        shutil.rmtree(folder, ignore_errors=True)  # of a killed process; a link is left, and fails
        folder.mkdir()
        self.model.save(folder / "model.keras")
        state: dict[str, Any] = {"history": self.history}
        if self.stopping is not None:
            state["stopping"] = self.stopping.memory()
            weights = self.stopping.best_weights or self.model.get_weights()
            np.savez(folder / "best.npz", *weights)
        (folder / "state.json").write_text(json.dumps(state))
        os.rename(folder, folder.with_suffix(""))
        for path in old:
            shutil.rmtree(path, ignore_errors=True)
