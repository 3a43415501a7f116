"""Counts the matrix products and convolutions that a traced step holds."""

import numpy as np


def gigaflops(graph):
    """Returns what the products of a graph do, each multiply-add being two operations."""
    operations = (op for op in graph.get_operations() if op.type in _SIZES)
    return 2e-9 * sum(_SIZES[op.type](op) for op in operations)


def _matmul(op):
    inner = op.inputs[0].shape[-2 if op.get_attr(_TRANSPOSED[op.type]) else -1]
    return _elements(op.outputs[0]) * inner


def _convolution(op):
    """Each output is a sum over all but the last axis of the kernel."""
    return _elements(op.outputs[0]) * int(np.prod(op.inputs[1].shape[:-1]))


def _to_images(op):
    return _elements(op.inputs[2]) * int(np.prod(op.inputs[1].shape[:-1]))


def _to_kernel(op):
    return _elements(op.inputs[2]) * int(np.prod(op.outputs[0].shape[:-1]))


def _elements(tensor):
    return tensor.shape.num_elements()


_TRANSPOSED = {"MatMul": "transpose_a", "BatchMatMulV2": "adj_x"}
_SIZES = {
    "MatMul": _matmul,
    "BatchMatMulV2": _matmul,
    "Conv2D": _convolution,
    "Conv2DBackpropInput": _to_images,
    "Conv2DBackpropFilter": _to_kernel,
}
