"""What the presets of models that group pixels share: their data and their scores."""

import dataclasses

import keras
import numpy as np

from tfbind import data, metrics
from tfbind._validation import check_integer
from tfbind.training.presets._base import Preset

_TEST_BATCH = 250


@dataclasses.dataclass(frozen=True, kw_only=True)
class GroupingPreset(Preset):
    """Settings of a model that groups pixels.

    Attributes:
        num_groups: K.
    """

    metric: str = "ami"
    num_groups: int

    def __post_init__(self):
        super().__post_init__()
        check_integer("num_groups", self.num_groups, 2)

    def evaluate(self, model, data_dir=None, num_starts=5, verbose=0):
        """Returns what `score` finds on the test data, and of how many images and starts."""
        images, groups = data.load(self.dataset, self.test_split, data_dir)
        scores = self.score(model, images, groups, num_starts, verbose)
        return {**scores, "num_images": len(images), "num_starts": num_starts}

    def score(self, model, images, groups, num_starts=5, verbose=0):
        """Scores `num_starts` runs from fresh starting assignments, drawn for every image.

        Returns:
            A dict: `ami` (normaliser "max", as in the papers), `ami_arithmetic`, `ari`,
            `confidence`, `log_likelihood` (nats per image), each the mean over starts of the mean
            over images; `ami_standard_error`, that of the mean over images.
        """
        num_starts = check_integer("num_starts", num_starts, 1)
        bar = keras.utils.Progbar(num_starts, unit_name="start", verbose=verbose)
        bar.update(0)
        starts = []
        for start in range(1, num_starts + 1):
            starts.append(self._score_start(model, images, groups, self.seed + 1000 * start))
            bar.update(start)
        per_image = {name: np.mean([row[name] for row in starts], axis=0) for name in starts[0]}
        scores = {name: float(np.nanmean(values)) for name, values in per_image.items()}
        spread = np.nanstd(per_image["ami"]) / np.sqrt(np.isfinite(per_image["ami"]).sum())
        return {**scores, "ami_standard_error": float(spread)}

    def _score_start(self, model, images, groups, seed):
        """Returns a dict of scores per image, NaN where an image has no pixel to score."""
        assignments, log_likelihood = self._group(model, images, seed)
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

    def _group(self, model, images, seed):
        """Returns assignments `[n, K, H, W]` and log-likelihoods `[n]` from starts of `seed`."""
        start = model.initial_assignments(len(images), seed)
        outputs = model.predict(
            {"image": images, "initial_assignments": start}, batch_size=_TEST_BATCH, verbose=0
        )
        return outputs["assignments"], outputs["log_likelihood"]
