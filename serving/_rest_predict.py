"""Predict over REST: from the JSON of a request to the JSON of its answer."""

from typing import Any

import numpy as np

from tfbind.serving._answers import choose_signature
from tfbind.serving._json import decode, dumps, encode, is_base64, loads
from tfbind.serving._limits import Limits, check_rows
from tfbind.serving._models import Models
from tfbind.serving._service import Record


def predict(
    models: Models, limits: Limits, spec: tuple[int | None, str | None], body: bytes, record: Record
) -> bytes:
    """Answers the body of a predict request to `record["model"]`."""
    record["version"], version = models[record["model"]].find(*spec)
    request = read_request(body)
    name = record["signature"] = choose_signature(version, request["signature_name"])
    inputs = read_inputs(request, version.signatures[name]["inputs"])
    for key, array in inputs.items():
        if array is not None and array.ndim:
            record["rows"] = len(array)
            check_rows(limits, key, len(array))
    outputs = version(name, inputs)
    return write_outputs(outputs, len(request["instances"]) if "instances" in request else None)


def read_request(body: bytes) -> dict[str, Any]:
    """Returns the JSON object of a predict request; raises ValueError."""
    try:
        request = loads(body)
    except ValueError as error:
        raise ValueError(f"The body must be JSON. Received: {error}.") from error
    if not isinstance(request, dict):
        raise ValueError(
            'The body must be a JSON object, such as {"instances": [...]}. '
            f"Received: {type(request).__name__}."
        )
    if ("instances" in request) == ("inputs" in request):
        raise ValueError(
            "The body must have one of 'instances' (rows) and 'inputs' (columns). "
            f"Received: {_listed(request) or 'neither'}."
        )
    name = request.get("signature_name", "")
    if not isinstance(name, str):
        raise ValueError(f"`signature_name` must be text. Received: signature_name={name!r}.")
    return {**request, "signature_name": name}


def read_inputs(request: dict[str, Any], known: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Returns the arrays of a request by name, for the `known` inputs of its signature.

    Unknown and missing names are left for the model to refuse.
    """
    columns = (
        _rows_to_columns(request["instances"]) if "instances" in request else request["inputs"]
    )
    if not isinstance(columns, dict) or is_base64(columns):
        if len(known) != 1:
            raise ValueError(
                "The inputs must be given by name, "
                f"{', '.join(map(repr, known))}, as there are several. "
                "Received: values without names."
            )
        columns = dict.fromkeys(known, columns)
    return {
        name: decode(name, value, known[name]["dtype"]) if name in known else None
        for name, value in columns.items()
    }


def _rows_to_columns(rows):
    """Returns rows of named values as one dict of lists, and rows of bare values as they are."""
    if not isinstance(rows, list) or not rows:
        raise ValueError(
            f"'instances' must be a list of at least one row. Received: {_short(rows)}."
        )
    named = [isinstance(row, dict) and not is_base64(row) for row in rows]
    if not any(named):
        return rows
    names = rows[named.index(True)].keys()
    for index, row in enumerate(rows):
        if not named[index] or row.keys() != names:
            raise ValueError(
                f"Every row of 'instances' must have the same names, {_listed(names)}. "
                f"Received: row {index} with {_listed(row) if named[index] else 'a bare value'}."
            )
    return {name: [row[name] for row in rows] for name in names}


def _listed(names):
    return _short(", ".join(map(repr, names)), str)


def _short(value, spell=repr):
    text = spell(value)
    return text if len(text) <= 200 else f"{text[:197]}..."


def write_outputs(outputs: dict[str, np.ndarray], num_rows: int | None = None) -> bytes:
    """Returns the answer to a predict request: by rows if `num_rows` is given, else by columns.

    A single output goes without its name.
    """
    if num_rows is not None:
        _check_rows(outputs, num_rows)
    key = "outputs" if num_rows is None else "predictions"
    if len(outputs) == 1:
        return dumps({key: encode(*next(iter(outputs.items())))})
    if num_rows is None:
        return dumps({key: {name: encode(name, array) for name, array in outputs.items()}})
    return dumps({key: [_write_row(outputs, row) for row in range(num_rows)]})


def _write_row(outputs, row):
    return {name: encode(name, array[row, ...]) for name, array in outputs.items()}


def _check_rows(outputs, num_rows):
    for name, array in outputs.items():
        if array.shape[:1] != (num_rows,):
            raise ValueError(
                f"A request by 'instances' needs outputs with one row for each of its {num_rows} "
                f"rows. Received: output {name!r} of shape {array.shape}; send 'inputs' instead."
            )
