"""What the verbs of the command line share: errors, a quiet TensorFlow, tables, progress."""

import ast
import contextlib
import dataclasses
import json
import os
import sys
import tempfile
import types
import typing

import click

from tfbind._validation import check_choice

# Without it TensorFlow fills the screen with notes on the machine.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# What a preset says about itself rather than about the training.
_LABELS = ("name", "summary", "metric", "paper_score", "source")

# What `--set` calls the types of settings.
_KINDS = {
    int: "an integer",
    float: "a number",
    bool: "True or False",
    tuple: "values with commas between them",
    type(None): "None",
}

_EXPECTED = (ValueError, TypeError, OSError, ImportError, RuntimeError)


class Verbs(click.Group):
    """A command whose verbs end in one plain sentence and exit status 1 if something is wrong."""

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except click.ClickException as error:
            raise click.ClickException(error.format_message()) from error
        except Exception as error:
            if ctx.params["debug"]:
                raise
            raise click.ClickException(_sentence(error)) from error


def load_tensorflow():
    """Imports TensorFlow and keeps it from commenting on its own use."""
    if "tensorflow" in sys.modules:
        return
    with working("Loading TensorFlow"):
        import tensorflow as tf

        tf.config.list_physical_devices()  # where it complains if there is no GPU
    tf.get_logger().setLevel("ERROR")


@contextlib.contextmanager
def working(text):
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


def progress():
    """Sends what Keras and TFDS print while they work to standard error: results go alone."""
    return contextlib.redirect_stdout(sys.stderr)


def with_changes(preset, changes):
    """Returns a preset with settings changed by texts such as "noise=0.3" or "units=500,250"."""
    fields = {field.name: field for field in dataclasses.fields(preset)}
    names = [name for name in fields if name not in _LABELS]
    values = {}
    for change in changes:
        name, _, text = change.partition("=")
        check_choice("--set", name, names)
        values[name] = _value(name, text, fields[name].type)
    return dataclasses.replace(preset, **values)


def _value(name, text, kind):
    """Reads a text as a value of a type or of one of a union of types."""
    kinds = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    kinds = [typing.get_origin(kind) or kind for kind in kinds]  # tuple, of tuple[int, ...]
    with contextlib.suppress(ValueError, SyntaxError):
        value = ast.literal_eval(text)
        value = float(value) if type(value) is int and int not in kinds else value
        if type(value) in kinds:
            return value
    if str in kinds:
        return text
    what = " or ".join(_KINDS[kind] for kind in kinds)
    raise ValueError(f"`--set {name}` must be {what}. Received: {name}={text!r}.")


def check_output(run, model, output, task):
    """Raises unless a run's model has `output`, that is, does `task`."""
    outputs = model.serving_endpoints()["serving_default"].outputs
    if output not in outputs:
        raise ValueError(
            f"`run` must be of a model that {task}. Received: {str(run)!r}, a "
            f"{type(model).__name__}, which gives {', '.join(outputs)}."
        )


def show(result, as_json, text):
    """Prints a result for machines, or `text` for people."""
    click.echo(json.dumps(result, indent=2, default=str) if as_json else text)


def table(header, rows):
    """Returns rows of strings in columns, under a header."""
    rows = [header, *rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _sentence(error):
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}."
    text = " ".join(str(error).split())
    if isinstance(error, _EXPECTED) and text:
        return text
    return f"{type(error).__name__}: {text[:300]}; `tfbind --debug ...` shows where it comes from."
