"""Made-up inputs for an endpoint, drawn from the ranges on its card."""

import base64
from typing import Any

import numpy as np


def sample_inputs(endpoint: dict[str, Any], batch_size: int) -> dict[str, np.ndarray]:
    """Draws a batch of inputs for one endpoint of a card, the same at every call.

    Use it to try an artifact, or to fill a request, when there is no data at hand.

    Args:
        endpoint: Dict, an entry of `endpoints` of a card.
        batch_size: Integer >= 1.

    Returns:
        A dict from input name to array of the shape and dtype on the card: uniform over the
        declared range, of which an open end lies one unit from the other end, or at -1 and 1 if
        both are open; of strings, the sample on the card.

    Example:

    >>> image = {"shape": [None, 2, 2], "dtype": "float32", "range": [0.0, 1.0]}
    >>> tfbind.export.sample_inputs({"inputs": {"image": image}}, 3)["image"].shape
    (3, 2, 2)
    """
    random = np.random.default_rng(0)
    return {
        name: _filled((batch_size, *info["shape"][1:]), info["sample"])
        if info["dtype"] == "string"
        else _draw(random, (batch_size, *info["shape"][1:]), info["dtype"], info["range"])
        for name, info in endpoint["inputs"].items()
    }


def _filled(shape, sample):
    """Returns strings `shape` that all are the sample of the card."""
    array = np.empty(shape, object)
    array[...] = base64.b64decode(sample)
    return array


def _draw(random, shape, dtype, limits):
    low, high = limits
    if low is None:
        low = -1.0 if high is None else high - 1.0
    if high is None:
        high = 1.0 if limits[0] is None else low + 1.0
    if np.issubdtype(np.dtype(dtype), np.floating):
        return random.uniform(low, high, shape).astype(dtype)
    return random.integers(int(low), int(high), shape, endpoint=True).astype(dtype)
