"""The card of an artifact: what it takes and gives, what it was made from and with."""

import datetime
import json
import numbers
import os
import pathlib
from typing import TYPE_CHECKING, Any

from tfbind._forms import read_json
from tfbind.export import _card_form, _layout, _sealing

if TYPE_CHECKING:  # reading a card loads no TensorFlow
    import keras

    from tfbind import reading
    from tfbind.export._endpoints import TracedEndpoint

# In every Keras config, and of no interest on a card.
_KERAS_SETTINGS = ("name", "trainable", "dtype")


def build_card(model: "keras.Model") -> dict[str, Any]:
    """Describes a model's endpoints, settings and origin.

    Args:
        model: A built model with `serving_endpoints()`.

    Returns:
        A dict that JSON can hold: `created`, the time in UTC; `versions` of tfbind, tensorflow
        and keras; `model`, with `class`, `name`, `num_parameters` and `config`, the constructor's
        plain arguments; `preparation`, what is done to a person's files before, or None;
        `endpoints`, from name to `inputs` (`shape` with None for the batch, `dtype`, `range`
        with None for an open end; of strings a `sample`, in base64) and `outputs` (`shape`,
        `dtype`, `description`).

    Raises:
        ValueError: If the model or one of its endpoints cannot be exported.

    Example:

    >>> autoencoder = tfbind.DenoisingAutoencoder((4,), hidden_units=2)
    >>> card = tfbind.export.build_card(autoencoder)
    >>> card["endpoints"]["serving_default"]["inputs"]["image"]["shape"]
    [None, 4]
    """
    from tfbind.export import _endpoints

    return describe(model, _endpoints.trace_endpoints(model))


def describe(
    model: "keras.Model",
    traced: "dict[str, TracedEndpoint]",
    preparation: "reading.Preparation | None" = None,
) -> dict[str, Any]:
    """Returns the card of a model whose endpoints have been traced, and of what comes before it."""
    import keras
    import tensorflow as tf

    import tfbind

    return {
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": {
            "tfbind": tfbind.__version__,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
        },
        "model": {
            "class": type(model).__name__,
            "name": model.name,
            "num_parameters": model.count_params(),
            "config": _plain(model.get_config()),
        },
        "preparation": None if preparation is None else preparation.to_json(),
        "endpoints": {name: _describe_endpoint(entry) for name, entry in traced.items()},
    }


def read_card(path: str | os.PathLike) -> dict[str, Any]:
    """Reads the card of an artifact without loading TensorFlow.

    Args:
        path: A .tflite file, the folder of one SavedModel version, or one with versions, of which
            the latest is taken.

    Returns:
        A dict as in `build_card`; `sha256`, the card's own hash, and perhaps its `signature`; and
        `artifact`: its `kind`, "saved_model", "tflite" or "onnx". The first has `version`; `files`,
        from path to SHA-256; and `answers`, from endpoint to output to a few `values` of made-up
        inputs and the `tolerance` of a runtime for them. The others have `bytes`, `sha256` and
        `errors`; the second also `quantize` and `batch_size`, the third `opset`.

    Raises:
        ValueError: If there is no artifact or no readable card.
    """
    find = _layout.find_file if _layout.is_one_file(path) else _layout.find_saved_model
    file = _layout.card_path(find(path))
    try:
        return read_json(file, _card_form.form_of(_layout.kind(path)))
    except FileNotFoundError as error:
        raise ValueError(
            f"`path` must be an artifact with its card. Received: path={str(path)!r}, where "
            f"{file} is missing; export the model again."
        ) from error
    except ValueError as error:
        raise ValueError(
            f"`path` must be an artifact with a readable card. Received: path={str(path)!r}, "
            f"where {file} is damaged ({error}); export the model again."
        ) from error


def write_card(card: dict[str, Any], file: pathlib.Path, key: bytes | None = None) -> None:
    """Writes a card as JSON, with its hash, and signed if there is a key."""
    file.parent.mkdir(exist_ok=True)
    text = json.dumps(_sealing.sealed(card, key), indent=2, allow_nan=False)
    file.write_text(text + "\n", "utf-8")


def put_with_card(
    file: pathlib.Path, path: pathlib.Path, card: dict[str, Any], artifact: dict[str, Any]
) -> dict[str, Any]:
    """Moves a new file to where people look, its card beside it; returns what that says of it."""
    size, digest = file.stat().st_size, _layout.sha256(file)
    artifact = {**artifact, "bytes": size, "sha256": digest}
    write_card({**card, "artifact": artifact}, _layout.card_path(file))
    os.replace(_layout.card_path(file), _layout.card_path(path))
    os.replace(file, path)
    return {"path": str(path), **artifact}


def _describe_endpoint(traced):
    return {
        "inputs": {
            name: {
                **_describe_tensor(spec),
                "range": list(traced.ranges.get(name, (None, None))),
                **({"sample": traced.samples[name]} if name in traced.samples else {}),
            }
            for name, spec in traced.inputs.items()
        },
        "outputs": {
            name: {**_describe_tensor(spec), "description": traced.descriptions[name]}
            for name, spec in traced.outputs.items()
        },
    }


def _describe_tensor(spec):
    return {"shape": spec.shape.as_list(), "dtype": spec.dtype.name}


def _plain(config):
    """Returns the settings of a config: parts by class name and settings, no weights or layers."""
    plain: dict[str, Any] = {}
    for key, value in config.items():
        if key in _KERAS_SETTINGS:
            continue
        if isinstance(value, dict) and "class_name" in value:
            plain[key] = {"class": value["class_name"], **_plain(value.get("config") or {})}
        elif value is None or isinstance(value, (str, numbers.Number)):
            plain[key] = value
        elif isinstance(value, (list, tuple)) and all(
            isinstance(item, (str, numbers.Number)) for item in value
        ):
            plain[key] = list(value)
    return plain
