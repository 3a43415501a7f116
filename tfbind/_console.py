"""What the verbs of the command line share: options, errors, a quiet TensorFlow, tables."""

import ast
import contextlib
import json
import os
import pathlib
import shlex
import sys
import tempfile
import textwrap
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import click

from tfbind._numbers import is_error, said

if typing.TYPE_CHECKING:
    import keras

    from tfbind import training

# Without it TensorFlow fills the screen with notes on the machine.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

_WIDTH = 99  # columns
_INTERRUPTED = 130  # what shells take for a program that Ctrl-C ended
_FEW = 20  # files that are read without a bar

# What `--set` calls the types of settings.
_KINDS = {
    int: "an integer",
    float: "a number",
    bool: "True or False",
    tuple: "values with commas between them",
    type(None): "None",
}

PATH = click.Path(path_type=pathlib.Path)

run = click.argument("run", type=PATH)
as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
data_dir = click.option("--data-dir", help="Folder of TFDS data sets.  [default: TFDS' own]")

processes = click.option(
    "--processes", type=int, help="Trainings at a time, one core each.  [default: one a core]"
)

_EXPECTED = (ValueError, TypeError, OSError, ImportError, RuntimeError)


class Verbs(click.Group):
    """A command whose verbs end in one plain sentence and exit status 1 if something is wrong."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except KeyboardInterrupt as error:
            if not error.args:
                raise
            click.echo(error, err=True)
            ctx.exit(_INTERRUPTED)
        except click.ClickException as error:
            raise click.ClickException(error.format_message()) from error
        except Exception as error:
            if ctx.params["debug"]:
                raise
            raise click.ClickException(_sentence(error)) from error


def load_tensorflow() -> None:
    """Imports TensorFlow and keeps it from commenting on its own use."""
    if "tensorflow" in sys.modules:
        return
    with working("Loading TensorFlow"):
        import tensorflow as tf

        tf.config.list_physical_devices()  # where it complains if there is no GPU
    tf.get_logger().setLevel("ERROR")


@contextlib.contextmanager
def working(text: str) -> Iterator[None]:
    """Says what is being done while it is, and hides what C++ code writes meanwhile.

    File descriptor 2 goes elsewhere, since C++ knows nothing of `sys.stderr`.
    """
    on_screen = sys.stderr.isatty()
    if on_screen:
        click.echo(f"{text} ...", nl=False, err=True)
    sys.stderr.flush()
    screen = os.dup(2)
    try:
        with tempfile.TemporaryFile() as elsewhere:
            os.dup2(elsewhere.fileno(), 2)
            yield
    finally:
        os.dup2(screen, 2)
        os.close(screen)
        if on_screen:
            click.echo("\r\033[K", nl=False, err=True)


def progress() -> contextlib.AbstractContextManager:
    """Sends what Keras and TFDS print while they work to standard error: results go alone."""
    return contextlib.redirect_stdout(sys.stderr)


def with_changes(preset: "training.Preset", changes: Iterable[str]) -> "training.Preset":
    """Returns a preset with settings changed by texts such as "noise=0.3" or "units=500,250"."""
    values = {}
    for change in changes:
        name, _, text = change.partition("=")
        setting = preset.setting(name)
        values[setting.path] = read_value(name, text, setting.kinds)
    return preset.changed(**values)


def read_value(name: str, text: str, kinds: tuple[type, ...]) -> Any:
    """Reads a text as a value of one of some types; if None is all that is known, of any."""
    value = _literal(text)
    if type(value) is int and float in kinds and int not in kinds:
        value = float(value)
    if type(value) in kinds or kinds == (type(None),):
        return value
    if str in kinds:
        return value if type(value) is bool else text
    what = " or ".join(_KINDS.get(kind, "made in Python") for kind in kinds)
    raise ValueError(f"`--set {name}` must be {what}. Received: {name}={text!r}.")


def _literal(text: str) -> Any:
    """Returns what Python reads a text as, or the text itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def check_output(path: pathlib.Path, model: "keras.Model", output: str, task: str) -> None:
    """Raises unless the model at a path has `output`, that is, does `task`."""
    outputs = model.serving_endpoints()["serving_default"].outputs
    if output not in outputs:
        raise ValueError(
            f"`run` must be of a model that {task}. Received: {str(path)!r}, a "
            f"{type(model).__name__}, which gives {', '.join(outputs)}."
        )


def show(result: Any, as_json: bool, text: str) -> None:
    """Prints a result for machines, or `text` for people."""
    click.echo(json.dumps(result, indent=2, default=str) if as_json else text)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns rows of strings in columns, under a header."""
    rows = [header, *rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def regrouping(command: Callable) -> Callable:
    """Adds the options of verbs that may use a model otherwise than it was trained."""
    for option in (
        click.option("--iterations", type=int, help="Iterations.  [default: the run's]"),
        click.option("--num-groups", type=int, help="Groups to find.  [default: the run's]"),
    ):
        command = option(command)
    return command


def watched(items: Sequence) -> Iterable:
    """Yields items, with a bar on the screen if there are many."""
    if len(items) <= _FEW or not sys.stderr.isatty():
        yield from items
        return
    with click.progressbar(items, file=sys.stderr, label="Reading") as bar:
        yield from bar


def quoted(path: str | os.PathLike) -> str:
    """Returns a path as a shell takes it."""
    return shlex.quote(str(path))


def minded(sentences: Iterable[str]) -> str:
    """Returns warnings as they are printed, a line each."""
    return "".join(f"{wrapped(f'Mind: {sentence}')}\n" for sentence in sentences)


def wrapped(text: str, indent: str = "") -> str:
    """Returns a text in lines that a screen holds, all but the first indented; paths stay whole."""
    return textwrap.fill(
        text,
        _WIDTH,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def score(metric: str, value: float | None) -> str:
    """Returns a score with its name, or a dash."""
    if value is None:
        return "-"
    return f"{metric} {said(metric, value)}" if is_error(metric) else f"{metric} {value:.3f}"


def _sentence(error):
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}."
    text = " ".join(str(error).split())
    if isinstance(error, _EXPECTED) and text:
        return text
    return f"{type(error).__name__}: {text[:300]}; `tfbind --debug ...` shows where it comes from."
