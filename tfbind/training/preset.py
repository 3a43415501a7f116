"""What a preset is: a model by name, a task, an optimiser, and the paper's number, all values."""

import contextlib
import dataclasses
import functools
import inspect
import math
import pathlib
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import keras

from tfbind import distributions, layers, models, seeds
from tfbind._forms import check_form
from tfbind._validation import check_choice, check_file_name, check_integer, check_number
from tfbind.models import adversarial_networks
from tfbind.training import tasks
from tfbind.training.keras_file import load_keras

SCHEDULES = ("constant", "cosine", "linear")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
_MODULES = (models, layers, adversarial_networks, distributions, keras.optimizers)
_SEED_STEP = 1000  # between the seeds of the starts
# What a preset says about itself rather than about the training.
_NOT_SETTINGS = ("name", "summary", "paper")


@dataclasses.dataclass(frozen=True, init=False, repr=False)
class Part:
    """Something to be made, by its name and its settings.

    `name` is that of a class of `tfbind.models`, `tfbind.layers` or `keras.optimizers`, of a
    function of `tfbind.models.adversarial_networks` or `tfbind.distributions`, or the registered
    name of any Keras class, such as "my_package>MyModel". Settings are numbers, strings, booleans,
    None, tuples of them, or further parts.

    A part is also given those arguments of the parts around it that it names and does not set, so
    that nothing is said twice; one that makes a dict of networks is spread over the arguments.

    Example:

    >>> from tfbind.training.preset import Part
    >>> Part("RandomAffine", shift=2.0, seed=0).make({}).shift
    2.0
    """

    name: str
    settings: Mapping[str, Any]

    def __init__(self, name: str, /, **settings: Any) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "settings", types.MappingProxyType(settings))

    def __hash__(self) -> int:
        return hash((self.name, frozenset(self.settings.items())))

    def __reduce__(self) -> tuple:
        return functools.partial(Part, self.name, **self.settings), ()  # its mapping has no pickle

    def __repr__(self) -> str:
        settings = (f"{name}={value!r}" for name, value in self.settings.items())
        return f"Part({', '.join([repr(self.name), *settings])})"

    def make(self, around: Mapping[str, Any]) -> Any:
        """Makes the thing: its parts first, in the order they are written, then its seed.

        Args:
            around: Arguments that the part is given if it names them.
        """
        maker = _maker(self.name)
        wanted = _parameters(maker)
        plain = {name: x for name, x in self.settings.items() if not isinstance(x, Part)}
        around = {name: x for name, x in {**around, **plain}.items() if name != "seed"}
        arguments = {name: around[name] for name in wanted if name in around}
        for name, value in self.settings.items():
            made = value.make(around) if isinstance(value, Part) else value
            arguments |= made if isinstance(made, Mapping) else {name: made}
        if "seed" in wanted:
            arguments["seed"] = seeds.base_seed(self.settings.get("seed"))
        return maker(**arguments)


def _maker(name: str) -> Callable:
    for module in _MODULES:
        if name in vars(module):
            return vars(module)[name]
    found = keras.saving.get_registered_object(name)
    if found is None:
        raise ValueError(
            "`name` must be that of a model, a layer, a function that makes networks, or an "
            f"optimizer. Received: name={name!r}."
        )
    return found


def _parameters(maker: Callable) -> dict[str, inspect.Parameter]:
    """Returns the arguments of a maker, with those of the public model that it extends."""
    if not inspect.isclass(maker):
        return dict(inspect.signature(maker).parameters)
    found = dict(inspect.signature(inspect.getattr_static(maker, "__init__")).parameters)
    for extended in maker.__bases__:
        if extended.__name__ in models.__all__:
            found = {**_parameters(extended), **found}
    return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class Optimizer:
    """An optimiser with its schedule.

    Attributes:
        method: Part of `keras.optimizers`, whose learning rate is the one below.
        learning_rate: Step size, the first one where it changes.
        schedule: "constant", or "cosine" or "linear" from the learning rate to zero, epoch by
            epoch.
        decay_start: Share of the epochs after which it falls.
    """

    method: Part = Part("Adam")
    learning_rate: float
    schedule: str = "constant"
    decay_start: float = 0.0

    def __post_init__(self) -> None:
        check_number("learning_rate", self.learning_rate, 0, open_low=True)
        check_choice("schedule", self.schedule, SCHEDULES)
        check_number("decay_start", self.decay_start, 0, 1)

    def make(self) -> keras.optimizers.Optimizer:
        return self.method.make({"learning_rate": self.learning_rate})

    def rate(self, epoch: int, num_epochs: int) -> float:
        """Returns the learning rate of an epoch, from 0 on."""
        start = self.decay_start * num_epochs
        if self.schedule == "constant" or epoch < start:
            return self.learning_rate
        if self.schedule == "linear":
            left = (1.0 - epoch / num_epochs) / (1.0 - self.decay_start)
            return self.learning_rate * min(1.0, left)
        share = math.pi * (epoch - start) / (num_epochs - start)
        return self.learning_rate * 0.5 * (1.0 + math.cos(share))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Paper:
    """Where settings come from, and what the paper says of them.

    Attributes:
        score: The paper's value of the task's metric, errors as fractions; or None.
        source: Where the settings and the score come from.
    """

    score: float | None = None
    source: str


class Setting(NamedTuple):
    """One setting of a preset: its path, such as "optimizer.learning_rate", value and types."""

    path: str
    value: Any
    kinds: tuple[type, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preset:
    """A training as a value: what is trained on what, how, and what the paper made of it.

    `changed` makes another one of it.

    Attributes:
        name: What the command line calls it.
        summary: One line for `tfbind list`.
        model: The part that makes the model.
        task: Its data, scores and pictures.
        optimizer: Its optimiser and schedule.
        batch_size: Examples a step.
        max_epochs: Upper limit of epochs.
        patience: Epochs without a better validation loss after which training stops and the best
            weights come back; or None to train all epochs and keep the last weights.
        seed: Seeds weights, noise and order.
        starts: Trainings from other seeds, of which the one that looks best without labels is
            kept; see `BaseModel.unsupervised_score`.
        initial_run: Run folder, relative to the working directory, all of whose weights that fit
            by name and shape are the start; or None.
        precision: "float32", or "mixed_bfloat16" or "mixed_float16", in which layers compute in 16
            bits. Weights, statistics, losses, and what a model takes and gives stay in float32.
        paper: Where the settings come from, and the paper's score.
    """

    name: str
    summary: str
    model: Part
    task: tasks.Task
    optimizer: Optimizer
    batch_size: int = 100
    max_epochs: int
    patience: int | None = None
    seed: int = 1
    starts: int = 1
    initial_run: str | None = None
    precision: str = "float32"
    paper: Paper

    def __post_init__(self) -> None:
        check_file_name("name", self.name)  # folders are called so
        check_integer("seed", self.seed, 0)  # likewise
        for name in ("batch_size", "max_epochs", "starts"):
            check_integer(name, getattr(self, name), 1)
        if self.patience is not None:
            check_integer("patience", self.patience, 1)
        check_choice("precision", self.precision, PRECISIONS)

    def build(self, event_shape: tuple[int, ...]) -> keras.Model:
        """Returns the compiled model for examples of `event_shape`, the same one every time."""
        start = None if self.initial_run is None else _initial_weights(self.initial_run)
        keras.utils.set_random_seed(self.seed)
        with _policy(self.precision):
            model = self.model.make({**vars(self.task), "event_shape": tuple(event_shape)})
        if start is not None:
            _start_from(model, start)
        with model.distribute_strategy.scope():
            model.compile(self.optimizer.make(), jit_compile=model.num_replicas == 1)
        return model

    def each_start(self) -> "list[Preset]":
        """Returns the presets of its starts, which differ in their seeds."""
        # So far apart that the starts of seeds 1, 2 and 3 are others
        seeds = range(self.seed, self.seed + _SEED_STEP * self.starts, _SEED_STEP)
        return [self.changed(starts=1, seed=seed) for seed in seeds]

    def learning_rate(self, epoch: int) -> float:
        """Returns the learning rate of an epoch, from 0 on."""
        return self.optimizer.rate(epoch, self.max_epochs)

    def settings(self) -> dict[str, Setting]:
        """Returns all settings, at any depth, by what is enough of their paths to tell them."""
        found = list(_settings(self))
        ends = [setting.path.rpartition(".")[2] for setting in found]
        return {
            end if ends.count(end) == 1 or setting.path == end else setting.path: setting
            for end, setting in zip(ends, found, strict=True)
        }

    def setting(self, name: str) -> Setting:
        """Returns the setting called `name`: its path, or as much of its end as no other shares.

        Raises:
            ValueError: If there is none, or several.

        Example:

        >>> tfbind.training.presets.get("rc-shapes").setting("hidden_units").value
        500
        """
        known = self.settings()
        if name in known:
            return known[name]
        fitting = [x for x in known.values() if f".{x.path}".endswith(f".{name}")]
        if len(fitting) != 1:
            choices = [x.path for x in fitting] or [
                short for short, setting in known.items() if not isinstance(setting.value, Part)
            ]
            check_choice("setting", name, choices)
        return fitting[0]

    def changed(self, **changes: Any) -> "Preset":
        """Returns a preset with other fields, or other settings, each found as `setting` does.

        Example:

        >>> preset = tfbind.training.presets.get("rc-shapes").changed(hidden_units=100)
        >>> preset.model.settings["autoencoder"].settings["hidden_units"]
        100
        """
        paths = {name: name if name in vars(self) else self.setting(name).path for name in changes}
        return _replaced(
            self, {tuple(paths[name].split(".")): value for name, value in changes.items()}
        )

    def to_json(self) -> dict[str, Any]:
        """Returns what `from_json` takes, of types that JSON has."""
        return {name: _encoded(value) for name, value in vars(self).items()}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Preset":
        """Returns the preset that `to_json` was called on."""
        return cls(**{name: _decoded(value) for name, value in fields.items()})


@contextlib.contextmanager
def _policy(name: str) -> Iterator[None]:
    """Makes layers that the body makes follow a dtype policy, which they keep."""
    usual = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(usual)


def _initial_weights(run: str) -> dict[str, Any]:
    """Returns the trainable weights of a run's model, by their names."""
    path = pathlib.Path(run) / "model.keras"
    if not path.exists():
        raise ValueError(
            f"`initial_run` must be the run folder of stage 1. Received: initial_run={run!r}, "
            "which has no model.keras; train stage 1 first, or name its folder with "
            "--set initial_run=FOLDER."
        )
    model = load_keras(path, "train stage 1 again", compile=False)
    return {weight.name: weight for weight in model.trainable_variables}


def _start_from(model: keras.Model, start: dict[str, Any]) -> None:
    for weight in model.trainable_variables:
        if weight.name in start and start[weight.name].shape == weight.shape:
            weight.assign(start[weight.name])


def _settings(thing: Any, path: str = "") -> Iterator[Setting]:
    for name, value, kinds in _fields(thing):
        if not isinstance(value, (Optimizer, tasks.Task)):
            yield Setting(f"{path}{name}", value, kinds)
        if isinstance(value, (Part, Optimizer, tasks.Task)):
            yield from _settings(value, f"{path}{name}.")


def _fields(thing: Any) -> Iterator[tuple[str, Any, tuple[type, ...]]]:
    """Yields name, value and types of what `thing` holds."""
    if isinstance(thing, Part):
        known = _parameters(_maker(thing.name))
        for name, value in thing.settings.items():
            default = known[name].default if name in known else inspect.Parameter.empty
            fitting = (value,) if default is inspect.Parameter.empty else (value, default)
            yield name, value, tuple(dict.fromkeys(map(type, fitting)))
        return
    for field in dataclasses.fields(thing):
        if field.name not in _NOT_SETTINGS:
            kinds = typing.get_args(field.type) if _is_union(field.type) else (field.type,)
            kinds = tuple(typing.get_origin(kind) or kind for kind in kinds)  # of tuple[int, ...]
            yield field.name, getattr(thing, field.name), kinds


def _is_union(kind: Any) -> bool:
    return isinstance(kind, types.UnionType)


def _replaced(thing: Any, changes: dict[tuple[str, ...], Any]) -> Any:
    """Returns `thing` with new values at paths, all at once, since some only fit together."""
    held = thing.settings if isinstance(thing, Part) else vars(thing)
    new = {}
    for head in dict.fromkeys(path[0] for path in changes):
        inner = {path[1:]: x for path, x in changes.items() if path[0] == head and path[1:]}
        value = changes.get((head,), held[head])
        new[head] = _replaced(value, inner) if inner else value
    if isinstance(thing, Part):
        return Part(thing.name, **{**held, **new})
    return dataclasses.replace(thing, **new)


def _encoded(value: Any) -> Any:
    if isinstance(value, Part):
        settings = {name: _encoded(each) for name, each in value.settings.items()}
        return {"part": value.name, "settings": settings}
    if dataclasses.is_dataclass(value):
        fields = {name: _encoded(each) for name, each in vars(value).items()}
        return {"kind": type(value).__name__, **fields}
    return list(map(_encoded, value)) if isinstance(value, tuple) else value


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_decoded, value))
    if not isinstance(value, Mapping):
        return value
    if "part" in value:
        check_form(value, {"part": (str,), "settings": (dict,)}, "a part")
        settings = {name: _decoded(each) for name, each in value["settings"].items()}
        return Part(value["part"], **settings)
    kinds = {"Optimizer": Optimizer, "Paper": Paper, **tasks.kinds()}
    kind = kinds[str(check_choice("kind", value.get("kind"), list(kinds)))]
    return kind(**{name: _decoded(each) for name, each in value.items() if name != "kind"})
