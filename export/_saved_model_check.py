"""The check of a SavedModel: nothing of it runs before its files and its graph are looked at."""

import contextlib
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfbind.export import _answers, _c_api, _layout, _operations, _sealing, _warmup
from tfbind.export.samples import sample_inputs
from tfbind.export.saved_model_runner import SavedModelRunner

_BATCH_SIZES = (1, 2, 3, 64)
_SOME_ROWS = (slice(0, 1), slice(1, 2), slice(2, 3), slice(0, 2), slice(0, 3))  # of the 64

Runner = Callable[[str, Mapping[str, Any]], dict[str, np.ndarray]]


def check_saved_model(folder: pathlib.Path, card: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the report on one version; raises ValueError at the first fault."""
    _sealing.check_files(folder, card["artifact"])
    _operations.check_operations(folder)
    with contextlib.closing(SavedModelRunner(folder)) as session:
        _answers.check_signatures(session.signatures, card)
        reports = {name: _batches(session, name, card) for name in card["endpoints"]}
        num_requests = _replay(session, folder, card)
    loaders = _other_loaders()
    for loader, load in loaders.items():
        with contextlib.closing(load(folder)) as runner:
            for name, report in reports.items():
                change = _compared(runner, name, card, loader)
                report["loader_difference"] = max(change, report["loader_difference"])
    return {
        "loaders": ["session", *loaders],
        "warm_up_requests": num_requests,
        "endpoints": reports,
    }


def _other_loaders() -> dict[str, Callable]:
    """Returns what loads a folder besides the session, by name."""
    has_c = _c_api.library_path() is not None
    return {"python": EagerRunner, **({"c": _c_api.CAPIRunner} if has_c else {})}


class EagerRunner:
    """Runs a SavedModel as `tf.saved_model.load` gives it."""

    def __init__(self, folder: pathlib.Path) -> None:
        with tf.device("CPU"), _layout.without_patterns(folder) as path:
            self._loaded = tf.saved_model.load(path)

    def close(self) -> None:
        self._loaded = None

    def __call__(self, signature: str, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        given = {name: tf.constant(array) for name, array in inputs.items()}
        with tf.device("CPU"):
            outputs = self._loaded.signatures[signature](**given)
        return {name: tensor.numpy() for name, tensor in outputs.items()}


def _batches(runner: Runner, name: str, card: Mapping[str, Any]) -> dict[str, Any]:
    """Returns how much a row's answer depends on the batch it is in, within what is allowed."""
    largest = _BATCH_SIZES[-1]
    inputs = sample_inputs(card["endpoints"][name], largest)
    together = _run(runner, name, card, inputs)
    row_difference = 0.0
    for rows in _SOME_ROWS:
        alone = _run(runner, name, card, {key: array[rows] for key, array in inputs.items()})
        for key, array in alone.items():
            change = _answers.difference(array, together[key][rows])
            row_difference = max(row_difference, change)
            if change > _tolerance(card, name, key):
                raise ValueError(
                    f"Output {key!r} of signature {name!r} must depend on its own row alone. "
                    f"Received: a change of {change:.2g} between batches of {len(array)} and "
                    f"{largest}."
                )
    return {
        "batch_sizes": list(_BATCH_SIZES),
        "row_difference": row_difference,
        "loader_difference": _compared(runner, name, card, "session"),
    }


def _compared(runner: Runner, name: str, card: Mapping[str, Any], loader: str) -> float:
    """Returns how far the numbers of a loader are from the card's, within what is allowed."""
    inputs = sample_inputs(card["endpoints"][name], _answers.NUM_ROWS)
    largest = 0.0
    for key, array in _run(runner, name, card, inputs).items():
        expected = card["artifact"]["answers"][name][key]["values"]
        change = _answers.difference(_answers.chosen(array), expected)
        largest = max(largest, change)
        if not change <= _tolerance(card, name, key):
            raise ValueError(
                f"Output {key!r} of signature {name!r} must have the numbers on the card. "
                f"Received: numbers that differ by {change:.2g} of the largest under the loader "
                f"{loader!r}; export the model again."
            )
    return largest


def _replay(runner: Runner, folder: pathlib.Path, card: Mapping[str, Any]) -> int:
    """Runs the warm-up requests as a server does, and returns how many there are."""
    requests = _warmup.read_warmup(folder)
    for name, inputs in requests:
        _run(runner, name, card, inputs)
    return len(requests)


def _tolerance(card, name, key):
    return card["artifact"]["answers"][name][key]["tolerance"]


def _run(runner, name, card, inputs):
    outputs = runner(name, inputs)
    num_rows = len(next(iter(inputs.values())))
    _answers.check_outputs(name, card["endpoints"][name], outputs, num_rows)
    return outputs
