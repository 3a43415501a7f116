"""First weights as recipes, from which NumPy draws them alike wherever it runs."""

import numpy as np

_TRUNCATED = 2.0  # standard deviations, as TensorFlow's truncated normal


def draw(recipe, shape, dtype, key):
    """Returns an array as a recipe says.

    Args:
        recipe: List of parts, each a list of "constant", a number, 0 and a size; or of "uniform",
            least and greatest value and size; or of "normal" or "truncated_normal", mean, standard
            deviation and size.
        shape: Tuple of ints.
        dtype: Name of the dtype.
        key: Integers, the seed.
    """
    random = np.random.default_rng(key)
    parts = [_KINDS[kind](random, *numbers) for kind, *numbers in recipe]
    return np.concatenate(parts).reshape(shape).astype(dtype)


def _constant(random, value, _, size):
    return np.full(size, value)


def _uniform(random, low, high, size):
    return np.float32(low) + np.float32(high - low) * random.random(size, "float32")


def _normal(random, mean, stddev, size):
    return np.float32(mean) + np.float32(stddev) * random.standard_normal(size, "float32")


def _truncated(random, mean, stddev, size):
    drawn = random.standard_normal(size, "float32")
    while (outside := np.flatnonzero(np.abs(drawn) > _TRUNCATED)).size:
        drawn[outside] = random.standard_normal(outside.size, "float32")
    return np.float32(mean) + np.float32(stddev) * drawn


_KINDS = {
    "constant": _constant,
    "uniform": _uniform,
    "normal": _normal,
    "truncated_normal": _truncated,
}
