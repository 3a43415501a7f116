from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfbind._validation import check_integer, check_shape


@keras.saving.register_keras_serializable("tfbind")
class RowLabels(keras.layers.Layer):
    """Labels of the rows of a training set, looked up by row number inside a training step.

    They are weights that nothing trains, so that labels which are solved anew between epochs
    survive XLA, prefetching, checkpoints and a kill. How many rows there are, a training set says:
    until `resize`, and after `drop`, the layer has no weights.

    Args:
        num_rows: Integer N, or None while there is no training set.
        num_heads: Integer H, for H labels a row; None for one.

    Call arguments:
        index: Integer `[B]`, row numbers.

    Returns:
        int32 `[B]`, or `[H, B]` of several heads.

    Example:

    >>> labels = tfbind.layers.RowLabels(num_rows=4)
    >>> labels.assign([3, 2, 1, 0])
    >>> labels(np.array([0, 3])).numpy().tolist()
    [3, 0]
    """

    def __init__(
        self, num_rows: int | None = None, *, num_heads: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.num_rows: int | None = None
        self.num_heads = None if num_heads is None else check_integer("num_heads", num_heads, 1)
        self.build((None,))
        if num_rows is not None:
            self.resize(num_rows)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes nothing: `resize` does."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the labels: (N,) or (H, N)."""
        heads = () if self.num_heads is None else (self.num_heads,)
        return (*heads, self.num_rows or 0)

    def resize(self, num_rows: int) -> None:
        """Makes room for the labels of `num_rows` rows, which start at 0."""
        self.drop()
        self.num_rows = check_integer("num_rows", num_rows, 1)
        self._tracker.unlock()  # as Keras' own layers do that get weights later on
        self.labels = self.add_weight(
            shape=self.shape, dtype="int32", initializer="zeros", trainable=False, name="labels"
        )
        self._tracker.lock()

    def drop(self) -> None:
        """Forgets the labels."""
        if self.num_rows is not None:
            self._untrack_variable(self.labels)
            self.num_rows = None

    def assign(self, labels: Sequence[int] | np.ndarray | tf.Tensor) -> None:
        """Sets the labels, integer `[N]` or `[H, N]`."""
        labels = tf.cast(labels, tf.int32)
        check_shape("labels", tuple(labels.shape), self.shape)
        self.labels.assign(labels)

    def call(self, index: tf.Tensor) -> tf.Tensor:
        if self.num_rows is None:
            raise ValueError(
                "`num_rows` must be known before labels are looked up. Received: num_rows=None; "
                "call `resize`, or give `fit` the `Relabeling` of the training set."
            )
        return tf.gather(self.labels, index, axis=-1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*self.shape[:-1], *input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_rows": self.num_rows, "num_heads": self.num_heads}
