from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np


def mlp(
    inputs: Mapping[str, tuple[int, ...]],
    units: Sequence[int],
    outputs: tuple[int, ...] | Callable,
    *,
    activation: str = "relu",
    kernel_initializer: Callable = keras.initializers.GlorotUniform,
    bias_initializer: Callable = keras.initializers.Zeros,
    normalization: Callable | None = None,
    output_activation: str | None = None,
    name: str | None = None,
) -> keras.Model:
    """Builds a fully connected network, the default part of several models.

    What is random or has weights is given as a function that makes one, often a class, and called
    anew for every layer: an initialiser of Keras that two layers share gives both the same numbers.

    Args:
        inputs: Dict of the name of each input to the shape of one example of it. They are
            flattened and concatenated.
        units: Integers, the widths of the hidden layers; they may be none.
        outputs: The shape of one example of the output, which a last dense layer then gives; or a
            function, such as a Keras layer, of the highest hidden layer.
        activation: Name of the Keras activation of the hidden layers.
        kernel_initializer: Makes a Keras initialiser for each dense layer.
        bias_initializer: Likewise.
        normalization: Makes a Keras layer, which each hidden layer goes through before its
            activation and which takes the place of its bias; None for none.
        output_activation: Name of the Keras activation of the output; None for none. Unused if
            `outputs` is a function.
        name: Of the model.

    Returns:
        A `keras.Model` of a float32 `[B, ...]` tensor, or of a list of them in the order of
        `inputs`, to float32 `[B, *outputs]`.

    Example:

    >>> shapes = {"image": (28, 28, 1), "label": (10,)}
    >>> batch = keras.layers.BatchNormalization
    >>> encoder = tfbind.layers.mlp(shapes, (64,), (5,), normalization=batch)
    >>> encoder([np.zeros((2, 28, 28, 1)), np.zeros((2, 10))]).shape
    TensorShape([2, 5])
    """

    def dense(size, **settings):
        return keras.layers.Dense(
            size,
            kernel_initializer=kernel_initializer(),
            bias_initializer=bias_initializer(),
            **settings,
        )

    tensors = [keras.layers.Input(shape, name=key) for key, shape in inputs.items()]
    hidden = _concatenated(tensors)
    for size in units:
        hidden = dense(size, use_bias=normalization is None)(hidden)
        hidden = hidden if normalization is None else normalization()(hidden)
        hidden = keras.layers.Activation(activation)(hidden)
    if callable(outputs):
        hidden = outputs(hidden)
    else:
        hidden = dense(int(np.prod(outputs)), activation=output_activation)(hidden)
        hidden = keras.layers.Reshape(outputs)(hidden)
    return keras.Model(tensors if len(tensors) > 1 else tensors[0], hidden, name=name)


def _concatenated(tensors):
    flat = [keras.layers.Flatten()(tensor) for tensor in tensors]
    return keras.layers.Concatenate()(flat) if len(flat) > 1 else flat[0]
