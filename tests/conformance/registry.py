"""One entry a public model: what the shared tests of this folder need to know about it."""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np

from tfbind import layers, models
from tfbind.data import pipelines


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Entry:
    """A public model as the conformance tests see it.

    Attributes:
        model: Its class.
        make: Event shape -> a small model, not compiled, whose seeds all come from
            `keras.utils.set_random_seed`.
        compile: Model, `jit_compile` -> None; compiles the model.
        event_shapes: Shapes of an example to try. All tests try the first, cheap tests all.
        inputs: Event shape, number of rows -> what `call` takes, one array or a dict of arrays.
        fit_arguments: Event shape, number of rows -> arguments of `fit`, as a dict.
        evaluate_arguments: The same for `evaluate`.
        stream: Event shape, initial epoch -> endless `tf.data.Dataset` for `fit`, and the number
            of steps in an epoch.
        output_keys: What `call` returns.
        evaluate_keys: What `evaluate` returns.
        num_weights: Number of scalars in the weights, for the first event shape.
    """

    model: type
    make: Callable
    compile: Callable
    event_shapes: tuple
    inputs: Callable
    fit_arguments: Callable
    evaluate_arguments: Callable
    stream: Callable
    output_keys: set
    evaluate_keys: set
    num_weights: int


def missing(names, entries):
    """Returns the names of the models that no entry is about."""
    return sorted(set(names) - {entry.model.__name__ for entry in entries})


def _images(event_shape, num_rows, seed=0):
    """Returns binary examples with a structure that can be learned: bars over a few pixels."""
    random = np.random.default_rng(seed)
    size = int(np.prod(event_shape))
    patterns = np.arange(size) // 3 % 4 == np.arange(4)[:, None]  # [4, N]
    chosen = random.random((num_rows, 4)) < 0.4
    return (chosen @ patterns).astype("float32").reshape(num_rows, *event_shape)


def _groups(event_shape, num_rows):
    spatial_shape = event_shape[:-1] if len(event_shape) > 2 else event_shape
    return np.random.default_rng(1).integers(0, 3, (num_rows, *spatial_shape))


def _stream(event_shape, initial_epoch):
    return pipelines.epochs(_images(event_shape, 32), 8, seed=3, initial_epoch=initial_epoch)


def _autoencoder(event_shape):
    return models.DenoisingAutoencoder(
        event_shape,
        hidden_units=12,
        activation="tanh",
        corruption=layers.SaltAndPepperNoise(0.2),
    )


def _compile_with_adam(model, jit_compile):
    model.compile(keras.optimizers.Adam(0.02), jit_compile=jit_compile)


_EVENT_SHAPES = ((8, 8, 1), (5, 6, 3), (12,), (6, 4))

REGISTRY = (
    Entry(
        model=models.DenoisingAutoencoder,
        make=_autoencoder,
        compile=_compile_with_adam,
        event_shapes=_EVENT_SHAPES,
        inputs=_images,
        fit_arguments=lambda *size: {"x": _images(*size)},
        evaluate_arguments=lambda *size: {"x": _images(*size)},
        stream=_stream,
        output_keys={"code", "reconstruction"},
        evaluate_keys={"loss"},
        num_weights=(64 * 12 + 12) + (12 * 64 + 64),
    ),
    Entry(
        model=models.ReconstructionClustering,
        make=lambda event_shape: models.ReconstructionClustering(
            _autoencoder(event_shape), num_groups=3, num_iterations=3
        ),
        compile=_compile_with_adam,
        event_shapes=_EVENT_SHAPES,
        inputs=_images,
        fit_arguments=lambda *size: {"x": _images(*size)},
        evaluate_arguments=lambda *size: {"x": _images(*size), "y": _groups(*size)},
        stream=_stream,
        output_keys={"assignments", "reconstructions", "log_likelihood", "confidence"},
        evaluate_keys={"loss", "ami", "ari", "confidence", "log_likelihood"},
        num_weights=(64 * 12 + 12) + (12 * 64 + 64),
    ),
)
