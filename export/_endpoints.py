"""A model's endpoints as traced functions with flat, named tensors on both sides."""

from collections.abc import Mapping
from typing import NamedTuple

import keras
import tensorflow as tf

from tfbind import reading
from tfbind.export._preparing import prepared_endpoints
from tfbind.models._endpoints import guarded

_HALF = (tf.float16, tf.bfloat16)


class TracedEndpoint(NamedTuple):
    """An endpoint's function, and what it takes and gives by name."""

    function: tf.types.experimental.PolymorphicFunction
    inputs: dict  # name -> tf.TensorSpec
    outputs: dict  # name -> tf.TensorSpec
    ranges: dict  # input name -> (low, high)
    descriptions: dict  # output name -> text
    samples: Mapping  # name of an input of strings -> an element of it, in base64


def trace_endpoints(
    model: keras.Model,
    batch_size: int | None = None,
    preparation: reading.Preparation | None = None,
) -> dict[str, TracedEndpoint]:
    """Returns name -> `TracedEndpoint`, for any batch size or for one that is fixed.

    Bad rows have no answer and leave the others alone, see `guarded`. With a preparation of files
    there are more endpoints, which prepare what they are given.

    Raises:
        ValueError: If the model is not built, has no endpoints, or one of them cannot be served.
    """
    try:
        serving_endpoints = model.serving_endpoints
    except AttributeError as error:
        raise ValueError(
            "`model` must have a method `serving_endpoints()`. "
            f"Received: an object of class {type(model).__name__}."
        ) from error
    if not model.built:
        raise ValueError(
            "`model` must be built; call it on a batch first. "
            f"Received: {type(model).__name__} without weights."
        )
    endpoints = serving_endpoints()
    if "serving_default" not in endpoints:
        raise ValueError(
            "`serving_endpoints()` must have an endpoint 'serving_default'. "
            f"Received: {', '.join(map(repr, endpoints)) or 'no endpoints'}."
        )
    endpoints = {name: guarded(_checked(name, each)) for name, each in endpoints.items()}
    if preparation is not None:
        endpoints |= prepared_endpoints(endpoints, preparation)
    return {name: _trace(name, endpoint, batch_size) for name, endpoint in endpoints.items()}


def _checked(name, endpoint):
    def function(*tensors):
        outputs = endpoint.function(*tensors)
        _check_flat(name, outputs, endpoint.outputs)
        return {key: _full_precision(output) for key, output in outputs.items()}

    return endpoint._replace(function=function)


def _trace(name, endpoint, batch_size):
    specs = _input_specs(name, endpoint, batch_size)

    def served(*tensors):
        outputs = endpoint.function(*tensors)
        return {key: tf.identity(outputs[key]) for key in endpoint.outputs}

    function = tf.function(served, input_signature=specs, autograph=False)
    concrete = function.get_concrete_function()
    outputs = concrete.structured_outputs
    _check_batch_axis(name, outputs, batch_size)
    _check_not_compiled(name, concrete)
    inputs = {spec.name: spec for spec in specs}
    return TracedEndpoint(
        function, inputs, outputs, endpoint.ranges, endpoint.outputs, endpoint.samples
    )


def _input_specs(name, endpoint, batch_size):
    names = [spec.name for spec in endpoint.inputs]
    if None in names or len(set(names)) < len(names):
        raise ValueError(
            f"The inputs of endpoint {name!r} must have names, each its own. Received: {names}."
        )
    for spec in endpoint.inputs:
        shape = spec.shape.as_list() if spec.shape.rank else [1]
        if shape[0] is not None or None in shape[1:]:
            raise ValueError(
                f"`{spec.name}` of endpoint {name!r} must have shape (None, ...), of which only "
                f"the batch axis is open. Received: shape {spec.shape}."
            )
    return [
        tf.TensorSpec([batch_size, *spec.shape[1:]], spec.dtype, spec.name)
        for spec in endpoint.inputs
    ]


def _check_flat(name, outputs, described):
    if not isinstance(outputs, dict):
        raise ValueError(
            f"Endpoint {name!r} must return a flat dict of tensors. "
            f"Received: {type(outputs).__name__}."
        )
    for key, value in outputs.items():
        if not isinstance(value, tf.Tensor):
            raise ValueError(
                f"Endpoint {name!r} must return a flat dict of tensors. "
                f"Received: {key!r} of type {type(value).__name__}."
            )
    if set(outputs) != set(described):
        raise ValueError(
            f"Endpoint {name!r} must return the outputs that it describes, {sorted(described)}. "
            f"Received: {sorted(outputs)}."
        )


def _full_precision(tensor):
    # TFLite and the REST interface of TF Serving have no half precision.
    return tf.cast(tensor, tf.float32) if tensor.dtype in _HALF else tensor


def _check_batch_axis(name, outputs, batch_size):
    for key, spec in outputs.items():
        if not spec.shape.rank or spec.shape[0] not in (None, batch_size):
            raise ValueError(
                f"Output {key!r} of endpoint {name!r} must have the batch as its first axis, so "
                f"that a server can batch requests. Received: shape {spec.shape}."
            )


def _check_not_compiled(name, concrete):
    library = concrete.graph.as_graph_def().library
    if any(function.attr["_XlaMustCompile"].b for function in library.function):
        raise ValueError(
            f"Endpoint {name!r} must not use `jit_compile=True`, which TF Serving refuses on "
            "CPU. Received: a function compiled by XLA."
        )
