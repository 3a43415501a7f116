"""From a run folder to one page of HTML that needs nothing else."""

import os
import pathlib
from collections.abc import Mapping
from typing import Any

import jinja2
import keras
import numpy as np

from tfbind import _files, _numbers, reading
from tfbind._catalogue import is_boxed
from tfbind.models._clustering import ClusteringModel
from tfbind.models._grouping import GroupingModel
from tfbind.reporting import clusters, columns, curves, embedded, groups, usage, wording
from tfbind.reporting.examples import Shown, shown_of
from tfbind.training import Run, located
from tfbind.training.folder import Path
from tfbind.training.source import Source

_BATCH = 250
_NAME = "report.html"
# The pictures that a run draws, and what they show; the map and the table of classes and clusters
# are drawn by the page itself.
_FIGURES = {
    "groups.png": "How the groups form, an image a row: the input, who has which pixel after each "
    "iteration, what each group expects, and the truth where it is known.",
    "likelihood.png": "How the log-likelihood grows with the iterations.",
    "num_groups.png": "The log-likelihood for each number of groups.",
    "num_clusters.png": "How well trainings agree for each number of clusters.",
    "components.png": "Examples that the model generates of each cluster, a row a cluster.",
    "reconstructions.png": "Images, and below each what the model makes of it.",
    "interpolations.png": "What lies between two images in the latent space.",
    "rounds.png": "How the pseudo-labels of the ensemble came about, round by round.",
    "classes.png": "What each output of the model decodes to, and the class it stands for.",
    "manifold.png": "What each output decodes to all over the space of latents.",
}


def report(
    run: Path,
    path: str | os.PathLike | None = None,
    data_dir: str | None = None,
    *,
    images: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    data: reading.OwnData | None = None,
) -> pathlib.Path:
    """Writes what came of a run as one page of HTML that needs no other file.

    It shows what the data is, how the training went, what the model finds and how sure of it it
    is, what seems to be wrong, the scores of `evaluate` if the run has any, and how the model is
    used. Where the data is gone it shows the rest, and says so.

    Args:
        run: A finished `Run`, the path of one, or the name of a preset in the box.
        path: File to write, as a whole; None for `report.html` in the run folder, or where you
            are for a preset in the box.
        data_dir: Where TFDS keeps its data, or None for TFDS' default.
        images: Images to show instead of the run's, as `training.train` takes them.
        labels: Their labels, likewise.
        data: The run's own files, where they have been read already.

    Returns:
        The path of the page.

    Raises:
        ValueError: As `tfbind.load` does.

    Example:

    >>> preset = tfbind.training.presets.get("rc-tiny").changed(max_epochs=1, patience=None)
    >>> images = (np.random.default_rng(0).random((50, 8, 8, 1)) > 0.5).astype("float32")
    >>> folder = tempfile.mkdtemp() + "/run"
    >>> model = tfbind.training.train(preset, folder, images=images, verbose=0)
    >>> tfbind.reporting.report(folder, images=images).name
    'report.html'
    """
    run = Run(located(run))
    model = run.load()
    shown, missing = _examples(run, data_dir, images, labels, data)
    section = None if shown is None else _section(run, model, shown)
    page = _template().render(
        run=run,
        preset=run.preset,
        model=model,
        kind=_kind(model),
        notes=run.metrics,
        data=wording.data_lines(run, None if shown is None else shown.own),
        missing=missing,
        shown=shown,
        section=section,
        verdict=wording.verdict([x["sentence"] for x in run.metrics["diagnosis"]], section),
        panels=curves.panels_of([] if is_boxed(run.path) else run.history),
        scores=_scores(run),
        figures=_figures(run, model, shown),
        usage=usage.usage_of(run, model, None if shown is None else shown.own),
    )
    folder = pathlib.Path() if is_boxed(run.path) else run.path
    path = folder / _NAME if path is None else pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _files.replacing(path) as partial:
        partial.write_text(page, "utf-8")
    return path


def _examples(
    run: Run,
    data_dir: str | None,
    images: np.ndarray | None,
    labels: np.ndarray | None,
    data: reading.OwnData | None,
) -> tuple[Shown | None, str | None]:
    """Returns the examples of a report, or why there are none."""
    try:
        source = run.source(data_dir, images, labels) if data is None else _of_own(run, data)
        return shown_of(run, source), None
    except (ValueError, OSError) as error:
        return None, " ".join(str(error).split())


def _of_own(run: Run, data: reading.OwnData) -> Source:
    return Source(run.preset.task, None, None, data)


def _kind(model: keras.Model) -> str:
    """Returns what a model finds: "groups", "clusters" or "classes"."""
    if isinstance(model, GroupingModel):
        return "groups"
    return "clusters" if isinstance(model, ClusteringModel) else "classes"


def _section(run: Run, model: keras.Model, shown: Shown) -> Mapping[str, Any] | None:
    outputs = model.predict(shown.examples.image, batch_size=_BATCH, verbose=0)
    if "assignments" in outputs:
        return groups.section(model, outputs, shown)
    return clusters.section(model, outputs, shown, run.preset.seed)


def _scores(run: Run) -> list[dict[str, str]]:
    """Returns what `evaluate` noted, as the command line says it, beside the paper's number."""
    preset, scores = run.preset, run.metrics.get("test", {})
    rows = _numbers.beside_paper(scores, preset.task.METRIC, preset.paper.score)
    return [dict(zip(("name", "here", "paper"), row, strict=True)) for row in rows]


def _figures(run: Run, model: keras.Model, shown: Shown | None) -> list[dict[str, str]]:
    """Returns the pictures that are in the run folder; draws them if none are."""
    found = {name: run.path / name for name in _FIGURES if (run.path / name).exists()}
    if found or shown is None:
        uris = {name: embedded.file_uri(path) for name, path in found.items()}
    else:
        drawn = run.preset.task.figures(model, shown.examples, run.preset.seed)
        uris = {
            name: embedded.figure_uri(figure) for name, figure in drawn.items() if name in _FIGURES
        }
    return [{"uri": uri, "says": _FIGURES[name]} for name, uri in uris.items()]


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tfbind.reporting"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = columns.number
    return environment.get_template("page.html")
