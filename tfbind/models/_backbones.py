"""Networks from examples to features, and from there to logits."""

from collections.abc import Sequence

import keras
import numpy as np

from tfbind._validation import check_integer
from tfbind.layers import mlp

_CONVOLUTIONAL = (32, 64, 128, 128)
_DENSE = (64, 64)
_HEAD_DEVIATION = 0.01  # of the heads' first weights; the authors' of SeLa
_MOMENTUM = 0.9  # of population statistics, which new labels read after every epoch


def backbone_units(event_shape: tuple[int, ...], units: Sequence[int] | None) -> tuple[int, ...]:
    """Returns the sizes of a backbone's layers, checked; those of the default for None."""
    if units is None:
        return _CONVOLUTIONAL if len(event_shape) == 3 else _DENSE
    if not units:
        raise ValueError(f"`units` must hold at least one integer. Received: units={units!r}.")
    return tuple(check_integer("units", size, 1) for size in units)


def given_backbone(
    backbone: keras.Model | None, event_shape: tuple[int, ...], units: Sequence[int]
) -> keras.Model:
    """Returns `backbone`, the default one for None; raises unless it gives vectors."""
    if backbone is None:
        return _default_backbone(event_shape, units)
    if len(backbone.output_shape) != 2:
        raise ValueError(
            "`backbone` must give features of shape (n, D). Received: an output of shape "
            f"{backbone.output_shape}; add a Flatten or a pooling layer."
        )
    return backbone


def linear_heads(backbone: keras.Model, num_heads: int, num_clusters: int) -> keras.Model:
    """Returns what gives logits `[B, H, K]` of the features of `backbone`."""
    size = (num_heads, num_clusters)
    normal = keras.initializers.RandomNormal(stddev=_HEAD_DEVIATION)
    layers = [
        keras.layers.Input(backbone.output_shape[1:]),
        keras.layers.Dense(int(np.prod(size)), kernel_initializer=normal),
        keras.layers.Reshape(size),
    ]
    return keras.Sequential(layers, name="heads")


def _default_backbone(event_shape: tuple[int, ...], units: Sequence[int]) -> keras.Model:
    """Returns convolutions of images, else dense layers, all batch-normalised."""
    if len(event_shape) == 3:
        return _convolutions(event_shape, units)
    inputs = {"image": event_shape}
    return mlp(inputs, units, lambda top: top, normalization=_norm, name="backbone")


def _norm() -> keras.layers.Layer:
    return keras.layers.BatchNormalization(momentum=_MOMENTUM)


def _convolutions(event_shape: tuple[int, ...], units: Sequence[int]) -> keras.Model:
    """Returns convolutions of stride 2, and a dense layer of the last of `units`."""
    layers = [keras.layers.Input(event_shape)]
    for filters in units[:-1]:
        layers.append(keras.layers.Conv2D(filters, 3, 2, padding="same", use_bias=False))
        layers += [_norm(), keras.layers.Activation("relu")]
    layers += [keras.layers.Flatten(), keras.layers.Dense(units[-1], use_bias=False)]
    return keras.Sequential([*layers, _norm(), keras.layers.Activation("relu")], name="backbone")
