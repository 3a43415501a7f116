"""The verb that serves models, a thin command of `tfbind.cli`."""

import pathlib
from typing import Any

import click

from tfbind import _console


@click.command()
@click.argument("artifact", type=_console.PATH)
@click.option("--port", default=8500, show_default=True, help="Port for gRPC.")
@click.option("--rest-port", default=8501, show_default=True, help="Port for REST.")
@click.option("--name", help="Name of the model.  [default: the folder's]")
@click.option("--host", help="Address to listen on; 0.0.0.0 is all.  [default: 127.0.0.1]")
@click.option("--certificate", type=_console.PATH, help="PEM file, for TLS on both ports.")
@click.option("--key", type=_console.PATH, help="PEM file of the certificate's private key.")
@click.option("--max-body", type=int, help="Bytes of a request.  [default: 16777216]")
@click.option("--max-rows", type=int, help="Rows of a request.  [default: 1024]")
@click.option("--max-requests", type=int, help="Requests that run at a time.  [default: 64]")
@click.option("--deadline", type=float, help="Seconds for a request.  [default: 30]")
@click.option("--drain", type=float, help="Seconds to finish when ended.  [default: 10]")
@click.option("--poll", type=float, help="Seconds between looks for new versions.  [default: 1]")
@click.option("--request-log", is_flag=True, help="Tell each request on stderr, as JSON.")
def serve(
    artifact: pathlib.Path, port: int, rest_port: int, name: str | None, **options: Any
) -> None:
    """Serve a folder of SavedModel versions, or what `tfbind export` takes, until Ctrl-C.

    A models.config of TF Serving serves several. It answers over REST and gRPC, from
    tensorflow_model_server if that is on the PATH, else from a reference server that stands in for
    it on one machine; all options after --name are for the latter. A newer version in the folder
    is served as soon as it is there.
    """
    _console.load_tensorflow()
    from tfbind import _models, serving

    folder = artifact if artifact.is_file() and artifact.suffix == ".config" else None
    given = {name: value for name, value in options.items() if value not in (None, False)}
    serving.serve(folder or _models.exported(artifact), port, rest_port, name, **_read(given))


def _read(given):
    """Returns the options of `ReferenceServer`, with the limits among `given` as one."""
    from tfbind.serving import Limits

    names = {"max_body": "body", "max_rows": "rows", "max_requests": "requests"}
    names |= {"deadline": "deadline", "drain": "drain"}
    limits = {names[name]: given.pop(name) for name in names.keys() & given.keys()}
    return {**given, "limits": Limits(**limits)} if limits else given
