"""What a verb works with: the model of a run or of a Keras file, and how files are read for it."""

import pathlib
from typing import Any, NamedTuple

import keras

from tfbind import export, reading, training
from tfbind.models._base import BaseModel


class Loaded(NamedTuple):
    """A model, its name, how files are prepared for it, and the file it comes from."""

    model: keras.Model
    name: str
    preparation: reading.Preparation
    source: pathlib.Path


def is_file(path: pathlib.Path) -> bool:
    """Whether a path is that of a Keras file rather than of a folder."""
    return path.suffix == ".keras"


def load(
    path: pathlib.Path,
    data_dir: str | None = None,
    *,
    num_groups: int | None = None,
    num_iterations: int | None = None,
) -> Loaded:
    """Loads the model of a run folder or of a Keras file.

    Raises:
        ValueError: If there is none, or it has no endpoints, or cannot be changed so.
    """
    if is_file(path):
        changes = {"num_groups": num_groups, "num_iterations": num_iterations}
        model = _of_file(path, {name: x for name, x in changes.items() if x is not None})
        return Loaded(model, path.stem, _plain(model, binary=False), path)
    run = training.Run(path)
    model = run.load(data_dir, num_groups=num_groups, num_iterations=num_iterations)
    preset = run.preset
    preparation = run.preparation or _plain(model, preset.task.binary_images)
    return Loaded(model, preset.name, preparation, path / "model.keras")


def export_folder(path: pathlib.Path) -> pathlib.Path:
    """Returns where what is made of a run or a Keras file is written by default."""
    return (path.parent if is_file(path) else path) / "export"


def exported(path: pathlib.Path) -> pathlib.Path:
    """Returns the SavedModel folder of a run or a Keras file, written anew if it is missing or old.

    Any other path is an artefact already, and is returned as it is.
    """
    source = path if is_file(path) else path / "model.keras"
    if not source.exists():
        return path
    name = path.stem if is_file(path) else training.Run(path).preset.name
    folder = export_folder(path) / name
    written = [x.stat().st_mtime for x in folder.glob("[0-9]*/saved_model.pb")]
    if max(written, default=0) < source.stat().st_mtime:
        loaded = load(path)
        export.export_saved_model(loaded.model, folder, preparation=loaded.preparation)
    return folder


def _of_file(path: pathlib.Path, changes: dict[str, Any]) -> keras.Model:
    if not path.is_file():
        raise ValueError(f"`{path}` must be a Keras file. Received: nothing there.")
    try:
        model = keras.saving.load_model(path)
    except Exception as error:  # zipfile, h5py, json and Keras each have their own
        raise ValueError(
            f"`{path}` must be a Keras model. Received: a damaged file, or one with parts that "
            f"are not installed ({type(error).__name__})."
        ) from error
    if not isinstance(model, BaseModel):
        raise ValueError(
            f"`{path}` must be of a model of tfbind. Received: a `{type(model).__name__}`, which "
            "has no `serving_endpoints()`."
        )
    if "num_iterations" in changes:
        changes[model.ITERATIONS] = changes.pop("num_iterations")
    return training.regroup(model, **changes) if changes else model


def _plain(model: keras.Model, binary: bool) -> reading.Preparation:
    """Returns how files are prepared for a model of whose training nothing is known."""
    if len(model.event_shape) != 3 or model.event_shape[-1] not in (1, 3):
        return reading.Arrays(shape=model.event_shape)
    height, width, channels = model.event_shape
    threshold = 0.5 if binary else None
    return reading.Pictures(height=height, width=width, channels=channels, threshold=threshold)
