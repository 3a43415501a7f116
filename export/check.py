"""The check of an artifact: does the file on disk do what its card says?"""

import os
from typing import Any

import numpy as np

from tfbind.export import _layout
from tfbind.export._file_runner import load_runner
from tfbind.export.card import read_card
from tfbind.export.samples import sample_inputs

# Rows of the larger of the two batches that a SavedModel is run on.
_BATCH_SIZE = 3

# How much a row's outputs may change with the batch it is in: float32 sums in another order.
_ROW_TOLERANCE = 1e-4


def check_artifact(path: str | os.PathLike) -> dict[str, Any]:
    """Loads an artifact as its server or device would, runs every signature, and compares.

    Use it after a copy or before a release. A SavedModel is loaded as TF Serving does and run on
    batches of 1 and 3, as is an ONNX file by ONNX Runtime; a TFLite file is run by LiteRT on its
    own batch size. Names, shapes and
    dtypes must be those on the card, outputs finite with the batch as first axis, and a row must
    have the same answer in either batch. The inputs are drawn from the ranges on the card.

    Args:
        path: A .tflite or .onnx file, the folder of one SavedModel version, or one with versions,
            of which the latest is taken.

    Returns:
        A dict: `path`, of the file or version; `artifact`, as on the card; `endpoints`, from name
        to `batch_sizes` and `row_difference`, the largest change of a row's output between them,
        None where there is one batch size.

    Raises:
        ImportError: If the runtime that the file needs is not installed.
        ValueError: If the artifact is missing, damaged or does not keep what its card says.

    Example:

    >>> folder = tempfile.mkdtemp()
    >>> version = tfbind.export.export_saved_model(tfbind.DenoisingAutoencoder((4,)), folder)
    >>> tfbind.export.check_artifact(folder)["endpoints"]["serving_default"]["batch_sizes"]
    [1, 3]
    """
    card = read_card(path)
    artifact, runner = _load(path, card)
    _check_signatures(runner.signatures, card)
    batch_size = card["artifact"].get("batch_size")
    report = {}
    for name, endpoint in card["endpoints"].items():
        if batch_size is not None:
            _run(runner, name, endpoint, sample_inputs(endpoint, batch_size))
            report[name] = {"batch_sizes": [batch_size], "row_difference": None}
        else:
            difference = _row_difference(runner, name, endpoint)
            report[name] = {"batch_sizes": [1, _BATCH_SIZE], "row_difference": difference}
    return {"path": str(artifact), "artifact": card["artifact"], "endpoints": report}


def _load(path, card):
    """Returns the path of the file or version, and its runner."""
    if not _layout.is_one_file(path):
        from tfbind.export.saved_model_runner import SavedModelRunner

        return _layout.find_saved_model(path), SavedModelRunner(path)
    # A runtime would not notice a changed weight.
    if _layout.sha256(path) != card["artifact"].get("sha256"):
        raise ValueError(
            f"`path` must be the file that its card describes. Received: path={str(path)!r}, "
            "whose contents have changed since the export; export the model again."
        )
    return path, load_runner(path)


def _check_signatures(signatures, card):
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


def _run(runner, name, endpoint, inputs):
    """Returns the outputs of one signature, checked against the card."""
    outputs = runner(name, inputs)
    if set(outputs) != set(endpoint["outputs"]):
        raise ValueError(
            f"Signature {name!r} must have the outputs on the card, "
            f"{sorted(endpoint['outputs'])}. Received: {sorted(outputs)}."
        )
    batch_size = len(next(iter(inputs.values())))
    for key, info in endpoint["outputs"].items():
        _check_output(f"Output {key!r} of signature {name!r}", outputs[key], info, batch_size)
    return outputs


def _check_output(what, array, info, batch_size):
    if array.ndim == 0 or len(array) != batch_size:
        raise ValueError(
            f"{what} must have the batch as its first axis. Received: shape {array.shape} for a "
            f"batch of {batch_size}."
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


def _row_difference(runner, name, endpoint):
    """Returns the largest change of a row's outputs between batches of 3 and of 1."""
    inputs = sample_inputs(endpoint, _BATCH_SIZE)
    together = _run(runner, name, endpoint, inputs)
    largest = 0.0
    for row in range(_BATCH_SIZE):
        alone = _run(
            runner, name, endpoint, {key: array[row : row + 1] for key, array in inputs.items()}
        )
        for key, array in alone.items():
            change = np.abs(array[0].astype("float64") - together[key][row])
            scale = max(1.0, float(np.max(np.abs(array))))
            largest = max(largest, float(np.max(change)) / scale)
            if largest > _ROW_TOLERANCE:
                raise ValueError(
                    f"Output {key!r} of signature {name!r} must depend on its own row alone. "
                    f"Received: a change of {largest:.2g} between batches of 1 and "
                    f"{_BATCH_SIZE}."
                )
    return largest
