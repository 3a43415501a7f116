"""Several runs of one preset, side by side: with other seeds, or other numbers of clusters."""

import csv
import io
import pathlib
from collections.abc import Iterable, Sequence

import numpy as np

from tfbind import _files
from tfbind._validation import check_integer
from tfbind.reading import OwnData
from tfbind.training.folder import Path, Run
from tfbind.training.num_clusters import NumClustersSelection, check_candidates, selection_of
from tfbind.training.preset import Preset
from tfbind.training.processes import side_by_side
from tfbind.training.run import evaluate, train
from tfbind.training.source import Source

_BATCH = 500  # of examples, when they are clustered


def train_seeds(
    preset: Preset,
    directory: Path,
    seeds: Sequence[int],
    data_dir: str | None = None,
    *,
    data: OwnData | None = None,
    processes: int = 1,
    verbose: int = 1,
) -> dict[int, dict[str, float]]:
    """Trains a preset with several seeds and scores each run on the preset's test data.

    The runs are in folders `seed-SEED`, and their scores in `seeds.csv` beside them. What was
    killed goes on where it was, if called again.

    Args:
        preset: A `Preset`, whose own seed is not used.
        directory: Path of a folder for the runs, made if missing.
        seeds: Different integers, one or more.
        data_dir: Where TFDS keeps its data, or None for TFDS' default.
        data: Files to train on and to score by instead, as `own_data` returns them; or None.
        processes: Integer >= 1, runs that are trained at once; see `processes.side_by_side`.
        verbose: As in `train`; with several processes 0 or 1.

    Returns:
        A dict from seed to its scores, a dict; see the `score` of the preset's task.

    Raises:
        ValueError: If `seeds` are none or not different, or as `train` does.
    """
    seeds = tuple(check_integer("seeds", seed, 0) for seed in seeds)
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(
            f"`seeds` must be different integers, one or more. Received: seeds={seeds}."
        )
    directory = pathlib.Path(directory)
    presets = [preset.changed(seed=seed) for seed in seeds]
    folders = [directory / f"seed-{seed}" for seed in seeds]
    found = _run_all(_train_and_score, presets, folders, (data_dir, data), processes, verbose)
    scores = dict(zip(seeds, found, strict=True))
    with _files.replacing(directory / "seeds.csv") as partial:
        partial.write_text(_table(scores))
    return scores


def mean_and_spread(scores: dict[int, dict[str, float]]) -> dict[str, tuple[float, float]]:
    """Returns the mean and the standard deviation, of n - 1, of every score over the seeds.

    Example:

    >>> from tfbind.training.several import mean_and_spread
    >>> mean_and_spread({1: {"error": 0.25}, 2: {"error": 0.25}})
    {'error': (0.25, 0.0)}
    """
    found = {}
    for name in next(iter(scores.values())):
        values = [each[name] for each in scores.values()]
        found[name] = (float(np.mean(values)), float(np.std(values, ddof=len(values) > 1)))
    return found


def select_preset_clusters(
    preset: Preset,
    directory: Path,
    candidates: Iterable[int] = range(2, 13),
    data_dir: str | None = None,
    *,
    images: np.ndarray | None = None,
    data: OwnData | None = None,
    trainings: int = 3,
    processes: int = 1,
    verbose: int = 1,
) -> NumClustersSelection:
    """Picks the number of clusters for a preset, as `select_num_clusters` does for a model.

    All trainings see all training images; they differ in their seeds. The runs are in folders
    `clusters-K/seed-SEED`. What was killed goes on where it was, if called again.

    Args:
        preset: A `Preset` with a setting `num_clusters`.
        directory: Path of a folder for the runs, made if missing.
        candidates: Two integers or more, each >= 2 and greater than the one before.
        data_dir: Where TFDS keeps its data, or None for TFDS' default.
        images: float32 `[n, *event_shape]` whose clusters are compared; None for the test images.
        data: Files to train on instead, as `own_data` returns them; or None.
        trainings: Integer >= 2, for each K.
        processes: Integer >= 1, runs that are trained at once; see `processes.side_by_side`.
        verbose: As in `train`; with several processes 0 or 1.

    Returns:
        A `NumClustersSelection`.

    Raises:
        ValueError: If an argument is out of its range, the preset has no clusters to count, or as
            `train` does.
    """
    candidates = check_candidates(candidates)
    trainings = check_integer("trainings", trainings, 2)
    _check_counts_clusters(preset)
    seeds = range(preset.seed, preset.seed + trainings)
    chosen = [(k, seed) for k in candidates for seed in seeds]
    presets = [preset.changed(num_clusters=k, seed=seed) for k, seed in chosen]
    folders = [pathlib.Path(directory) / f"clusters-{k}" / f"seed-{seed}" for k, seed in chosen]
    if images is None:
        images = Source(preset.task, data_dir, None, data).test().image
    found = _run_all(
        _train_and_cluster, presets, folders, (data_dir, data), processes, verbose, images
    )
    return selection_of(candidates, list(np.reshape(found, (len(candidates), trainings, -1))))


def _check_counts_clusters(preset: Preset) -> None:
    """Raises unless a preset has a setting `num_clusters`."""
    if "num_clusters" not in preset.settings():
        raise ValueError(
            "`preset` must be one of a model with `num_clusters`, which can be more or fewer. "
            f"Received: {preset.name!r}, of a `{preset.model.name}`."
        )


def _run_all(function, presets, folders, where, processes, verbose, *arguments):
    """Calls a function for each preset and its folder, side by side."""
    data_dir, own = where
    Source(presets[0].task, data_dir, None, own).training()  # made before several ask for it
    shown = verbose if processes == 1 else 0  # else lines of several would mix
    pairs = zip(presets, folders, strict=True)
    jobs = [(*pair, *where, shown, *arguments) for pair in pairs]
    return side_by_side(function, jobs, processes, verbose=verbose)


def _train_and_score(preset, folder, data_dir, data, verbose):
    train(preset, folder, data_dir, data=data, verbose=verbose)
    noted = Run(folder).metrics
    return noted["test"] if "test" in noted else evaluate(folder, data_dir)


def _train_and_cluster(preset, folder, data_dir, data, verbose, images):
    model = train(preset, folder, data_dir, data=data, verbose=verbose)
    return model.cluster(images, batch_size=_BATCH)


def _table(scores: dict[int, dict[str, float]]) -> str:
    table = io.StringIO()
    writer = csv.DictWriter(table, ["seed", *next(iter(scores.values()))])
    writer.writeheader()
    writer.writerows({"seed": seed, **each} for seed, each in scores.items())
    return table.getvalue()
