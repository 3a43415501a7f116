"""What the runners of both kinds of artifact share: checks of a request."""

import numpy as np

from tfbind._validation import check_choice, check_shape


def check_inputs(signatures, signature, inputs):
    """Returns the inputs of a call as arrays, or raises ValueError if they do not fit.

    Args:
        signatures: Dict from name to `inputs` and `outputs`, dicts from name to `shape` and
            `dtype`, as on a card.
        signature: The name of one.
        inputs: Dict from input name to array.
    """
    check_choice("signature", signature, tuple(signatures))
    expected = signatures[signature]["inputs"]
    if set(inputs) != set(expected):
        raise ValueError(
            f"`inputs` of signature {signature!r} must be {sorted(expected)}. "
            f"Received: {sorted(inputs)}."
        )
    arrays = {name: np.asarray(value) for name, value in inputs.items()}
    for name, array in arrays.items():
        if array.dtype.name != expected[name]["dtype"]:
            raise ValueError(
                f"`{name}` must have dtype {expected[name]['dtype']}. "
                f"Received: dtype {array.dtype.name}; convert it first."
            )
        check_shape(name, array.shape, tuple(expected[name]["shape"]))
    return arrays


def first_line(error):
    """Returns what an error of TensorFlow says, without the traces that follow."""
    text = getattr(error, "message", None) or str(error)
    text = text.strip().removeprefix("Graph execution error:")  # a session's first line
    return text.strip().split("\n")[0].rstrip(".")
