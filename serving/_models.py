"""The models of a server, the versions of each, and how they follow what is on disk."""

import contextlib
import os
import time
from typing import NamedTuple

from tfbind.export._layout import SAVED_MODEL, version_folders
from tfbind.serving._config import ModelConfig, read_models
from tfbind.serving._layout import find_versions
from tfbind.serving._limits import Refusal
from tfbind.serving._version import Version

_SECONDS_TO_RETRY = 10.0  # after a version could not be loaded, as if files were too many


class State(NamedTuple):
    """State of one version, in the words of TF Serving; `error` is one sentence or ""."""

    name: str
    error: str = ""
    since: float = 0.0


class Model:
    """The versions of one model. `poll` runs in one thread at a time, `find` in any."""

    def __init__(self, config: ModelConfig) -> None:
        self.name = config.name
        self.states: dict[int, State] = {}
        self._config = config
        self._versions: dict[int, Version] = {}

    @property
    def versions(self) -> tuple[int, ...]:
        """The numbers of the versions that answer, lowest first."""
        return tuple(sorted(self._versions))

    def find(self, number: int | None, label: str | None) -> tuple[int, Version]:
        """Returns the version asked for, the latest by default; whoever has it may use it up."""
        versions = self._versions
        if label is not None:
            number = self._labelled(label)
        number = max(versions) if number is None else number
        if number not in versions:
            raise Refusal(
                "NOT_FOUND",
                f"The version of model {self.name!r} must be one of "
                f"{', '.join(map(str, sorted(versions)))}. Received: {number}.",
            )
        return number, versions[number]

    def poll(self) -> None:
        """Loads the versions that are new on disk, then lets go of those that are not wanted.

        A version that cannot be loaded changes nothing but its state.
        """
        folders = {
            number: folder
            for number, folder in version_folders(self._config.directory).items()
            if (folder / SAVED_MODEL).is_file()
        }
        kept = self._load_wanted(folders) or set(self._versions)
        self._versions = {number: self._versions[number] for number in sorted(kept)}
        self.states = {
            number: state
            for number, state in self.states.items()
            if number in kept or (number in folders and state.error)
        }

    def _load_wanted(self, folders):
        """Returns the numbers of the wanted versions that answer, after loading new ones."""
        config = self._config
        kept: set[int] = set()
        wanted = set(config.versions) & folders.keys() if config.versions else folders
        for number in sorted(wanted, reverse=True):
            if len(kept) == config.latest:
                break
            if number in self._versions or self._load(number, folders[number]):
                kept.add(number)
        return kept

    def _load(self, number, folder):
        state = self.states.get(number)
        if state and state.error and time.monotonic() < state.since + _SECONDS_TO_RETRY:
            return False
        self.states[number] = State("LOADING")
        try:
            version = Version(folder)
        except ValueError as error:
            self.states[number] = State("END", str(error), time.monotonic())
            return False
        self._versions = {**self._versions, number: version}
        self.states[number] = State("AVAILABLE")
        return True

    def _labelled(self, label):
        labels = self._config.labels
        if label not in labels:
            raise Refusal(
                "NOT_FOUND",
                f"The label of model {self.name!r} must be one of "
                f"{', '.join(map(repr, labels)) or 'none, as it has no labels'}. "
                f"Received: {label!r}.",
            )
        return labels[label]


class Models:
    """All models of a server, by name.

    Raises:
        ValueError: If one has no version that can be loaded.
    """

    def __init__(self, path: str | os.PathLike, name: str | None = None) -> None:
        self._models: dict[str, Model] = {}
        for config in read_models(path, name):
            find_versions(config.directory)
            model = self._models[config.name] = Model(config)
            model.poll()
            _check_loaded(config, model)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the models, in the order of the file."""
        return tuple(self._models)

    def __getitem__(self, name: str) -> Model:
        if name not in self._models:
            listed = ", ".join(map(repr, self._models))
            one = f"{listed}, the only one served here"
            rule = one if len(self._models) == 1 else f"one of {listed}"
            raise Refusal("NOT_FOUND", f"The model must be {rule}. Received: {name!r}.")
        return self._models[name]

    def poll(self) -> None:
        """Looks for new versions of every model."""
        for model in self._models.values():
            with contextlib.suppress(OSError):  # the folder is away; what is loaded goes on
                model.poll()


def _check_loaded(config, model):
    if not model.versions:
        errors = [state.error for state in model.states.values() if state.error]
        raise ValueError(
            errors[0]
            if errors
            else f"`directory` must hold the versions {config.versions} that its models.config "
            f"asks for. Received: directory={str(config.directory)!r}, which has none of them."
        )
