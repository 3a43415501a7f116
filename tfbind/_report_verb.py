"""The verb that writes what came of a run, a thin command of `tfbind.cli`."""

import pathlib
import time

import click

from tfbind import _console


@click.command()
@_console.run
@click.option("--out", type=_console.PATH, help="File to write.  [default: report.html, in RUN]")
@_console.data_dir
@_console.as_json
def report(
    run: pathlib.Path, out: pathlib.Path | None, data_dir: str | None, as_json: bool
) -> None:
    """Write what came of a RUN or a preset in the box as one page, to look at or to send.

    It shows the data, what was found with the best and the worst of it, what to doubt, the scores,
    the training, and how the model is used. The page needs no other file.
    """
    _console.load_tensorflow()
    from tfbind import reporting

    began = time.monotonic()
    with _console.working("Writing the report"):
        page = reporting.report(run, out, data_dir)
    size, seconds = page.stat().st_size, time.monotonic() - began
    text = f"Wrote {page}, {size / 1e6:.1f} MB, in {seconds:.0f} s."
    _console.show({"report": str(page), "bytes": size}, as_json, text)
