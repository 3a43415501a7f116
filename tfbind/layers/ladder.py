import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal

import keras
import tensorflow as tf

from tfbind import seeds
from tfbind._validation import check_choice, check_integer, check_number, check_shape
from tfbind.layers._ladder_parts import (
    EncodedLayer,
    Encoding,
    Path,
    Weights,
    encoding_of,
    linear,
    linear_of_all,
    stack_members,
    unstack_members,
)
from tfbind.layers.standardization import Standardization

# a1 to a10 of the Gaussian combinator at the start: the reconstruction is zero.
_COMBINATOR_START = [[0.0], [1.0], [0.0], [0.0], [0.0], [0.0], [1.0], [0.0], [0.0], [0.0]]

_KERNELS = {
    "fan_in_normal": functools.partial(
        keras.initializers.VarianceScaling, 1.0, "fan_in", "untruncated_normal"
    ),
    "glorot_normal": keras.initializers.GlorotNormal,
}


@keras.saving.register_keras_serializable("tfbind")
class Ladder(keras.layers.Layer):
    """An encoder, and a decoder that sees every layer of it through a lateral connection.

    Every layer of the decoder guesses what the encoder's layer would be without noise, from the
    noisy layer itself and from the layer above. `LadderNetwork` turns that into a cost for
    semi-supervised classification, and `Tagger` runs it inside every iteration. In an ensemble
    every weight is the stack of those of M single ladders, and each does what it would alone.

    Args:
        units: Tuple of two integers or more, widths from the input to the top.
        activation: Name of a Keras activation for the layers between.
        top_activation: The top layer's.
        top_gain: Whether the top layer has a learned scale before its activation.
        top_normalization: Whether the top layer of the encoder is standardised.
        noise: Standard deviation of the noise that the noisy path adds to each layer: a number for
            all of them, or a tuple with one for each of `units`.
        normalization: "batch" or "layer".
        kernel_initializer: "fan_in_normal", the ladder's Normal(0, 1 / fan_in), or
            "glorot_normal".
        combinator: "gauss", or "gauss_stable_v", whose v passes through a logistic function.
        decoder_top_input: What enters the decoder from above: the top layer's "activation", or its
            "logits".
        lowest_reconstruction: Index of the lowest layer that is reconstructed: 0 for all, the
            top's for the Gamma model, one more for none.
        num_passes: How many times the layer runs in one forward pass of a model with population
            statistics of their own; see `Standardization`.
        num_members: Integer M, ladders in an ensemble; None for a single one. The noise of member
            m is that of a single ladder with the seed `seeds.split(seed, M)[m]`.
        batched: Whether all members run at once, in batched products, which suits accelerators;
            or one after the other, whose step is a little quicker on a CPU and compiles more than
            twice as long. The values are the same. Unused without members.

    Call arguments:
        inputs: float32 `[..., units[0]]`; with members `[M, B, units[0]]`, or `[B, units[0]]` if
            all of them see the same.

    Returns:
        float32 `[..., units[-1]]`, with members `[M, B, units[-1]]`, the top layer of the clean
        path by population statistics.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> ladder = tfbind.layers.Ladder((4, 8, 3), noise=0.3)
    >>> ladder.build()
    >>> images = np.eye(4, dtype="float32")
    >>> noisy = ladder.encode(images, seed=tfbind.seeds.fold(0))
    >>> [layer.shape[-1] for layer in ladder.decode(noisy)]
    [4, 8, 3]
    >>> tfbind.layers.Ladder((4, 8, 3), num_members=5)(images).shape
    TensorShape([5, 4, 3])

    References:
        Rasmus, Valpola, Honkala, Berglund, Raiko. Semi-Supervised Learning with Ladder Networks.
        NeurIPS, 2015. https://arxiv.org/abs/1507.02672, Algorithm 1 and equations 6 to 8; weights
        Normal(0, 1 / fan_in) as in the authors' code.
        Gupta, Ramjee, Kwatra, Sivathanu. Unsupervised Clustering using Pseudo-semi-supervised
        Learning. ICLR, 2020: Glorot's kernels, a bare top, logits into the decoder.
    """

    def __init__(
        self,
        units: Sequence[int],
        *,
        activation: str | Callable = "relu",
        top_activation: str | Callable = "softmax",
        top_gain: bool = True,
        top_normalization: bool = True,
        noise: float | Sequence[float] = 0.0,
        normalization: Literal["batch", "layer"] = "batch",
        kernel_initializer: Literal["fan_in_normal", "glorot_normal"] = "fan_in_normal",
        combinator: Literal["gauss", "gauss_stable_v"] = "gauss",
        decoder_top_input: Literal["activation", "logits"] = "activation",
        lowest_reconstruction: int = 0,
        num_passes: int = 1,
        num_members: int | None = None,
        batched: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)  # only matrix products run in the compute dtype
        self.units = _check_units(units)
        self.top = len(self.units) - 1
        self.noise = _check_noise(noise, len(self.units))
        self.activation = keras.activations.get(activation)
        self.top_activation = keras.activations.get(top_activation)
        self.top_gain = bool(top_gain)
        self.top_normalization = bool(top_normalization)
        self.normalization = check_choice("normalization", normalization, ("batch", "layer"))
        self.kernel_initializer = check_choice("kernel_initializer", kernel_initializer, _KERNELS)
        self.combinator = check_choice("combinator", combinator, ("gauss", "gauss_stable_v"))
        self.decoder_top_input = check_choice(
            "decoder_top_input", decoder_top_input, ("activation", "logits")
        )
        self.lowest_reconstruction = _check_lowest(lowest_reconstruction, len(self.units))
        self.num_passes = check_integer("num_passes", num_passes, 1)
        self.num_members = None
        if num_members is not None:
            self.num_members = check_integer("num_members", num_members, 1)
        self.batched = bool(batched)
        self._side_by_side = self.num_members is not None and self.batched

    def build(self, input_shape: tuple[int | None, ...] | None = None) -> None:
        encoded = range(1, self.top + 1)
        standardized = encoded if self.top_normalization else range(1, self.top)
        reconstructed = range(self.lowest_reconstruction, self.top + 1)
        self.encoder_kernels = {
            layer: self._kernel("encoder", layer - 1, layer) for layer in encoded
        }
        self.biases = {
            layer: self._weight(f"bias_{layer}", (self.units[layer],), "zeros") for layer in encoded
        }
        if self.top_gain:
            self.gain = self._weight("gain", (self.units[self.top],), "ones")
        self.decoder_kernels = {
            layer: self._kernel("decoder", layer + 1, layer) for layer in reconstructed[:-1]
        }
        self.combinators = {
            layer: self._weight(
                f"combinator_{layer}", (10, self.units[layer]), _combinator_initializer
            )
            for layer in reconstructed
        }
        self.encoder_standardizations = self._standardizations(standardized)
        self.decoder_standardizations = self._standardizations(reconstructed)

    def _weight(self, name, shape, initializer):
        members = () if self.num_members is None else (self.num_members,)
        return self.add_weight(
            autocast=False, shape=(*members, *shape), initializer=initializer, name=name
        )

    def _kernel(self, name, below, above):
        fans = (self.units[below], self.units[above])

        def initialize(shape, dtype):  # one draw a member, whose fans a leading axis would hide
            draws = [
                _KERNELS[self.kernel_initializer]()(fans, dtype)
                for _ in range(self.num_members or 1)
            ]
            return tf.reshape(tf.stack(draws), shape)

        return self._weight(f"{name}_kernel_{above}", fans, initialize)

    def _standardizations(self, layers):
        found = {}
        for layer in layers:
            found[layer] = Standardization(
                self.normalization, num_passes=self.num_passes, num_members=self.num_members
            )
            found[layer].build((self.num_members, None, self.units[layer]))
        return found

    def encode(
        self,
        inputs: tf.Tensor,
        seed: tf.Tensor | None = None,
        **statistics: int | bool | str,
    ) -> Encoding:
        """Runs the encoder: the noisy path if there is a `seed`, else the clean one.

        Args:
            inputs: float32 `[..., units[0]]`, with members `[M, B, units[0]]` or `[B, units[0]]`.
            seed: Stateless int32 `[2]` seed of the noise.
            **statistics: `index`, `population` and `update` of `Standardization`.

        Returns:
            An `Encoding`.
        """
        return self.encode_all([Path(inputs, seed, statistics)])[0]

    def encode_all(self, paths: Sequence[Path]) -> list[Encoding]:
        """Runs the encoder on several paths at once, each with statistics of its own.

        The values are those of `encode`, in the order of the paths; it takes less time, since every
        layer is one product of the rows of all.

        Args:
            paths: List of `Path`, the arguments of `encode`.

        Returns:
            A list, an `Encoding` a path.
        """
        inputs, path_seeds, statistics = map(list, zip(*paths, strict=True))
        if self.num_members is not None:
            inputs = [self._with_members(each) for each in inputs]
            path_seeds = [
                None if seed is None else tf.stack(seeds.split(seed, self.num_members))  # [M, 2]
                for seed in path_seeds
            ]
        return self._run(self._encode, (inputs, path_seeds), *statistics)

    def _encode(self, weights, inputs, path_seeds, *statistics):
        paths = []
        for each, seed in zip(inputs, path_seeds, strict=True):
            h = self._add_noise(each, seed, 0)
            paths.append([EncodedLayer(h, h, h, None, None)])
        for layer, kernel in weights.encoder_kernels.items():
            below = [path[-1].activation for path in paths]
            products = linear_of_all(below, kernel, self.compute_dtype)
            for path, a, seed, own in zip(paths, products, path_seeds, statistics, strict=True):
                path.append(self._encode_layer(weights, layer, a, seed, own))
        return [encoding_of(path) for path in paths]

    def _encode_layer(self, weights, layer, a, seed, statistics):
        z, mean, variance = self._standardize(layer, a, statistics)
        z = self._add_noise(z, seed, layer)
        logits = z + self._over_rows(weights.biases[layer])
        if layer in weights.gains:
            logits *= self._over_rows(weights.gains[layer])
        h = (self.top_activation if layer == self.top else self.activation)(logits)
        return EncodedLayer(z, h, logits, mean, variance)

    def decode(self, encoding: Encoding, **statistics: int | bool | str) -> list[tf.Tensor | None]:
        """Runs the decoder on a noisy `Encoding`.

        Returns:
            A list, one float32 `[..., units[l]]` a layer, layer 0 first, before any activation;
            None for layers that are not reconstructed.
        """
        return self._run(self._decode, (encoding,), statistics)

    def _decode(self, weights, encoding, statistics):
        from_activation = self.decoder_top_input == "activation"
        reconstructions = [None] * len(self.units)
        for layer, combinator in sorted(weights.combinators.items(), reverse=True):
            if layer == self.top:
                u = encoding.activations[layer] if from_activation else encoding.logits
            else:
                kernel = weights.decoder_kernels[layer]
                u = linear(reconstructions[layer + 1], kernel, self.compute_dtype)
            u = self.decoder_standardizations[layer](u, **statistics)
            reconstructions[layer] = self._combine(combinator, encoding.laterals[layer], u)
        return reconstructions

    def _combine(self, combinator, z, u):
        """The Gaussian combinator: z is pulled to a mean, as strongly as its noise demands."""
        parameters = map(self._over_rows, tf.unstack(combinator, axis=-2))  # ten of [N] or [M, N]
        a1, a2, a3, a4, a5, a6, a7, a8, a9, a10 = parameters
        mean = a1 * tf.sigmoid(a2 * u + a3) + a4 * u + a5
        v = a6 * tf.sigmoid(a7 * u + a8) + a9 * u + a10
        if self.combinator == "gauss_stable_v":
            v = tf.sigmoid(v)
        return (z - mean) * v + mean

    def _standardize(self, layer, a, statistics):
        if layer not in self.encoder_standardizations:
            return a, None, None
        return self.encoder_standardizations[layer].standardize(a, **statistics)

    def _add_noise(self, z, seed, layer):
        if seed is None or self.noise[layer] == 0:
            return z
        if self._side_by_side:
            draw = tf.stack([_draw(tf.shape(z)[1:], own, layer) for own in tf.unstack(seed)])
        else:
            draw = _draw(tf.shape(z), seed, layer)
        return z + self.noise[layer] * draw

    def _over_rows(self, weight):
        """Returns a weight of every unit such that it goes with rows: [N], or [M, 1, N]."""
        return tf.expand_dims(weight, -2) if self._side_by_side else weight

    def _run(self, function, arguments, *statistics):
        """Calls a function of weights and arguments once, or once for each member.

        Each dict of `statistics` is a last argument, to which the member is added.
        """
        weights = Weights(
            dict(self.encoder_kernels),
            dict(self.biases),
            {self.top: self.gain} if self.top_gain else {},
            dict(self.decoder_kernels),
            dict(self.combinators),
        )
        if self.num_members is None or self.batched:
            return function(weights, *arguments, *statistics)
        members = unstack_members((weights, *arguments), self.num_members)
        found = [
            function(*own, *(each | {"member": m} for each in statistics))
            for m, own in enumerate(members)
        ]
        return stack_members(found)

    def _with_members(self, inputs):
        """Returns the inputs with the axis of the members, which may share them."""
        if len(inputs.shape) == 2:
            inputs = tf.tile(inputs[None], [self.num_members, 1, 1])  # [M, B, N]
        check_shape("inputs", tuple(inputs.shape), (self.num_members, None, self.units[0]))
        return inputs

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return self.encode(inputs, population=True).activations[-1]

    def reset_statistics(self) -> None:
        """Forgets the population statistics; see `Standardization.reset`."""
        for standardizations in (self.encoder_standardizations, self.decoder_standardizations):
            for standardization in standardizations.values():
                standardization.reset()

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        if self.num_members is not None:
            return (self.num_members, input_shape[-2], self.units[-1])
        return (*input_shape[:-1], self.units[-1])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
            "top_activation": keras.activations.serialize(self.top_activation),
            "top_gain": self.top_gain,
            "top_normalization": self.top_normalization,
            "noise": self.noise,
            "normalization": self.normalization,
            "kernel_initializer": self.kernel_initializer,
            "combinator": self.combinator,
            "decoder_top_input": self.decoder_top_input,
            "lowest_reconstruction": self.lowest_reconstruction,
            "num_passes": self.num_passes,
            "num_members": self.num_members,
            "batched": self.batched,
        }


def _draw(shape, seed, layer):
    return seeds.normal(shape, tf.random.fold_in(seed, layer, alg="philox"))


def _combinator_initializer(shape, dtype):
    return tf.broadcast_to(tf.constant(_COMBINATOR_START, dtype), shape)


def _check_units(units):
    if not isinstance(units, (tuple, list)) or len(units) < 2:
        raise ValueError(
            f"`units` must be a tuple of two integers or more. Received: units={units!r}."
        )
    return tuple(check_integer("units", width, 1) for width in units)


def _check_noise(noise, num_layers):
    noise = noise if isinstance(noise, (tuple, list)) else [noise] * num_layers
    if len(noise) != num_layers:
        raise ValueError(
            f"`noise` must be a number or one for each of the {num_layers} layers. "
            f"Received: noise={noise!r}."
        )
    return tuple(check_number("noise", stddev, 0) for stddev in noise)


def _check_lowest(lowest, num_layers):
    lowest = check_integer("lowest_reconstruction", lowest, 0)
    if lowest > num_layers:
        raise ValueError(
            f"`lowest_reconstruction` must be an integer <= {num_layers}, which means "
            f"none. Received: lowest_reconstruction={lowest}."
        )
    return lowest
