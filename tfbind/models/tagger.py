from collections.abc import Mapping, Sequence
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from tfbind import losses, metrics, seeds
from tfbind._validation import check_integer, check_number
from tfbind.layers import AdditiveGaussianNoise, BitFlipNoise, TaggerStep
from tfbind.layers.tagger_step import TaggerState, bernoulli_log_p
from tfbind.models._base import means
from tfbind.models._batch import Field, require_keys, semi_supervised_fields
from tfbind.models._calibration import CalibratedModel
from tfbind.models._endpoints import Endpoint
from tfbind.models._grouping import GroupingModel

_LOG_GUARD = 1e-5  # added to assignments inside the logarithm of the Gaussian cost
# The model's arguments that are those of its step.
_STEP_ARGUMENTS = (
    *("units", "likelihood", "noise", "initial_variance"),
    *("normalization", "combinator", "equations"),
)


@keras.saving.register_keras_serializable("tfbind")
class Tagger(CalibratedModel, GroupingModel):
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
            With `num_classes` `fit` also takes labels as `y`, int `[B]` or `[B, num_objects]`, or
            dicts of `image`, `label` and `unlabeled_image`, and `evaluate` dicts with `label`,
            for the `error` of `metrics.set_error`.

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

    ITERATIONS = "inference_iterations"
    scored_by = ("groups", "label")
    calibrated_on = "unlabeled_image"

    def __init__(
        self,
        event_shape: Sequence[int],
        num_groups: int = 4,
        num_iterations: int = 3,
        *,
        inference_iterations: int | None = None,
        units: Sequence[int] = (2000, 1000, 500),
        likelihood: Literal["bernoulli", "gaussian"] = "bernoulli",
        noise: float = 0.2,
        initial_mean: float = 0.26,
        initial_variance: float = 1.0 + 2.0**0.5,
        normalization: Literal["batch", "layer"] = "batch",
        combinator: Literal["gauss", "gauss_stable_v"] | None = None,
        num_classes: int | None = None,
        class_weight: float = 0.1,
        equations: Literal["code", "paper"] = "code",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(event_shape, num_groups, seed, **kwargs)
        self.num_iterations = check_integer("num_iterations", num_iterations, 1)
        self.inference_iterations = self.num_iterations
        if inference_iterations is not None:
            self.inference_iterations = check_integer(
                "inference_iterations", inference_iterations, 1
            )
        self.initial_mean = check_number("initial_mean", initial_mean, -np.inf)
        self.class_weight = check_number("class_weight", class_weight, 0)
        self.step = TaggerStep(
            units,
            likelihood=likelihood,
            noise=noise,
            initial_variance=initial_variance,
            normalization=normalization,
            combinator=combinator,
            equations=equations,
            num_passes=self.inference_iterations,
            dtype=self.dtype_policy,
        )
        self.needs_calibration = self.step.normalization == "batch"
        self.num_classes = _check_num_classes(num_classes, self.step.ladder.units)
        self._make_parts()
        self.built = True  # the step is

    def _make_parts(self):
        binary, noise = self.step.binary, self.step.noise
        self.value_range = (0.0, 1.0) if binary else (None, None)
        self.corruption = (BitFlipNoise if binary else AdditiveGaussianNoise)(noise, seed=self.seed)
        self.corruption.build((None, *self.event_shape))
        self.step.build((None, self.num_pixels, self.num_channels))
        self.default_start = self.initial_assignments(1, self.seed)
        most = max(self.num_iterations, self.inference_iterations)
        self.trackers |= means("denoising_cost", *(f"cost_{t}" for t in range(1, most + 1)))
        if self.num_classes is not None:
            self.learns_from = "label"
            self.trackers |= means("classification_cost", "error")

    def build(self, input_shape: Any = None) -> None:
        self.built = True

    def _draw_start(self, random: np.random.Generator, shape: tuple) -> np.ndarray:
        noise = np.exp(random.standard_normal(shape))
        return noise / noise.sum(axis=1, keepdims=True)

    @property
    def term_weights(self) -> dict[str, float]:
        return {"denoising_cost": 1.0, "classification_cost": self.class_weight}

    def fields(self, training: bool) -> dict[str, Field]:
        fields = super().fields(training)
        if self.num_classes is None:
            return fields
        more = semi_supervised_fields(fields["image"], self.num_classes)
        more["label"] = more["label"]._replace(shape=None)  # one or several an image
        return {**fields, **more} if training else {**fields, "label": more["label"]}

    def check_training_keys(self, keys: Mapping) -> None:
        if "unlabeled_image" in keys:
            require_keys(keys, ("label",))
        if "label" in keys:
            self._check_num_labels(keys["label"])

    def iterate(
        self,
        noisy: tf.Tensor,
        assignments: tf.Tensor,
        num_iterations: int,
        *,
        population: bool = False,
        update: bool = False,
    ) -> list[TaggerState]:
        """Runs `num_iterations` steps (Algorithm 1); returns all states, the start first.

        Args:
            noisy: float32 `[B, P, C]`.
            assignments: float32 `[B, K, *spatial_shape]`, to start from.
            num_iterations: Integer.
            population: As in `layers.TaggerStep`, like `update`.
        """
        states = [self.step.initial_state(noisy, assignments, self.initial_mean)]
        for index in range(num_iterations):
            states.append(
                self.step(noisy, states[-1], index=index, population=population, update=update)
            )
        return states

    def denoising_cost(self, images: tf.Tensor, state: TaggerState) -> tf.Tensor:
        """Returns -log p(clean image), mean over elements, float32 `[B]`, nats per element.

        For Gaussian data without the constant log(2 pi) / 2, as in the authors' code.
        """
        elements = self.num_pixels * self.num_channels
        return -losses.sum_over_event(self._log_mixture(images, state)) / elements

    def _log_mixture(self, images, state):
        if self.step.binary:
            mean = tf.reduce_sum(state.assignments[..., None] * state.means, axis=1)
            return bernoulli_log_p(images, mean)  # [B, P, C]
        v = self.step.variance
        log_p = -0.5 * (tf.math.log(v) + tf.square(images[:, None] - state.means) / v)
        log_p = tf.reduce_sum(log_p, axis=-1) + tf.math.log(state.assignments + _LOG_GUARD)
        return tf.reduce_logsumexp(log_p, axis=1)  # [B, P]

    def classification_cost(self, labels: tf.Tensor, state: TaggerState) -> tf.Tensor:
        """Returns the cross-entropy with the share of each class among the labels, `[B]`, nats."""
        shares = _k_hot(labels, self.num_classes)
        return -tf.reduce_sum(shares * self.class_log_probabilities(state), axis=1)

    def class_log_probabilities(self, state: TaggerState) -> tf.Tensor:
        """Returns log p(class), float32 `[B, num_classes]`, of all groups together.

        The groups' shares of the classes are summed and normalised without the share of 'none'.
        """
        log_p = tf.nn.log_softmax(state.top)[..., :-1]  # [B, K, num_classes]
        log_p = tf.reduce_logsumexp(log_p, axis=1)
        return log_p - tf.reduce_logsumexp(log_p, axis=1, keepdims=True)

    def call(self, inputs: Any) -> dict[str, tf.Tensor]:
        images, start = self._unpack(inputs)
        if start is None:
            start = tf.tile(
                self.default_start, [tf.shape(images)[0], *[1] * (self.default_start.ndim - 1)]
            )
        return self._answer(images, self._states(images, start)[-1])

    def _states(self, images: tf.Tensor, start: tf.Tensor) -> list[TaggerState]:
        return self.iterate(images, start, self.inference_iterations, population=True)

    def _answer(self, images: tf.Tensor, state: TaggerState) -> dict[str, tf.Tensor]:
        log_likelihood = losses.sum_over_event(self._log_mixture(images, state))
        if not self.step.binary:
            log_likelihood -= 0.5 * np.log(2 * np.pi) * self.num_pixels * self.num_channels
        outputs = self._outputs(images, state.assignments, state.means, log_likelihood)
        if self.num_classes is not None:
            outputs["probabilities"] = tf.exp(self.class_log_probabilities(state))
        return outputs

    def trace(
        self, images: np.ndarray, initial_assignments: np.ndarray | None = None
    ) -> dict[str, tf.Tensor]:
        """Runs `call` and keeps every iteration of it, for pictures and curves.

        Args:
            images: float32 `[B, *event_shape]`.
            initial_assignments: float32 `[B, K, *spatial_shape]`, or None for the model's own.

        Returns:
            A dict: `assignments`, float32 `[T + 1, B, K, *spatial_shape]`, the start first;
            `reconstructions`, float32 `[T + 1, B, K, *event_shape]`; `costs`, float32
            `[T + 1, B]`, nats per element.
        """
        given = {"image": images, "initial_assignments": initial_assignments}
        images, start = self._unpack(self._checked(given, training=False))
        if start is None:
            start = np.broadcast_to(self.default_start, self._start_shape(len(images)))
        states = self._states(images, start)
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

    def loss_terms(self, batch: Mapping, seed: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
        """The mean cost of all iterations, and in training that of the classes (Algorithm 3)."""
        images = self._pixels(batch.get("unlabeled_image", batch["image"]))
        states = self._denoise(images, seed, training)
        costs = [self.denoising_cost(images, state) for state in states[1:]]  # T times [B]
        terms = {f"cost_{t}": cost for t, cost in enumerate(costs, 1)}
        terms["denoising_cost"] = tf.add_n(costs) / len(costs)
        if training and "label" in batch:
            seed = tf.random.fold_in(seed, 2, alg="philox")
            state = self._denoise(self._pixels(batch["image"]), seed, training)[-1]
            terms["classification_cost"] = self.classification_cost(batch["label"], state)
        return terms

    def _denoise(self, images, seed, training):
        """Runs the iterations on noisy `images`, from a start of their own for each."""
        noisy = self.corruption.corrupt(images, seed)
        start = self._random_start(images, tf.random.fold_in(seed, 1, alg="philox"))
        iterations = self.num_iterations if training else self.inference_iterations
        return self.iterate(noisy, start, iterations)

    def _random_start(self, images, seed):
        noise = seeds.normal([tf.shape(images)[0], self.num_groups, self.num_pixels], seed)
        return tf.nn.softmax(noise, axis=1)

    def _check_num_labels(self, labels):
        shape = tf.TensorShape(labels.shape)
        # Keras' shuffled arrays, which have been checked already, do not tell it
        if shape.rank and (shape[1:].num_elements() or 0) > self.num_groups:
            raise ValueError(
                "`label` must have shape (n,), or (n, num_objects) with at most "
                f"{self.num_groups} objects, one for each group. Received: shape "
                f"{tuple(shape)}; if these are one-hot, take their argmax first."
            )

    def scores(self, batch: Mapping, outputs: Mapping) -> dict[str, Any]:
        scores = super().scores(batch, outputs) if "groups" in batch else {}
        if "label" in batch:
            self._check_num_labels(batch["label"])
            scores["error"] = metrics.set_error(batch["label"], outputs["probabilities"])
        return scores

    def reset_statistics(self) -> None:
        self.step.reset_statistics()

    def observe(self, images: tf.Tensor, seed: tf.Tensor) -> None:
        images = self._pixels(images)
        start = self._random_start(images, seed)
        self.iterate(images, start, self.inference_iterations, update=True)

    def serving_endpoints(self) -> dict[str, Endpoint]:
        endpoints = super().serving_endpoints()
        if self.num_classes is not None:
            for endpoint in endpoints.values():
                endpoint.outputs["probabilities"] = "of each class, sums to 1"
        return endpoints

    def get_config(self) -> dict[str, Any]:
        step = self.step.get_config()
        return {
            **super().get_config(),
            "num_iterations": self.num_iterations,
            "inference_iterations": self.inference_iterations,
            "initial_mean": self.initial_mean,
            "num_classes": self.num_classes,
            "class_weight": self.class_weight,
            **{name: step[name] for name in _STEP_ARGUMENTS},
        }


def _check_num_classes(num_classes, units):
    if num_classes is None:
        return None
    num_classes = check_integer("num_classes", num_classes, 2)
    if units[-1] != num_classes + 1:
        raise ValueError(
            "The last of `units` must be num_classes + 1, one for a group without an object. "
            f"Received: units={units}, num_classes={num_classes}."
        )
    return num_classes


def _k_hot(labels, num_classes):
    """Returns the share of each class in `labels`, int `[B]` or `[B, n]`; float32 `[B, C]`."""
    labels = tf.reshape(labels, [tf.shape(labels)[0], -1])
    return tf.reduce_mean(tf.one_hot(labels, num_classes), axis=1)
