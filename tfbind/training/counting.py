"""How many groups or clusters there are in a person's data, where he leaves it to us."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from tfbind import labeling
from tfbind._stored import SCORED, Stored
from tfbind.training.diagnosis import diagnose
from tfbind.training.folder import Path, Run
from tfbind.training.num_clusters import select_num_clusters
from tfbind.training.preset import Preset
from tfbind.training.selection import regroup, select_num_groups

_CLUSTERS = range(2, 13)
_TRAININGS = 3  # that have to agree on a number of clusters
_STEPS = 600  # of each of them, about
_PICTURES = 300  # that choose the number of groups


def count_by_mixture(rows: np.ndarray, candidates: Iterable[int] = _CLUSTERS) -> int:
    """Counts the clusters of vectors by the mixture of Gaussians that explains them best.

    Use it for rows of tables. It takes seconds, and needs clusters that are about as round as
    Gaussians are.

    Args:
        rows: float32 `[n, D]`.
        candidates: Integers >= 2.

    Returns:
        K with the lowest Bayesian information criterion.

    Example:

    >>> random = np.random.default_rng(0)
    >>> rows = np.concatenate([random.normal(c, 0.1, (n, 2)) for c, n in ((0, 60), (3, 30))])
    >>> tfbind.training.count_by_mixture(rows)
    2

    References:
        Fraley, Raftery. Model-Based Clustering, Discriminant Analysis, and Density Estimation.
        Journal of the American Statistical Association 97, 2002.
    """
    criteria = {k: labeling.fit_mixture(rows, k).bic(rows) for k in candidates}
    return min(criteria, key=lambda k: criteria[k])


def with_num_clusters(preset: Preset, examples: Any, verbose: int = 0) -> Preset:
    """Returns a preset with as many clusters as own examples seem to have.

    Vectors are counted by `count_by_mixture`, images by how well short trainings agree, see
    `select_num_clusters`.

    Args:
        preset: One with a setting `num_clusters`.
        examples: float32 `[n, *event_shape]`, prepared; of those that stay on the disk the first
            10,000 count.
        verbose: 1 for a progress bar, 0 for none.

    Raises:
        ValueError: If the preset has no clusters to count.
    """
    preset.setting("num_clusters")
    if isinstance(examples, Stored):
        examples = np.asarray(examples[:SCORED])
    if examples.ndim > 2:
        return preset.changed(num_clusters=_agreed(preset, examples, verbose))
    return preset.changed(num_clusters=count_by_mixture(examples))


def choose_num_groups(run: Path, data_dir: str | None = None, verbose: int = 0) -> int:
    """Gives a finished run's model the number of groups that explains its pictures best.

    Args:
        run: A `Run`, or the path of one, of a model that groups.
        data_dir: Where TFDS keeps its data, or None for TFDS' default.
        verbose: 1 for a progress bar, 0 for none.

    Returns:
        The number of groups K; `num_groups` in the run's `metrics.json` has those tried.

    Raises:
        ValueError: If the model does not group, or its groups cannot be more or fewer.
    """
    run = Run(run)
    model, examples = run.load(), run.source(data_dir).training()
    images = examples.take(slice(_PICTURES)).floats().image
    found = select_num_groups(model, images, verbose=verbose)
    model = regroup(model, num_groups=found.best)
    doubts = [finding._asdict() for finding in diagnose(model, images)]
    run.keep(model, {"num_groups": found._asdict(), "diagnosis": doubts})
    return found.best


def _agreed(preset: Preset, examples: np.ndarray, verbose: int) -> int:
    """Returns the number of clusters that short trainings of a preset agree on best."""

    def make_model(num_clusters, seed):
        return preset.changed(num_clusters=num_clusters, seed=seed).build(examples.shape[1:])

    steps = max(1, len(examples) // preset.batch_size)
    found = select_num_clusters(
        make_model,
        examples,
        _CLUSTERS,
        trainings=_TRAININGS,
        verbose=verbose,
        epochs=max(1, min(preset.max_epochs, _STEPS // steps)),
        batch_size=preset.batch_size,
    )
    return found.best
