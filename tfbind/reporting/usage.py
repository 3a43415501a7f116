"""How the model of a run is used, in lines that can be pasted: Python, a command, curl."""

import json
import shlex
from typing import Any, NamedTuple

import keras

from tfbind import _catalogue, reading
from tfbind.models._grouping import GroupingModel
from tfbind.training import Run

_PORT = 8501


class Usage(NamedTuple):
    """Lines to paste; `serve` starts the server that `curl` asks."""

    python: str
    command: str
    serve: str
    curl: str


def usage_of(run: Run, model: keras.Model, own: reading.OwnData | None) -> Usage:
    """Returns how the model of a run is used, on the run's own files if it has any.

    Args:
        run: A finished run.
        model: Its model.
        own: Its own data, if that could be read.
    """
    groups = isinstance(model, GroupingModel)
    path, files = _path(run), _files(run, model)
    verb, out = ("group", "groups") if groups else ("cluster", "labels.csv")
    return Usage(
        python=_python(run, model, groups),
        command=f"tfbind {verb} {shlex.quote(path)} {shlex.quote(files)} --out {out}",
        serve=f"tfbind serve {shlex.quote(path)}",
        curl=_curl(run, model, own),
    )


def _path(run: Run) -> str:
    return run.path.name if _catalogue.is_boxed(run.path) else str(run.path)


def _files(run: Run, model: keras.Model) -> str:
    if run.preparation is not None:
        return (run.given or {})["data"]
    return "YOUR.png" if _takes_pictures(model) else "YOUR.npy"


def _takes_pictures(model: keras.Model) -> bool:
    return len(model.event_shape) == 3 and model.event_shape[-1] in (1, 3)


def _python(run: Run, model: keras.Model, groups: bool) -> str:
    lines = ["import tfbind", _run(run)]
    if run.preparation is not None:
        given = run.given or {}
        arguments = [repr(given["data"]), _options(given), "preparation=run.preparation"]
        lines.append(f"images = tfbind.reading.read_data({', '.join(arguments)}).array")
    elif run.given is None:
        lines.append("images = run.source().test().image[:100]")
    else:
        lines.append(f"images = ...  # float32, [n, {', '.join(map(str, model.event_shape))}]")
    output = 'predict(images)["assignments"]' if groups else "predict(images)"
    found = output if groups else f'{output}["probabilities"].argmax(axis=1)'
    return "\n".join([*lines, f"print(run.load().{found})"])


def _run(run: Run) -> str:
    path = repr(_path(run))
    located = f"tfbind.training.located({path})" if _catalogue.is_boxed(run.path) else path
    return f"run = tfbind.training.Run({located})"


def _options(given: Any) -> str:
    """Returns what files are read by that their preparation does not say."""
    told = reading.Options.from_json(given["options"])
    named = {"labels": told.labels, "text": told.text, "ground": told.ground, "white": told.white}
    text = ", ".join(f"{name}={value!r}" for name, value in named.items() if value is not None)
    return f"None, tfbind.reading.Options({text})" if text else "None"


def _curl(run: Run, model: keras.Model, own: reading.OwnData | None) -> str:
    url = f"http://localhost:{_PORT}/v1/models/{run.preset.name}:predict"
    if _takes_pictures(model) and not isinstance(run.preparation, reading.Arrays):
        file = str(own.origins[0][0]) if own is not None and own.origins else "YOUR.png"
        body = _body("serving_default_image_bytes", {"image_bytes": [{"b64": "FILE"}]})
        before, after = body.split("FILE")
        printed = f"printf %s {shlex.quote(before)}; base64 < {shlex.quote(file)} | tr -d '\\n'"
        return f"({printed}; printf %s {shlex.quote(after)}) |\n  curl -d @- {url}"
    if isinstance(run.preparation, reading.Rows):
        return f"curl -d {shlex.quote(_body('from_row', _row(run.preparation)))} \\\n  {url}"
    if isinstance(run.preparation, reading.Texts):
        text = own.texts[0].strip().splitlines()[0] if own is not None else "YOUR TEXT"
        return f"curl -d {shlex.quote(_body('from_text', {'text': [text]}))} \\\n  {url}"
    return _of_values(run, model, url)


def _row(preparation: reading.Rows) -> dict[str, Any]:
    """Returns a row as the server takes it: of average numbers, and the first kind of each text."""
    row: dict[str, Any] = {}
    if preparation.numbers:
        row["numbers"] = [[float(f"{column.fill:.4g}") for column in preparation.numbers]]
    if preparation.kinds:
        row["kinds"] = [[column.kinds[0] for column in preparation.kinds]]
    return row


def _of_values(run: Run, model: keras.Model, url: str) -> str:
    """Returns a call for values too many to be typed: Python reads the first of a .npy file."""
    plain = reading.Arrays(shape=tuple(model.event_shape))
    is_plain = run.preparation in (None, plain)
    signature, key = ("serving_default", "image") if is_plain else ("from_values", "values")
    shape = ", ".join(map(str, (-1, *model.event_shape)))
    given = (run.given or {}).get("data", "")
    file = given if given.endswith(".npy") else "YOUR.npy"
    code = (
        f"import json, numpy; x = numpy.load({file!r}).reshape({shape})[:1].tolist(); "
        f'print(json.dumps({{"signature_name": "{signature}", "inputs": {{"{key}": x}}}}))'
    )
    return f"python -c {shlex.quote(code)} |\n  curl -d @- {url}"


def _body(signature: str, inputs: dict[str, Any]) -> str:
    return json.dumps({"signature_name": signature, "inputs": inputs})
