from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfbind import losses, metrics, seeds
from tfbind._validation import check_array, check_choice, check_integer, check_shape
from tfbind.models._base import Endpoint, EventModel
from tfbind.models.denoising_autoencoder import DenoisingAutoencoder

# True groups of an image that `evaluate` is ready for; images with more make its AMI NaN, unless
# it sees them beforehand, in an array.
_MAX_TRUE_GROUPS = 16


class GroupState(NamedTuple):
    """What one iteration hands to the next."""

    assignments: tf.Tensor  # gamma, [B, K, P], P pixels
    reconstructions: tf.Tensor  # Y, [B, K, P, C], C channels
    weights: tf.Tensor  # pi, [B, K]


@keras.saving.register_keras_serializable("tfbind")
class ReconstructionClustering(EventModel):
    """Groups the elements of each example by which of K autoencoder copies explains them best.

    An EM-like loop: every one of K clusters shows its share of the image to the same denoising
    autoencoder (R-step), and each pixel then moves to the clusters whose reconstruction predicts
    it (E-step). `fit` trains the autoencoder, `evaluate` with ground-truth groups scores the
    clustering, `predict` groups. In the terms of the paper, `assignments` is gamma,
    `reconstructions` is Y and `weights` is pi.

    Args:
        autoencoder: A `DenoisingAutoencoder`, trained or not.
        num_groups: Integer K >= 2.
        num_iterations: Integer >= 1, R- and E-steps.
        assignment: The E-step: "soft", or "hard", which gives a pixel to the best cluster (to
            all of them in a tie, as in the paper; a tied pixel then sums to more than 1 over K).
        initialization: "normal" (|Normal(0, 1)|, the paper's), "uniform" (Uniform(0.25, 0.75)),
            both normalised over K; or "spatial" (two linear ramps and their complement; K = 3
            and an image only).
        estimate_weights: Whether the mixing weights follow the mean assignment of each image
            after every E-step; otherwise they stay 1 / K, as in the paper.
        num_restarts: Integer >= 1, starts to try on every example; the one with the highest
            log-likelihood in the end is the answer. The paper uses one.
        seed: Integer seed of the starting assignments, or None to draw one. All examples
            start from the same draw, so that an example's answer does not depend on its batch.

    Call arguments:
        inputs: float32 `[B, *event_shape]`, in [0, 1] if the likelihood is Bernoulli; or a dict
            with that under `image` and a start of your own, float32 `[B, K, *spatial_shape]`,
            under `initial_assignments`. `spatial_shape` is `event_shape` without the last axis,
            the channels, where `event_shape` has three axes or more.

    Returns:
        A dict: `assignments`, float32 `[B, K, *spatial_shape]`, in [0, 1], sums to 1 over K;
        `reconstructions`, float32 `[B, K, *event_shape]`, the range of the data;
        `log_likelihood`, float32 `[B]`, nats per example, after the last E-step;
        `confidence`, float32 `[B]` in [0, 1], the mean over non-zero pixels of the largest
        assignment.

    Raises:
        ValueError: If an argument is out of its range, or data has the wrong shape or range.

    Example:

    >>> autoencoder = tfbind.DenoisingAutoencoder((8, 8, 1), hidden_units=100)
    >>> model = tfbind.ReconstructionClustering(autoencoder, num_groups=2, seed=0)
    >>> outputs = model(np.ones((5, 8, 8, 1), "float32"))
    >>> outputs["assignments"].shape
    TensorShape([5, 2, 8, 8])

    References:
        Greff, Srivastava, Schmidhuber. Binding via Reconstruction Clustering. ICLR workshop,
        2016. https://arxiv.org/abs/1511.06418, Algorithm 1.
    """

    def __init__(
        self,
        autoencoder,
        num_groups=3,
        num_iterations=10,
        *,
        assignment="soft",
        initialization="normal",
        estimate_weights=False,
        num_restarts=1,
        seed=None,
        **kwargs,
    ):
        if not isinstance(autoencoder, DenoisingAutoencoder):
            raise ValueError(
                "`autoencoder` must be a `DenoisingAutoencoder`. "
                f"Received: autoencoder={autoencoder!r}."
            )
        num_groups = check_integer("num_groups", num_groups, 2)
        num_iterations = check_integer("num_iterations", num_iterations, 1)
        num_restarts = check_integer("num_restarts", num_restarts, 1)
        check_choice("assignment", assignment, ("soft", "hard"))
        check_choice("initialization", initialization, ("normal", "uniform", "spatial"))
        super().__init__(autoencoder.event_shape, **kwargs)
        self.autoencoder = autoencoder
        self.num_groups = num_groups
        self.num_iterations = num_iterations
        self.assignment = assignment
        self.initialization = initialization
        self.estimate_weights = bool(estimate_weights)
        self.num_restarts = num_restarts
        self.seed = seeds.base_seed(seed)
        self.value_range = autoencoder.value_range
        has_channels = len(self.event_shape) > 2
        self.spatial_shape = self.event_shape[:-1] if has_channels else self.event_shape
        self.num_channels = self.event_shape[-1] if has_channels else 1
        self.num_pixels = int(np.prod(self.spatial_shape))
        self.default_start = self.initial_assignments(num_restarts, self.seed)  # [R, K, ...]
        self.ami = metrics.AdjustedMutualInformation(_MAX_TRUE_GROUPS)
        self.ari = metrics.AdjustedRandIndex(_MAX_TRUE_GROUPS)
        self.confidence = metrics.Confidence()
        self.mean_log_likelihood = keras.metrics.Mean(name="log_likelihood")
        self.built = True  # all weights are the autoencoder's

    def build(self, input_shape=None):
        self.built = True

    def check_inputs(self, x):
        """Returns `x` with its images, and its start if it has one, checked and in float32."""
        x = super().check_inputs(x)
        if isinstance(x, dict) and hasattr(x.get("initial_assignments"), "__array__"):
            expected = self._start_shape(len(x["image"]))
            start = check_array("initial_assignments", x["initial_assignments"], expected[1:], 0, 1)
            check_shape("initial_assignments", start.shape, expected)
            x = {**x, "initial_assignments": start}
        return x

    def initial_assignments(self, num_examples, seed=None):
        """Draws a start for every example, NumPy float32 `[num_examples, K, *spatial_shape]`."""
        random = np.random.default_rng(seeds.base_seed(seed))
        shape = self._start_shape(num_examples)
        if self.initialization == "spatial":
            return np.broadcast_to(self._spatial_ramps(), shape)
        if self.initialization == "normal":
            draw = np.abs(random.standard_normal(shape))
        else:
            draw = random.uniform(0.25, 0.75, shape)
        return (draw / draw.sum(axis=1, keepdims=True)).astype("float32")

    def _spatial_ramps(self):
        if self.num_groups != 3 or len(self.spatial_shape) != 2:
            raise ValueError(
                "`initialization='spatial'` needs num_groups=3 and images. Received: "
                f"num_groups={self.num_groups}, event_shape={self.event_shape}."
            )
        height, width = self.spatial_shape
        rows, columns = np.meshgrid(
            np.linspace(0, 0.5, height), np.linspace(0, 0.5, width), indexing="ij"
        )
        return np.stack([rows, columns, 1 - rows - columns]).astype("float32")

    def initial_state(self, images, assignments):
        """Returns the state before the first iteration, whose reconstructions are all 0.5."""
        batch = tf.shape(images)[0]
        return GroupState(
            tf.reshape(assignments, [batch, self.num_groups, self.num_pixels]),
            tf.fill([batch, self.num_groups, self.num_pixels, self.num_channels], 0.5),
            tf.fill([batch, self.num_groups], 1.0 / self.num_groups),
        )

    def r_step(self, images, state):
        """Reconstructs each cluster's share of the image: Y_k = g(f(gamma_k * x))."""
        shares = state.assignments[..., None] * images[:, None]  # [B, K, P, C]
        shares = tf.reshape(shares, [-1, *self.event_shape])  # [B * K, *event_shape]
        reconstructions = tf.reshape(
            self.autoencoder.reconstruct(shares), tf.shape(state.reconstructions)
        )  # [B, K, P, C]
        return state._replace(reconstructions=reconstructions)

    def e_step(self, images, state):
        """Gives every pixel to the clusters that explain it: gamma_k ~ pi_k p(x | Y_k)."""
        evidence = self.autoencoder.observation.evidence(images[:, None], state.reconstructions)
        evidence *= state.weights[..., None]  # [B, K, P]
        if self.assignment == "soft":
            assignments = evidence / tf.reduce_sum(evidence, axis=1, keepdims=True)
        else:
            best = tf.reduce_max(evidence, axis=1, keepdims=True)
            assignments = tf.cast(evidence == best, tf.float32)
        weights = state.weights
        if self.estimate_weights:
            total = tf.reduce_sum(assignments, axis=2)  # [B, K]
            weights = total / tf.reduce_sum(total, axis=1, keepdims=True)
        return state._replace(assignments=assignments, weights=weights)

    def log_likelihood(self, images, state):
        """Returns sum_ik gamma_ik log p(x_i | Y_ik), float32 `[B]`, nats; without log pi."""
        log_p = self.autoencoder.observation.log_likelihood(images[:, None], state.reconstructions)
        return losses.sum_over_event(state.assignments[..., None] * log_p)

    def call(self, inputs):
        images, start = self._unpack(inputs)
        if start is None:
            return self._outputs(images, self._best_restart(images))
        return self._outputs(images, self._iterate(images, start))

    def _iterate(self, images, start):
        state = self.initial_state(images, start)
        for _ in range(self.num_iterations):
            state = self.e_step(images, self.r_step(images, state))
        return state

    def _best_restart(self, images):
        batch = tf.shape(images)[0]
        repeated = tf.repeat(images, self.num_restarts, axis=0)  # [B * R, P, C]
        starts = tf.tile(self.default_start, [batch, *[1] * (self.default_start.ndim - 1)])
        state = self._iterate(repeated, starts)
        likelihood = self.log_likelihood(repeated, state)
        best = tf.argmax(tf.reshape(likelihood, [batch, -1]), axis=1, output_type=tf.int32)
        rows = tf.range(batch) * self.num_restarts + best
        return GroupState(*(tf.gather(part, rows) for part in state))

    def trace(self, images, initial_assignments=None):
        """Runs `call` and keeps every step of it, for pictures and convergence plots.

        Args:
            images: float32 `[B, *event_shape]`.
            initial_assignments: float32 `[B, K, *spatial_shape]`, or None for the model's own,
                the first one if it restarts.

        Returns:
            A dict: `assignments`, float32 `[T + 1, B, K, *spatial_shape]`, the start first;
            `reconstructions`, float32 `[T, B, K, *event_shape]`; `log_likelihoods`, float32
            `[2 * T + 1, B]`, nats, at the start and after every R-step and E-step.
        """
        images, start = self._unpack(
            self.check_inputs({"image": images, "initial_assignments": initial_assignments})
        )
        if start is None:
            start = np.broadcast_to(self.default_start[0], self._start_shape(len(images)))
        states = [self.initial_state(images, start)]
        for _ in range(self.num_iterations):
            states.append(self.r_step(images, states[-1]))
            states.append(self.e_step(images, states[-1]))
        batch = tf.shape(images)[0]
        grouped = [len(states[::2]), batch, self.num_groups]
        return {
            "assignments": tf.reshape(
                tf.stack([state.assignments for state in states[::2]]),
                [*grouped, *self.spatial_shape],
            ),
            "reconstructions": tf.reshape(
                tf.stack([state.reconstructions for state in states[1::2]]),
                [grouped[0] - 1, *grouped[1:], *self.event_shape],
            ),
            "log_likelihoods": tf.stack([self.log_likelihood(images, state) for state in states]),
        }

    def _start_shape(self, num_examples):
        return (num_examples, self.num_groups, *self.spatial_shape)

    def _unpack(self, inputs):
        """Returns pixels `[B, P, C]` and the start, None unless the caller gave one."""
        if not isinstance(inputs, dict):
            inputs = {"image": inputs}
        images = tf.cast(inputs["image"], tf.float32)
        check_shape("images", tuple(images.shape), (None, *self.event_shape))
        start = inputs.get("initial_assignments")
        if start is not None:
            start = tf.cast(start, tf.float32)
            expected = self._start_shape(images.shape[0])
            check_shape("initial_assignments", tuple(start.shape), expected)
        return tf.reshape(images, [-1, self.num_pixels, self.num_channels]), start

    def _outputs(self, images, state):
        on = tf.cast(tf.reduce_any(images != 0, axis=-1), tf.float32)  # [B, P]
        certainty = tf.reduce_max(state.assignments, axis=1)  # [B, P]
        leading = [tf.shape(images)[0], self.num_groups]
        return {
            "assignments": tf.reshape(state.assignments, [*leading, *self.spatial_shape]),
            "reconstructions": tf.reshape(state.reconstructions, [*leading, *self.event_shape]),
            "log_likelihood": self.log_likelihood(images, state),
            "confidence": tf.math.divide_no_nan(
                tf.reduce_sum(on * certainty, axis=1), tf.reduce_sum(on, axis=1)
            ),
        }

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The autoencoder's denoising loss; `y`, the true groups, is for the metrics only."""
        images = x["image"] if isinstance(x, dict) else x
        corruption = self.autoencoder.corruption
        seed = self.step_seed(corruption.seed if corruption is not None else 0, training)
        per_example = self.autoencoder.denoising_loss(images, images, seed)
        return losses.batch_mean(per_example, sample_weight)

    def evaluate(self, x=None, y=None, **kwargs):
        """Scores the clustering of `x` against the true groups `y`, as Keras' `evaluate` does.

        Args:
            x: Images or a dict, as `call` takes them, or a `tf.data.Dataset`.
            y: Integer `[n, *spatial_shape]`, the true group of each pixel; 0 (background or
                overlap) is not scored. Without it only the loss is computed.
            **kwargs: As in `keras.Model.evaluate`.

        Returns:
            As in Keras a list, or with `return_dict=True` a dict: `loss`, nats per example;
            `ami` (normaliser "max"), `ari` and `confidence`, over scored pixels;
            `log_likelihood`, nats per example.
        """
        if hasattr(y, "__array__"):
            check_shape("groups", tuple(y.shape), (None, *self.spatial_shape))
            num_true = max(_MAX_TRUE_GROUPS, int(np.max(y, initial=0)))
            if num_true != self.ami.num_true:
                self.ami.num_true = self.ari.num_true = num_true
                self.test_function = None  # the number is baked into the compiled step
        return super().evaluate(x, y, **kwargs)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        if y is not None:
            self.ami.update_state(y, y_pred["assignments"])
            self.ari.update_state(y, y_pred["assignments"])
            self.confidence.update_state(y, y_pred["assignments"])
            self.mean_log_likelihood.update_state(y_pred["log_likelihood"])
        results = self.get_metrics_result()
        return results if y is not None else {"loss": results["loss"]}

    def serving_endpoints(self):
        image = tf.TensorSpec([None, *self.event_shape], tf.float32, name="image")
        start = tf.TensorSpec(
            [None, self.num_groups, *self.spatial_shape], tf.float32, name="initial_assignments"
        )
        grouped = {
            "assignments": "share of each group in each pixel, in [0, 1]",
            "reconstructions": "what each group's autoencoder predicts, in the range of the input",
            "log_likelihood": "nats per example",
            "confidence": "mean over non-zero pixels of the largest assignment, in [0, 1]",
        }
        ranges = {"image": self.value_range, "initial_assignments": (0.0, 1.0)}
        return {
            "serving_default": Endpoint(self.call, (image,), grouped, ranges),
            "group_from": Endpoint(
                lambda image, start: self.call({"image": image, "initial_assignments": start}),
                (image, start),
                grouped,
                ranges,
            ),
            "denoise": self.autoencoder.serving_endpoints()["serving_default"],
        }

    def get_config(self):
        config = super().get_config()
        del config["event_shape"]  # the autoencoder's
        return {
            **config,
            "autoencoder": keras.saving.serialize_keras_object(self.autoencoder),
            "num_groups": self.num_groups,
            "num_iterations": self.num_iterations,
            "assignment": self.assignment,
            "initialization": self.initialization,
            "estimate_weights": self.estimate_weights,
            "num_restarts": self.num_restarts,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        config["autoencoder"] = keras.saving.deserialize_keras_object(config["autoencoder"])
        return cls(**config)
