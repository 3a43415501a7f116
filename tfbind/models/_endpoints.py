"""What a model serves: named functions of named tensors, and how they get into a SavedModel."""

import os
import types
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import keras
import tensorflow as tf


class Endpoint(NamedTuple):
    """One served function.

    `function` takes the tensors of `inputs` in order and returns a flat dict of tensors whose
    keys are those of `outputs`. `ranges` gives an input's values as (low, high), None for open, and
    `samples` a value, in base64, that each element of an input of strings may have.
    """

    function: Callable
    inputs: tuple
    outputs: dict
    ranges: dict
    samples: Mapping[str, str] = types.MappingProxyType({})


def endpoint_maker(texts: Mapping, ranges: Mapping) -> Callable[..., Endpoint]:
    """Returns a function that makes an `Endpoint`, from a function, its inputs and output keys.

    Args:
        texts: Dict of output key to what it is.
        ranges: Dict of input name to (low, high).
    """

    def endpoint(function: Callable, inputs: tuple, outputs: tuple) -> Endpoint:
        return Endpoint(
            function,
            inputs,
            {key: texts[key] for key in outputs},
            {spec.name: ranges[spec.name] for spec in inputs},
        )

    return endpoint


def image_spec(event_shape: Sequence[int]) -> tf.TensorSpec:
    """Returns what an endpoint takes as `image`."""
    return tf.TensorSpec([None, *event_shape], tf.float32, name="image")


def inside(name: str, tensor: tf.Tensor, low: float, high: float) -> tf.Tensor:
    """Returns `tensor`; a server refuses it if it is not in [low, high], a device cannot."""
    sentence = f"`{name}` must lie in [{low}, {high}]."
    fits = tf.reduce_all((tensor >= low) & (tensor <= high))
    with tf.control_dependencies([tf.debugging.Assert(fits, [sentence])]):
        return tf.identity(tensor)


def write_saved_model(endpoints: Mapping[str, Endpoint], path: str | os.PathLike) -> None:
    """Writes endpoints as a SavedModel, each a signature for any batch size."""
    archive = keras.export.ExportArchive()
    for name, endpoint in endpoints.items():
        archive.add_endpoint(
            name,
            tf.function(endpoint.function, input_signature=list(endpoint.inputs), autograph=False),
        )
    archive.write_out(str(path), verbose=False)
