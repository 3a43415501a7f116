"""The run folder, which nobody else reads or writes by hand."""

import contextlib
import csv
import importlib.metadata
import io
import json
import os
import pathlib
import platform
import shlex
import shutil
import time
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from tfbind import _files, reading
from tfbind.models import PseudoLabelEnsemble
from tfbind.models._grouping import GroupingModel
from tfbind.training.keras_file import load_keras
from tfbind.training.preset import Preset
from tfbind.training.selection import regroup
from tfbind.training.source import Given, Source
from tfbind.training.written import read_history, read_metrics, read_preset

Path = str | os.PathLike

# Held by the process that trains in a folder; the system lets go of it however that ends.
_LOCK = ".lock"


class Run:
    """A run folder: what was trained there, how it went, and the model.

    It holds `preset.json`, then while it trains `checkpoint-*` folders, and in the end
    `model.keras`, `history.csv` and `metrics.json`; of a model that learns in rounds also
    `rounds.csv`, and for a preset of several starts `starts`, a run folder for each. Every file is
    written under another name and renamed, and `metrics.json` comes last: a folder that has it is
    finished.

    Args:
        path: Path of the folder, which need not exist yet; or another `Run`.

    Example:

    >>> tfbind.training.Run("runs/rc-shapes").is_finished
    False
    """

    def __init__(self, path: Path) -> None:
        self.path = pathlib.Path(path)

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def preset(self) -> Preset:
        """The preset that the folder is of."""
        return self._described()[0]

    @property
    def given(self) -> Given:
        """What it remembers of data that the caller gave; None if the preset's was taken."""
        return self._described()[1]

    @property
    def preparation(self) -> reading.Preparation | None:
        """What was done to files of the caller's own, None if there were none."""
        given = self.given or {}
        return reading.preparation_of(given["preparation"]) if "preparation" in given else None

    @property
    def is_finished(self) -> bool:
        return (self.path / "metrics.json").exists()

    @property
    def metrics(self) -> dict[str, Any]:
        """What came of the training: epochs, losses, seconds, versions; once scored, `test`."""
        self._check_finished()
        return read_metrics(self.path / "metrics.json")

    @property
    def history(self) -> list[dict[str, float | None]]:
        """One dict an epoch, None where an epoch has no value."""
        self._check_finished()
        return read_history(self.path / "history.csv")

    def load(
        self,
        data_dir: str | None = None,
        *,
        images: np.ndarray | None = None,
        num_groups: int | None = None,
        num_iterations: int | None = None,
    ) -> keras.Model:
        """Loads the model, if need be with other groups and iterations than it was trained with.

        Args:
            data_dir: Where TFDS keeps its data, or None for TFDS' default. Only a model with
                population statistics needs data, to calibrate it where it is changed.
            images: Training images, where the run's were given by its caller; likewise.
            num_groups: Integer >= 2, or None for the run's; for models that group.
            num_iterations: Integer >= 1, or None for the run's, likewise.

        Raises:
            ValueError: If the folder is missing, holds no run, is unfinished, or is damaged; or if
                the model cannot be changed so.
        """
        model = self._load()
        changes = {"num_groups": num_groups, "num_iterations": num_iterations}
        changes = {name: value for name, value in changes.items() if value is not None}
        if not changes:
            return model
        if "num_iterations" in changes and isinstance(model, GroupingModel):
            changes[model.ITERATIONS] = changes.pop("num_iterations")
        if model.needs_calibration:
            images = self.source(data_dir, images).training().floats().image
        return regroup(model, images, **changes)

    def source(
        self,
        data_dir: str | None = None,
        images: np.ndarray | None = None,
        labels: np.ndarray | None = None,
    ) -> Source:
        """Returns where examples come from; raises if only the run's caller has them."""
        if self.preparation is not None and images is None:
            return Source(self.preset.task, data_dir, None, self._own_data(self.given or {}))
        if self.given is not None and images is None:
            raise ValueError(
                f"`images` must be given for {str(self.path)!r}, whose training images were given "
                "by its caller. Received: images=None."
            )
        return Source.of(self.preset.task, data_dir, images, labels)

    def check(self, preset: Preset, given: Given = None) -> None:
        """Raises ValueError if the folder belongs to something else than this training."""
        path = self.path / "preset.json"
        if not path.exists():
            ours = {_files.partial_path(path), self.path / _LOCK}
            others = self.path.exists() and set(self.path.iterdir()) - ours
            if others:
                raise ValueError(
                    "`run` must be a new folder or a run's. Received: "
                    f"{str(self.path)!r}, which holds other files; choose another."
                )
            return
        if (found := self.preset) != preset:
            raise ValueError(
                f"`run` must be a folder of preset {preset.name!r} with the same settings. "
                f"Received: {str(self.path)!r}, a run of {found.name!r}; choose another folder."
            )
        if self.given != given:
            raise ValueError(
                "The data must be what the run began with, read as then. Received: other data "
                f"for {str(self.path)!r}; choose another folder."
            )

    @contextlib.contextmanager
    def claimed(self, preset: Preset, given: Given = None) -> Iterator[None]:
        """Makes the folder this training's, and no other's while the body runs.

        Raises:
            ValueError: As `check` does, or if another process is at work there.
        """
        self.check(preset, given)
        self.path.mkdir(parents=True, exist_ok=True)
        taken = (
            "`run` must be a folder where no other training is at work. Received: "
            f"{str(self.path)!r}, where one is; wait for its end, or choose another folder."
        )
        with _files.claiming(self.path / _LOCK, taken):
            if not (self.path / "preset.json").exists():
                given_too = {**preset.to_json(), "given": given}
                self._write("preset.json", json.dumps(given_too, indent=2))
            yield
            if self.is_finished:  # nobody trains here again
                (self.path / _LOCK).unlink(missing_ok=True)

    def finish(self, model: keras.Model, history: list[dict], notes: dict[str, Any]) -> None:
        """Writes what is left when a training is over, and removes its checkpoints."""
        with _files.replacing(self.path / "model.keras") as partial:
            model.save(partial)
        if isinstance(model, PseudoLabelEnsemble):
            rows = [{"round": i, **_spread(row)} for i, row in enumerate(model.rounds)]
            self._write("rounds.csv", _table(rows))
        self._write("history.csv", _table(history))
        notes = {**notes, "seconds": sum(row["seconds"] for row in history), **_circumstances()}
        self._write("metrics.json", json.dumps(notes, indent=2))
        for path in self.path.glob("checkpoint-*"):
            shutil.rmtree(path, ignore_errors=True)

    def keep(self, model: keras.Model, notes: dict[str, Any]) -> None:
        """Puts a changed model in the place of the run's, and notes why in `metrics.json`."""
        with _files.replacing(self.path / "model.keras") as partial:
            model.save(partial)
        self._write("metrics.json", json.dumps({**self.metrics, **notes}, indent=2))

    def adopt(self, start: "Run", notes: dict[str, Any]) -> None:
        """Finishes a run of several starts: with what one of them left, and notes on all."""
        for name in ("model.keras", "history.csv"):
            with _files.replacing(self.path / name) as partial:
                shutil.copyfile(start.path / name, partial)
        kept = {name: value for name, value in start.metrics.items() if name != "test"}
        self._write("metrics.json", json.dumps({**kept, **notes}, indent=2))

    def note_scores(self, scores: dict[str, float]) -> None:
        """Notes scores on test data in `metrics.json`."""
        self._write("metrics.json", json.dumps({**self.metrics, "test": scores}, indent=2))

    def _own_data(self, given: Mapping[str, Any]) -> reading.OwnData:
        """Reads the caller's files again."""
        options = reading.Options.from_json(given["options"])
        own = reading.read_data(given["data"], None, options, preparation=self.preparation)
        if own.described() != given:
            raise ValueError(
                f"The data in {given['data']!r} must be what the run was trained on. Received: "
                "other data; score and draw it by `images`, or train a new run."
            )
        return own

    def _load(self) -> keras.Model:
        self._check_finished()
        return load_keras(self.path / "model.keras", "train the preset again into another folder")

    def _check_finished(self) -> None:
        preset = self.preset
        if not self.is_finished:
            raise ValueError(
                f"`run` must be a finished run folder. Received: {str(self.path)!r}, which is half "
                f"written; run `tfbind train {preset.name} {self._told()}` again to finish it."
            )

    def _told(self) -> str:
        """Returns the options that name the data and the folder of a training."""
        data = (self.given or {}).get("data")
        told = f"--run={shlex.quote(str(self.path))}"
        return told if data is None else f"--data={shlex.quote(data)} {told}"

    def _described(self) -> tuple[Preset, Given]:
        path = self.path / "preset.json"
        if not path.exists():
            raise ValueError(
                "`run` must be a run folder made by `tfbind train`. Received: "
                f"{str(self.path)!r}, which "
                f"{'has no preset.json' if self.path.is_dir() else 'does not exist'}."
            )
        return read_preset(path)

    def _write(self, name: str, text: str) -> None:
        with _files.replacing(self.path / name) as partial:
            partial.write_text(text)


def _spread(row: dict[str, Any]) -> dict[str, Any]:
    """Returns a row in which each list is as many columns, `name_0` and so on."""
    spread: dict[str, Any] = {}
    for name, value in row.items():
        listed = isinstance(value, list)
        spread |= {f"{name}_{i}": x for i, x in enumerate(value)} if listed else {name: value}
    return spread


def _table(rows: list[dict[str, Any]]) -> str:
    """Returns rows as CSV, with all columns that any of them has."""
    table = io.StringIO()
    writer = csv.DictWriter(table, fieldnames=dict.fromkeys(name for row in rows for name in row))
    writer.writeheader()
    writer.writerows(rows)
    return table.getvalue()


def _circumstances() -> dict[str, Any]:
    packages = ("tfbind", "tensorflow", "keras", "tensorflow-probability", "numpy")
    versions = {package: importlib.metadata.version(package) for package in packages}
    return {
        "versions": {"python": platform.python_version(), **versions},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "date": time.strftime("%Y-%m-%d"),
    }
