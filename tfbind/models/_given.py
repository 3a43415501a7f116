"""What a user gives to `fit`, `evaluate` or `predict`, checked: now, or as Keras draws it."""

import re
import types
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfbind._rows import is_lazy
from tfbind.models import _batch
from tfbind.models._batch import Field


class Rules(NamedTuple):
    """What a batch must keep.

    Attributes:
        fields: What it may hold.
        target: The key that y goes under, or None if the model has no use for it.
        fewest: How many examples it must hold.
    """

    fields: Mapping[str, Field]
    target: str | None
    fewest: int


def checked(x: Any, y: Any, sample_weight: Any, rules: Rules) -> Any:
    """Returns a dict of checked arrays, or something of batches that is checked as it goes.

    What only Keras knows to be data, such as a loader of PyTorch's, is left to Keras.
    """
    fields, target, fewest = rules
    if isinstance(x, (tf.data.Dataset, keras.utils.PyDataset, types.GeneratorType)):
        if y is not None or sample_weight is not None:
            raise ValueError(
                "`y` and `sample_weight` must be None beside a dataset, which holds them. "
                "Received: both a dataset and arrays."
            )
        if isinstance(x, tf.data.Dataset):
            return _batch.checked_dataset(x, fields, target, fewest)
        is_generator = isinstance(x, types.GeneratorType)
        return _checked_one_by_one(x, rules) if is_generator else CheckedPyDataset(x, rules)
    if isinstance(x, (Mapping, list, np.ndarray, tf.Tensor)) or is_lazy(x) or _is_array(x):
        arrays = _batch.check_arrays(_batch.as_dict(x, y, sample_weight, target=target), fields)
        _batch.check_examples(arrays, fields, fewest)
        return arrays
    if x is None:
        raise ValueError("`x` must be given: arrays, a dict of them, or a dataset. Received: None.")
    return x


class CheckedPyDataset(keras.utils.PyDataset):
    """A `PyDataset` of dicts, which are those of another one once they are checked.

    Args:
        batches: A `PyDataset`, which says how it is drawn from.
        rules: What its batches must keep.
    """

    def __init__(self, batches: keras.utils.PyDataset, rules: Rules) -> None:
        super().__init__(batches.workers, batches.use_multiprocessing, batches.max_queue_size)
        self._batches, self._rules = batches, rules

    @property
    def num_batches(self) -> int | None:
        return self._batches.num_batches

    def __getitem__(self, index: int) -> tuple[dict]:
        return _checked_batch(self._batches[index], index + 1, self._rules)

    def on_epoch_begin(self) -> None:
        self._batches.on_epoch_begin()

    def on_epoch_end(self) -> None:
        self._batches.on_epoch_end()


def _checked_one_by_one(batches: Iterator, rules: Rules) -> Iterator[tuple[dict]]:
    for number, batch in enumerate(batches, start=1):
        yield _checked_batch(batch, number, rules)


def _checked_batch(batch: Any, number: int, rules: Rules) -> tuple[dict]:
    """Returns a batch as Keras takes it; NumPy alone, as processes may do it that Keras forks."""
    fields, target, fewest = rules
    try:
        parts = keras.utils.unpack_x_y_sample_weight(batch)
        arrays = _batch.check_arrays(_batch.as_dict(*parts, target=target), fields)
        if (rows := arrays["image"].shape[0]) < fewest:
            raise ValueError(
                f"A batch must hold {fewest} examples or more, whose statistics are taken. "
                f"Received: {rows}; choose another batch size."
            )
        _batch.check_examples(arrays, fields, fewest)
    except ValueError as error:
        where = rf"\1 in batch {number}\2"
        raise _batch.marked(re.sub(r"(Received: .*?)(; |\.$)", where, str(error))) from error
    return (_batch.dense_batch(arrays),)


def _is_array(x: Any) -> bool:
    try:
        return np.asarray(x).dtype != object
    except (TypeError, ValueError):
        return False
