from typing import NamedTuple

import keras
import tensorflow as tf

from tfbind import seeds
from tfbind._validation import check_choice, check_integer, check_number
from tfbind.layers.standardization import Standardization

# a1 to a10 of the Gaussian combinator at the start: the reconstruction is zero.
_COMBINATOR_START = [[0.0], [1.0], [0.0], [0.0], [0.0], [0.0], [1.0], [0.0], [0.0], [0.0]]


class Encoding(NamedTuple):
    """What the encoder hands to the decoder and to the costs, layer 0 (the input) first."""

    laterals: list  # z, standardised, with this path's noise; [..., N_l]
    activations: list  # h; the last is the top's
    logits: tf.Tensor  # of the top, before its activation
    means: list  # of the layers before standardisation; None for layer 0
    variances: list


@keras.saving.register_keras_serializable("tfbind")
class Ladder(keras.layers.Layer):
    """An encoder, and a decoder that sees every layer of it through a lateral connection.

    Every layer of the decoder guesses what the encoder's layer would be without noise, from the
    noisy layer itself and from the layer above. `LadderNetwork` turns that into a cost for
    semi-supervised classification, `Tagger` runs it inside every iteration.

    Args:
        units: Tuple of two integers or more, widths from the input to the top.
        activation: Name of a Keras activation for the layers between.
        top_activation: The top layer's.
        top_gain: Whether the top layer has a learned scale before its activation.
        noise: Standard deviation of the noise that the noisy path adds to each layer: a number for
            all of them, or a tuple with one for each of `units`.
        normalization: "batch" or "layer".
        combinator: "gauss", or "gauss_stable_v", whose v passes through a logistic function.
        lowest_reconstruction: Index of the lowest layer that is reconstructed: 0 for all, the
            top's for the Gamma model, one more for none.
        num_passes: How many times the layer runs in one forward pass of a model with population
            statistics of their own; see `Standardization`.

    Call arguments:
        inputs: float32 `[..., units[0]]`.

    Returns:
        float32 `[..., units[-1]]`, the top layer of the clean path by population statistics.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> ladder = tfbind.layers.Ladder((4, 8, 3), noise=0.3)
    >>> ladder.build()
    >>> images = np.eye(4, dtype="float32")
    >>> noisy = ladder.encode(images, seed=tfbind.seeds.fold(0))
    >>> [layer.shape[-1] for layer in ladder.decode(noisy)]
    [4, 8, 3]

    References:
        Rasmus, Valpola, Honkala, Berglund, Raiko. Semi-Supervised Learning with Ladder Networks.
        NeurIPS, 2015. https://arxiv.org/abs/1507.02672, Algorithm 1 and equations 6 to 8; weights
        Normal(0, 1 / fan_in) as in the authors' code.
    """

    def __init__(
        self,
        units,
        *,
        activation="relu",
        top_activation="softmax",
        top_gain=True,
        noise=0.0,
        normalization="batch",
        combinator="gauss",
        lowest_reconstruction=0,
        num_passes=1,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)  # only matrix products run in the compute dtype
        if not isinstance(units, (tuple, list)) or len(units) < 2:
            raise ValueError(
                f"`units` must be a tuple of two integers or more. Received: units={units!r}."
            )
        self.units = tuple(check_integer("units", width, 1) for width in units)
        self.top = len(self.units) - 1
        noise = noise if isinstance(noise, (tuple, list)) else [noise] * len(self.units)
        if len(noise) != len(self.units):
            raise ValueError(
                f"`noise` must be a number or one for each of the {len(self.units)} layers. "
                f"Received: noise={noise!r}."
            )
        self.noise = tuple(check_number("noise", stddev, 0) for stddev in noise)
        self.activation = keras.activations.get(activation)
        self.top_activation = keras.activations.get(top_activation)
        self.top_gain = bool(top_gain)
        self.normalization = check_choice("normalization", normalization, ("batch", "layer"))
        self.combinator = check_choice("combinator", combinator, ("gauss", "gauss_stable_v"))
        self.lowest_reconstruction = check_integer(
            "lowest_reconstruction", lowest_reconstruction, 0
        )
        if self.lowest_reconstruction > len(self.units):
            raise ValueError(
                f"`lowest_reconstruction` must be an integer <= {len(self.units)}, which means "
                f"none. Received: lowest_reconstruction={lowest_reconstruction}."
            )
        self.num_passes = check_integer("num_passes", num_passes, 1)

    def build(self, input_shape=None):
        encoded = range(1, self.top + 1)
        reconstructed = range(self.lowest_reconstruction, self.top + 1)
        self.encoder_kernels = {
            layer: self._kernel("encoder", layer - 1, layer) for layer in encoded
        }
        self.biases = {
            layer: self.add_weight(
                autocast=False,
                shape=(self.units[layer],),
                initializer="zeros",
                name=f"bias_{layer}",
            )
            for layer in encoded
        }
        if self.top_gain:
            self.gain = self.add_weight(
                autocast=False, shape=(self.units[self.top],), initializer="ones", name="gain"
            )
        self.decoder_kernels = {
            layer: self._kernel("decoder", layer + 1, layer)
            for layer in reconstructed
            if layer < self.top
        }
        self.combinators = {
            layer: self.add_weight(
                autocast=False,
                shape=(10, self.units[layer]),
                initializer=lambda shape, dtype: tf.broadcast_to(
                    tf.constant(_COMBINATOR_START, dtype), shape
                ),
                name=f"combinator_{layer}",
            )
            for layer in reconstructed
        }
        self.encoder_standardizations = {layer: self._standardization(layer) for layer in encoded}
        self.decoder_standardizations = {
            layer: self._standardization(layer) for layer in reconstructed
        }

    def _kernel(self, name, below, above):
        fan_in, fan_out = self.units[below], self.units[above]
        return self.add_weight(
            autocast=False,
            shape=(fan_in, fan_out),
            initializer=keras.initializers.RandomNormal(stddev=fan_in**-0.5),
            name=f"{name}_kernel_{above}",
        )

    def _standardization(self, layer):
        standardization = Standardization(self.normalization, num_passes=self.num_passes)
        standardization.build((None, self.units[layer]))
        return standardization

    def encode(self, inputs, seed=None, **statistics):
        """Runs the encoder: the noisy path if there is a `seed`, else the clean one.

        Args:
            inputs: float32 `[..., units[0]]`.
            seed: Stateless int32 `[2]` seed of the noise.
            **statistics: `index`, `population` and `update` of `Standardization`.

        Returns:
            An `Encoding`.
        """
        h = self._add_noise(inputs, seed, 0)
        laterals, activations, means, variances = [h], [h], [None], [None]
        for layer, kernel in self.encoder_kernels.items():
            z, mean, variance = self.encoder_standardizations[layer].standardize(
                linear(h, kernel, self.compute_dtype), **statistics
            )
            z = self._add_noise(z, seed, layer)
            logits = z + self.biases[layer]
            if layer == self.top and self.top_gain:
                logits *= self.gain
            h = (self.top_activation if layer == self.top else self.activation)(logits)
            laterals.append(z)
            activations.append(h)
            means.append(mean)
            variances.append(variance)
        return Encoding(laterals, activations, logits, means, variances)

    def decode(self, encoding, **statistics):
        """Runs the decoder on a noisy `Encoding`.

        Returns:
            A list, one float32 `[..., units[l]]` a layer, layer 0 first, before any activation;
            None for layers that are not reconstructed.
        """
        reconstructions = [None] * len(self.units)
        for layer in sorted(self.combinators, reverse=True):
            if layer == self.top:
                u = encoding.activations[layer]
            else:
                kernel = self.decoder_kernels[layer]
                u = linear(reconstructions[layer + 1], kernel, self.compute_dtype)
            u = self.decoder_standardizations[layer](u, **statistics)
            reconstructions[layer] = self._combine(layer, encoding.laterals[layer], u)
        return reconstructions

    def _combine(self, layer, z, u):
        """The Gaussian combinator: z is pulled to a mean, as strongly as its noise demands."""
        a1, a2, a3, a4, a5, a6, a7, a8, a9, a10 = tf.unstack(self.combinators[layer])
        mean = a1 * tf.sigmoid(a2 * u + a3) + a4 * u + a5
        v = a6 * tf.sigmoid(a7 * u + a8) + a9 * u + a10
        if self.combinator == "gauss_stable_v":
            v = tf.sigmoid(v)
        return (z - mean) * v + mean

    def call(self, inputs):
        return self.encode(inputs, population=True).activations[-1]

    def reset_statistics(self):
        """Forgets the population statistics; see `Standardization.reset`."""
        for standardizations in (self.encoder_standardizations, self.decoder_standardizations):
            for standardization in standardizations.values():
                standardization.reset()

    def _add_noise(self, z, seed, layer):
        if seed is None or self.noise[layer] == 0:
            return z
        seed = tf.random.fold_in(seed, layer, alg="philox")
        return z + self.noise[layer] * seeds.normal(tf.shape(z), seed)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units[-1])

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
            "top_activation": keras.activations.serialize(self.top_activation),
            "top_gain": self.top_gain,
            "noise": self.noise,
            "normalization": self.normalization,
            "combinator": self.combinator,
            "lowest_reconstruction": self.lowest_reconstruction,
            "num_passes": self.num_passes,
        }


def linear(h, kernel, dtype):
    """Returns `h @ kernel` in float32, multiplied in `dtype`: the last axis of both is contracted.

    A leading axis of `kernel`, one weight matrix for each member of an ensemble, goes with the
    leading axis of `h`.
    """
    return tf.cast(tf.matmul(tf.cast(h, dtype), tf.cast(kernel, dtype)), tf.float32)
