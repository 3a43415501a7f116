"""What a verb works with: a model by the name of a preset, a run or a file, and how files are read.

What is made of a run is written into its folder, of a Keras file beside it, and of a preset in the
box, where nothing is written, into the working directory.
"""

import pathlib
from typing import NamedTuple

import click
import keras

from tfbind import _catalogue, export, reading, training
from tfbind.training.loading import is_file


class Loaded(NamedTuple):
    """A model, its name, how files are prepared for it, and the file it comes from."""

    model: keras.Model
    name: str
    preparation: reading.Preparation
    source: pathlib.Path


def load(
    path: pathlib.Path,
    data_dir: str | None = None,
    *,
    num_groups: int | None = None,
    num_iterations: int | None = None,
) -> Loaded:
    """Loads the model of a run folder, of a Keras file, or of a preset in the box.

    Raises:
        ValueError: If there is none, or it has no endpoints, or cannot be changed so.
    """
    path = training.located(path)
    model = training.load(path, data_dir, num_groups=num_groups, num_iterations=num_iterations)
    if is_file(path):
        return Loaded(model, path.stem, _plain(model, binary=False), path)
    run = training.Run(path)
    preparation = run.preparation or _plain(model, run.preset.task.binary_images)
    return Loaded(model, run.preset.name, preparation, path / "model.keras")


def output_folder(path: pathlib.Path) -> pathlib.Path:
    """Returns where what is made of a run, a Keras file or a preset is written by default."""
    path = training.located(path)
    if _catalogue.is_boxed(path):
        return pathlib.Path()
    return path.parent if is_file(path) else path


def exported(path: pathlib.Path) -> pathlib.Path:
    """Returns the SavedModel folder of what `load` takes, written anew if it is missing or old.

    Any other path is an artefact already, and is returned as it is.
    """
    if path.exists() and not (is_file(path) or (path / "model.keras").exists()):
        return path
    located = training.located(path)
    source = located if is_file(located) else located / "model.keras"
    if not source.exists():
        return path
    name = located.stem if is_file(located) else training.Run(located).preset.name
    folder = output_folder(path) / "export" / name
    written = [x.stat().st_mtime for x in folder.glob("[0-9]*/saved_model.pb")]
    if max(written, default=0) < source.stat().st_mtime:
        loaded = load(path)
        export.export_saved_model(loaded.model, folder, preparation=loaded.preparation)
        click.echo(f"Wrote {folder}", err=True)
    return folder


def _plain(model: keras.Model, binary: bool) -> reading.Preparation:
    """Returns how files are prepared for a model of whose training nothing is known."""
    if len(model.event_shape) != 3 or model.event_shape[-1] not in (1, 3):
        return reading.Arrays(shape=model.event_shape)
    height, width, channels = model.event_shape
    threshold = 0.5 if binary else None
    return reading.Pictures(height=height, width=width, channels=channels, threshold=threshold)
