"""What tf2onnx lacks: ONNX of the ops that it has no handler for, and its silence."""

import contextlib
import functools
import logging
from collections.abc import Iterator
from typing import Any

import numpy as np


@functools.cache
def register() -> None:
    """Teaches tf2onnx the ops of our models that it does not know."""
    from tf2onnx.handler import tf_op

    for name, handler in (("BroadcastArgs", _broadcast_args), ("Log1p", _log1p)):
        tf_op(name).register_compat_handler(handler, 1)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps tf2onnx from logging what is said in a sentence later on."""
    logger = logging.getLogger("tf2onnx")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def unknown_ops(graph: Any) -> set[str]:
    """Returns the names of a graph's ops, and of its branches' and loops', that ONNX lacks."""
    from onnx import defs

    unknown = {node.op_type for node in graph.node if not defs.has(node.op_type, node.domain)}
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                unknown |= unknown_ops(attribute.g)
    return unknown


def _broadcast_args(graph, node, **_):
    """The shape of two tensors together: that of zeros of the one, expanded to the other."""
    dtype = graph.get_dtype(node.output[0])
    first, second = (_as_shape(graph, name) for name in node.input)
    zeros = graph.make_node("ConstantOfShape", [first]).output[0]
    expanded = graph.make_node("Expand", [zeros, second]).output[0]
    shape = graph.make_node("Shape", [expanded]).output[0]
    _replace(graph, node, "Cast", [shape], {"to": dtype})


def _as_shape(graph, name):
    from onnx import TensorProto

    return graph.make_node("Cast", [name], attr={"to": TensorProto.INT64}).output[0]


def _log1p(graph, node, **_):
    """Kahan's form, exact where `log(1 + x)` has lost all digits of a small x."""
    from tf2onnx.utils import make_name

    x = node.input[0]
    one = graph.make_const(make_name("one"), np.float32(1)).output[0]
    moved = graph.make_node("Add", [x, one]).output[0]
    gone = graph.make_node("Equal", [moved, one]).output[0]
    kept = graph.make_node("Sub", [moved, one]).output[0]
    divisor = graph.make_node("Where", [gone, one, kept]).output[0]
    slope = graph.make_node("Div", [x, divisor]).output[0]
    log = graph.make_node("Log", [moved]).output[0]
    product = graph.make_node("Mul", [log, slope]).output[0]
    _replace(graph, node, "Where", [gone, x, product], {})


def _replace(graph, node, op, inputs, attributes):
    """Puts a node of ONNX where one of TensorFlow was."""
    shapes = [graph.get_shape(name) for name in node.output]
    dtypes = [graph.get_dtype(name) for name in node.output]
    graph.remove_node(node.name)
    graph.make_node(
        op, inputs, attributes, outputs=node.output, shapes=shapes, dtypes=dtypes, name=node.name
    )
