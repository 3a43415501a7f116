"""Callbacks that make a run resumable, and its early stopping with it."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from tfbind import _files
from tfbind.training.keras_file import RefusedCodeError, load_keras


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
    renamed, so that one that has its name is whole. The one before it is kept, should a disk
    damage the newest; older ones are removed.

    Within `stoppable`, Ctrl-C makes it write a checkpoint at the end of the epoch and raise
    KeyboardInterrupt, which says how far the training is.

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
        self._is_interrupted = False

    def restore(self, model: keras.Model) -> int:
        """Puts the newest checkpoint's state into `model`, compiled; returns its epoch."""
        for folder in sorted(self.directory.glob("checkpoint-?????"), reverse=True):
            try:
                state, restored, best = self._read(folder)
            except RefusedCodeError:
                raise
            except Exception as error:  # zipfile, h5py, json and Keras each have their own
                kind = type(error.__cause__ or error).__name__
                warnings.warn(
                    f"{str(folder)!r} was damaged ({kind}) and is removed; the training goes on "
                    "from what was before it.",
                    stacklevel=2,
                )
                shutil.rmtree(folder, ignore_errors=True)
                continue
            model.restore_from(restored)
            if self.stopping is not None:
                self.stopping.resume(state["stopping"], best)
            self.history = state["history"]
            self.initial_epoch = len(self.history)
            break
        return self.initial_epoch

    def _read(self, folder: pathlib.Path) -> tuple[dict, keras.Model, list[np.ndarray] | None]:
        """Returns the state, the model and the best weights of a checkpoint."""
        state = json.loads((folder / "state.json").read_text())
        restored = load_keras(folder / "model.keras", f"remove {folder} and train again")
        if self.stopping is None:
            return state, restored, None
        with np.load(folder / "best.npz") as best:
            return state, restored, [best[key] for key in best.files]

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._last_save = self._last_epoch_end = time.monotonic()

    @contextlib.contextmanager
    def stoppable(self) -> Iterator[None]:
        """Lets the first Ctrl-C while the body runs wait for the end of the epoch."""
        if threading.current_thread() is not threading.main_thread():  # which alone gets signals
            yield
            return
        usual = signal.getsignal(signal.SIGINT)

        def interrupt(*_: Any) -> None:
            self._is_interrupted = True
            signal.signal(signal.SIGINT, usual)
            print("\nStopping at the end of this epoch; Ctrl-C again: at once.", file=sys.stderr)

        signal.signal(signal.SIGINT, interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, usual)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        now = time.monotonic()
        seconds, self._last_epoch_end = now - self._last_epoch_end, now
        row = {name: float(value) for name, value in (logs or {}).items()}
        self.history.append({"epoch": epoch + 1, **row, "seconds": seconds})
        # After the last epoch of early stopping there is nothing to go on with: a run killed then
        # repeats that epoch, where from its end it would train one too many.
        if self.model.stop_training:
            return
        if now - self._last_save >= self.interval or self._is_interrupted:
            self.save(epoch + 1)
            self._last_save = now
        if self._is_interrupted:
            raise KeyboardInterrupt(
                f"Stopped after epoch {epoch + 1}, with a checkpoint in {str(self.directory)!r}; "
                "the same call goes on from there."
            )

    def save(self, epoch: int) -> None:
        """Writes the checkpoint of the state after `epoch` epochs."""
        folder = self.directory / f"checkpoint-{epoch:05d}.partial"
        # Of a killed process; a link in such a place is not followed, and fails
        for path in self.directory.glob("checkpoint-*.partial"):
            shutil.rmtree(path)
        whole = folder.with_suffix("")
        with _files.naming(whole):
            folder.mkdir()
            try:
                self._write(folder)
                os.rename(folder, whole)
            except OSError:  # as on a full disk, where it would take up what is left
                shutil.rmtree(folder, ignore_errors=True)
                raise
        for path in sorted(self.directory.glob("checkpoint-?????"))[:-2]:
            shutil.rmtree(path, ignore_errors=True)

    def _write(self, folder: pathlib.Path) -> None:
        self.model.save(folder / "model.keras")
        state: dict[str, Any] = {"history": self.history}
        if self.stopping is not None:
            state["stopping"] = self.stopping.memory()
            weights = self.stopping.best_weights or self.model.get_weights()
            np.savez(folder / "best.npz", *weights)
        (folder / "state.json").write_text(json.dumps(state))
