"""The verb that compares the artefacts of a model, a thin command of `tfbind.cli`."""

import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from tfbind import _console, _export_verbs, _numbers

if TYPE_CHECKING:
    import numpy as np

    from tfbind import _models
    from tfbind.training.tasks import Examples, Task

_ROUNDS = 30  # of calls that are timed


class _Artifact(NamedTuple):
    """What is compared: a file, its size, and what runs it; a sentence where there is none."""

    name: str
    size: int = 0
    runner: Callable[[str, dict[str, "np.ndarray"]], dict[str, "np.ndarray"]] | None = None
    refusal: str = ""


@click.command()
@_console.run
@click.option("--images", default=200, show_default=True, help="Test images to score on.")
@_console.data_dir
@_console.as_json
def bench_artifact(run: pathlib.Path, images: int, data_dir: str | None, as_json: bool) -> None:
    """Compare the SavedModel, TFLite and ONNX files of a RUN or a preset in the box.

    For each the size, the time of one row, one after the other in turns, the largest difference
    from the SavedModel, and the score on the first of the run's test images. Nothing stays. Of a
    Keras file, which has no data, there is no score.
    """
    from tfbind._validation import check_integer  # which loads NumPy

    check_integer("images", images, 1)
    _console.load_tensorflow()
    from tfbind import _models

    loaded = _models.load(run)
    task, examples = _examples(run, loaded, images, data_dir)
    measured = _export_verbs.calibration(run, data_dir)
    with tempfile.TemporaryDirectory() as folder:
        made = list(_made(loaded, pathlib.Path(folder), measured))
        with _console.working("Running them"):
            rows = _compared(made, task, examples)
    _console.show(rows, as_json, _told(rows))


def _examples(run, loaded, images, data_dir):
    """Returns the task and the first of its test examples; made-up ones and None of a file."""
    from tfbind import export, training
    from tfbind.training.loading import is_file
    from tfbind.training.tasks import Examples

    path = training.located(run)
    if is_file(path):
        endpoint = export.build_card(loaded.model)["endpoints"]["serving_default"]
        return None, Examples(export.sample_inputs(endpoint, images)["image"])
    folder = training.Run(path)
    with _console.progress():
        return folder.preset.task, folder.source(data_dir).test().take(slice(images))


def _made(
    loaded: "_models.Loaded", folder: pathlib.Path, measured: dict[str, Any]
) -> Iterator[_Artifact]:
    from tfbind import export
    from tfbind.export._layout import folder_size

    with _console.working("Writing the SavedModel"):
        version = pathlib.Path(export.export_saved_model(loaded.model, folder / "saved_model"))
    size = folder_size(version)
    yield _Artifact("SavedModel", size, export.SavedModelRunner(version))
    for quantize in _export_verbs.PRECISIONS:
        yield _attempt(
            "TFLite float32" if quantize == "none" else f"TFLite {quantize}",
            folder / f"{quantize}.tflite",
            lambda path, quantize=quantize: export.export_tflite(
                loaded.model, path, quantize, calibration=measured
            ),
            export.TFLiteRunner,
        )
    yield _attempt(
        "ONNX float32",
        folder / "model.onnx",
        lambda path: export.export_onnx(loaded.model, path),
        export.OnnxRunner,
    )


def _attempt(name, path, write, load):
    """Writes a file; where it cannot be, or its runtime is not installed, says so."""
    try:
        with _console.working(f"Writing {name}"):
            return _Artifact(name, write(path)["bytes"], load(path))
    except (ImportError, ValueError) as error:
        return _Artifact(name, refusal=str(error))


def _compared(
    made: list[_Artifact], task: "Task | None", examples: "Examples"
) -> list[dict[str, Any]]:
    """Returns a row an artefact."""
    from tfbind.export._answers import difference

    running = [each for each in made if each.runner is not None]
    milliseconds = _timed(running, {"image": examples.image[:1]})
    answers = {each.name: _answers(each, examples) for each in running}
    expected = answers[running[0].name]
    return [
        {
            "artifact": each.name,
            "bytes": each.size,
            "milliseconds": milliseconds[each.name],
            "times_saved_model": milliseconds[each.name] / milliseconds[running[0].name],
            "difference": max(
                difference(answers[each.name][name], array) for name, array in expected.items()
            ),
            "score": None if task is None else _score(task, answers[each.name], examples),
            "metric": None if task is None else task.METRIC,
        }
        if each.runner is not None
        else {"artifact": each.name, "refusal": each.refusal}
        for each in made
    ]


def _timed(running, inputs):
    """Returns the median milliseconds of one call of each, in turns."""
    times: dict[str, list[float]] = {each.name: [] for each in running}
    for _ in range(_ROUNDS):
        for each in running:
            each.runner("serving_default", inputs)  # fills the caches with its own
            start = time.perf_counter()
            each.runner("serving_default", inputs)
            times[each.name].append(1000 * (time.perf_counter() - start))
    return {name: statistics.median(each) for name, each in times.items()}


def _answers(artifact, examples):
    from tfbind.export._runner import one_by_one

    return one_by_one(artifact.runner, "serving_default", {"image": examples.image})


def _score(task, answers, examples):
    """Returns the task's score of answers, None where it takes more than these."""
    import numpy as np

    from tfbind import metrics
    from tfbind.training.tasks import Clustering, FewLabels, Grouping

    if isinstance(task, Grouping):
        masks = answers["assignments"]
        compared = (examples.groups, masks.argmax(axis=1), int(examples.groups.max()))
        ami = metrics.adjusted_mutual_information(*compared, masks.shape[1])
        return float(np.nanmean(ami.numpy()))
    if isinstance(task, Clustering):
        clusters = answers["probabilities"].argmax(axis=1)
        return 1.0 - float(metrics.clustering_accuracy(examples.label, clusters))
    if type(task) is FewLabels:
        return float(np.mean(answers["probabilities"].argmax(axis=1) != examples.label))
    return None


def _told(rows):
    metric = next((row["metric"] for row in rows if row.get("metric")), "score")
    lines = [_line(row) for row in rows]
    header = ("artefact", "size", "one row", "of SavedModel", "difference", metric)
    notes = [f"{row['artifact']}: {row['refusal']}" for row in rows if "refusal" in row]
    return "\n".join([_console.table(header, lines), *map(_console.wrapped, notes)])


def _line(row):
    if "refusal" in row:
        return (row["artifact"], "-", "-", "-", "-", "-")
    return (
        row["artifact"],
        f"{row['bytes'] / 1e6:.2f} MB",
        f"{row['milliseconds']:.2f} ms",
        f"{row['times_saved_model']:.2f}",
        f"{row['difference']:.1e}",
        _numbers.said(row["metric"] or "", row["score"]),
    )
