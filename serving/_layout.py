"""What a server needs before it starts: NAME/<version>/saved_model.pb, and free ports."""

import os
import pathlib
import socket
import ssl

from tfbind._validation import check_integer
from tfbind.export._layout import SAVED_MODEL, version_folders

METRICS = "/monitoring/prometheus/metrics"
"""Where TF Serving has its metrics, unless told otherwise."""

HOST = "127.0.0.1"
"""Where servers of our own listen unless told otherwise: for this machine only."""


def find_versions(directory: str | os.PathLike) -> dict[int, pathlib.Path]:
    """Returns version number -> folder, lowest first, of the SavedModels in `directory`.

    Folders whose name is not a whole number are ignored, and so are versions that are not fully
    written yet, as long as there is another.

    Raises:
        ValueError: If the folder is missing or holds no version.
    """
    directory = pathlib.Path(directory)
    received = f"Received: directory={str(directory)!r}"
    if not directory.is_dir():
        raise ValueError(f"`directory` must be an existing folder. {received}.")
    if (directory / SAVED_MODEL).is_file():
        raise ValueError(
            f"`directory` must hold version folders, such as 1/{SAVED_MODEL}. {received}, which "
            f"is a SavedModel itself; move it into a version folder, or pass its parent if its "
            "name is a number."
        )
    numbered = version_folders(directory)
    versions = {
        number: folder for number, folder in numbered.items() if (folder / SAVED_MODEL).is_file()
    }
    if versions:
        return versions
    if numbered:
        broken = ", ".join(str(folder) for folder in numbered.values())
        raise ValueError(
            f"`directory` must hold a version with a {SAVED_MODEL}. {received}, where {broken} "
            "has none, as if half-written; export the model again."
        )
    raise ValueError(
        f"`directory` must hold version folders, such as 1/{SAVED_MODEL}. {received}, which has "
        "none; export a model into it first."
    )


def model_name(directory: str | os.PathLike, name: str | None = None) -> str:
    """Returns the name a model is served under: `name`, else that of the folder."""
    name = pathlib.Path(directory).resolve().name if name is None else name
    if not isinstance(name, str) or not name or set(name) & set("/:"):
        raise ValueError(f"`name` must be text without '/' or ':'. Received: name={name!r}.")
    return name


def check_ports(port: int, rest_port: int, host: str = HOST) -> None:
    """Raises ValueError unless both ports, of which 0 is any, are free at `host`."""
    if port == rest_port != 0:
        raise ValueError(f"`rest_port` must differ from `port`. Received: port=rest_port={port}.")
    for name, number in (("port", port), ("rest_port", rest_port)):
        check_integer(name, number, 0)
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, number))
            except (OSError, OverflowError) as error:
                reason = error.strerror if isinstance(error, OSError) else error
                raise ValueError(
                    f"`{name}` must be a free port of {host}. "
                    f"Received: {name}={number} ({reason}); choose another."
                ) from error


def check_certificate(certificate: str | os.PathLike | None, key: str | os.PathLike | None) -> None:
    """Raises ValueError unless both are None, or a certificate and its private key."""
    if (certificate is None) != (key is None):
        raise ValueError(
            "`certificate` and `key` must be given together. "
            f"Received: certificate={certificate!r}, key={key!r}."
        )
    if certificate is not None and key is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(certificate, key, lambda: "")
        except OSError as error:  # of ssl, too
            raise ValueError(
                "`certificate` and `key` must be PEM files that belong together. "
                f"Received: certificate={str(certificate)!r}, key={str(key)!r} ({error})."
            ) from error


def reached_at(host: str, port: int) -> str:
    """Returns the address under which this machine reaches a server that listens at `host`."""
    host = {"0.0.0.0": HOST, "::": "::1"}.get(host, host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
