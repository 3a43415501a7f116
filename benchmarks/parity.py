"""How far apart the answers of a model are, runtime by runtime, as docs/parity.md.

    python -m benchmarks.parity [--models NAME ...] [--runtimes NAME ...]

What is found goes into benchmarks/parity.json too, cell by cell, and the document is of all that is
there: a new runtime, or a model that has changed, is a short run.

The models are those of tests/conformance/registry.py, made small from a seed, and two presets with
their weights in the box. All runtimes get the same three rows for every endpoint. A cell is the
largest difference from Keras in graph mode over all endpoints and outputs, relative to the largest
magnitude of the output, or to 1 if that is more. `benchmarks/_runtimes.py` says how to add one.
"""

import argparse
import json
import os
import pathlib
import platform
import sys
import time

import keras

from benchmarks import _measure
from benchmarks._runtimes import REDUCED, RUNTIMES, Subject, graph_mode
from tfbind import _files, export, training
from tfbind.export import _answers

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_PRESETS = ("rc-shapes", "sela-mnist")
_SEED = 1
_ROWS = 3
_CALIBRATION = 100
_BOUND = 1e-4
_ALL = {**RUNTIMES, **REDUCED}

_HEAD = """\
# The same number everywhere

Written by `python -m benchmarks.parity`, in {date}, on {machine}.

Each cell is the largest difference between a runtime's answers and those of Keras in graph mode,
on the same three rows, over all endpoints and outputs of the model, relative to the largest
magnitude of the output, or to 1 if that is more. Cells over {bound:.0e} are **bold**. OpenVINO is
asked for `serving_default` alone. The models are the public ones, made small from a seed and not
trained, and presets with trained weights on their test images.

Of real images not every row stays under 1e-04: the iterations of Reconstruction Clustering magnify
the rounding of a last digit, and a change of 1e-06 in the pixels can regroup an image of `rc-bars`
altogether. XLA against graph mode, 64 test images, `log_likelihood`: 7e-07 after one iteration,
1e-05 after five, 1.4e-03 after ten; of `rc-shapes` 2.4e-04. In the assignments it is 2e-03 and
2e-04. Another order of the sums does not help. So a card states the tolerance of each output, from
inputs changed by a few roundings, and `tfbind check` holds the file to that.

In Chromium, by LiteRT's WebAssembly, masks of `rc-shapes` are within 2.2e-05 of Keras', and
probabilities of `sela-mnist` within 1e-12; tests/serving/test_page.py asks for 1e-04.

## In float32

"""
_REDUCED_HEAD = """
## With fewer bits

What that costs in a model's own score is for `tfbind bench-artifact RUN` to say: a difference on
made-up rows in an untrained model says little about it. `dynamic` leaves layers of fewer than 1024
weights as they are, most of those here.

"""


def main(arguments=None):
    """Writes the document, anew after each model."""
    options = _parse(arguments)
    makers = _subjects()
    found = json.loads(options.cells.read_text()) if options.cells.exists() else {}
    for name in options.models or makers:
        cells = measured(makers[name](), name, options.runtimes or _ALL)
        found[name] = {**found.get(name, {}), **cells}
        _write(options.cells, json.dumps(found, indent=1) + "\n")
        _write(options.out, document({name: found[name] for name in makers if name in found}))
    print(f"Wrote {options.out}")


def _parse(arguments):
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parity")
    parser.add_argument("--models", nargs="+", choices=list(_subjects()), help="these alone")
    parser.add_argument("--runtimes", nargs="+", choices=list(_ALL), help="these alone")
    parser.add_argument("--out", type=pathlib.Path, default=_ROOT / "docs" / "parity.md")
    parser.add_argument("--cells", type=pathlib.Path, default=_ROOT / "benchmarks" / "parity.json")
    return parser.parse_args(arguments)


def _write(path, text):
    with _files.replacing(path) as partial:
        partial.write_text(text)


def _subjects():
    """Returns name -> function that makes a `Subject`."""
    sys.path.insert(0, str(_ROOT))
    from tests.conformance.registry import REGISTRY

    makers = {entry.name: lambda entry=entry: _small(entry) for entry in REGISTRY}
    makers.pop("SoftMeans")  # the example of a model of one's own
    return {**makers, **{name: lambda name=name: _boxed(name) for name in _PRESETS}}


def _small(entry):
    keras.utils.set_random_seed(_SEED)
    model = entry.make(entry.event_shapes[0])
    return Subject(model, lambda card: export.sample_inputs(card, _ROWS), {})


def _boxed(name):
    run = training.Run(training.located(name))
    source = run.source()
    images = source.test().image[:_ROWS]
    measured_on = source.training().take(slice(_CALIBRATION)).floats().image

    def inputs(card):
        drawn = export.sample_inputs(card, _ROWS)
        return {**drawn, "image": images} if "image" in drawn else drawn

    return Subject(run.load(), inputs, {"image": measured_on})


def measured(subject, name, runtimes):
    """Returns runtime -> the largest difference of one model, or the sentence why there is none."""
    cells = {}
    with subject.stack:
        truth = graph_mode(subject)
        expected = {key: truth(key, inputs) for key, inputs in subject.inputs.items()}
        for title in runtimes:
            start = time.monotonic()
            cells[title] = cell(subject, _ALL[title], expected)
            _measure.progress(f"{name}: {title} {cells[title]} {time.monotonic() - start:.0f} s")
    return cells


def cell(subject, runtime, expected):
    """Returns the largest difference of one model in one runtime, or the sentence why not."""
    try:
        answer = runtime.make(subject)
        return max(
            difference(answer(name, subject.inputs[name]), expected[name])
            for name in runtime.endpoints or subject.inputs
        )
    except (ImportError, RuntimeError, ValueError) as error:
        return " ".join(str(error).split())


def difference(answers, expected):
    """Returns the largest difference over all outputs, relative to the larger of 1 and theirs."""
    if answers.keys() != expected.keys():
        raise ValueError(f"It gives {sorted(answers)} for {sorted(expected)}.")
    return max(_answers.difference(answers[key], array) for key, array in expected.items())


def document(found):
    """Returns the text of docs/parity.md; `found` is model -> runtime -> number or sentence."""
    notes = []
    machine = f"{platform.machine()} with {os.cpu_count()} cores"
    head = _HEAD.format(date=time.strftime("%Y-%m"), machine=machine, bound=_BOUND)
    parts = [head, *_table(found, RUNTIMES, notes), _REDUCED_HEAD, *_table(found, REDUCED, notes)]
    parts += [f"\n[^{number}]: {note}\n" for number, note in enumerate(notes, start=1)]
    return "".join(parts)


def _table(found, runtimes, notes):
    """Yields the lines of a table, a row a model; what cannot be goes into `notes`."""
    yield f"| | {' | '.join(runtimes)} |\n"
    yield "|---" * (len(runtimes) + 1) + "|\n"
    for name, cells in found.items():
        yield f"| `{name}` | {' | '.join(_said(cells.get(title), notes) for title in runtimes)} |\n"


def _said(value, notes):
    if value is None:
        return "not yet"
    if value == 0:
        return "0"
    if isinstance(value, float):
        return f"**{value:.0e}**" if not value <= _BOUND else f"{value:.0e}"
    if value not in notes:
        notes.append(value)
    return f"[^{notes.index(value) + 1}]"


if __name__ == "__main__":
    main()
