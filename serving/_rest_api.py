"""The REST side of the reference server: TF Serving's JSON interface."""

import http.server
import json
import re
import urllib.parse
from typing import Any

import numpy as np

from tfbind.serving._grpc_services import status_of
from tfbind.serving._json import decode, encode, is_base64
from tfbind.serving._served_model import (
    NotFoundError,
    ServedModel,
    choose_signature,
    signature_def_map,
    to_json,
)

_PATH = re.compile(
    r"/v1/models/(?P<model>[^/:]+)(/versions/(?P<version>\d+))?(?P<verb>:predict|/metadata)?"
)
_URLS = (
    "GET /v1/models/NAME[/versions/N], GET /v1/models/NAME[/versions/N]/metadata, "
    "POST /v1/models/NAME[/versions/N]:predict"
)


def read_request(body: bytes) -> dict[str, Any]:
    """Returns the JSON object of a predict request; raises ValueError."""
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"The body must be JSON. Received: {error}.") from error
    if not isinstance(request, dict):
        raise ValueError(
            'The body must be a JSON object, such as {"instances": [...]}. '
            f"Received: {type(request).__name__}."
        )
    if ("instances" in request) == ("inputs" in request):
        raise ValueError(
            "The body must have one of 'instances' (rows) and 'inputs' (columns). "
            f"Received: {', '.join(map(repr, request)) or 'neither'}."
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
        raise ValueError(f"'instances' must be a list of at least one row. Received: {rows!r}.")
    named = [isinstance(row, dict) and not is_base64(row) for row in rows]
    if not any(named):
        return rows
    names = rows[named.index(True)].keys()
    for index, row in enumerate(rows):
        if not named[index] or row.keys() != names:
            raise ValueError(
                f"Every row of 'instances' must have the same names, "
                f"{', '.join(map(repr, names))}. Received: row {index} with "
                f"{', '.join(map(repr, row)) if named[index] else 'a bare value'}."
            )
    return {name: [row[name] for row in rows] for name in names}


def write_outputs(outputs: dict[str, np.ndarray], num_rows: int | None = None) -> dict[str, Any]:
    """Returns the answer to a predict request: by rows if `num_rows` is given, else by columns.

    A single output goes without its name.
    """
    if num_rows is not None:
        _check_rows(outputs, num_rows)
    columns = {name: encode(name, array) for name, array in outputs.items()}
    key = "outputs" if num_rows is None else "predictions"
    if len(columns) == 1:
        return {key: next(iter(columns.values()))}
    if num_rows is None:
        return {key: columns}
    return {
        key: [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    }


def _check_rows(outputs, num_rows):
    for name, array in outputs.items():
        if array.shape[:1] != (num_rows,):
            raise ValueError(
                f"A request by 'instances' needs outputs with one row for each of its {num_rows} "
                f"rows. Received: output {name!r} of shape {array.shape}; send 'inputs' instead."
            )


class RestHandler(http.server.BaseHTTPRequestHandler):
    """Answers one connection; `server.served` is the `ServedModel`."""

    server: "RestServer"
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes
    timeout = 60  # seconds an idle connection may keep its thread

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def log_message(self, *_: object) -> None:
        """Keeps the terminal quiet."""

    def _answer(self, method):
        try:
            body = self._read_body()
            code, document = 200, self._route(method, body)
        except NotFoundError as error:
            code, document = 404, {"error": str(error)}
        except ValueError as error:
            code, document = 400, {"error": str(error)}
        except Exception as error:  # a client should see a sentence, whatever went wrong
            code, document = 500, {"error": f"The server failed: {error!r}."}
        try:
            self._write(code, document)
        except ConnectionError:  # the client has gone
            self.close_connection = True

    def _read_body(self):
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            raise ValueError("The request must state the length of its body in Content-Length.")
        return self.rfile.read(int(length))

    def _route(self, method, body):
        path = _PATH.fullmatch(self.path.split("?")[0])
        if path is None or method != ("POST" if path["verb"] == ":predict" else "GET"):
            raise NotFoundError(f"The URL must be one of {_URLS}. Received: {method} {self.path}.")
        model = urllib.parse.unquote(path["model"])
        number = int(path["version"]) if path["version"] else None
        if path["verb"] == ":predict":
            return self._predict(model, number, body)
        if path["verb"] == "/metadata":
            return self._metadata(model, number)
        return to_json(status_of(self.server.served, model, number))

    def _predict(self, model, number, body):
        _, runner = self.server.served.find(model, number)
        request = read_request(body)
        name = choose_signature(runner, request["signature_name"])
        outputs = runner(name, read_inputs(request, runner.signatures[name]["inputs"]))
        return write_outputs(outputs, len(request["instances"]) if "instances" in request else None)

    def _metadata(self, model, number):
        number, runner = self.server.served.find(model, number)
        return {
            "model_spec": {"name": model, "signature_name": "", "version": str(number)},
            "metadata": {"signature_def": to_json(signature_def_map(runner))},
        }

    def _write(self, code, document):
        body = json.dumps(document).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class RestServer(http.server.ThreadingHTTPServer):
    """A thread for every connection."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], served: ServedModel) -> None:
        super().__init__(address, RestHandler)
        self.served = served
