from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfbind import losses
from tfbind._validation import check_choice, check_integer
from tfbind.models._base import means
from tfbind.models._endpoints import Endpoint
from tfbind.models._grouping import GroupingModel
from tfbind.models._parts import restore_parts
from tfbind.models.denoising_autoencoder import DenoisingAutoencoder


class GroupState(NamedTuple):
    """What one iteration hands to the next."""

    assignments: tf.Tensor  # gamma, [B, K, P], P pixels
    reconstructions: tf.Tensor  # Y, [B, K, P, C], C channels
    weights: tf.Tensor  # pi, [B, K]


@keras.saving.register_keras_serializable("tfbind")
class ReconstructionClustering(GroupingModel):
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
        initialization: "normal" (`|Normal(0, 1)|`, the paper's), "uniform" (Uniform(0.25, 0.75)),
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

    term_weights = {"denoising_loss": 1.0}

    def __init__(
        self,
        autoencoder: DenoisingAutoencoder,
        num_groups: int = 3,
        num_iterations: int = 10,
        *,
        assignment: str = "soft",
        initialization: str = "normal",
        estimate_weights: bool = False,
        num_restarts: int = 1,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        if not isinstance(autoencoder, DenoisingAutoencoder):
            raise ValueError(
                "`autoencoder` must be a `DenoisingAutoencoder`. "
                f"Received: autoencoder={autoencoder!r}."
            )
        num_iterations = check_integer("num_iterations", num_iterations, 1)
        num_restarts = check_integer("num_restarts", num_restarts, 1)
        check_choice("assignment", assignment, ("soft", "hard"))
        check_choice("initialization", initialization, ("normal", "uniform", "spatial"))
        super().__init__(autoencoder.event_shape, num_groups, seed, **kwargs)
        self.autoencoder = autoencoder
        self.num_iterations = num_iterations
        self.assignment = assignment
        self.initialization = initialization
        self.estimate_weights = bool(estimate_weights)
        self.num_restarts = num_restarts
        self.value_range = autoencoder.value_range
        self.default_start = self.initial_assignments(num_restarts, self.seed)  # [R, K, ...]
        self.trackers |= means("denoising_loss")
        self.built = True  # all weights are the autoencoder's

    def build(self, input_shape: Any = None) -> None:
        self.built = True

    @property
    def noise_seed(self) -> int:
        return self.autoencoder.noise_seed

    def _draw_start(self, random: np.random.Generator, shape: tuple) -> np.ndarray:
        if self.initialization == "spatial":
            return np.broadcast_to(self._spatial_ramps(), shape)
        if self.initialization == "normal":
            draw = np.abs(random.standard_normal(shape))
        else:
            draw = random.uniform(0.25, 0.75, shape)
        return draw / draw.sum(axis=1, keepdims=True)

    def _spatial_ramps(self) -> np.ndarray:
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

    def initial_state(self, images: tf.Tensor, assignments: tf.Tensor) -> GroupState:
        """Returns the state before the first iteration, whose reconstructions are all 0.5."""
        batch = tf.shape(images)[0]
        return GroupState(
            tf.reshape(assignments, [batch, self.num_groups, self.num_pixels]),
            tf.fill([batch, self.num_groups, self.num_pixels, self.num_channels], 0.5),
            tf.fill([batch, self.num_groups], 1.0 / self.num_groups),
        )

    def r_step(self, images: tf.Tensor, state: GroupState) -> GroupState:
        """Reconstructs each cluster's share of the image: Y_k = g(f(gamma_k * x))."""
        shares = state.assignments[..., None] * images[:, None]  # [B, K, P, C]
        shares = tf.reshape(shares, [-1, *self.event_shape])  # [B * K, *event_shape]
        reconstructions = tf.reshape(
            self.autoencoder.reconstruct(shares), tf.shape(state.reconstructions)
        )  # [B, K, P, C]
        return state._replace(reconstructions=reconstructions)

    def e_step(self, images: tf.Tensor, state: GroupState) -> GroupState:
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

    def log_likelihood(self, images: tf.Tensor, state: GroupState) -> tf.Tensor:
        """Returns sum_ik gamma_ik log p(x_i | Y_ik), float32 `[B]`, nats; without log pi."""
        log_p = self.autoencoder.observation.log_likelihood(images[:, None], state.reconstructions)
        return losses.sum_over_event(state.assignments[..., None] * log_p)

    def call(self, inputs: Any) -> dict[str, tf.Tensor]:
        images, start = self._unpack(inputs)
        if start is None:
            state = self._best_restart(images)
        else:
            state = self._states(images, start)[-1]
        return self._answer(images, state)

    def _answer(self, images: tf.Tensor, state: GroupState) -> dict[str, tf.Tensor]:
        return self._outputs(
            images, state.assignments, state.reconstructions, self.log_likelihood(images, state)
        )

    def _states(self, images: tf.Tensor, start: tf.Tensor) -> list[GroupState]:
        states = [self.initial_state(images, start)]
        for _ in range(self.num_iterations):
            states.append(self.e_step(images, self.r_step(images, states[-1])))
        return states

    def _best_restart(self, images: tf.Tensor) -> GroupState:
        batch = tf.shape(images)[0]
        repeated = tf.repeat(images, self.num_restarts, axis=0)  # [B * R, P, C]
        starts = tf.tile(self.default_start, [batch, *[1] * (self.default_start.ndim - 1)])
        state = self._states(repeated, starts)[-1]
        likelihood = self.log_likelihood(repeated, state)
        best = tf.argmax(tf.reshape(likelihood, [batch, -1]), axis=1, output_type=tf.int32)
        rows = tf.range(batch) * self.num_restarts + best
        return GroupState(*(tf.gather(part, rows) for part in state))

    def trace(
        self, images: np.ndarray, initial_assignments: np.ndarray | None = None
    ) -> dict[str, tf.Tensor]:
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
        given = {"image": images, "initial_assignments": initial_assignments}
        images, start = self._unpack(self._checked(given, training=False))
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

    def loss_terms(self, batch: Mapping, seed: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
        """The autoencoder's denoising loss."""
        images = batch["image"]
        return {"denoising_loss": self.autoencoder.denoising_loss(images, images, seed)}

    def serving_endpoints(self) -> dict[str, Endpoint]:
        return {
            **super().serving_endpoints(),
            "denoise": self.autoencoder.serving_endpoints()["serving_default"],
        }

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["event_shape"]  # the autoencoder's
        return {
            **config,
            "autoencoder": keras.saving.serialize_keras_object(self.autoencoder),
            "num_iterations": self.num_iterations,
            "assignment": self.assignment,
            "initialization": self.initialization,
            "estimate_weights": self.estimate_weights,
            "num_restarts": self.num_restarts,
        }

    @classmethod
    def from_config(cls, config: dict) -> "ReconstructionClustering":
        return cls(**restore_parts(config, ("autoencoder",)))
