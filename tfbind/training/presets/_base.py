"""What every preset says and does, whatever its model."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

from tfbind import data
from tfbind._validation import check_choice, check_integer, check_number
from tfbind.layers.random_affine import RandomAffine


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class TrainingData:
    """What a training is fed.

    Attributes:
        event_shape: Shape of one example.
        stream: Initial epoch -> an endless `tf.data.Dataset` whose order depends on the seed and
            the epoch alone, as those of `tfbind.data.pipelines`; and the steps in an epoch.
        validation: The `validation_data` of `fit`, or None.
    """

    event_shape: tuple
    stream: Callable
    validation: Any = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preset:
    """What every preset says and does, whatever its model.

    A system has a subclass in a file of its own, with its settings as fields (numbers, strings,
    booleans, None, or tuples of them) and at least `training_data`, `build` and `evaluate`.

    Attributes:
        name: What the command line calls it.
        summary: One line for `tfbind list`.
        dataset: Name of a set of `tfbind.data`.
        train_split: TFDS split to train on.
        test_split: TFDS split to score on.
        learning_rate: Step size of the optimiser, the first one where it changes.
        batch_size: Examples a step.
        max_epochs: Upper limit of epochs.
        patience: Epochs without a better validation loss after which training stops and the best
            weights come back; or None to train all epochs and keep the last weights.
        seed: Seeds weights, noise and order.
        metric: The score's name.
        paper_score: The paper's value of it, or None.
        source: Where the settings and the score come from.
        binary_images: Whether the images are of zeros and ones, so that pictures get a threshold;
            not a field, but the system's own.
    """

    name: str
    summary: str
    dataset: str
    train_split: str
    test_split: str = "test"
    learning_rate: float
    batch_size: int = 100
    max_epochs: int
    patience: int | None = None
    seed: int = 1
    metric: str
    paper_score: float | None = None
    source: str

    binary_images = False

    def __post_init__(self):
        check_choice("dataset", self.dataset, data.NAMES)
        check_number("learning_rate", self.learning_rate, 0, open_low=True)
        for name in ("batch_size", "max_epochs"):
            check_integer(name, getattr(self, name), 1)
        if self.patience is not None:
            check_integer("patience", self.patience, 1)

    def training_data(self, data_dir=None):
        """Returns the `TrainingData`; with validation data if there is a `patience`."""
        raise NotImplementedError

    def build(self, event_shape):
        """Returns the compiled model for examples of `event_shape`, the same one every time."""
        raise NotImplementedError

    def callbacks(self, model, data_dir=None):
        """Returns Keras callbacks of its own; what they add to the logs is in `history.csv`."""
        return ()

    def finish(self, model, training_data):
        """Does to the trained model what remains, in place, before it is saved."""

    def evaluate(self, model, data_dir=None, num_starts=5, verbose=0):
        """Returns a dict of scores on the test data, `metric` among them.

        Args:
            model: The trained model.
            data_dir: Where TFDS keeps its data, or None for TFDS' default.
            num_starts: Integer >= 1, runs from fresh starts to average over, for models that
                start from noise.
            verbose: 0 for silence, 1 for a progress bar.
        """
        raise NotImplementedError

    def figures(self, model, data_dir=None):
        """Returns the pictures of a run: dict of file name to matplotlib figure."""
        return {}


def check_distortion(distortion):
    """Raises unless `distortion` is as long as the arguments of `RandomAffine`."""
    if len(distortion) != 4:
        raise ValueError(
            "`distortion` must be four numbers: rotation, scale, shear, shift. "
            f"Received: distortion={distortion!r}."
        )


def distortion_layer(preset):
    """Returns the layer that distorts images as a preset with a `distortion` says, or None."""
    return RandomAffine(*preset.distortion, seed=0) if any(preset.distortion) else None


SCHEDULES = ("constant", "cosine")


def scheduled(preset, epoch):
    """Returns the learning rate of an epoch, from 0 on, of a preset with a `schedule`."""
    if preset.schedule == "constant":
        return preset.learning_rate
    return preset.learning_rate * 0.5 * (1.0 + math.cos(math.pi * epoch / preset.max_epochs))
