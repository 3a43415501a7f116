"""The verb that writes a page where models run in the browser, a thin command of `tfbind.cli`."""

import functools
import http.server
import pathlib
import tempfile

import click

from tfbind import _console

_SHOWN = ("rc-shapes", "sela-mnist")  # presets in the box: one that groups, one that clusters


@click.command()
@click.argument("runs", nargs=-1, type=_console.PATH)
@click.option(
    "--out", type=_console.PATH, default="web", show_default=True, help="Folder to write to."
)
@click.option("--port", type=int, help="Show the page on this port, until Ctrl-C.")
@_console.as_json
def web(runs: tuple[pathlib.Path, ...], out: pathlib.Path, port: int | None, as_json: bool) -> None:
    """Write a page where people draw, and watch models group and cluster in the browser.

    RUNS are run folders, Keras files, .tflite files or presets in the box; without any, rc-shapes
    and sela-mnist. Any server of files shows the page; nothing that is drawn leaves the browser.
    """
    _console.load_tensorflow()
    from tfbind import serving
    from tfbind.export._layout import folder_size

    with tempfile.TemporaryDirectory() as folder:
        files = [_exported(run, pathlib.Path(folder)) for run in runs or map(pathlib.Path, _SHOWN)]
        serving.write_page(files, out)
    size = folder_size(out)
    models = [file.stem for file in files]
    text = f"Wrote {out}, {size / 1e6:.0f} MB, with {', '.join(models)}."
    if port is None:
        text += f"\nNext: python -m http.server --directory {_console.quoted(out)}"
    _console.show({"page": str(out), "models": models, "bytes": size}, as_json, text)
    if port is not None:
        _show(out, port)


def _exported(run, folder):
    """Returns the TFLite file of what `tfbind export` takes; a file that is one stays as it is."""
    from tfbind import _models, export

    if run.suffix == ".tflite":
        return run
    with _console.working(f"Writing {run.name}"):
        loaded = _models.load(run)
        file = folder / f"{loaded.name}.tflite"
        export.export_tflite(loaded.model, file, preparation=loaded.preparation)
    return file


def _show(folder, port):
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        click.echo(f"Open http://127.0.0.1:{server.server_port} . Ctrl-C ends it.")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pass


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """Gives files, and writes no line for each."""

    def log_message(self, format: str, *args: object) -> None:
        pass
