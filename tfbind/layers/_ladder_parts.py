"""What a ladder is run on and gives, and products of several paths or members at once."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow as tf


class Path(NamedTuple):
    """One way through the encoder: clean, or noisy with a seed."""

    inputs: tf.Tensor  # [..., units[0]]
    seed: tf.Tensor | None = None  # stateless, of the noise
    statistics: Mapping[str, int | bool | str] = {}  # as `Standardization` takes them


class Encoding(NamedTuple):
    """What the encoder hands to the decoder and to the costs, layer 0 (the input) first."""

    laterals: list[tf.Tensor]  # z, standardised, with this path's noise; [..., N_l]
    activations: list[tf.Tensor]  # h; the last is the top's
    logits: tf.Tensor  # of the top, before its activation
    means: list[tf.Tensor | None]  # before standardisation; None for layers without it, such as 0
    variances: list[tf.Tensor | None]


class Weights(NamedTuple):
    """Trainable weights by layer: of one ladder, or of all members with their axis in front."""

    encoder_kernels: dict[int, tf.Tensor]
    biases: dict[int, tf.Tensor]
    gains: dict[int, tf.Tensor]  # of the top, if it has one
    decoder_kernels: dict[int, tf.Tensor]
    combinators: dict[int, tf.Tensor]


class EncodedLayer(NamedTuple):
    """One layer of an `Encoding`."""

    lateral: tf.Tensor
    activation: tf.Tensor
    logits: tf.Tensor
    mean: tf.Tensor | None
    variance: tf.Tensor | None


def encoding_of(layers: Sequence[EncodedLayer]) -> Encoding:
    """Returns the `Encoding` of the layers of one path, the input's first."""
    laterals, activations, logits, means, variances = map(list, zip(*layers, strict=True))
    return Encoding(laterals, activations, logits[-1], means, variances)


def linear(h: tf.Tensor, kernel: tf.Tensor, dtype: str) -> tf.Tensor:
    """Returns `h @ kernel` in float32, multiplied in `dtype`: the last axis of both is contracted.

    A leading axis of `kernel`, one weight matrix for each member of an ensemble, goes with the
    leading axis of `h`.
    """
    return tf.cast(tf.matmul(tf.cast(h, dtype), tf.cast(kernel, dtype)), tf.float32)


def linear_of_all(paths: Sequence[tf.Tensor], kernel: tf.Tensor, dtype: str) -> list[tf.Tensor]:
    """Returns `linear` of each of several `[..., B_i, N]`, as one product of all their rows.

    One with many rows takes less time than several, and its gradient is one product too.
    """
    if len(paths) == 1:
        return [linear(paths[0], kernel, dtype)]
    rows = [tf.shape(h)[-2] for h in paths]
    return tf.split(linear(tf.concat(paths, axis=-2), kernel, dtype), rows, axis=-2)


def unstack_members(values: Any, num_members: int) -> list:
    """Splits the first axis of nested tensors, of which any may be None, into a list."""
    flat = [
        [None] * num_members if value is None else tf.unstack(value, num_members)
        for value in tf.nest.flatten(values)
    ]
    return [tf.nest.pack_sequence_as(values, own) for own in zip(*flat, strict=True)]


def stack_members(members: Sequence) -> Any:
    """The inverse of `unstack_members`."""
    return tf.nest.map_structure(lambda *own: None if own[0] is None else tf.stack(own), *members)
