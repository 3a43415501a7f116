"""Labels that a model gives its own training examples, and solves anew between epochs."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfbind._validation import check_integer
from tfbind.layers import RowLabels
from tfbind.models import _batch
from tfbind.models._base import BaseModel
from tfbind.models._batch import Field


class RelabelingModel(BaseModel):
    """A model that trains on labels of its own making.

    Batches carry `index`, the row of each example in the training set, by which a step looks its
    labels up: `self.row_labels(batch["index"])`. `fit` counts the rows of arrays by itself and
    brings a `Relabeling`; for a dataset give one, and `index` in its dicts. Subclasses write down
    `relabel` and `relabels_before`.

    Args:
        event_shape: Tuple of ints, the shape of one example.
        num_heads: Integer, labels of a row; None for one that is no list.
        num_rows: Integer, rows of the training set, while there is one: `fit` sets it.
    """

    def __init__(
        self,
        event_shape: tuple,
        num_heads: int | None = None,
        num_rows: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(event_shape, **kwargs)
        self.row_labels = RowLabels(num_rows, num_heads=num_heads)
        self.has_new_rows = False

    def relabel(self, images: np.ndarray) -> None:
        """Gives every row of the training set, float32 `[N, *event_shape]`, its labels."""
        raise NotImplementedError

    def score_labels(self, labels: np.ndarray) -> None:
        """Notes how right those labels are, by the true ones `[N]`, which train nothing."""

    def relabels_before(self, epoch: int) -> bool:
        """Whether labels are solved anew before an epoch, which count from 0."""
        return True

    @property
    def has_labeled(self) -> bool:
        """Whether it has given labels to any rows, so that its clusters have numbers to keep."""
        return False

    def relabels_now(self, epoch: int) -> bool:
        """Whether an epoch begins a training of a model that is trained already, or on other rows.

        Then labels come from what the model knows: others would scramble its numbers.
        """
        return self.has_labeled and (epoch == 0 or self.has_new_rows)

    def prepare_labels(self, num_rows: int) -> None:
        """Makes room for labels, unless there is room for as many rows already."""
        if num_rows != self.row_labels.num_rows:
            self.has_new_rows = True
            with self.distribute_strategy.scope():
                self.row_labels.resize(num_rows)
            if self.compiled:
                self.make_train_function(force=True)  # the old one looks up what is gone

    def end_training(self) -> None:
        self.row_labels.drop()

    def fields(self, training: bool) -> dict[str, Field]:
        fields = super().fields(training)
        # Elsewhere nothing asks for it, but `validation_split` cuts it off with the images
        return {**fields, "index": Field("index", (), True, 0)}

    def _feed(
        self, data: Any, batch_size: int | None, initial_epoch: int
    ) -> tuple[Any, int | None]:
        if isinstance(data, tf.data.Dataset):
            _batch.require_keys(data.element_spec, ("index",))
        else:
            _batch.require_again(data, "labels all its examples between epochs")
            num_rows = data["image"].shape[0]
            data = {**data, "index": np.arange(num_rows, dtype="int32")}
            self.prepare_labels(num_rows)  # before any callback that loads weights
        return super()._feed(data, batch_size, initial_epoch)

    def own_callbacks(self, data: Any) -> list[keras.callbacks.Callback]:
        own = [Relabeling(data["image"])] if _batch.holds_arrays(data) else []
        return [*super().own_callbacks(data), *own]

    def restore_from(self, other: keras.Model) -> None:
        if other.row_labels.num_rows is not None:
            self.prepare_labels(other.row_labels.num_rows)
        super().restore_from(other)
        self.has_new_rows = False

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_rows": self.row_labels.num_rows}


def spaced_epochs(num_steps: int | None, num_epochs: int | None) -> frozenset[int] | None:
    """Returns the epochs before which labels are solved, None for all.

    Differs from the authors' code, which solves them within epochs too: steps that would fall
    within one epoch are one, before it.
    """
    if num_steps is None and num_epochs is None:
        return None
    if num_steps is None or num_epochs is None:
        raise ValueError(
            "`num_label_steps` and `num_label_epochs` must be given together. Received: "
            f"num_label_steps={num_steps}, num_label_epochs={num_epochs}."
        )
    num_steps = check_integer("num_label_steps", num_steps, 1)
    num_epochs = check_integer("num_label_epochs", num_epochs, 1)
    times = np.linspace(0.0, 1.0, num_steps) ** 2
    return frozenset((num_epochs * times).astype(int).tolist())


def check_online_epochs(number: int, augmentation: keras.Layer | None) -> int:
    """Returns the number of epochs whose labels are of other views; raises if nothing makes any."""
    if check_integer("num_online_epochs", number, 0) and augmentation is None:
        raise ValueError(
            "`num_online_epochs` must be 0 without an augmentation, which makes the views that "
            f"labels are solved from. Received: num_online_epochs={number}."
        )
    return number


class Relabeling(keras.callbacks.Callback):
    """Asks a `RelabelingModel` for new labels before the epochs of its schedule.

    Args:
        images: float32 `[N, *event_shape]`, the training set in the order of its row numbers;
            sparse or not.
        labels: Integer `[N]`, the true ones, for a model that notes how right its own are; or None.
        schedule: Function from the epoch, from 0 on, to whether labels are solved before it; None
            for the model's own.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray | None = None,
        schedule: Callable[[int], bool] | None = None,
    ) -> None:
        super().__init__()
        self.images, self.labels = images, labels
        self.schedule = schedule

    def on_train_begin(self, logs: Any = None) -> None:
        self.model.prepare_labels(self.images.shape[0])

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        is_due = (self.schedule or self.model.relabels_before)(epoch)
        if is_due or self.model.relabels_now(epoch):
            self.model.relabel(self.images)
            if self.labels is not None:
                self.model.score_labels(self.labels)
        self.model.has_new_rows = False
