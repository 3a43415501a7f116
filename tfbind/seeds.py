"""The one way to get randomness: stateless int32 seeds and the Philox generator.

A seed is folded from a base seed, the optimiser's step and the replica, so that a resumed run
draws what the uninterrupted run would have drawn and no two replicas draw the same. Philox is
named everywhere because the default, `auto_select`, is some eighty times slower under XLA on CPU
once the draw is fused with what uses it (`make bench` measures it).

What a seed promises: the same numbers on the same device in the same compile mode. XLA draws
other numbers than graph or eager mode from the same seed.

Without XLA there is one exception. What no gradient goes through, such as the images that
`UntappedVAE` imagines, may be computed with the weights after the step instead of those before
it, as threads have it: TensorFlow's graph optimiser (`dependency_optimization`) drops the order.
"""

import math
import random
from collections.abc import Sequence

import tensorflow as tf

_ALGORITHM = "philox"


def base_seed(seed: int | None = None) -> int:
    """Returns `seed` as an int in [0, 2**31), or draws one if it is None.

    The draw comes from Python's `random`, which `keras.utils.set_random_seed` seeds.
    """
    if seed is None:
        return random.randrange(2**31)
    return int(seed) % 2**31


def fold(seed: int | tf.Tensor, *data: int | tf.Tensor) -> tf.Tensor:
    """Returns the stateless seed, int32 `[2]`, of base seed `seed` and the integers `data`."""
    folded = tf.constant([seed, 0], tf.int32)
    for salt in data:
        folded = tf.random.fold_in(folded, tf.cast(salt, tf.int32), alg=_ALGORITHM)
    return folded


def step_seed(seed: int | tf.Tensor, step: int | tf.Tensor, *salts: int | tf.Tensor) -> tf.Tensor:
    """Returns `fold(seed, step, *salts)`, with the replica folded in under a strategy."""
    replica = tf.distribute.get_replica_context()
    if replica is not None and replica.num_replicas_in_sync > 1:
        salts = (*salts, replica.replica_id_in_sync_group)
    return fold(seed, step, *salts)


def split(seed: tf.Tensor, num: int) -> list[tf.Tensor]:
    """Returns `num` stateless seeds that follow from the stateless `seed`, a list."""
    return [tf.random.fold_in(seed, salt, alg=_ALGORITHM) for salt in range(num)]


def uniform(
    shape: Sequence[int] | tf.Tensor, seed: tf.Tensor, low: float = 0.0, high: float = 1.0
) -> tf.Tensor:
    """Draws float32 `shape` from Uniform[low, high) with the stateless `seed`."""
    return tf.random.stateless_uniform(shape, seed, low, high, alg=_ALGORITHM)


def normal(shape: Sequence[int] | tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Draws float32 `shape` from Normal(0, 1) with the stateless `seed`, all within 5.3.

    One integer a number goes through the inverse of the distribution function, which takes less
    than half as long under XLA on CPU as `tf.random.stateless_normal`.
    """
    bits = tf.random.stateless_uniform(shape, seed, None, None, tf.int32, alg=_ALGORITHM)
    # The middles of 2**23 equal parts of (-1, 1): exact in float32, and never an end, or infinite
    centres = (tf.cast(tf.bitwise.right_shift(bits, 9), tf.float32) + 0.5) * 2.0**-22
    return math.sqrt(2.0) * tf.math.erfinv(centres)
