from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfbind import losses, seeds
from tfbind._validation import check_integer, check_number
from tfbind.models._base import Player, inner, means
from tfbind.models._calibration import CalibratedModel
from tfbind.models._joint import Triple
from tfbind.models._parts import batch_normalizations, check_corruption
from tfbind.models.adversarial_mixture import AdversarialMixture

# Of the even use of the components in the information; the authors' of IMSAT
_MARGINAL_WEIGHT = 4.0


@keras.saving.register_keras_serializable("tfbind")
class InvariantAdversarialMixture(AdversarialMixture, CalibratedModel):
    """An `AdversarialMixture` that gives distorted views of an example the same component.

    In the game alone nothing asks that like examples get one y, so that classes form late, or not.
    Here the y of an example and of a distorted view of it are to be the same, and to tell much:
    classes form within minutes. And what is generated from y is to have y inferred, so that both
    sides keep the same names. Use it where you know a distortion that leaves the kind of an example
    as it is; it finds components of the sizes that p(y) says.

    Args:
        event_shape: Tuple of ints, the shape of one example.
        num_clusters: Integer K >= 2.
        latent_dim: Integer L >= 1.
        corruption: A layer of `tfbind.layers` such as `RandomAffine` that makes the views.
        invariance_weight: Float >= 0, of what views teach the class encoder: minus the mutual
            information of y and examples, for which batches want a few hundred, plus the divergence
            between an example and its view.
        cycle_weight: Float >= 0, of the cross-entropy of what is generated.
        cycle_steps: Integer >= 1, steps in which that weight rises from 0, for the first images
            are of no kind yet.
        **kwargs: As in `AdversarialMixture`; `factorization` is "class_first" or "independent", so
            that y is inferred from the example alone.

    Call arguments:
        inputs: As in `AdversarialMixture`.

    Returns:
        A dict: `probabilities`, float32 `[B, K]`, sums to 1; `latent`, float32 `[B, L]`;
        `reconstruction`, float32 `[B, *event_shape]`, as in `AdversarialMixture`.

    With an optimizer that averages weights (`use_ema`), whose networks normalise by batches, `fit`
    ends by taking the population statistics anew, for the averages have others than the last
    weights.

    `fit` logs what `AdversarialMixture` does, and, as far as they count in `loss`,
    `invariance_cost` and `cycle_cost`, in nats; `evaluate` the second alone.

    Raises:
        ValueError: If an argument is out of its range, or data has the wrong shape or range.

    Example:

    >>> images = np.random.default_rng(0).random((20, 6)).astype("float32")
    >>> noise = tfbind.layers.AdditiveGaussianNoise(0.1, seed=0)
    >>> model = tfbind.InvariantAdversarialMixture(
    ...     (6,), 3, 2, corruption=noise, hidden_units=(16,)
    ... )
    >>> model.compile(keras.optimizers.Adam(2e-4, beta_1=0.5))
    >>> history = model.fit(images, batch_size=10, verbose=0)
    >>> model.cluster(images).shape
    (20,)

    References:
        The game: see `AdversarialMixture`. Views: the divergence between the clusters of an example
        and of its view, either way, and the information of both, whose marginal term weighs 4.
        Hu, Miyato, Tokui, Matsumoto, Sugiyama. Learning Discrete Representations via Information
        Maximizing Self-Augmented Training. ICML, 2017. https://arxiv.org/abs/1702.08720; here the
        gradient of the divergence goes to both of the two, and p(y) need not be even.
        Cycle: the bound on the mutual information of y and what is generated.
        Chen, Duan, Houthooft, Schulman, Sutskever, Abbeel. InfoGAN. NeurIPS, 2016.
        https://arxiv.org/abs/1606.03657, equation 5.
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        num_clusters: int,
        latent_dim: int,
        *,
        corruption: keras.Layer | None = None,
        invariance_weight: float = 10.0,
        cycle_weight: float = 1.0,
        cycle_steps: int = 1000,
        **kwargs: Any,
    ) -> None:
        # Before the rest, as a built model takes no more layers
        self.corruption = check_corruption(corruption)
        self.invariance_weight = check_number("invariance_weight", invariance_weight, 0)
        self.cycle_weight = check_number("cycle_weight", cycle_weight, 0)
        self.cycle_steps = check_integer("cycle_steps", cycle_steps, 1)
        super().__init__(event_shape, num_clusters, latent_dim, **kwargs)
        self._check_views()
        self.trackers |= means("invariance_cost", "cycle_cost")
        if corruption is not None and not corruption.built:
            corruption.build((None, *self.event_shape))

    def _check_views(self) -> None:
        if self.invariance_weight and self.corruption is None:
            raise ValueError(
                "`corruption` must be a noise layer of `tfbind.layers` where views are compared. "
                "Received: corruption=None; without any, have invariance_weight=0."
            )
        if self.invariance_weight and self.factorization == "latent_first":
            raise ValueError(
                "`factorization` must be 'class_first' or 'independent' where views are compared, "
                "for y is to come from the view alone. Received: factorization='latent_first'."
            )

    def terms_beside(
        self, inferred: Triple, generated: Triple, seed: tf.Tensor, training: bool
    ) -> dict[str, tf.Tensor]:
        terms = {}
        if self.invariance_weight and training:
            view_seed = seeds.split(seed, 4)[3]  # the game has the others
            terms["invariance_cost"] = self.invariance_cost(inferred.image, view_seed)
        if self.cycle_weight:
            terms["cycle_cost"] = self.cycle_cost(generated)
        return terms

    def view(self, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Returns distorted examples, or the same without a `corruption`, `[B, *event_shape]`."""
        return images if self.corruption is None else self.corruption.corrupt(images, seed)

    def invariance_cost(self, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Returns how far components are from telling much, and from being those of the views.

        Args:
            images: float32 `[B, *event_shape]`.
            seed: Stateless int32 `[2]` seed of the views.

        Returns:
            float32 `[]`, in nats, >= 0, of which only the class encoder has a gradient.
        """
        both = tf.concat([images, self.view(images, seed)], axis=0)
        logits = self.inferring.class_logits(both)
        p = tf.nn.softmax(logits)
        expected = tf.reduce_sum(tf.reduce_mean(p, axis=0) * np.log(self.class_probabilities))
        information = losses.negative_mutual_information(p, _MARGINAL_WEIGHT)
        one, other = tf.split(logits, 2)
        apart = losses.divergence(one, other) + losses.divergence(other, one)
        return information - _MARGINAL_WEIGHT * expected + 0.5 * tf.reduce_mean(apart)

    def cycle_cost(self, generated: Triple) -> tf.Tensor:
        """Returns -log q(y|x) of generated examples, float32 `[B]`, in nats.

        The class encoder answers as in inference, so that its statistics stay those of the data.
        """
        logits = self.inferring.class_logits(generated.image, training=False)
        return tf.nn.softmax_cross_entropy_with_logits(generated.label, logits)

    # Population statistics of averaged weights.

    calibrated_on = "unlabeled_image"

    @property
    def needs_calibration(self) -> bool:  # type: ignore[override]  # by the optimizer
        """Whether weights are averaged in whose networks there is batch normalisation."""
        return bool(
            self.compiled
            and any(member.use_ema for member in inner(self.optimizer).members)
            and batch_normalizations(self)
        )

    def reset_statistics(self) -> None:
        self._num_observed = 0

    def observe(self, images: tf.Tensor, seed: tf.Tensor) -> None:
        layers = batch_normalizations(self)
        momenta = [layer.momentum for layer in layers]
        try:
            for layer in layers:
                layer.momentum = self._num_observed / (self._num_observed + 1)
            self._pass_through(images, seed)
        finally:
            for layer, momentum in zip(layers, momenta, strict=True):
                layer.momentum = momentum
        self._num_observed += 1

    def _pass_through(self, images: tf.Tensor, seed: tf.Tensor) -> None:
        """Runs both sides as in training."""
        inferred_seed, generated_seed = seeds.split(seed, 2)
        with self._running(training=True):
            self.inferring.sample(images, inferred_seed)
            self.generating.sample(tf.shape(images)[0], generated_seed)

    def _compiled_observe(self) -> Callable:
        """Returns `observe` as it is, for a batch counts by its number."""
        return self.observe

    def players(self) -> list[Player]:
        playing, judging = super().players()
        weights: Mapping[str, Any] = {
            **playing.weights,
            "invariance_cost": self.invariance_weight,
            "cycle_cost": self._cycle_weight_now,
        }
        return [playing._replace(weights=weights), judging]

    @property
    def _cycle_weight_now(self) -> Any:
        if not (self.cycle_weight and self.compiled):
            return self.cycle_weight
        share = tf.cast(self.num_steps, tf.float32) / self.cycle_steps
        return self.cycle_weight * tf.minimum(share, 1.0)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "corruption": keras.saving.serialize_keras_object(self.corruption),
            "invariance_weight": self.invariance_weight,
            "cycle_weight": self.cycle_weight,
            "cycle_steps": self.cycle_steps,
        }

    @classmethod
    def from_config(cls, config: dict) -> "InvariantAdversarialMixture":
        corruption = keras.saving.deserialize_keras_object(config["corruption"])
        return super().from_config({**config, "corruption": corruption})
