"""The ladder network: MNIST with 100, 1000 and all labels, as in the paper's tables."""

import dataclasses
import functools

import keras

from tfbind import data, seeds
from tfbind._validation import check_integer, check_number
from tfbind.data import pipelines
from tfbind.models import LadderNetwork
from tfbind.training.presets._base import Preset, TrainingData

_PAPER = "Rasmus et al., Semi-Supervised Learning with Ladder Networks, arXiv:1507.02672"


@dataclasses.dataclass(frozen=True, kw_only=True)
class LadderNetworkPreset(Preset):
    """Settings of the ladder network on a data set with few labels kept.

    All training images are unlabelled examples, the labelled ones among them, as in the paper.

    Attributes:
        num_labels: Labels to keep, the same number of each class; or None for all.
        hidden_units: Widths of the hidden layers.
        denoising_weights: One a layer, from the input to the top.
        noise: One standard deviation a layer, from the input to the top.
        decay_start: The share of the epochs after which the learning rate falls, linearly, to 0
            at the end.
    """

    num_labels: int | None
    hidden_units: tuple = (1000, 500, 250, 250, 250)
    denoising_weights: tuple
    noise: tuple = (0.3,) * 7
    decay_start: float = 0.67
    dataset: str = "mnist"
    train_split: str = "train"
    learning_rate: float = 0.002
    max_epochs: int = 150
    metric: str = "error_percent"
    source: str = _PAPER

    def __post_init__(self):
        super().__post_init__()
        check_number("decay_start", self.decay_start, 0, 1)
        if self.num_labels is not None:
            check_integer("num_labels", self.num_labels, 1)

    def _load(self, split, data_dir):
        images, labels = data.load(self.dataset, split, data_dir, keys=("image", "label"))
        return (images * 255.0).round().astype("uint8"), labels

    def training_data(self, data_dir=None):
        images, labels = self._load(self.train_split, data_dir)
        kept = slice(None)
        if self.num_labels is not None:
            kept = pipelines.balanced_subset(labels, self.num_labels, self.seed)
        stream = functools.partial(
            pipelines.semi_supervised_epochs,
            images[kept],
            labels[kept],
            images,
            self.batch_size,
            self.seed,
        )
        test_images, test_labels = data.load(
            self.dataset, self.test_split, data_dir, keys=("image", "label")
        )
        return TrainingData(
            event_shape=images.shape[1:],
            stream=stream,
            # As in the paper nothing is chosen by it; it shows how the error falls.
            validation=({"image": test_images, "label": test_labels},),
        )

    def build(self, event_shape):
        keras.utils.set_random_seed(self.seed)
        model = LadderNetwork(
            event_shape,
            10,
            hidden_units=self.hidden_units,
            denoising_weights=self.denoising_weights,
            noise=self.noise,
            seed=seeds.base_seed(),
        )
        model.compile(keras.optimizers.Adam(self.learning_rate), jit_compile=True)
        return model

    def callbacks(self, model, data_dir=None):
        return (keras.callbacks.LearningRateScheduler(self._learning_rate_of),)

    def _learning_rate_of(self, epoch):
        left = (1.0 - epoch / self.max_epochs) / (1.0 - self.decay_start)
        return self.learning_rate * min(1.0, left)

    def finish(self, model, training_data):
        dataset, steps = training_data.stream(0)
        model.calibrate(dataset.take(steps))

    def evaluate(self, model, data_dir=None, num_starts=5, verbose=0):
        """Returns `error_percent`, of the test images that are classified wrongly."""
        images, labels = data.load(self.dataset, self.test_split, data_dir, keys=("image", "label"))
        scores = model.evaluate(
            {"image": images, "label": labels}, batch_size=500, return_dict=True, verbose=verbose
        )
        return {
            "error_percent": 100.0 * (1.0 - scores["accuracy"]),
            "cross_entropy": scores["loss"],
            "num_images": len(images),
        }


_FULL = LadderNetworkPreset(
    name="ladder-mnist-100",
    summary="Ladder network on MNIST with 100 labels",
    num_labels=100,
    denoising_weights=(1000.0, 10.0, 0.1, 0.1, 0.1, 0.1, 0.1),
    paper_score=1.06,
)

PRESETS = (
    _FULL,
    dataclasses.replace(
        _FULL,
        name="ladder-mnist-1000",
        summary="Ladder network on MNIST with 1000 labels",
        num_labels=1000,
        denoising_weights=(2000.0, 20.0, 0.1, 0.1, 0.1, 0.1, 0.1),
        noise=(0.3, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2),
        paper_score=0.84,
    ),
    dataclasses.replace(
        _FULL,
        name="ladder-mnist-all",
        summary="Ladder network on MNIST with all labels",
        num_labels=None,
        denoising_weights=(1000.0, 1.0, 0.01, 0.01, 0.01, 0.01, 0.01),
        paper_score=0.57,
    ),
    dataclasses.replace(
        _FULL,
        name="gamma-mnist-100",
        summary="Gamma model, a ladder with the top's cost only, on MNIST with 100 labels",
        denoising_weights=(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5),
        paper_score=3.06,
    ),
)
