"""What a model serves: named functions of named tensors, and how they get into a SavedModel."""

import errno
import math
import os
import types
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

# The output that tells which rows have an answer.
VALID = "valid"
_VALID = (
    "1, or 0 where an input of the row is not finite or out of range: its outputs are NaN, of "
    "integers -1; no other row is touched"
)
_MARGIN = 1e-6  # by which rounding may put a number outside its range


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


def guarded(endpoint: Endpoint) -> Endpoint:
    """Returns an endpoint whose bad rows have no answer and leave the other rows alone.

    A server puts the rows of strangers into one batch, so that an error for one would be an error
    for all. A row with a number that is not finite, or outside the range of its input, is replaced
    by a harmless one before the function runs; its outputs become NaN, of integers -1, and the
    output `valid`, int32 `[B]`, is 0 there and 1 elsewhere. Numbers that rounding has put outside
    their range by less than a millionth are moved to its end.
    """
    ranges = [endpoint.ranges.get(spec.name, (None, None)) for spec in endpoint.inputs]

    def function(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        pairs = list(zip(tensors, ranges, strict=True))
        fits = [_fits(tensor, *limits) for tensor, limits in pairs if tensor.dtype != tf.string]
        valid = tf.reduce_all(tf.stack(fits), axis=0)
        outputs = endpoint.function(*(_harmless(x, valid, *limits) for x, limits in pairs))
        masked = {key: _masked(output, valid) for key, output in outputs.items()}
        return {**masked, VALID: tf.cast(valid, tf.int32)}

    return endpoint._replace(function=function, outputs={**endpoint.outputs, VALID: _VALID})


def _fits(tensor: tf.Tensor, low: float | None, high: float | None) -> tf.Tensor:
    """Returns whether all of a row is finite and in its range, bool `[B]`; NaN is in none."""
    margin = _MARGIN if tensor.dtype.is_floating else 0
    low = tensor.dtype.min if low is None else low - margin
    high = tensor.dtype.max if high is None else high + margin
    fits = (tensor >= low) & (tensor <= high)
    return tf.reduce_all(fits, axis=list(range(1, tensor.shape.rank)))


def _harmless(
    tensor: tf.Tensor, valid: tf.Tensor, low: float | None, high: float | None
) -> tf.Tensor:
    if tensor.dtype == tf.string:
        return tensor
    low = tensor.dtype.min if low is None else low
    high = tensor.dtype.max if high is None else high
    filler = tf.constant(min(max(0, low), high), tensor.dtype)
    tensor = tf.where(_beside(valid, tensor), tensor, filler)
    is_bounded = low > tensor.dtype.min or high < tensor.dtype.max
    if tensor.dtype.is_floating and is_bounded:
        return tf.clip_by_value(tensor, low, high)
    return tensor


def _masked(output: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
    if not output.shape.rank:
        return output  # no rows: refused later
    filler = math.nan if output.dtype.is_floating else False if output.dtype.is_bool else -1
    return tf.where(_beside(valid, output), output, tf.constant(filler, output.dtype))


def _beside(valid: tf.Tensor, tensor: tf.Tensor) -> tf.Tensor:
    return tf.reshape(valid, [-1] + [1] * (tensor.shape.rank - 1))


def write_saved_model(endpoints: Mapping[str, Endpoint], path: str | os.PathLike) -> None:
    """Writes endpoints as a SavedModel, each a signature for any batch size."""
    archive = keras.export.ExportArchive()
    for name, endpoint in endpoints.items():
        archive.add_endpoint(
            name,
            tf.function(
                guarded(endpoint).function, input_signature=list(endpoint.inputs), autograph=False
            ),
        )
    write_out(archive, path)


def write_out(archive: keras.export.ExportArchive, path: str | os.PathLike) -> None:
    """Writes an archive as a SavedModel; raises OSError if there is no room for it."""
    try:
        archive.write_out(str(path), verbose=False)
    except tf.errors.OpError as error:
        raise OSError(errno.EIO, error.message.split("\n")[0], str(path)) from error
