"""The task of grouping: which pixels of an image belong together."""

import dataclasses
import functools
from typing import ClassVar

import keras
import numpy as np
from matplotlib.figure import Figure

from tfbind import metrics, plots
from tfbind._stored import Stored
from tfbind._validation import check_integer, check_number
from tfbind.data import pipelines
from tfbind.models import ReconstructionClustering, Tagger
from tfbind.training.callbacks import IterationScores
from tfbind.training.tasks.base import Examples, Task, TrainingData, truth

_TEST_BATCH = 250
_PICTURED = 6  # test images in the pictures of a run
_PICTURED_ITERATIONS = (0, 1, 2, 3, 5, 10, 20, 30)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grouping(Task):
    """Finds which pixels of an image belong together, without labels.

    What it calls labels are the true groups, which only the scores see.

    Attributes:
        validation: Share of the training images, the last of them, that validates; 0 for none.
        fixed_batches: Whether batches keep their composition, as in the code of Reconstruction
            Clustering, or images are shuffled.
        copies: Copies of each image that are learned from too, turned, mirrored and moved, where
            there are few images and things may be anywhere.
    """

    METRIC: ClassVar[str] = "ami"
    KEYS: ClassVar[tuple[str, ...]] = ("image", "groups")

    validation: float = 0.0
    fixed_batches: bool = False
    copies: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("validation", self.validation, 0, 0.99)
        check_integer("copies", self.copies, 0)

    def given(self, images: np.ndarray, labels: np.ndarray | None = None) -> Examples:
        examples = super().given(images, labels)
        return Examples(examples.image, groups=examples.label)

    def training_data(self, examples: Examples, batch_size: int, seed: int) -> TrainingData:
        images, validation = examples.image, None
        if self.validation:
            images, held_out = pipelines.split_validation(images, self.validation)
            validation = (Examples(held_out).floats().image,)
        if self.copies:
            if isinstance(images, Stored):
                raise ValueError(
                    "`copies` must be 0 for images that stay on the disk, of which there are many. "
                    f"Received: copies={self.copies}."
                )
            images = pipelines.with_moved_copies(images, self.copies, seed)
        make = pipelines.epochs if self.fixed_batches else pipelines.shuffled_epochs
        stream = functools.partial(make, images, batch_size, seed)
        return TrainingData(event_shape=images.shape[1:], stream=stream, validation=validation)

    def callbacks(
        self, model: keras.Model, watched: Examples | None, seed: int
    ) -> tuple[keras.callbacks.Callback, ...]:
        return iteration_scores(model, watched, seed)

    def score(
        self,
        model: keras.Model,
        examples: Examples,
        *,
        seed: int,
        num_starts: int = 5,
        verbose: int = 0,
    ) -> dict[str, float]:
        """Scores `num_starts` runs from fresh starting assignments, drawn for every image.

        Returns:
            A dict: `ami` (normaliser "max", as in the papers), `ami_arithmetic`, `ari`,
            `confidence`, `log_likelihood` (nats per image), each the mean over starts of the mean
            over images; `ami_standard_error`, that of the mean over images; and how many
            `num_images` and `num_starts` they are of.
        """
        truth(examples.groups, "the true groups")
        return score_groups(model, examples, seed, num_starts, verbose)

    def figures(self, model: keras.Model, examples: Examples, seed: int) -> dict[str, Figure]:
        return group_figures(model, examples)


def iteration_scores(
    model: keras.Model, watched: Examples | None, seed: int
) -> tuple[IterationScores, ...]:
    """Returns the callback that follows the groups of a `Tagger`, if there are any to follow."""
    if watched is None or not isinstance(model, Tagger):
        return ()
    return (IterationScores(watched.image, watched.groups, seed=seed),)


def score_groups(
    model: keras.Model, examples: Examples, seed: int, num_starts: int, verbose: int
) -> dict[str, float]:
    """Returns the scores of `Grouping`."""
    num_starts = check_integer("num_starts", num_starts, 1)
    bar = keras.utils.Progbar(num_starts, unit_name="start", verbose=verbose)
    bar.update(0)
    starts = []
    for start in range(1, num_starts + 1):
        starts.append(_score_start(model, examples, seed + 1000 * start))
        bar.update(start)
    per_image = {name: np.mean([row[name] for row in starts], axis=0) for name in starts[0]}
    scores = {name: float(np.nanmean(values)) for name, values in per_image.items()}
    spread = np.nanstd(per_image["ami"]) / np.sqrt(np.isfinite(per_image["ami"]).sum())
    counts = {"num_images": len(examples.image), "num_starts": num_starts}
    return {**scores, "ami_standard_error": float(spread), **counts}


def group_figures(model: keras.Model, examples: Examples) -> dict[str, Figure]:
    """Returns the pictures of how a few images are grouped."""
    images, _, groups = examples.take(slice(_PICTURED))
    trace = model.trace(images)
    if not isinstance(model, ReconstructionClustering):
        return {"groups.png": plots.groups_figure(images, trace, groups, whole=True)}
    return {
        "groups.png": plots.groups_figure(images, trace, groups, _PICTURED_ITERATIONS),
        "likelihood.png": plots.likelihood_figure(trace),
    }


def _score_start(model: keras.Model, examples: Examples, seed: int) -> dict[str, np.ndarray]:
    """Returns a dict of scores per image, NaN where an image has no pixel to score."""
    images, _, groups = examples
    assignments, log_likelihood = _likeliest(model, images, seed)
    compared = (groups, assignments.argmax(axis=1), int(groups.max()), model.num_groups)
    certainty = np.ma.masked_where(groups == 0, assignments.max(axis=1))
    return {
        "ami": metrics.adjusted_mutual_information(*compared).numpy(),
        "ami_arithmetic": metrics.adjusted_mutual_information(
            *compared, average_method="arithmetic"
        ).numpy(),
        "ari": metrics.adjusted_rand_index(*compared).numpy(),
        "confidence": certainty.reshape(len(images), -1).mean(axis=1).filled(np.nan),
        "log_likelihood": log_likelihood,
    }


def _likeliest(model: keras.Model, images: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns assignments and log-likelihoods from the likeliest of each image's starts."""
    num_starts = model.num_restarts if isinstance(model, ReconstructionClustering) else 1
    starts = [_group(model, images, seed + start) for start in range(num_starts)]
    assignments, likelihoods = map(np.stack, zip(*starts, strict=True))  # [R, n, ...]
    best = likelihoods.argmax(axis=0), np.arange(len(images))
    return assignments[best], likelihoods[best]


def _group(model: keras.Model, images: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns assignments `[n, K, H, W]` and log-likelihoods `[n]` from starts of `seed`."""
    start = model.initial_assignments(len(images), seed)
    outputs = model.predict(
        {"image": images, "initial_assignments": start}, batch_size=_TEST_BATCH, verbose=0
    )
    return outputs["assignments"], outputs["log_likelihood"]
