"""One command that serves a folder, with the best server there is."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import threading

from tfbind.serving._layout import HOST, check_ports, find_versions, model_name

_EXECUTABLE = "tensorflow_model_server"


def serve(
    directory: str | os.PathLike, port: int = 8500, rest_port: int = 8501, name: str | None = None
) -> None:
    """Serves a SavedModel over REST and gRPC until Ctrl-C or SIGTERM.

    Runs `tensorflow_model_server` if it is on the PATH, else `ReferenceServer`, which is for
    tests and local use; prints which one it is. The former listens on every network interface,
    the latter on 127.0.0.1 only.

    Args:
        directory: Folder with version folders: `directory/<integer>/saved_model.pb`.
        port: Port for gRPC.
        rest_port: Port for REST.
        name: Name of the model; None takes the folder's.

    Raises:
        ValueError: If the folder has no complete version or a port is not free.
        RuntimeError: If `tensorflow_model_server` stops by itself.
        ImportError: If the reference server is needed and the `serving` extra is not installed.
    """
    latest = max(find_versions(directory))
    name = model_name(directory, name)
    check_ports(port, rest_port)
    with contextlib.suppress(KeyboardInterrupt), _sigterm_as_interrupt():
        if shutil.which(_EXECUTABLE):
            _announce(_EXECUTABLE, name, latest, f"http://{HOST}:{rest_port}", f"{HOST}:{port}")
            _run(server_command(directory, port, rest_port, name))
        else:
            _run_reference(directory, port, rest_port, name)


def server_command(
    directory: str | os.PathLike, port: int = 8500, rest_port: int = 8501, name: str | None = None
) -> list[str]:
    """Returns the command line that serves `directory` with `tensorflow_model_server`."""
    return [
        _EXECUTABLE,
        f"--model_name={model_name(directory, name)}",
        f"--model_base_path={pathlib.Path(directory).resolve()}",
        f"--port={port}",
        f"--rest_api_port={rest_port}",
    ]


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


def _run_reference(directory, port, rest_port, name):
    from tfbind.serving import ReferenceServer  # loads TensorFlow

    with ReferenceServer(directory, port, rest_port, name) as server:
        what = "reference server: for tests and local use, not production"
        _announce(what, name, server.versions[-1], server.url, server.target)
        server.wait()


def _announce(what, name, version, url, target):
    print(what)
    print(f"  model  {name}, version {version}")
    print(f"  REST   {url}/v1/models/{name}")
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
