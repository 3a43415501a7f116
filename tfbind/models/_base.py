"""What every model of tfbind shares: checked input, seeds of a step, endpoints."""

from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfbind import seeds
from tfbind._validation import check_array, check_integer, check_shape

# The images of a batch, and what messages call them; and its labels.
_IMAGES = {"image": "images", "unlabeled_image": "unlabeled_image"}
_LABELS = ("label", "unfeatured_label")


class Endpoint(NamedTuple):
    """One served function.

    `function` takes the tensors of `inputs` in order and returns a flat dict of tensors whose
    keys are those of `outputs`. `ranges` gives an input's values as (low, high), None for open.
    """

    function: Callable
    inputs: tuple
    outputs: dict
    ranges: dict


def endpoint_maker(texts, ranges):
    """Returns a function that makes an `Endpoint`, from a function, its inputs and output keys.

    Args:
        texts: Dict of output key to what it is.
        ranges: Dict of input name to (low, high).
    """

    def endpoint(function, inputs, outputs):
        return Endpoint(
            function,
            inputs,
            {key: texts[key] for key in outputs},
            {spec.name: ranges[spec.name] for spec in inputs},
        )

    return endpoint


def inside(name, tensor, low, high):
    """Returns `tensor`; a server refuses it if it is not in [low, high], a device cannot."""
    sentence = f"`{name}` must lie in [{low}, {high}]."
    fits = tf.reduce_all((tensor >= low) & (tensor <= high))
    with tf.control_dependencies([tf.debugging.Assert(fits, [sentence])]):
        return tf.identity(tensor)


def check_corruption(layer):
    """Returns `layer`; raises unless it is None or adds noise to what it is given."""
    if layer is not None and not hasattr(layer, "corrupt"):
        raise ValueError(
            "`corruption` must be a noise layer of `tfbind.layers` or None. "
            f"Received: corruption={layer!r}."
        )
    return layer


def require_keys(x, keys):
    """Raises unless the dict `x` has all of `keys`."""
    for key in keys:
        if key not in x:
            raise ValueError(f"`x` must have the key {key!r} too. Received: {_listed(x)}.")


class EventModel(keras.Model):
    """A model of examples of one `event_shape`, which `fit`, `evaluate`, `predict` check.

    They take images, or a flat dict of `image` and whatever else the model knows. Where a model has
    `num_classes`, that is `label`, the integer label of each `image`; `unlabeled_image`, further
    images; and `unfeatured_label`, further labels: arrays of any lengths, which `fit` goes through
    as `tfbind.data.pipelines.semi_supervised_epochs` does.

    Subclasses set `value_range`, (low, high) of the data, and call `step_seed` for their noise;
    `seed` is also that of the order in which `fit` goes through several arrays. A model of several
    optimisers names their attributes in `OPTIMIZERS`, which is what a resumed training restores,
    and builds each for its weights in `compile`.
    """

    OPTIMIZERS = ("optimizer",)
    value_range = (None, None)
    num_classes = None
    seed = 0

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
        """Returns `x` with images in float32 and labels in int32, or raises ValueError."""
        if isinstance(x, tf.data.Dataset):
            return self._check_dataset(x)
        if not isinstance(x, dict):
            return self._check_array("image", x)
        self._check_keys(x)
        x = {key: self._check_array(key, value) for key, value in x.items()}
        if "label" in x and len(x["label"]) != len(x["image"]):
            raise ValueError(
                "`label` must hold one label for each of `image`. "
                f"Received: {len(x['label'])} for {len(x['image'])} images."
            )
        return x

    def _check_keys(self, x):
        if "image" not in x:
            raise ValueError(f"`x` must have the key 'image'. Received: {_listed(x)}.")
        if self.num_classes is None or x.keys() <= {*_IMAGES, *_LABELS}:
            return
        served = [spec.name for end in self.serving_endpoints().values() for spec in end.inputs]
        known = dict.fromkeys((*_IMAGES, *_LABELS, *served))
        if not x.keys() <= known.keys():
            raise ValueError(f"`x` must have keys among {_listed(known)}. Received: {_listed(x)}.")

    def _check_array(self, key, value):
        if not hasattr(value, "__array__"):
            return value
        if key in _IMAGES:
            return check_array(_IMAGES[key], value, self.event_shape, *self.value_range)
        if key in _LABELS and self.num_classes is not None:
            value = np.asarray(value)
            self._check_label_dtype(key, value.dtype)
            if value.size == 0 or value.min() < 0 or value.max() >= self.num_classes:
                received = f"values from {value.min()} to {value.max()}" if value.size else "none"
                raise ValueError(
                    f"`{key}` must hold integers from 0 to {self.num_classes - 1}. "
                    f"Received: {received}."
                )
            return value.astype("int32")
        return value

    def _check_dataset(self, dataset):
        if dataset.cardinality() == 0:
            raise ValueError("`images` must hold at least one example. Received: an empty dataset.")
        spec = dataset.element_spec
        spec = spec[0] if isinstance(spec, tuple) else spec
        spec = spec if isinstance(spec, dict) else {"image": spec}
        self._check_keys(spec)
        for key in spec.keys() & _IMAGES:
            check_shape(_IMAGES[key], tuple(spec[key].shape), (None, *self.event_shape))
            if spec[key].dtype != tf.float32:
                raise ValueError(
                    f"`{_IMAGES[key]}` must be float32. Received: a dataset of "
                    f"{spec[key].dtype.name}; cast and rescale them in its pipeline."
                )
        if self.num_classes is not None:
            for key in spec.keys() & set(_LABELS):
                self._check_label_dtype(key, spec[key].dtype.as_numpy_dtype)
        return dataset

    def _check_label_dtype(self, key, dtype):
        if not np.issubdtype(dtype, np.integer):
            raise ValueError(f"`{key}` must hold integers. Received: {np.dtype(dtype).name}.")

    def fit(self, x=None, y=None, batch_size=None, *args, **kwargs):
        x = self.check_inputs(x)
        if isinstance(x, dict) and x.keys() & {"unlabeled_image", "unfeatured_label"}:
            x, steps = self._cycled(x, batch_size or 32, kwargs.get("initial_epoch", 0))
            kwargs |= {"steps_per_epoch": steps, "shuffle": False}
            batch_size = None
        return super().fit(x, y, batch_size, *args, **kwargs)

    def _cycled(self, x, batch_size, initial_epoch):
        from tfbind.data import pipelines  # loads TFDS, which a served model does without

        require_keys(x, ("label", "unlabeled_image"))
        return pipelines.semi_supervised_epochs(
            x["image"],
            x["label"],
            x["unlabeled_image"],
            batch_size,
            seeds.base_seed(self.seed),
            initial_epoch,
            unfeatured_labels=x.get("unfeatured_label"),
        )

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


def _listed(keys):
    return ", ".join(map(repr, keys))
