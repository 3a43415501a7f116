"""From a preset to a run folder and back.

A run folder holds `preset.json`, then while it trains `checkpoint-*` folders, and in the end
`model.keras`, `history.csv` and `metrics.json`. Every file is written under another name and
renamed, and `metrics.json` comes last: a folder that has it is finished.
"""

import csv
import dataclasses
import importlib.metadata
import io
import json
import os
import pathlib
import platform
import shutil
import time

import keras
import numpy as np

from tfbind import _files, data
from tfbind._validation import check_integer
from tfbind.training import presets
from tfbind.training.callbacks import Checkpoint, ProgressLine, ResumableEarlyStopping
from tfbind.training.selection import regroup

# One XLA call runs this many steps at most, so that the progress bar still moves.
_MAX_STEPS_PER_EXECUTION = 100


def train(preset, directory, data_dir=None, checkpoint_interval=20.0, verbose=1):
    """Trains `preset` into the run folder `directory`; resumes what a killed run left there.

    Args:
        preset: A `Preset`.
        directory: Path of the run folder, made if missing.
        data_dir: Where TFDS keeps its data, or None for TFDS' default.
        checkpoint_interval: Seconds between checkpoints at least.
        verbose: 0 for silence, 1 for a progress bar, 2 for a line an epoch.

    Returns:
        The trained model, with the weights of the best validation loss if the preset has a
        `patience`, else those of the last epoch.

    Raises:
        ValueError: If the folder holds another preset's run, data is missing, or the training
            diverged.
    """
    directory = claim(preset, pathlib.Path(directory))
    if (directory / "metrics.json").exists():
        return load(directory)[0]
    training_data = preset.training_data(data_dir)
    model = preset.build(training_data.event_shape)
    stopping = None
    if preset.patience is not None:
        stopping = ResumableEarlyStopping(
            monitor="val_loss", patience=preset.patience, restore_best_weights=True
        )
    checkpoint = Checkpoint(directory, stopping, checkpoint_interval)
    initial_epoch = checkpoint.restore(model)
    dataset, steps = training_data.stream(initial_epoch)
    # The preset's own come first, so that what they log is recorded.
    callbacks = [*preset.callbacks(model, data_dir), *([stopping] if stopping else [])]
    callbacks += [checkpoint, keras.callbacks.TerminateOnNaN()]
    if verbose == 1:
        callbacks.append(ProgressLine())  # Keras' own bar takes two lines an epoch
    model.steps_per_execution = _largest_divisor(steps, _MAX_STEPS_PER_EXECUTION)
    model.fit(
        dataset,
        epochs=preset.max_epochs,
        steps_per_epoch=steps,
        initial_epoch=initial_epoch,
        validation_data=training_data.validation,
        validation_batch_size=500,
        callbacks=callbacks,
        shuffle=False,  # the pipeline does
        verbose=2 if verbose == 2 else 0,
    )
    history, monitor = checkpoint.history, "val_loss" if stopping else "loss"
    kept = min(history, key=lambda row: row[monitor]) if stopping else history[-1]
    if not np.isfinite(kept[monitor]):
        raise ValueError(
            f"The training of preset {preset.name!r} must have a finite {monitor}. Received: "
            f"{history[-1][monitor]} after epoch {len(history)}; train into a new folder with a "
            "smaller learning_rate."
        )
    notes = {"epochs": len(history), monitor: kept[monitor]}
    if stopping:
        notes["best_epoch"] = kept["epoch"]
    preset.finish(model, training_data)
    _finish(directory, model, history, notes)
    return model


def load(directory, data_dir=None, *, num_groups=None, num_iterations=None):
    """Loads a finished run, if need be with other groups and iterations than it was trained with.

    Args:
        directory: Path of the run folder.
        data_dir: Where TFDS keeps its data, or None for TFDS' default. Only a batch-normalised
            `Tagger` needs data, to calibrate a changed model.
        num_groups: Integer >= 2, or None for the run's; for models that group.
        num_iterations: Integer >= 1, or None for the run's, likewise.

    Returns:
        A pair: the model, and its preset.

    Raises:
        ValueError: If the folder is missing, holds no run, is unfinished, or is damaged; or if the
            model cannot be changed so.
    """
    model, preset = _load(directory)
    # Tagger tells the iterations of its training from those of its use.
    count = "inference_iterations" if hasattr(model, "inference_iterations") else "num_iterations"
    changes = {"num_groups": num_groups, count: num_iterations}
    changes = {name: value for name, value in changes.items() if value is not None}
    if not changes:
        return model, preset
    images = None
    if getattr(model, "normalization", None) == "batch":
        images, _ = data.load(preset.dataset, preset.train_split, data_dir)
    return regroup(model, images, **changes), preset


def _load(directory):
    directory = pathlib.Path(directory)
    preset = read_preset(directory)
    if not (directory / "metrics.json").exists():
        raise ValueError(
            f"`run` must be a finished run folder. Received: {str(directory)!r}, which is half "
            f"written; run `tfbind train {preset.name} --run {directory}` again to finish it."
        )
    try:
        return keras.saving.load_model(directory / "model.keras"), preset
    except Exception as error:  # zipfile, h5py, json and Keras each have their own
        raise ValueError(
            f"{str(directory / 'model.keras')!r} must be a Keras model. Received: a damaged file "
            f"({type(error).__name__}); train the preset again into another folder."
        ) from error


def evaluate(directory, data_dir=None, num_starts=5, verbose=0, *, split=None, **changes):
    """Scores a finished run on its preset's test data and notes the scores in `metrics.json`.

    With another split or other groups or iterations it notes nothing.

    Args:
        directory: Path of the run folder.
        data_dir: Where TFDS keeps its data, or None for TFDS' default.
        num_starts: Integer >= 1, runs from fresh starts to average over, for models that start
            from noise.
        verbose: 0 for silence, 1 for a progress bar.
        split: TFDS split to score on, or None for the preset's.
        **changes: `num_groups` and `num_iterations`, as `load` takes them.

    Returns:
        A dict of scores; see the preset's `evaluate`.

    Raises:
        ValueError: As `load` does, or if data is missing, or `num_starts` is out of its range.
    """
    directory = pathlib.Path(directory)
    num_starts = check_integer("num_starts", num_starts, 1)
    model, preset = load(directory, data_dir, **changes)
    if split is not None:
        preset = dataclasses.replace(preset, test_split=split)
    scores = preset.evaluate(model, data_dir, num_starts, verbose)
    if split is not None or any(value is not None for value in changes.values()):
        return scores
    notes = json.loads((directory / "metrics.json").read_text())
    notes["test"] = scores
    _write(directory / "metrics.json", json.dumps(notes, indent=2))
    return scores


def claim(preset, directory):
    """Makes the folder this preset's, or raises if it belongs to something else."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "preset.json"
    if not path.exists():
        if any(found != _files.partial_path(path) for found in directory.iterdir()):
            raise ValueError(
                "`run` must be a new folder or a run's. Received: "
                f"{str(directory)!r}, which holds other files; choose another."
            )
        fields = {"kind": type(preset).__name__, **dataclasses.asdict(preset)}
        _write(path, json.dumps(fields, indent=2))
    elif (found := read_preset(directory)) != preset:
        raise ValueError(
            f"`run` must be a folder of preset {preset.name!r} with the same settings. Received: "
            f"{str(directory)!r}, a run of {found.name!r}; choose another folder."
        )
    return directory


def read_preset(directory):
    """Returns the preset that a run folder was claimed for; raises ValueError if there is none."""
    path = directory / "preset.json"
    if not path.exists():
        raise ValueError(
            f"`run` must be a run folder made by `tfbind train`. Received: {str(directory)!r}, "
            f"which {'has no preset.json' if directory.is_dir() else 'does not exist'}."
        )
    try:
        fields = json.loads(path.read_text())
        kind = getattr(presets, fields.pop("kind"))
        return kind(**{name: _tuples(value) for name, value in fields.items()})
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ValueError(
            f"{str(path)!r} must describe a preset. Received: {error}; train into a new folder."
        ) from error


def _tuples(value):
    """Undoes what JSON does to tuples."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _finish(directory, model, history, notes):
    with _files.replacing(directory / "model.keras") as partial:
        model.save(partial)
    table = io.StringIO()
    columns = dict.fromkeys(name for row in history for name in row)
    writer = csv.DictWriter(table, fieldnames=columns)
    writer.writeheader()
    writer.writerows(history)
    _write(directory / "history.csv", table.getvalue())
    notes |= {
        "seconds": sum(row["seconds"] for row in history),
        "versions": _versions(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "date": time.strftime("%Y-%m-%d"),
    }
    _write(directory / "metrics.json", json.dumps(notes, indent=2))
    for path in directory.glob("checkpoint-*"):
        shutil.rmtree(path, ignore_errors=True)


def _versions():
    packages = ("tfbind", "tensorflow", "keras", "tensorflow-probability", "numpy")
    return {"python": platform.python_version()} | {
        package: importlib.metadata.version(package) for package in packages
    }


def _write(path, text):
    with _files.replacing(path) as partial:
        partial.write_text(text)


def _largest_divisor(number, limit):
    return max(size for size in range(1, limit + 1) if number % size == 0)
