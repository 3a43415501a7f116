from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfbind import seeds
from tfbind._validation import check_number
from tfbind.models._base import Player, means
from tfbind.models._batch import Field, holds_arrays, require_keys, semi_supervised_fields
from tfbind.models._joint import Triple
from tfbind.models.invariant_adversarial_mixture import InvariantAdversarialMixture


@keras.saving.register_keras_serializable("tfbind")
class SemiSupervisedAdversarialMixture(InvariantAdversarialMixture):
    """An `AdversarialMixture` whose components are classes, of which some examples are labelled.

    Beside the game of the unlabelled examples there is one of the labelled ones, with the same
    discriminator and generated examples, in which the label is given and only z is inferred. It
    teaches the discriminator what an example of each class is; in the paper the class encoder
    learns from that alone, by the game of the unlabelled examples.

    That takes long: to the discriminator a labelled example is an inferred one, so that a class
    encoder which is to look like the other side first learns to avoid the right names. With few
    labels give `label_weight`, which lets the class encoder fit them too, and a `corruption`, so
    that it does not overfit them.

    Args:
        event_shape: Tuple of ints, the shape of one example.
        num_clusters: Integer K >= 2, the number of classes.
        latent_dim: Integer L >= 1.
        label_weight: Float >= 0, of the cross-entropy of labelled examples; the paper has none.
        corruption: A layer of `tfbind.layers` such as `RandomAffine`, or None. While training, the
            cross-entropy is that of examples that have passed through it.
        invariance_weight: Float >= 0, of what unlabelled examples teach that pass through it, as
            in `InvariantAdversarialMixture`; the paper has none.
        cycle_weight: Float >= 0, likewise, of what is generated.
        **kwargs: As in `InvariantAdversarialMixture`. Where z depends on y ("class_first"), a class
            encoder with several outputs answers for labelled examples too, but as in inference:
            nothing in it learns from them.

    Call arguments:
        inputs: float32 `[B, *event_shape]`, in [0, 1] if so chosen; or a dict with that under
            `image`. `fit` takes a dict with `image` and `label`, int `[B]`, and
            `unlabeled_image`, or a `tf.data.Dataset` of such dicts; `evaluate` also takes images
            alone, or with labels.

    Returns:
        A dict: `probabilities`, float32 `[B, K]`, of each class, sums to 1; `latent`, float32
        `[B, L]`, the mean of z; `reconstruction`, float32 `[B, *event_shape]`, what the decoder
        makes of both.

    `fit` logs what `AdversarialMixture` does, with the mean of both games as losses and
    `inferred_accuracy`; and `cross_entropy`, in nats, which counts in `loss` by its weight.
    `evaluate` adds `accuracy`, the fraction of examples given their own class, if it has labels.

    Raises:
        ValueError: If an argument is out of its range, or data has the wrong shape or range.

    Example:

    >>> images = np.random.default_rng(0).random((20, 6)).astype("float32")
    >>> data = {"image": images[:4], "label": np.arange(4) % 2, "unlabeled_image": images}
    >>> model = tfbind.SemiSupervisedAdversarialMixture((6,), 2, 2, hidden_units=(16,))
    >>> model.compile(keras.optimizers.Adam(2e-4, beta_1=0.5))
    >>> history = model.fit(data, batch_size=10, verbose=0)
    >>> model.predict(images, verbose=0)["probabilities"].shape
    (20, 2)

    References:
        Jesson, Low-Kam, Nair, Soudan, Chandelier, Chapados. Adversarially Learned Mixture Model.
        2018. https://arxiv.org/abs/1807.05344, Algorithm 2. Differs from the paper: the penalty
        is that of as many points as there are generated examples, half of them of each game.
    """

    learns_from = "label"

    def __init__(
        self,
        event_shape: Sequence[int],
        num_clusters: int,
        latent_dim: int,
        *,
        label_weight: float = 0.0,
        invariance_weight: float = 0.0,
        cycle_weight: float = 0.0,
        **kwargs: Any,
    ) -> None:
        self.label_weight = check_number("label_weight", label_weight, 0)
        super().__init__(
            event_shape,
            num_clusters,
            latent_dim,
            invariance_weight=invariance_weight,
            cycle_weight=cycle_weight,
            **kwargs,
        )
        self.trackers |= means("cross_entropy")

    def _accuracies(self) -> dict[str, keras.metrics.Metric]:
        return {"accuracy": keras.metrics.SparseCategoricalAccuracy(name="accuracy")}

    def fields(self, training: bool) -> dict[str, Field]:
        fields = super().fields(training)
        return {**fields, **semi_supervised_fields(fields["image"], self.num_clusters)}

    def check_training_keys(self, keys: Mapping) -> None:
        require_keys(keys, ("image", "label", "unlabeled_image"))

    def inferred_triples(self, batch: Mapping, seed: tf.Tensor, training: bool) -> list[Triple]:
        images = batch.get("unlabeled_image", batch["image"])
        unlabeled_seed, labeled_seed = seeds.split(seed, 2)
        unlabeled = self.inferring.sample(images, unlabeled_seed)
        if not training and not batch.keys() >= {"label", "unlabeled_image"}:
            return [unlabeled]
        labeled = self.inferring.sample_latent(batch["image"], batch["label"], labeled_seed)
        return [unlabeled, labeled]

    def loss_terms(self, batch: Mapping, seed: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
        """Adds the cross-entropy of labelled examples to the game: Algorithm 2."""
        terms = super().loss_terms(batch, seed, training)
        if self.label_weight and "label" in batch:
            images = batch["image"]
            if training and self.corruption is not None:
                images = self.corruption.corrupt(images, seeds.split(seed, 5)[4])
            terms["cross_entropy"] = self.cross_entropy(images, batch["label"])
        return terms

    def cross_entropy(self, images: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
        """Returns -log q(y|x) of the class of each example, float32 `[B]`, at the mean of h_y."""
        logits = self.inferring.class_logits(images)
        return tf.nn.sparse_softmax_cross_entropy_with_logits(classes, logits)

    def players(self) -> list[Player]:
        playing, judging = super().players()
        weights = {**playing.weights, "cross_entropy": self.label_weight}
        return [playing._replace(weights=weights), judging]

    def _feed(self, data: Any, batch_size: int | None, initial_epoch: int) -> tuple:
        classes = np.unique(data["label"] if holds_arrays(data) else [])
        if len(classes) == 1:
            raise ValueError(
                "`label` must hold two classes or more, else the game has nothing to teach. "
                f"Received: class {classes[0]} alone."
            )
        return super()._feed(data, batch_size, initial_epoch)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "label_weight": self.label_weight,
        }
