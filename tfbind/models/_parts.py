"""The Keras models and layers that a model of tfbind is made of: checked, saved, restored."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tfbind._validation import check_number
from tfbind.distributions import BernoulliObservation, GaussianObservation
from tfbind.layers._corruption import Corruption


def check_corruption(layer: Any, name: str = "corruption") -> Corruption | None:
    """Returns `layer`; raises unless it is None or adds noise to what it is given."""
    if layer is not None and not isinstance(layer, Corruption):
        raise ValueError(
            f"`{name}` must be a noise layer of `tfbind.layers` or None. "
            f"Received: {name}={layer!r}."
        )
    return layer


def ladder_units(event_shape: tuple, hidden_units: Any, top: int) -> tuple[int, ...]:
    """Returns the widths of a ladder for examples of `event_shape`, from the input to the top."""
    if not isinstance(hidden_units, (tuple, list)) or not hidden_units:
        raise ValueError(
            "`hidden_units` must be a tuple of one integer or more. "
            f"Received: hidden_units={hidden_units!r}."
        )
    return (int(np.prod(event_shape)), *hidden_units, top)


def check_denoising_weights(weights: Any, num_layers: int) -> tuple[float, ...]:
    """Returns the weights of a ladder's denoising costs; raises unless there is one a layer."""
    if not isinstance(weights, (tuple, list)) or len(weights) != num_layers:
        raise ValueError(
            f"`denoising_weights` must be a tuple of {num_layers} numbers, one a layer, the "
            f"input's first. Received: denoising_weights={weights!r}."
        )
    return tuple(check_number("denoising_weights", weight, 0) for weight in weights)


def lowest_weighted(weights: Sequence[float]) -> int:
    """Returns the lowest layer whose denoising counts; one more than the top if none does."""
    return next((layer for layer, weight in enumerate(weights) if weight), len(weights))


def observation_of(
    model: keras.Model, likelihood: str
) -> BernoulliObservation | GaussianObservation:
    """Returns how a model's decoder explains data; for real values with a scale that it learns."""
    if likelihood == "bernoulli":
        return BernoulliObservation()
    scale = model.add_weight(shape=(), initializer="zeros", name="untransformed_scale")
    return GaussianObservation(scale)


def saved_parts(model: keras.Model, own: Mapping[str, bool]) -> dict[str, Any]:
    """Returns the configs of a model's parts by name, None for those that it made itself."""
    return {
        name: None if made else keras.saving.serialize_keras_object(getattr(model, name))
        for name, made in own.items()
    }


def restore_parts(config: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Returns a config with the parts of these names made of their configs."""
    made = {name: keras.saving.deserialize_keras_object(config[name]) for name in names}
    return {**config, **made}


def batch_normalizations(network: keras.Model) -> list[keras.layers.BatchNormalization]:
    """Returns the layers of a network, at any depth, that normalise by the batch."""
    layers = network._flatten_layers()
    return [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]


def run(part: keras.Layer, inputs: Any, training: bool | None = None) -> Any:
    """Returns what a part makes of its inputs, in the mode of the step or in one of its own.

    Keras keeps the last mode that a layer was called with for all later ones, so that a part with
    a frozen layer (called with `training=False`) would end the training of the others.
    """
    context = part._get_call_context()
    mode = context.get_value("training")
    outputs = part(inputs) if training is None else part(inputs, training=training)
    context.set_value("training", mode)
    return outputs
