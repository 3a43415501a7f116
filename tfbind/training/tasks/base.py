"""What every task is and does."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import keras
import numpy as np
from matplotlib.figure import Figure

from tfbind import data
from tfbind._rows import is_sparse
from tfbind._stored import Stored
from tfbind._validation import check_choice


class Examples(NamedTuple):
    """Images and what is known of them; None for what is not.

    `image` is `[n, *event_shape]`, bytes (uint8) or float32, or a `Stored`; `label` int32 `[n]`, or
    `[n, G]` of G objects an image; `groups` int32 `[n, H, W]`, as `tfbind.data.load` gives them.
    """

    image: Any  # np.ndarray, or Stored where it is large
    label: Any = None
    groups: Any = None

    def take(self, rows: Any) -> "Examples":
        """Returns some of the examples, those of an index or a slice, in memory."""
        image, *known = self
        kept = (None if each is None else each[rows] for each in known)
        return Examples(np.asarray(image[rows]), *kept)

    def floats(self) -> "Examples":
        """Returns the examples with images as models take them, float32, bytes divided by 255."""
        if isinstance(self.image, Stored):
            return self
        scale = 255 if self.image.dtype == np.uint8 else 1
        return self._replace(image=self.image.astype("float32") / np.float32(scale))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class TrainingData:
    """What a training is fed.

    Attributes:
        event_shape: Shape of one example.
        stream: Initial epoch -> an endless `tf.data.Dataset` whose order depends on the seed and
            the epoch alone, as those of `tfbind.data.pipelines`; and the steps in an epoch. With
            `with_index=True` of dicts with row numbers, if there are `images`.
        images: The examples in the order of their row numbers, bytes or floats, for models that
            label them; None where the stream has no row numbers.
        labels: What is known of these, which only scores the labels that models make, or None.
        validation: The `validation_data` of `fit`, or None.
    """

    event_shape: tuple[int, ...]
    stream: Callable
    images: Any = None
    labels: np.ndarray | None = None
    validation: Any = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """What every task says and does.

    The examples it works on are those of a set of `tfbind.data`, or any others of their kind.

    Attributes:
        dataset: Name of a set of `tfbind.data`.
        train_split: TFDS split to train on.
        test_split: TFDS split to score on.
        watched_split: TFDS split of examples whose scores are followed during training, or None.
        binary_images: Whether images are made of zeros and ones, so that those of grey levels, and
            the user's pictures, get a threshold.
    """

    METRIC: ClassVar[str]  # the score that a paper gives
    KEYS: ClassVar[tuple[str, ...]] = ("image", "label")

    dataset: str
    train_split: str = "train"
    test_split: str = "test"
    watched_split: str | None = None
    binary_images: bool = False

    def __post_init__(self) -> None:
        check_choice("dataset", self.dataset, data.NAMES)

    def load(self, split: str, data_dir: str | None = None, dtype: str = "float32") -> Examples:
        """Loads examples of the task's data set, as floats or bytes."""
        arrays = data.load(self.dataset, split, data_dir, keys=self.KEYS, dtype=dtype)
        examples = Examples(**dict(zip(self.KEYS, arrays, strict=True)))
        if not self.binary_images:
            return examples
        high = 255 if dtype == "uint8" else 1
        return examples._replace(image=high * (examples.image >= high / 2).astype(dtype))

    def given(self, images: np.ndarray, labels: np.ndarray | None = None) -> Examples:
        """Returns examples of arrays; `labels` are what the task calls so."""
        if is_sparse(images):
            raise ValueError(
                "`images` must be an array in a run of a preset. Received: a sparse matrix; give "
                "it to the `fit` of a model, or make it dense with its `toarray()`."
            )
        if not isinstance(images, Stored):
            images = np.asarray(images)
            images = images if images.dtype == np.uint8 else images.astype("float32", copy=False)
        return Examples(images, None if labels is None else np.asarray(labels, "int32"))

    def training_data(self, examples: Examples, batch_size: int, seed: int) -> TrainingData:
        """Returns what `fit` is fed from the training examples."""
        raise NotImplementedError

    def callbacks(
        self, model: keras.Model, watched: Examples | None, seed: int
    ) -> tuple[keras.callbacks.Callback, ...]:
        """Returns Keras callbacks of its own; what they add to the logs is in `history.csv`.

        Args:
            model: The model to be trained.
            watched: Examples to follow during training, or None.
            seed: The preset's.
        """
        return ()

    def score(
        self,
        model: keras.Model,
        examples: Examples,
        *,
        seed: int,
        num_starts: int = 5,
        verbose: int = 0,
    ) -> dict[str, float]:
        """Returns scores, `METRIC` among them, and `num_images`.

        Args:
            model: The trained model.
            examples: Images as floats, and the truth.
            seed: The preset's.
            num_starts: Integer >= 1, runs from fresh starts to average over, for models that
                start from noise.
            verbose: 0 for silence, 1 for a progress bar.
        """
        raise NotImplementedError

    def figures(self, model: keras.Model, examples: Examples, seed: int) -> dict[str, Figure]:
        """Returns the pictures of a run: dict of file name to figure."""
        return {}


def kinds(base: type[Task] = Task) -> dict[str, type[Task]]:
    """Returns all tasks by the names of their classes, those made elsewhere among them."""
    found: dict[str, type[Task]] = {}
    for kind in base.__subclasses__():
        found |= {kind.__name__: kind, **kinds(kind)}
    return found


def truth(array: Any, what: str) -> np.ndarray:
    """Returns `array`; raises if it is None, since there is nothing to compare with then."""
    if array is None:
        raise ValueError(f"`labels` must be {what} to score with. Received: labels=None.")
    return array
