"""What every model of tfbind shares: checked input, seeds of a step, endpoints."""

from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf

from tfbind import seeds
from tfbind._validation import check_array, check_integer, check_shape


class Endpoint(NamedTuple):
    """One served function.

    `function` takes the tensors of `inputs` in order and returns a flat dict of tensors whose
    keys are those of `outputs`. `ranges` gives an input's values as (low, high), None for open.
    """

    function: Callable
    inputs: tuple
    outputs: dict
    ranges: dict


class EventModel(keras.Model):
    """A model of examples of one `event_shape`, which `fit`, `evaluate`, `predict` check.

    Subclasses set `value_range`, (low, high) of the data, and call `step_seed` for their noise.
    """

    value_range = (None, None)

    def __init__(self, event_shape, **kwargs):
        if not isinstance(event_shape, (tuple, list)) or not event_shape:
            raise ValueError(
                "`event_shape` must be a tuple of one integer or more. "
                f"Received: event_shape={event_shape!r}."
            )
        event_shape = tuple(check_integer("event_shape", size, 1) for size in event_shape)
        super().__init__(**kwargs)
        self.event_shape = event_shape

    def step_seed(self, seed, training):
        """Returns a stateless seed that no other step, batch or replica has.

        While training the optimiser's step tells batches apart. It stands still in evaluation,
        where the loss tracker's count does, which starts from zero every time.
        """
        step = self.optimizer.iterations if getattr(self, "optimizer", None) is not None else 0
        if training:
            return seeds.step_seed(seed, step)
        counts = [metric.count for metric in self.metrics if metric.name == "loss"]
        return seeds.step_seed(seed, step, 1, *counts)

    def check_inputs(self, x):
        """Returns `x` with its images checked and in float32; raises ValueError."""
        if isinstance(x, dict) and "image" in x:
            return {**x, "image": self.check_inputs(x["image"])}
        if isinstance(x, tf.data.Dataset):
            return self._check_dataset(x)
        if hasattr(x, "__array__"):
            return check_array("images", x, self.event_shape, *self.value_range)
        return x

    def _check_dataset(self, dataset):
        if dataset.cardinality() == 0:
            raise ValueError("`images` must hold at least one example. Received: an empty dataset.")
        spec = dataset.element_spec
        spec = spec[0] if isinstance(spec, tuple) else spec
        spec = spec["image"] if isinstance(spec, dict) else spec
        check_shape("images", tuple(spec.shape), (None, *self.event_shape))
        if spec.dtype != tf.float32:
            raise ValueError(
                f"`images` must be float32. Received: a dataset of {spec.dtype.name}; cast and "
                "rescale them in its pipeline."
            )
        return dataset

    def fit(self, x=None, *args, **kwargs):
        return super().fit(self.check_inputs(x), *args, **kwargs)

    def evaluate(self, x=None, *args, **kwargs):
        return super().evaluate(self.check_inputs(x), *args, **kwargs)

    def predict(self, x, batch_size=None, **kwargs):
        x = self.check_inputs(x)
        if isinstance(x, dict) or hasattr(x, "__array__"):
            # Keras would trace a pipeline of its own at every call, for longer than the model runs
            x = tf.data.Dataset.from_tensor_slices(x).batch(batch_size or 32)
            batch_size = None
        return super().predict(x, batch_size, **kwargs)

    def serving_endpoints(self):
        """Returns the endpoints to export: dict of name to `Endpoint`."""
        raise NotImplementedError

    def get_config(self):
        return {**super().get_config(), "event_shape": self.event_shape}
