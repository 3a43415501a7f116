"""One command that serves a folder or a models.config, with the best server there is."""

import contextlib
import gc
import os
import pathlib
import shutil
import signal
import subprocess
import threading
from typing import Any

from tfbind.serving._layout import HOST, check_ports, find_versions, model_name

_EXECUTABLE = "tensorflow_model_server"
_LISTS_BEFORE_COLLECTION = 100_000


def serve(
    directory: str | os.PathLike,
    port: int = 8500,
    rest_port: int = 8501,
    name: str | None = None,
    **options: Any,
) -> None:
    """Serves SavedModels over REST and gRPC until Ctrl-C or SIGTERM, which lets requests finish.

    Runs `tensorflow_model_server` if it is on the PATH, else `ReferenceServer`, its stand-in on
    one machine; prints which one it is. The former listens on every network interface, the latter
    on 127.0.0.1 unless told otherwise.

    Args:
        directory: Folder with version folders: `directory/<integer>/saved_model.pb`; or a
            `models.config` in TF Serving's text format.
        port: Port for gRPC.
        rest_port: Port for REST.
        name: Name of the model; None takes the folder's.
        **options: Keyword arguments of `ReferenceServer`. `tensorflow_model_server` is told
            nothing of them, and is not started with any.

    Raises:
        ValueError: If the folder has no complete version, a port is not free, or there are options
            that are for the other server.
        RuntimeError: If `tensorflow_model_server` stops by itself.
        ImportError: If the reference server is needed and the `serving` extra is not installed.
    """
    found = shutil.which(_EXECUTABLE)
    if found and options:
        raise ValueError(
            f"Options must be left out where {found} serves, which has files and flags of its own. "
            f"Received: {', '.join(f'{key}={value!r}' for key, value in options.items())}."
        )
    if not pathlib.Path(directory).is_file():
        find_versions(directory)
        name = model_name(directory, name)
    check_ports(port, rest_port, options.get("host", HOST))
    with contextlib.suppress(KeyboardInterrupt), _sigterm_as_interrupt():
        if found:
            said = _said(directory, name)
            _announce(_EXECUTABLE, said, f"http://{HOST}:{rest_port}", f"{HOST}:{port}")
            _run(server_command(directory, port, rest_port, name))
        else:
            _run_reference(directory, port, rest_port, name, options)


def server_command(
    directory: str | os.PathLike, port: int = 8500, rest_port: int = 8501, name: str | None = None
) -> list[str]:
    """Returns the command line that serves `directory` with `tensorflow_model_server`.

    `directory` is a folder with version folders, or a `models.config`.
    """
    path = pathlib.Path(directory).resolve()
    if path.is_file():
        models = [f"--model_config_file={path}"]
    else:
        models = [f"--model_name={model_name(path, name)}", f"--model_base_path={path}"]
    return [_EXECUTABLE, *models, f"--port={port}", f"--rest_api_port={rest_port}"]


def _run(command):
    with subprocess.Popen(command) as process:
        try:
            status = process.wait()
        except KeyboardInterrupt:
            process.terminate()
            process.wait()
            raise
    if status:
        raise RuntimeError(
            f"{_EXECUTABLE} must keep running. Received: exit status {status}; "
            "its own messages above say why."
        )


def _run_reference(directory, port, rest_port, name, options):
    from tfbind.serving import ReferenceServer  # loads TensorFlow

    with ReferenceServer(directory, port, rest_port, name, **options) as server:
        what = "reference server: stands in for TF Serving on one machine"
        _spare_what_stays()
        _announce(what, server.models, server.url, server.target)
        server.wait()


def _spare_what_stays():
    """Keeps Python's garbage collector off what is loaded: a million objects, the better part of a
    second each time that a request has as many lists as a batch of pictures has."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_LISTS_BEFORE_COLLECTION)


def _said(directory, name):
    """Returns the models and versions to announce, as far as they are known beforehand."""
    return {} if name is None else {name: (max(find_versions(directory)),)}


def _announce(what, models, url, target):
    print(what)
    for name, versions in models.items():
        print(f"  model  {name}, version {', '.join(map(str, versions))}")
    print(f"  REST   {url}/v1/models/{next(iter(models), 'NAME')}")
    print(f"  gRPC   {target}")
    print("Ctrl-C ends it.", flush=True)


@contextlib.contextmanager
def _sigterm_as_interrupt():
    """Makes SIGTERM, with which containers stop, end the server as cleanly as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {
        number: signal.signal(number, signal.default_int_handler)
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
