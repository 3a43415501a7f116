from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfbind import losses, metrics, seeds
from tfbind._validation import check_choice, check_integer, check_number
from tfbind.layers import AdditiveGaussianNoise, BitFlipNoise, Ladder, Standardization
from tfbind.layers.ladder import linear
from tfbind.models._grouping import GroupingModel

_SOFT_CLIP = 1e-4  # keeps probabilities away from 0 and 1 inside logarithms
_LOG_GUARD = 1e-5  # added to assignments inside the logarithm of the Gaussian cost
_CALIBRATION_BATCHES = 100


class TaggerState(NamedTuple):
    """What one iteration hands to the next."""

    means: tf.Tensor  # z, [B, K, P, C], P pixels, C channels
    fed: tf.Tensor  # what the network sees of z: logits if binary, except before iteration 1
    assignments: tf.Tensor  # m, [B, K, P]
    top: tf.Tensor  # logits of the ladder's top layer, [B, K, units[-1]]


@keras.saving.register_keras_serializable("tfbind")
class Tagger(GroupingModel):
    """Learns to group the elements of an example by denoising it, a few iterations at a time.

    K groups share one network. In every iteration it sees what each group makes of the noisy
    input (the group's means z and assignments m, and how both fail) and gives better ones. No
    labels are needed: groups are learned because they make denoising easier. `fit` trains on
    images; `evaluate` with true groups scores the grouping; `predict` groups. With `num_classes`
    it classifies images of several objects too, and `fit` takes labels.

    Args:
        event_shape: Tuple of ints, the shape of one example, such as (20, 20, 1) or (64,).
        num_groups: Integer K >= 2.
        num_iterations: Integer T >= 1, iterations in training.
        inference_iterations: Integer >= 1, iterations in `call` and `evaluate`; or None for T.
        units: Tuple of two integers or more: the hidden layer, which is the ladder's input, then
            the ladder's layers above it.
        likelihood: "bernoulli" for binary data, or "gaussian" for real-valued data.
        noise: Float > 0. Binary: the probability, < 0.5, of a flip. Gaussian: the standard
            deviation.
        initial_mean: Float, z before the first iteration.
        initial_variance: Float > 0, where v, the learned variance, starts; Gaussian data only. The
            authors' start is far above what data in [0, 1] ends at, and v moves slowly: groups
            form long before if it starts near a tenth of the data's variance.
        normalization: "batch", as in the authors' code, or "layer", as in the paper's starred
            rows; that leaves z and the logits of m, which have no units in common, as they are.
        combinator: Of the ladder, "gauss" or "gauss_stable_v"; None for the authors' choice,
            "gauss" if binary and "gauss_stable_v" if Gaussian.
        num_classes: Integer, or None for no classes. The top layer then has one unit a class and
            one more, for a group without an object.
        class_weight: Float >= 0, weight of the classification cost.
        equations: Where they differ, for Gaussian data: "code" (modelling error m (x - z), variance
            of a group's likelihood noise^2 + v^2) or "paper" (times the density of x, and
            noise^2 + v).
        seed: Integer seed of noise and starting assignments, or None to draw one. At inference all
            examples start from the same draw, so that an example's answer does not depend on its
            batch.

    Call arguments:
        inputs: float32 `[B, *event_shape]`, in [0, 1] if binary; or a dict with that under `image`
            and a start of your own, float32 `[B, K, *spatial_shape]`, under
            `initial_assignments`. `spatial_shape` is `event_shape` without the last axis, the
            channels, where `event_shape` has three axes or more. Nothing is corrupted in `call`.
            `fit` also takes dicts with `image` and `label`, int `[B]` or `[B, num_objects]`, and
            `unlabeled_image`.

    Returns:
        A dict: `assignments`, float32 `[B, K, *spatial_shape]`, in [0, 1], sums to 1 over K;
        `reconstructions`, float32 `[B, K, *event_shape]`, z, the range of the data;
        `log_likelihood`, float32 `[B]`, nats per example; `confidence`, float32 `[B]` in [0, 1],
        the mean over non-zero pixels of the largest assignment; with `num_classes` also
        `probabilities`, float32 `[B, num_classes]`, sums to 1.

    Raises:
        ValueError: If an argument is out of its range, or data has the wrong shape or range.

    Example:

    >>> model = tfbind.Tagger((8, 8, 1), num_groups=3, units=(64, 32), normalization="layer")
    >>> model.compile(keras.optimizers.Adam(0.001))
    >>> images = (np.random.default_rng(0).random((20, 8, 8, 1)) < 0.3).astype("float32")
    >>> history = model.fit(images, verbose=0)
    >>> model.predict(images, verbose=0)["assignments"].shape
    (20, 3, 8, 8)

    References:
        Greff, Rasmus, Berglund, Hao, Schmidhuber, Valpola. Tagger: Deep Unsupervised Perceptual
        Grouping. NIPS, 2016. https://arxiv.org/abs/1606.06724, Algorithms 1 to 3. Where the paper
        and the authors' code differ this follows the code: (1 - 2 noise) stays in the binary
        modelling error, the loss is the mean over iterations, logarithms are guarded; and see
        `equations`.
    """

    def __init__(
        self,
        event_shape,
        num_groups=4,
        num_iterations=3,
        *,
        inference_iterations=None,
        units=(2000, 1000, 500),
        likelihood="bernoulli",
        noise=0.2,
        initial_mean=0.26,
        initial_variance=1.0 + 2.0**0.5,
        normalization="batch",
        combinator=None,
        num_classes=None,
        class_weight=0.1,
        equations="code",
        seed=None,
        **kwargs,
    ):
        num_iterations = check_integer("num_iterations", num_iterations, 1)
        if inference_iterations is not None:
            inference_iterations = check_integer("inference_iterations", inference_iterations, 1)
        check_choice("likelihood", likelihood, ("bernoulli", "gaussian"))
        check_choice("equations", equations, ("code", "paper"))
        noise = check_number("noise", noise, 0, open_low=True)
        if likelihood == "bernoulli" and noise >= 0.5:
            raise ValueError(
                "`noise` must be a number in (0, 0.5) for binary data, where 0.5 leaves nothing "
                f"of the image. Received: noise={noise}."
            )
        initial_mean = check_number("initial_mean", initial_mean, -np.inf)
        initial_variance = check_number("initial_variance", initial_variance, 0, open_low=True)
        class_weight = check_number("class_weight", class_weight, 0)
        # Only matrix products run in the compute dtype; see `layers.ladder.linear`.
        super().__init__(event_shape, num_groups, seed, autocast=False, **kwargs)
        self.num_iterations = num_iterations
        self.inference_iterations = inference_iterations or num_iterations
        self.likelihood = likelihood
        self.noise = noise
        self.initial_mean = initial_mean
        self.initial_variance = initial_variance
        self.normalization = normalization
        self.num_classes = num_classes
        self.class_weight = class_weight
        self.equations = equations
        self.binary = likelihood == "bernoulli"
        self.value_range = (0.0, 1.0) if self.binary else (None, None)
        corruption = BitFlipNoise if self.binary else AdditiveGaussianNoise
        self.corruption = corruption(noise, seed=self.seed)
        self.ladder = Ladder(
            units,
            normalization=normalization,
            combinator=combinator or ("gauss" if self.binary else "gauss_stable_v"),
            num_passes=self.inference_iterations,
            dtype=self.dtype_policy,
        )
        self._check_classes()
        self.costs = [
            keras.metrics.Mean(name=f"cost_{i + 1}")
            for i in range(max(num_iterations, self.inference_iterations))
        ]
        self.mean_log_likelihood = keras.metrics.Mean(name="log_likelihood")
        self.set_error = keras.metrics.Mean(name="error")
        self.default_start = self.initial_assignments(1, self.seed)
        self.build()

    def _check_classes(self):
        if self.num_classes is None:
            return
        check_integer("num_classes", self.num_classes, 2)
        if self.ladder.units[-1] != self.num_classes + 1:
            raise ValueError(
                "The last of `units` must be num_classes + 1, one for a group without an object. "
                f"Received: units={self.ladder.units}, num_classes={self.num_classes}."
            )

    def build(self, input_shape=None):
        if self.built:
            return
        hidden = self.ladder.units[0]
        pixels, elements = self.num_pixels, self.num_pixels * self.num_channels
        fan_in = 2 * elements + 2 * pixels
        self.hidden_kernel = self._kernel("hidden_kernel", fan_in, hidden)  # W_h
        self.hidden_bias = self.add_weight(
            autocast=False, shape=(hidden,), initializer="zeros", name="hidden_bias"
        )
        self.ladder.build((None, hidden))
        self.mean_kernel = self._kernel("mean_kernel", hidden, elements)  # W_zu
        self.mean_gain = self.add_weight(
            autocast=False, shape=(elements,), initializer="ones", name="mean_gain"
        )
        self.mean_bias = self.add_weight(
            autocast=False, shape=(elements,), initializer="zeros", name="mean_bias"
        )
        self.assignment_kernel = self._kernel("assignment_kernel", hidden, pixels)  # W_mu
        self.assignment_gain = self.add_weight(
            autocast=False, shape=(), initializer="ones", name="assignment_gain"
        )
        widths = {"hidden": hidden}
        if self.normalization == "batch":
            # Not over the pixels of one mask or mean, which it would tie to each other.
            widths |= {"means": elements, "assignments": pixels}
        self.standardizations = {}
        for name, width in widths.items():
            layer = Standardization(self.normalization, num_passes=self.inference_iterations)
            layer.build((None, width))
            self.standardizations[name] = layer
        if not self.binary:
            start = np.sinh(np.log(self.initial_variance))
            self.untransformed_variance = self.add_weight(
                autocast=False,
                shape=(),
                initializer=keras.initializers.Constant(start),
                name="untransformed_variance",
            )
        self.built = True

    def _kernel(self, name, fan_in, fan_out):
        initializer = keras.initializers.RandomNormal(stddev=fan_in**-0.5)
        return self.add_weight(
            autocast=False, shape=(fan_in, fan_out), initializer=initializer, name=name
        )

    def _draw_start(self, random, shape):
        noise = np.exp(random.standard_normal(shape))
        return noise / noise.sum(axis=1, keepdims=True)

    @property
    def variance(self):
        """v, the learned variance of the mixture's components; Gaussian data only."""
        return tf.exp(tf.asinh(tf.convert_to_tensor(self.untransformed_variance)))

    def initial_state(self, noisy, assignments):
        """Returns the state before the first iteration, whose means are all `initial_mean`."""
        batch = tf.shape(noisy)[0]
        grouped = [batch, self.num_groups, self.num_pixels]
        means = tf.fill([*grouped, self.num_channels], self.initial_mean)
        top = tf.zeros([batch, self.num_groups, self.ladder.units[-1]])
        return TaggerState(means, means, tf.reshape(assignments, grouped), top)

    def modelling_error(self, noisy, state):
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

    def likelihood_ratio(self, noisy, state):
        """Returns L, `[B, K, P]`: the groups' likelihoods of the noisy input; sums to 1 over K."""
        x, z = noisy[:, None], state.means
        if self.binary:
            p = _soft_clip(self._probability_on(z))
            log_p = x * tf.math.log(p) + (1.0 - x) * tf.math.log(1.0 - p)
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

    def step(self, noisy, state, **statistics):
        """Runs one iteration (Algorithm 2); returns the next state.

        Args:
            noisy: float32 `[B, P, C]`.
            state: `TaggerState`.
            **statistics: `index`, `population` and `update` of `Standardization`.
        """
        dtype = self.compute_dtype
        rows = tf.shape(noisy)[0] * self.num_groups
        seen = (
            state.fed,
            self.modelling_error(noisy, state),
            state.assignments,
            self.likelihood_ratio(noisy, state),
        )
        seen = tf.concat([tf.reshape(part, [rows, _size(part)]) for part in seen], axis=1)
        hidden = linear(seen, self.hidden_kernel, dtype)
        hidden = self._standardize("hidden", hidden, statistics)
        hidden = tf.nn.relu(hidden + self.hidden_bias)
        encoding = self.ladder.encode(hidden, **statistics)
        estimate = self.ladder.decode(encoding, **statistics)[0]
        means = linear(estimate, self.mean_kernel, dtype)
        means = self._standardize("means", means, statistics)
        means = self.mean_gain * means + self.mean_bias
        logits = linear(estimate, self.assignment_kernel, dtype)
        logits = self.assignment_gain * self._standardize("assignments", logits, statistics)
        fed = tf.reshape(means, tf.shape(state.means))
        return TaggerState(
            means=tf.sigmoid(fed) if self.binary else fed,
            fed=fed,
            assignments=tf.nn.softmax(tf.reshape(logits, tf.shape(state.assignments)), axis=1),
            top=tf.reshape(encoding.logits, tf.shape(state.top)),
        )

    def _standardize(self, name, values, statistics):
        if name not in self.standardizations:
            return values
        return self.standardizations[name](values, **statistics)

    def iterate(self, noisy, assignments, num_iterations, **statistics):
        """Runs `num_iterations` steps; returns all states, the start first."""
        states = [self.initial_state(noisy, assignments)]
        for index in range(num_iterations):
            states.append(self.step(noisy, states[-1], index=index, **statistics))
        return states

    def denoising_cost(self, images, state):
        """Returns -log p(clean image), mean over elements, float32 `[B]`, nats per element.

        For Gaussian data without the constant log(2 pi) / 2, as in the authors' code.
        """
        elements = self.num_pixels * self.num_channels
        return -losses.sum_over_event(self._log_mixture(images, state)) / elements

    def _log_mixture(self, images, state):
        if self.binary:
            mean = tf.reduce_sum(state.assignments[..., None] * state.means, axis=1)
            p = _soft_clip(mean)
            return images * tf.math.log(p) + (1.0 - images) * tf.math.log(1.0 - p)
        v = self.variance
        log_p = -0.5 * (tf.math.log(v) + tf.square(images[:, None] - state.means) / v)
        log_p = tf.reduce_sum(log_p, axis=-1) + tf.math.log(state.assignments + _LOG_GUARD)
        return tf.reduce_logsumexp(log_p, axis=1)

    def class_log_probabilities(self, state):
        """Returns log p(class), float32 `[B, num_classes]`, of all groups together.

        The groups' shares of the classes are summed and normalised without the share of 'none'.
        """
        log_p = tf.nn.log_softmax(state.top)[..., :-1]  # [B, K, num_classes]
        log_p = tf.reduce_logsumexp(log_p, axis=1)
        return log_p - tf.reduce_logsumexp(log_p, axis=1, keepdims=True)

    def call(self, inputs):
        images, start = self._unpack(inputs)
        if start is None:
            start = tf.tile(
                self.default_start, [tf.shape(images)[0], *[1] * (self.default_start.ndim - 1)]
            )
        state = self.iterate(images, start, self.inference_iterations, population=True)[-1]
        log_likelihood = losses.sum_over_event(self._log_mixture(images, state))
        if not self.binary:
            log_likelihood -= 0.5 * np.log(2 * np.pi) * self.num_pixels * self.num_channels
        outputs = self._outputs(images, state.assignments, state.means, log_likelihood)
        if self.num_classes is not None:
            outputs["probabilities"] = tf.exp(self.class_log_probabilities(state))
        return outputs

    def trace(self, images, initial_assignments=None):
        """Runs `call` and keeps every iteration of it, for pictures and curves.

        Args:
            images: float32 `[B, *event_shape]`.
            initial_assignments: float32 `[B, K, *spatial_shape]`, or None for the model's own.

        Returns:
            A dict: `assignments`, float32 `[T + 1, B, K, *spatial_shape]`, the start first;
            `reconstructions`, float32 `[T + 1, B, K, *event_shape]`; `costs`, float32
            `[T + 1, B]`, nats per element.
        """
        images, start = self._unpack(
            self.check_inputs({"image": images, "initial_assignments": initial_assignments})
        )
        if start is None:
            start = np.broadcast_to(self.default_start, self._start_shape(len(images)))
        states = self.iterate(images, start, self.inference_iterations, population=True)
        leading = [len(states), len(images), self.num_groups]
        return {
            "assignments": tf.reshape(
                [state.assignments for state in states], [*leading, *self.spatial_shape]
            ),
            "reconstructions": tf.reshape(
                [state.means for state in states], [*leading, *self.event_shape]
            ),
            "costs": tf.stack([self.denoising_cost(images, state) for state in states]),
        }

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The mean cost of all iterations; `y`, the true groups, is for the metrics only."""
        labelled = self.num_classes is not None and isinstance(x, dict) and "label" in x
        images = x.get("unlabeled_image", x["image"]) if isinstance(x, dict) else x
        seed = self.step_seed(self.seed, training)
        images = self._pixels(images)
        states = self._denoise(images, seed, training)
        costs = [self.denoising_cost(images, state) for state in states[1:]]  # T times [B]
        self._num_costs = len(costs)
        for tracker, cost in zip(self.costs, costs, strict=False):
            tracker.update_state(cost)
        loss = losses.batch_mean(tf.add_n(costs) / len(costs), sample_weight)
        if labelled and training:
            seed = tf.random.fold_in(seed, 2, alg="philox")
            state = self._denoise(self._pixels(x["image"]), seed, training)[-1]
            log_p = self.class_log_probabilities(state)
            loss += self.class_weight * tf.reduce_mean(
                -tf.reduce_sum(_k_hot(x["label"], self.num_classes) * log_p, axis=1)
            )
        return loss

    def _denoise(self, images, seed, training):
        """Runs the iterations on noisy `images`, from a start of their own for each."""
        noisy = self.corruption.corrupt(images, seed)
        shape = [tf.shape(images)[0], self.num_groups, self.num_pixels]
        noise = seeds.normal(shape, tf.random.fold_in(seed, 1, alg="philox"))
        iterations = self.num_iterations if training else self.inference_iterations
        return self.iterate(noisy, tf.nn.softmax(noise, axis=1), iterations)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        names = ["loss", *(tracker.name for tracker in self.costs[: self._num_costs])]
        if y is not None:
            self.ami.update_state(y, y_pred["assignments"])
            self.ari.update_state(y, y_pred["assignments"])
            self.confidence.update_state(y, y_pred["assignments"])
            self.mean_log_likelihood.update_state(y_pred["log_likelihood"])
            names += ["ami", "ari", "confidence", "log_likelihood"]
        labelled = self.num_classes is not None and isinstance(x, dict) and "label" in x
        if labelled and "unlabeled_image" not in x:
            self.set_error.update_state(metrics.set_error(x["label"], y_pred["probabilities"]))
            names.append("error")
        results = self.get_metrics_result()
        return {name: results[name] for name in names}

    def fit(self, x=None, *args, **kwargs):
        """Trains as `keras.Model.fit` does, then calibrates; see `calibrate`."""
        history = super().fit(x, *args, **kwargs)
        if self.normalization == "batch":
            self.calibrate(x)
        return history

    def calibrate(self, x, batch_size=100):
        """Sets the population statistics of every iteration from clean images.

        Only a batch-normalised Tagger has them. `fit` ends with this; call it yourself after a
        change of `num_groups` or of the data.

        Args:
            x: Images, a dict or a `tf.data.Dataset` as `fit` takes them. The first 100 batches
                are used.
            batch_size: Integer, for arrays.
        """
        x = self.check_inputs(x)
        if not isinstance(x, tf.data.Dataset):
            x = tf.data.Dataset.from_tensor_slices(
                x.get("unlabeled_image", x["image"]) if isinstance(x, dict) else x
            ).batch(batch_size)
        self.ladder.reset_statistics()
        for layer in self.standardizations.values():
            layer.reset()

        @tf.function(jit_compile=True, autograph=False)
        def update(images, seed):
            images = self._pixels(images)
            noise = seeds.normal([tf.shape(images)[0], self.num_groups, self.num_pixels], seed)
            start = tf.nn.softmax(noise, axis=1)
            self.iterate(images, start, self.inference_iterations, update=True)

        for index, batch in enumerate(x.take(_CALIBRATION_BATCHES)):
            batch = batch[0] if isinstance(batch, tuple) else batch
            if isinstance(batch, dict):
                batch = batch.get("unlabeled_image", batch["image"])
            update(batch, seeds.fold(self.seed, index))

    def serving_endpoints(self):
        endpoints = super().serving_endpoints()
        if self.num_classes is not None:
            for endpoint in endpoints.values():
                endpoint.outputs["probabilities"] = "of each class, sums to 1"
        return endpoints

    def get_config(self):
        return {
            **super().get_config(),
            "num_iterations": self.num_iterations,
            "inference_iterations": self.inference_iterations,
            "units": self.ladder.units,
            "likelihood": self.likelihood,
            "noise": self.noise,
            "initial_mean": self.initial_mean,
            "initial_variance": self.initial_variance,
            "normalization": self.normalization,
            "combinator": self.ladder.combinator,
            "num_classes": self.num_classes,
            "class_weight": self.class_weight,
            "equations": self.equations,
        }


def _soft_clip(p):
    # p * (1 - 2 * _SOFT_CLIP) + _SOFT_CLIP, without a constant that float16 would round to 1
    return p + _SOFT_CLIP * (1.0 - 2.0 * p)


def _size(part):
    """Returns the number of elements of `part`, `[B, K, ...]`, per group."""
    return int(np.prod(part.shape[2:]))


def _k_hot(labels, num_classes):
    """Returns the share of each class in `labels`, int `[B]` or `[B, n]`; float32 `[B, C]`."""
    labels = tf.reshape(labels, [tf.shape(labels)[0], -1])
    return tf.reduce_mean(tf.one_hot(labels, num_classes), axis=1)
