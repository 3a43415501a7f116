"""Population statistics: what they are taken from, and when."""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from tfbind import seeds
from tfbind._rows import dense
from tfbind.models import _batch
from tfbind.models._base import BaseModel


class CalibratedModel(BaseModel):
    """A model whose networks normalise by a batch in training and by population statistics after.

    `fit` ends with `calibrate`, which sets those statistics to the averages over what it was
    given. Subclasses write down `reset_statistics` and `observe`.

    Attributes:
        calibrated_on: The key of a batch whose images count; `image` where there is none.
        most_batches: How many batches count, the first ones; None for all.
    """

    needs_calibration = True
    calibrated_on = "image"
    most_batches: int | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._observers: dict[bool, Callable] = {}

    def reset_statistics(self) -> None:
        """Forgets the population statistics."""
        raise NotImplementedError

    def observe(self, images: tf.Tensor, seed: tf.Tensor) -> None:
        """Takes a batch, float32 `[B, *event_shape]`, into the average."""
        raise NotImplementedError

    def calibrate(self, x: Any, batch_size: int = 100) -> None:
        """Sets the population statistics to the averages over the batches of clean images.

        Args:
            x: What `fit` takes; a dataset must end.
            batch_size: Integer, for arrays.
        """
        self.reset_statistics()
        observe = self._compiled_observe()
        for index, images in enumerate(self._clean_batches(x, batch_size)):
            observe(images, seeds.fold(self.seed, index))

    def _compiled_observe(self) -> Callable:
        """Returns `observe` in the model's compile mode, compiled once however often it is used."""
        if self.run_eagerly:
            return self.observe
        mode = bool(self.jit_compile)
        if mode not in self._observers:
            self._observers[mode] = tf.function(self.observe, jit_compile=mode, autograph=False)
        return self._observers[mode]

    def _clean_batches(self, x: Any, batch_size: int) -> Iterator[tf.Tensor]:
        if not isinstance(x, tf.data.Dataset):
            fields = {**self.fields(training=False), **self.fields(training=True)}
            x = _batch.check_arrays(_batch.as_dict(x), fields)
            x = {"image": x.get(self.calibrated_on, x["image"])}
            x = _batch.batches(x, batch_size)
        for batch in x.take(self.most_batches or -1):
            batch = _batch.as_dict(keras.utils.unpack_x_y_sample_weight(batch)[0])
            yield dense(batch.get(self.calibrated_on, batch["image"]))

    def own_callbacks(self, data: Any) -> list[keras.callbacks.Callback]:
        return [*super().own_callbacks(data), *[Calibration(data)] * self.needs_calibration]


class Calibration(keras.callbacks.Callback):
    """Calibrates a model when `fit` ends; `fit` brings one itself unless it is given one.

    Args:
        x: What `CalibratedModel.calibrate` takes.
    """

    def __init__(self, x: Any) -> None:
        super().__init__()
        self.x = x

    def on_train_begin(self, logs: Any = None) -> None:
        _batch.require_again(self.x, "takes the statistics of its examples when training ends")

    def on_train_end(self, logs: Any = None) -> None:
        self.model.calibrate(self.x)
