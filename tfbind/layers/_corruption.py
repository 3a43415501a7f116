"""What the noise layers share: a seed, and `corrupt` as a pure function of it."""

from typing import Any

import keras
import tensorflow as tf

from tfbind import seeds
from tfbind._validation import check_number


class Corruption(keras.layers.Layer):
    """Adds noise to its input when `training` is true and passes it on otherwise.

    Subclasses implement `corrupt(inputs, seed)`. A model that must resume exactly calls
    `corrupt` with a seed of its own; `call` draws seeds from a Keras `SeedGenerator`.
    """

    def __init__(self, *, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seeds.base_seed(seed)
        self.seed_generator = keras.random.SeedGenerator(self.seed)

    def corrupt(self, inputs: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Returns `inputs` with noise drawn from `seed`, a stateless int32 `[2]` seed."""
        raise NotImplementedError

    def call(self, inputs: tf.Tensor, training: bool | None = False) -> tf.Tensor:
        if not training:
            return inputs
        return self.corrupt(inputs, tf.cast(self.seed_generator.next(), tf.int32))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}


class ElementwiseCorruption(Corruption):
    """Noise that hits each element with a probability, and the others not at all."""

    def __init__(self, probability: float, *, seed: int | None = None, **kwargs: Any) -> None:
        probability = check_number("probability", probability, 0, 1)
        super().__init__(seed=seed, **kwargs)
        self.probability = probability

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "probability": self.probability}
