from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfbind._validation import check_choice, check_number
from tfbind.layers._ladder_parts import linear
from tfbind.layers.ladder import Ladder
from tfbind.layers.standardization import Standardization

_SOFT_CLIP = 1e-4  # keeps probabilities away from 0 and 1 inside logarithms


class TaggerState(NamedTuple):
    """What one iteration hands to the next."""

    means: tf.Tensor  # z, [B, K, P, C], P pixels, C channels
    fed: tf.Tensor  # what the network sees of z: logits if binary, except before iteration 1
    assignments: tf.Tensor  # m, [B, K, P]
    top: tf.Tensor  # logits of the ladder's top layer, [B, K, units[-1]]


@keras.saving.register_keras_serializable("tfbind")
class TaggerStep(keras.layers.Layer):
    """One iteration of `Tagger`: from a guess what each group looks like to a better one.

    K groups share one network, a ladder between two dense layers. It sees what a group makes of
    the noisy input, that is its means z and its assignments m, and how these fail, that is the
    modelling error and the likelihood ratio. The weights know nothing of K.

    Args:
        units: Tuple of two integers or more: the hidden layer, which is the ladder's input, then
            the ladder's layers above it.
        likelihood: "bernoulli" for binary data, or "gaussian" for real-valued data.
        noise: Float > 0, of the input. Binary: the probability, < 0.5, of a flip. Gaussian: the
            standard deviation.
        initial_variance: Float > 0, where v, the learned variance, starts; Gaussian data only.
        normalization: "batch", or "layer", which leaves z and the logits of m as they are.
        combinator: Of the ladder, "gauss" or "gauss_stable_v"; None for the authors' choice,
            "gauss" if binary and "gauss_stable_v" if Gaussian.
        equations: "code" or "paper"; see `Tagger`.
        num_passes: Integer, iterations with population statistics of their own.

    Call arguments:
        noisy: float32 `[B, P, C]`, P pixels of C channels.
        state: `TaggerState`, from `initial_state` or from the iteration before.
        index: Integer, which iteration this is; for the statistics, like what follows.
        population: Whether to normalise by the population statistics instead of the batch's own.
        update: Whether to move the population statistics towards the batch's own.

    Returns:
        The next `TaggerState`: `means`, float32 `[B, K, P, C]`, in [0, 1] if binary; `fed`, the
        same before the logistic function; `assignments`, float32 `[B, K, P]`, in [0, 1], sums to
        1 over K; `top`, float32 `[B, K, units[-1]]`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> step = tfbind.layers.TaggerStep((32, 16), normalization="layer")
    >>> pixels = (np.random.default_rng(0).random((5, 64, 1)) < 0.3).astype("float32")
    >>> state = step.initial_state(pixels, np.full((5, 3, 64), 1 / 3, "float32"), mean=0.26)
    >>> step(pixels, state).assignments.shape
    TensorShape([5, 3, 64])

    References:
        Greff, Rasmus, Berglund, Hao, Schmidhuber, Valpola. Tagger: Deep Unsupervised Perceptual
        Grouping. NIPS, 2016. https://arxiv.org/abs/1606.06724, Algorithm 2.
    """

    def __init__(
        self,
        units: Sequence[int],
        *,
        likelihood: Literal["bernoulli", "gaussian"] = "bernoulli",
        noise: float = 0.2,
        initial_variance: float = 1.0 + 2.0**0.5,
        normalization: Literal["batch", "layer"] = "batch",
        combinator: Literal["gauss", "gauss_stable_v"] | None = None,
        equations: Literal["code", "paper"] = "code",
        num_passes: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)  # only matrix products run in the compute dtype
        self.likelihood = check_choice("likelihood", likelihood, ("bernoulli", "gaussian"))
        self.binary = likelihood == "bernoulli"
        self.noise = _check_noise(noise, self.binary)
        self.initial_variance = check_number("initial_variance", initial_variance, 0, open_low=True)
        self.normalization = normalization
        self.equations = check_choice("equations", equations, ("code", "paper"))
        self.ladder = Ladder(
            units,
            normalization=normalization,
            combinator=combinator or ("gauss" if self.binary else "gauss_stable_v"),
            num_passes=num_passes,
            dtype=self.dtype_policy,
        )

    def build(self, input_shape: tuple[Any, ...]) -> None:
        _, pixels, channels = input_shape
        elements, hidden = pixels * channels, self.ladder.units[0]
        self.hidden_kernel = self._kernel("hidden", 2 * elements + 2 * pixels, hidden)  # W_h
        self.hidden_bias = self._weight("hidden_bias", (hidden,), "zeros")
        self.ladder.build((None, hidden))
        self.mean_kernel = self._kernel("mean", hidden, elements)  # W_zu
        self.mean_gain = self._weight("mean_gain", (elements,), "ones")
        self.mean_bias = self._weight("mean_bias", (elements,), "zeros")
        self.assignment_kernel = self._kernel("assignment", hidden, pixels)  # W_mu
        self.assignment_gain = self._weight("assignment_gain", (), "ones")
        if not self.binary:
            start = keras.initializers.Constant(np.sinh(np.log(self.initial_variance)))
            self.untransformed_variance = self._weight("untransformed_variance", (), start)
        widths = {"hidden": hidden}
        if self.normalization == "batch":
            # Not over the pixels of one mask or mean, which it would tie to each other.
            widths |= {"means": elements, "assignments": pixels}
        self.standardizations = {name: self._standardization(n) for name, n in widths.items()}

    def _weight(self, name, shape, initializer):
        return self.add_weight(autocast=False, shape=shape, initializer=initializer, name=name)

    def _kernel(self, name, fan_in, fan_out):
        initializer = keras.initializers.RandomNormal(stddev=fan_in**-0.5)
        return self._weight(f"{name}_kernel", (fan_in, fan_out), initializer)

    def _standardization(self, width):
        layer = Standardization(self.normalization, num_passes=self.ladder.num_passes)
        layer.build((None, width))
        return layer

    @property
    def variance(self) -> tf.Tensor:
        """v, the learned variance of the mixture's components; Gaussian data only."""
        return tf.exp(tf.asinh(tf.convert_to_tensor(self.untransformed_variance)))

    def initial_state(self, noisy: tf.Tensor, assignments: tf.Tensor, mean: float) -> TaggerState:
        """Returns the state before the first iteration, whose means are all `mean`.

        Args:
            noisy: float32 `[B, P, C]`.
            assignments: float32 `[B, K, *spatial_shape]`, of P pixels.
            mean: Float.
        """
        batch, num_groups = tf.shape(noisy)[0], assignments.shape[1]
        grouped = [batch, num_groups, noisy.shape[1]]
        means = tf.fill([*grouped, noisy.shape[2]], mean)
        top = tf.zeros([batch, num_groups, self.ladder.units[-1]])
        return TaggerState(means, means, tf.reshape(assignments, grouped), top)

    def modelling_error(self, noisy: tf.Tensor, state: TaggerState) -> tf.Tensor:
        """Returns delta z, `[B, K, P, C]`: which way the noisy input pulls each group's means."""
        x, z, m = noisy[:, None], state.means, state.assignments[..., None]
        if self.binary:
            # The paper's m / (mixture - 1 + x), and defined for grey values too.
            mixture = tf.reduce_sum(self._probability_on(z) * m, axis=1, keepdims=True)
            pull = x / mixture - (1.0 - x) / (1.0 - mixture)
            return (1.0 - 2.0 * self.noise) * m * pull
        error = m * (x - z)
        if self.equations == "paper":
            s = self._noisy_variance()
            error *= tf.exp(-0.5 * tf.square(x - z) / s) * tf.math.rsqrt(2.0 * np.pi * s)
        return error

    def likelihood_ratio(self, noisy: tf.Tensor, state: TaggerState) -> tf.Tensor:
        """Returns L, `[B, K, P]`: the groups' likelihoods of the noisy input; sums to 1 over K."""
        x, z = noisy[:, None], state.means
        if self.binary:
            log_p = bernoulli_log_p(x, self._probability_on(z))
        else:
            s = self._noisy_variance()
            log_p = -0.5 * tf.math.log(s) - tf.square(x - z) / (2.0 * s)
        return tf.nn.softmax(tf.reduce_sum(log_p, axis=-1), axis=1)

    def _probability_on(self, z):
        """xi: that a noisy element is 1, in a group with means `z`."""
        return z * (1.0 - 2.0 * self.noise) + self.noise

    def _noisy_variance(self):
        v = self.variance
        return self.noise**2 + (tf.square(v) if self.equations == "code" else v)

    def call(
        self,
        noisy: tf.Tensor,
        state: TaggerState,
        index: int = 0,
        population: bool = False,
        update: bool | Literal["average"] = False,
    ) -> TaggerState:
        statistics = {"index": index, "population": population, "update": update}
        hidden = linear(self._seen(noisy, state), self.hidden_kernel, self.compute_dtype)
        hidden = self._standardize("hidden", hidden, statistics)
        encoding = self.ladder.encode(tf.nn.relu(hidden + self.hidden_bias), **statistics)
        estimate = self.ladder.decode(encoding, **statistics)[0]  # [B * K, units[0]]
        means = linear(estimate, self.mean_kernel, self.compute_dtype)
        means = self.mean_gain * self._standardize("means", means, statistics) + self.mean_bias
        logits = linear(estimate, self.assignment_kernel, self.compute_dtype)
        logits = self.assignment_gain * self._standardize("assignments", logits, statistics)
        fed = tf.reshape(means, tf.shape(state.means))
        return TaggerState(
            means=tf.sigmoid(fed) if self.binary else fed,
            fed=fed,
            assignments=tf.nn.softmax(tf.reshape(logits, tf.shape(state.assignments)), axis=1),
            top=tf.reshape(encoding.logits, tf.shape(state.top)),
        )

    def _seen(self, noisy, state):
        """Returns what the network sees, a row for each group, `[B * K, 2 * P * C + 2 * P]`."""
        parts = (
            state.fed,
            self.modelling_error(noisy, state),
            state.assignments,
            self.likelihood_ratio(noisy, state),
        )
        sizes = [int(np.prod(part.shape[2:])) for part in parts]
        rows = [tf.reshape(part, [-1, size]) for part, size in zip(parts, sizes, strict=True)]
        return tf.concat(rows, axis=1)

    def _standardize(self, name, values, statistics):
        if name not in self.standardizations:
            return values
        return self.standardizations[name](values, **statistics)

    def reset_statistics(self) -> None:
        """Forgets the population statistics; see `Standardization.reset`."""
        self.ladder.reset_statistics()
        for standardization in self.standardizations.values():
            standardization.reset()

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> TaggerState:
        batch, pixels, channels = input_shape
        means = (batch, None, pixels, channels)  # any number of groups
        return TaggerState(means, means, means[:3], (batch, None, self.ladder.units[-1]))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.ladder.units,
            "likelihood": self.likelihood,
            "noise": self.noise,
            "initial_variance": self.initial_variance,
            "normalization": self.normalization,
            "combinator": self.ladder.combinator,
            "equations": self.equations,
            "num_passes": self.ladder.num_passes,
        }


def bernoulli_log_p(x: tf.Tensor, p: tf.Tensor) -> tf.Tensor:
    """Returns log p(x) where `p` is the probability of a 1, kept away from 0 and 1."""
    # p * (1 - 2 * _SOFT_CLIP) + _SOFT_CLIP, without a constant that float16 would round to 1
    p += _SOFT_CLIP * (1.0 - 2.0 * p)
    return x * tf.math.log(p) + (1.0 - x) * tf.math.log(1.0 - p)


def _check_noise(noise, binary):
    noise = check_number("noise", noise, 0, open_low=True)
    if binary and noise >= 0.5:
        raise ValueError(
            "`noise` must be a number in (0, 0.5) for binary data, where 0.5 leaves nothing "
            f"of the image. Received: noise={noise}."
        )
    return noise
