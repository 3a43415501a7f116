import json
import os
import pathlib
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import jinja2
import numpy as np

from tfbind.export import read_card, sample_inputs
from tfbind.export._layout import (
    find_saved_model,
    folder_size,
    version_folders,
    written_at_once,
)
from tfbind.serving._layout import METRICS

# The newest release of the server whose notes are out; the only place that names it.
_IMAGE = "tensorflow/serving:2.20.0"
_DEFAULT = "serving_default"
_FOLDER = "serving"
_CORES = 2
_MOST_ROWS = 64
_MOST_BYTES = 2**26  # of all that goes in and out of a batch
_FLAGS = (
    "--model_config_file=/config/models.config",
    "--enable_batching=true",
    "--batching_parameters_file=/config/batching_parameters.txt",
    "--monitoring_config_file=/config/monitoring.config",
)
_TEMPLATES = (
    *("models.config", "batching_parameters.txt", "monitoring.config", "ssl.config"),
    *("Dockerfile", "compose.yaml", "kubernetes.yaml"),
)


class _Model(NamedTuple):
    """A folder of versions that a server may load."""

    name: str
    version: int
    card: dict[str, Any]
    bytes: int


def write_deployment(directory: str | os.PathLike, name: str | None = None) -> pathlib.Path:
    """Writes what TF Serving needs to serve the models in a folder, on one machine or on many.

    Use it after `export.export_saved_model`: into the folder `serving` beside the models go
    `models.config`, `batching_parameters.txt`, `monitoring.config` and a template `ssl.config`, as
    `tensorflow_model_server` reads them; a `Dockerfile`, `compose.yaml` and `kubernetes.yaml`;
    and for each model a request to try, `<model>.json`. Files that are there are replaced.

    Args:
        directory: Folder with a folder for each model: `directory/<model>/<version>`.
        name: What the image, the container and the service are called; None for the name of the
            model, or of `directory` if it holds several. Small letters, digits and "-"; of a
            model's or folder's name other characters become "-".

    Returns:
        The path of the folder `serving`.

    Raises:
        ValueError: If the folder holds no model, or a name cannot be used.

    Example:

    >>> model, folder = tfbind.DenoisingAutoencoder((4,)), tempfile.mkdtemp()
    >>> path = tfbind.export.export_saved_model(model, f"{folder}/toy")
    >>> sorted(file.name for file in tfbind.serving.write_deployment(folder).iterdir())[:3]
    ['Dockerfile', 'batching_parameters.txt', 'compose.yaml']

    References:
        TensorFlow Serving. Configuring. https://www.tensorflow.org/tfx/serving/serving_config
    """
    directory = pathlib.Path(directory)
    models = _find_models(directory)
    texts = _rendered(models, _service_name(directory, models, name))
    texts |= {f"{model.name}.json": _request(model.card) for model in models}
    out = directory / _FOLDER
    with written_at_once(out) as temporary:
        for file, text in texts.items():
            (temporary / file).write_text(text, "utf-8")
            os.replace(temporary / file, out / file)
    return out


def _find_models(directory):
    folders = sorted(directory.iterdir()) if directory.is_dir() else ()
    models = [_read_model(folder) for folder in folders if version_folders(folder)]
    if not models:
        raise ValueError(
            "`directory` must hold a folder of versions for each model, such as "
            f"rc-shapes/1/saved_model.pb. Received: directory={str(directory)!r}, which has none; "
            "export a model into it first."
        )
    return models


def _read_model(folder):
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", folder.name) or folder.name == _FOLDER:
        raise ValueError(
            "The folder of a model must be named with letters, digits, '_', '.' and '-', and not "
            f"{_FOLDER!r}, where its deployment is written. Received: {folder.name!r}; rename it."
        )
    latest = find_saved_model(folder)
    card = read_card(latest)
    if _DEFAULT not in card["endpoints"]:
        raise ValueError(
            f"A model must have the endpoint {_DEFAULT!r} to be deployed. Received: "
            f"{str(latest)!r}, which has {', '.join(map(repr, card['endpoints']))}."
        )
    return _Model(folder.name, int(latest.name), card, folder_size(latest))


def _service_name(directory, models, name):
    """Returns the name of the service, a label of RFC 1123, which Kubernetes and Docker take."""
    if name is None:
        (source, *others) = (model.name for model in models)
        name = directory.resolve().name if others else source
        name = re.sub(r"[^a-z0-9-]+", "-", name.lower())[:63].strip("-")
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name):
        raise ValueError(
            "`name` must be 1 to 63 small letters, digits and '-', which is neither first nor "
            f"last. Received: name={name!r}."
        )
    return name


def _rendered(models: Sequence[_Model], name: str) -> dict[str, str]:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tfbind.serving"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    values = {
        "models": models,
        "name": name,
        "version": max(model.version for model in models),
        "image": _IMAGE,
        "folder": _FOLDER,
        "flags": _FLAGS,
        "cores": _CORES,
        "memory": 512 + 2 * (sum(model.bytes for model in models) >> 20),  # MiB
        "metrics_path": METRICS,
        "status_path": f"/v1/models/{models[0].name}",
        "batch_sizes": _batch_sizes(models),
    }
    return {file: environment.get_template(f"{file}.j2").render(values) for file in _TEMPLATES}


def _batch_sizes(models):
    """Returns 1, 2, 4 and so on: rows in a batch of which the largest endpoint has room."""
    row = max(_row_bytes(entry) for model in models for entry in model.card["endpoints"].values())
    most = min(_MOST_ROWS, max(1, _MOST_BYTES // row))
    return [2**i for i in range(most.bit_length())]


def _row_bytes(endpoint):
    tensors = [*endpoint["inputs"].values(), *endpoint["outputs"].values()]
    return sum(_item_bytes(tensor) * int(np.prod(tensor["shape"][1:])) for tensor in tensors)


def _item_bytes(tensor):
    # Strings are files of any size; a row of them has to fit by its other tensors.
    return 1 if tensor["dtype"] == "string" else np.dtype(tensor["dtype"]).itemsize


def _request(card):
    """Returns a request for one row, as `curl --data @FILE` sends it to `:predict`."""
    inputs = sample_inputs(card["endpoints"][_DEFAULT], 1)
    rounded = {key: np.round(array.astype("float64"), 3).tolist() for key, array in inputs.items()}
    return json.dumps({"inputs": rounded})
