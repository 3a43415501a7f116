"""What an artifact answers: of what kind, how far apart, and a few numbers of it for its card."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tfbind.export import _runner
from tfbind.export.samples import sample_inputs

if TYPE_CHECKING:
    from tfbind.export._endpoints import TracedEndpoint

Arrays = dict[str, np.ndarray]

# Rows that the numbers on a card are of.
NUM_ROWS = 3
_NUM_VALUES = 8  # of each output

# Runtimes add in another order and round otherwise, which changes a number by this much of the
# largest in its output. A loop can magnify it: ten iterations of reconstruction clustering do so a
# thousandfold. So a change of the inputs by a few roundings says what is to be expected of a model.
_LEAST_TOLERANCE = 1e-4
_ROUNDING = 2.0**-20
_NUM_CHANGES = 4
_MARGIN = 4.0


def answers_of(card: dict[str, Any], traced: "dict[str, TracedEndpoint]") -> dict[str, Any]:
    """Returns, by endpoint and output, `values` of the sample inputs and their `tolerance`.

    Raises:
        ValueError: If an endpoint cannot run on them, or an output is not as described.
    """
    return {name: _noted(name, card["endpoints"][name], entry) for name, entry in traced.items()}


def chosen(array: np.ndarray) -> list[float]:
    """Returns a few numbers of an output, from its first to its last."""
    places = np.linspace(0, array.size - 1, _NUM_VALUES).astype(int)
    return [float(array.flat[place]) for place in places]


def difference(found: Any, expected: Any) -> float:
    """Returns the largest difference, over 1 or the largest number if that is more."""
    found, expected = np.asarray(found, "float64"), np.asarray(expected, "float64")
    scale = max(1.0, float(np.max(np.abs(expected), initial=0.0)))
    return float(np.max(np.abs(found - expected), initial=0.0)) / scale


def check_signatures(signatures: Mapping[str, Any], card: Mapping[str, Any]) -> None:
    """Raises ValueError if an artifact takes other inputs than its card says."""
    if set(signatures) != set(card["endpoints"]):
        raise ValueError(
            f"The artifact must have the endpoints on its card, {sorted(card['endpoints'])}. "
            f"Received: signatures {sorted(signatures)}."
        )
    for name, endpoint in card["endpoints"].items():
        expected = {
            key: {"shape": info["shape"], "dtype": info["dtype"]}
            for key, info in endpoint["inputs"].items()
        }
        if signatures[name]["inputs"] != expected:
            raise ValueError(
                f"Signature {name!r} must have the inputs on the card, {expected}. "
                f"Received: {signatures[name]['inputs']}."
            )


def check_outputs(name: str, endpoint: Mapping, outputs: Mapping, num_rows: int) -> None:
    """Raises ValueError if what a signature answers is not what the card says of it."""
    if set(outputs) != set(endpoint["outputs"]):
        raise ValueError(
            f"Signature {name!r} must have the outputs on the card, "
            f"{sorted(endpoint['outputs'])}. Received: {sorted(outputs)}."
        )
    for key, info in endpoint["outputs"].items():
        _check_output(f"Output {key!r} of signature {name!r}", outputs[key], info, num_rows)


def _check_output(what, array, info, num_rows):
    if array.ndim == 0 or len(array) != num_rows:
        raise ValueError(
            f"{what} must have the batch as its first axis. Received: shape {array.shape} for a "
            f"batch of {num_rows}."
        )
    fits = array.ndim == len(info["shape"]) and all(
        want in (None, have) for have, want in zip(array.shape, info["shape"], strict=True)
    )
    if not fits or array.dtype.name != info["dtype"]:
        raise ValueError(
            f"{what} must be {info['dtype']} of shape {info['shape']}, as on the card. "
            f"Received: {array.dtype.name} of shape {array.shape}."
        )
    if not np.all(np.isfinite(array)):
        raise ValueError(f"{what} must be finite. Received: NaN or infinity.")


def _noted(name, endpoint, entry):
    inputs = sample_inputs(endpoint, NUM_ROWS)
    outputs = _run(name, entry, inputs)
    check_outputs(name, endpoint, outputs, NUM_ROWS)
    changes = dict.fromkeys(outputs, 0.0)
    for changed in _rounded(endpoint, inputs):
        for key, array in _run(name, entry, changed).items():
            changes[key] = max(changes[key], difference(array, outputs[key]))
    return {
        key: {
            "values": chosen(array),
            "tolerance": max(_LEAST_TOLERANCE, _MARGIN * changes[key]),
        }
        for key, array in outputs.items()
    }


def _rounded(endpoint, inputs):
    """Yields inputs that a few roundings have changed; none if they hold no floats."""
    floats = [name for name, array in inputs.items() if array.dtype.kind == "f"]
    random = np.random.default_rng(0)
    for _ in range(_NUM_CHANGES if floats else 0):
        changed = dict(inputs)
        for name in floats:
            signs = random.choice([-1.0, 1.0], inputs[name].shape)
            array = inputs[name] * (1 + _ROUNDING * signs)
            changed[name] = array.clip(*endpoint["inputs"][name]["range"]).astype("float32")
        yield changed


def _run(name: str, entry: "TracedEndpoint", inputs: Arrays) -> Arrays:
    import tensorflow as tf

    with tf.device("CPU"):  # a GPU's matmuls (TF32) would be noted as the file's
        try:
            outputs = entry.function(*(tf.constant(inputs[key]) for key in entry.inputs))
        except tf.errors.InvalidArgumentError as error:
            raise ValueError(
                f"Endpoint {name!r} must run on {NUM_ROWS} rows and give as many. "
                f"Received: an error, {_runner.first_line(error)}."
            ) from error
        return {key: value.numpy() for key, value in outputs.items()}
