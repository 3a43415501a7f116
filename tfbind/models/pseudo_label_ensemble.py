from collections.abc import Mapping, Sequence
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from tfbind import losses, seeds
from tfbind._validation import check_choice, check_number
from tfbind.layers import Ladder
from tfbind.layers._ladder_parts import Path
from tfbind.models._base import means
from tfbind.models._batch import images_of
from tfbind.models._endpoints import Endpoint, image_spec
from tfbind.models._parts import (
    check_corruption,
    check_denoising_weights,
    ladder_units,
    lowest_weighted,
    restore_parts,
)
from tfbind.models._pseudo_classes import PseudoClasses
from tfbind.models._pseudo_labeling import PseudoLabelingModel
from tfbind.models._renumbering import top_axes


@keras.saving.register_keras_serializable("tfbind")
class PseudoLabelEnsemble(PseudoLabelingModel):
    """Clusters by an ensemble of ladder networks that learn from what they agree on (Kingdra).

    Each member learns by itself to tell clusters apart: those that say much about an example, are
    used alike, withstand noise, and come from layers that undo noise. Between rounds of epochs,
    examples that all members keep together get a pseudo-label, by which each member then also
    learns: members that err in different ways mend each other, and what all of them confuse stays
    confused. So what counts is how many of the first pseudo-labels are right: have many members,
    and a long first round. Do not use it for clusters of unequal size, which it makes alike, nor on
    small tables with round clusters: k-means is better there, and takes a second.

    Args:
        event_shape: Tuple of ints, the shape of one example, such as (28, 28, 1) or (64,).
        num_clusters: Integer K >= 2.
        num_members: Integer M >= 2.

        hidden_units: Tuple of one integer or more, widths of the hidden layers of a member; None
            for (64, 64) on vectors and (1200, 1200) elsewhere.
        noise: Float >= 0, standard deviation of the noise on every layer; or a tuple with one for
            each, from the input to the top; None for 1 on vectors and 0.3 elsewhere.
        augmentation: A layer of `tfbind.layers` such as `RandomAffine`, for images `[H, W, C]`, or
            None. The noisy path then sees a view of each image, every member its own, and what is
            to withstand noise withstands that; pseudo-labels are learned from the views too.
        top_normalization: Whether the top layer is standardised before its bias.
        top_kernel_scale: Float > 0, what the first kernel of the top layer is multiplied by: with
            a small one all clusters are equally probable at the start.

        denoising_weights: Tuple of floats >= 0, the weight of the denoising cost of each layer
            from the input to the top; None for 1 and then 0.1 on vectors, and for 1000, 10 and then
            0.1 elsewhere. Where all are 0 there is no decoder.
        information: What makes clusters tell much: "mutual" for the mutual information of examples
            and clusters, or "dot_product" for `losses.dot_product_cost`.
        information_weight: Float >= 0, the weight of that cost, of the clean path and of the noisy
            one; None for 1 on vectors and 0.1 elsewhere.
        later_information_weight: Float >= 0, the same after the first round; None for no change.
        marginal_weight: Float >= 0, how much the even use of the clusters counts in the mutual
            information.
        noise_weight: Float >= 0, the weight of the divergence of the noisy path's clusters from
            the clean path's.
        adversarial_weight: Float >= 0, the weight of the divergence of the clusters of examples
            with virtual adversarial noise, that which changes them most, from those without.
        adversarial_radius: Float > 0, the norm of that noise.

        strong_agreement: Integer; more members than that agree on two examples of one pseudo-class.
            None for M - 1, all but one, so that all agree.
        weak_agreement: Integer; no more members than that agree on two of different ones, as far
            as the second is not taken yet; see `labeling.agreement_buckets`.
        confidence_threshold: Float in [0, 1); every member's greatest probability is above it for
            an example that a pseudo-class is made around. The authors have 0.9 for MNIST, and 0
            for all other sets: few examples make ten networks sure at once.
        leave_out_merged: Whether members that seem to have merged two clusters are not asked. Those
            are named in a warning at any rate: their marginal entropy is lower than the highest one
            by a sixth of what is lost where one of K equal clusters takes in another.
        mapping: Whose numbers pseudo-classes get: "common" for the last member's, which all others
            learn, so that the ensemble answers by the mean of all; "member" for each member's own,
            where the first member answers.
        first_epochs: Integer >= 1, epochs before the first pseudo-labels.
        round_epochs: Integer >= 1, epochs between later ones.

        batched: Whether members run at once; see `layers.Ladder`.
        seed: Integer seed of the noise, or None to draw one.

    Call arguments:
        inputs: float32 `[B, *event_shape]`; or a dict with that under `image`. Noise is in its
            unit: have images in [0, 1], standardised vectors, and tf-idf rows times the root of
            their length. `fit` takes images alone, or a dataset of dicts with `image` and `index`,
            and then a callback `Relabeling`. It takes population statistics before each round and
            in the end, from what it was given.

    Returns:
        A dict: `probabilities`, float32 `[B, K]`, sums to 1, the mean of the members', but a
        single member's until there are pseudo-labels, since its clusters mean nothing to the
        others; `member_probabilities`, float32 `[B, M, K]`.

    Raises:
        ValueError: If an argument is out of its range, or data has the wrong shape, or fewer
            examples than clusters.

    Example:

    >>> random = np.random.default_rng(0)
    >>> kinds = np.repeat(np.eye(3, 16), 40, axis=0)
    >>> images = (kinds + 0.1 * random.random((120, 16))).astype("float32")
    >>> model = tfbind.PseudoLabelEnsemble((16,), 3, num_members=2, hidden_units=(8,))
    >>> model.compile(keras.optimizers.Adam(0.01))
    >>> history = model.fit(images, epochs=4, verbose=0)
    >>> model.predict(images, verbose=0)["member_probabilities"].shape
    (120, 2, 3)

    Differs from the paper: its pseudo-labelled examples come in a second batch beside each batch,
    the classes in turn. Here those of the batch itself learn, weighted so that in the mean the
    classes count alike: one pass through the network instead of two. Its clean outputs are
    normalised by the whole data at once, ours by averages over its batches.

    References:
        Gupta, Ramjee, Kwatra, Sivathanu. Unsupervised Clustering using Pseudo-semi-supervised
        Learning. ICLR, 2020. https://openreview.net/forum?id=rJlnxkSYPS; settings and what the
        paper leaves open as in the authors' code.
    """

    fewest_rows = 2  # one row alone has no variance to divide by

    def __init__(
        self,
        event_shape: Sequence[int],
        num_clusters: int,
        num_members: int = 10,
        *,
        hidden_units: Sequence[int] | None = None,
        noise: float | Sequence[float] | None = None,
        augmentation: keras.Layer | None = None,
        top_normalization: bool = False,
        top_kernel_scale: float = 1.0,
        denoising_weights: Sequence[float] | None = None,
        information: Literal["mutual", "dot_product"] = "mutual",
        information_weight: float | None = None,
        later_information_weight: float | None = None,
        marginal_weight: float = 4.0,
        noise_weight: float = 1.0,
        adversarial_weight: float = 0.0,
        adversarial_radius: float = 1.6,
        strong_agreement: int | None = None,
        weak_agreement: int = 1,
        confidence_threshold: float = 0.0,
        leave_out_merged: bool = False,
        mapping: Literal["common", "member"] = "common",
        first_epochs: int = 20,
        round_epochs: int = 5,
        batched: bool = True,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            event_shape,
            num_clusters,
            num_members,
            strong_agreement=strong_agreement,
            weak_agreement=weak_agreement,
            confidence_threshold=confidence_threshold,
            leave_out_merged=leave_out_merged,
            mapping=mapping,
            first_epochs=first_epochs,
            round_epochs=round_epochs,
            **kwargs,
        )
        hidden_units, noise, information_weight, first_weights = _with_defaults(
            self.event_shape, hidden_units, noise, information_weight
        )
        units = ladder_units(self.event_shape, hidden_units, self.num_clusters)
        if denoising_weights is None:
            denoising_weights = (*first_weights, *[0.1] * len(units))[: len(units)]
        self.augmentation = check_corruption(augmentation, "augmentation")
        self.top_kernel_scale = check_number("top_kernel_scale", top_kernel_scale, 0, open_low=True)
        self.denoising_weights = check_denoising_weights(denoising_weights, len(units))
        self.information = check_choice("information", information, ("mutual", "dot_product"))
        self.information_weight = check_number("information_weight", information_weight, 0)
        self.later_information_weight = later_information_weight
        check_number("later_information_weight", later_information_weight or 0, 0)
        self.marginal_weight = check_number("marginal_weight", marginal_weight, 0)
        self.noise_weight = check_number("noise_weight", noise_weight, 0)
        self.adversarial_weight = check_number("adversarial_weight", adversarial_weight, 0)
        self.adversarial_radius = check_number(
            "adversarial_radius", adversarial_radius, 0, open_low=True
        )
        self.seed = seeds.base_seed(seed)
        self.ladder = self._make_ladder(units, noise, top_normalization, batched)
        self.trackers |= means(
            *("denoising_cost", "information_cost", "noise_divergence"),
            *("adversarial_divergence", "pseudo_cost", "pseudo_labelled"),
        )
        self.build()

    def _make_ladder(self, units, noise, top_normalization, batched):
        return Ladder(
            units,
            noise=noise,
            num_members=self.num_members,
            batched=batched,
            top_gain=False,
            top_normalization=top_normalization,
            kernel_initializer="glorot_normal",
            decoder_top_input="logits",
            lowest_reconstruction=lowest_weighted(self.denoising_weights),
            dtype=self.dtype_policy,
        )

    @property
    def term_weights(self) -> Mapping[str, Any]:
        """Of terms that are means over the members: what each minimises is as if it were alone."""
        weights = {
            "denoising_cost": 1.0,
            "information_cost": tf.convert_to_tensor(self.information_now),
            "noise_divergence": self.noise_weight,
            "adversarial_divergence": self.adversarial_weight,
            "pseudo_cost": 1.0,
        }
        return {name: self.num_members * weight for name, weight in weights.items()}

    def build(self, input_shape: Any = None) -> None:
        if self.ladder.built:
            return
        self.ladder.build((None, self.ladder.units[0]))
        top = self.ladder.encoder_kernels[self.ladder.top]
        top.assign(self.top_kernel_scale * top)
        if self.augmentation is not None and not self.augmentation.built:
            self.augmentation.build((None, *self.event_shape))
        self.information_now = self.add_state("information_now", ())
        self.build_pseudo_classes()
        self.built = True

    def forget_pseudo_classes(self) -> None:
        super().forget_pseudo_classes()
        self.information_now.assign(self.information_weight)

    def take(self, found: PseudoClasses) -> None:
        super().take(found)
        if self.later_information_weight is not None:
            self.information_now.assign(self.later_information_weight)

    # The losses.

    def _flat(self, inputs: Any) -> tf.Tensor:
        images = images_of(inputs, self.event_shape)
        return tf.reshape(images, [-1, self.ladder.units[0]])

    def call(self, inputs: Any) -> dict[str, tf.Tensor]:
        encoding = self.ladder.encode(self._flat(inputs), population=True)
        p = tf.transpose(encoding.activations[-1], [1, 0, 2])  # [B, M, K]
        return {
            "probabilities": tf.reduce_sum(p * self.shares[:, None], axis=1),
            "member_probabilities": p,
        }

    def loss_terms(self, batch: Mapping, seed: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
        """The costs of the members, in the mean; in evaluation only how much clusters tell."""
        images = self._flat(batch["image"])
        if not training:
            return self._clean_terms(self.ladder.encode(images, population=True))
        views = self._views(batch["image"], seed)
        paths = Path(images, statistics={"update": True}), Path(views, seed)
        clean, noisy = self.ladder.encode_all(paths)
        terms = self._clean_terms(clean)
        terms["information_cost"] += self._information_cost(noisy)
        terms["denoising_cost"] = self._denoising_cost(noisy, clean)
        terms["noise_divergence"] = _divergence(clean.logits, noisy.logits)
        terms |= self._adversarial_terms(images, clean.logits, seed)
        return terms | self._pseudo_terms(batch, noisy.logits)

    def _clean_terms(self, clean):
        return {
            "information_cost": self._information_cost(clean),
            "cluster_usage": tf.einsum("m,mbk->bk", self.shares, clean.activations[-1]),
        }

    def _views(self, images, seed):
        """Returns what the noisy path sees, `[M, B, N]`, or `[B, N]` where all see the same."""
        if self.augmentation is None:
            return self._flat(images)
        copies = tf.tile(images, [self.num_members, *[1 for _ in self.event_shape]])
        views = self.augmentation.corrupt(copies, seed)
        return tf.reshape(views, [self.num_members, -1, self.ladder.units[0]])

    def _adversarial_terms(self, images, clean, seed):
        if not self.adversarial_weight:
            return {}

        def logits(images):
            return self.ladder.encode(images).logits

        images = tf.tile(images[None], [self.num_members, 1, 1])
        own = seeds.split(seed, self.num_members + 1)[-1]  # the members' noise has the others
        noise = losses.virtual_adversarial_noise(
            logits, images, clean, own, self.adversarial_radius
        )
        return {"adversarial_divergence": _divergence(clean, logits(images + noise))}

    def _information_cost(self, encoding):
        p = encoding.activations[-1]
        if self.information == "dot_product":
            return tf.reduce_mean(losses.dot_product_cost(p))
        return tf.reduce_mean(losses.negative_mutual_information(p, self.marginal_weight))

    def _denoising_cost(self, noisy, clean):
        reconstructions = self.ladder.decode(noisy)
        weights = self.denoising_weights
        costs = losses.denoising_costs(reconstructions, clean, weights, renormalize=False)
        rows = tf.zeros(tf.shape(noisy.logits)[:2])
        return tf.reduce_mean(tf.add_n([rows, *costs.values()]), axis=0)

    def _pseudo_terms(self, batch, logits):
        """The cross-entropy of the noisy path for what has a pseudo-label, and how much has."""
        if self.row_labels.num_rows is None or "index" not in batch:
            none = tf.zeros(tf.shape(logits)[1])
            return {"pseudo_cost": none, "pseudo_labelled": none}
        labels = self.row_labels(batch["index"])[:-1]  # [M or 1, B]
        weights = tf.one_hot(labels, self.num_clusters) * self.class_weights[:, None]
        cost = -tf.reduce_sum(weights * tf.nn.log_softmax(logits), axis=-1)  # [M, B]
        return {
            "pseudo_cost": tf.reduce_mean(cost, axis=0),
            "pseudo_labelled": tf.cast(labels[0] >= 0, tf.float32),
        }

    def reorder_clusters(self, orders: np.ndarray) -> None:
        for weight, axis in top_axes(self.ladder):
            self._reorder(weight, orders, axis)
        super().reorder_clusters(orders)

    def reset_statistics(self) -> None:
        self.ladder.reset_statistics()

    def observe(self, images: tf.Tensor, seed: tf.Tensor) -> None:
        self.ladder.encode(self._flat(images), update="average")

    def serving_endpoints(self) -> dict[str, Endpoint]:
        outputs = {
            "probabilities": "of each cluster, in [0, 1], sums to 1",
            "member_probabilities": "the same by each member of the ensemble",
        }
        image, ranges = image_spec(self.event_shape), {"image": self.value_range}
        return {"serving_default": Endpoint(self.call, (image,), outputs, ranges)}

    def get_config(self) -> dict[str, Any]:
        names = (
            *("top_kernel_scale", "denoising_weights", "information", "information_weight"),
            *("later_information_weight", "marginal_weight", "noise_weight"),
            *("adversarial_weight", "adversarial_radius", "seed"),
        )
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in names},
            "hidden_units": self.ladder.units[1:-1],
            "noise": self.ladder.noise,
            "top_normalization": self.ladder.top_normalization,
            "augmentation": keras.saving.serialize_keras_object(self.augmentation),
            "batched": self.ladder.batched,
        }

    @classmethod
    def from_config(cls, config: dict) -> "PseudoLabelEnsemble":
        return cls(**restore_parts(config, ("augmentation",)))


def _with_defaults(event_shape: tuple[int, ...], *given: Any) -> tuple:
    """Returns hidden widths, noise and weight of information, and those of the first denoising.

    The authors' are for MNIST: so much denoising leaves little of the information of few features.
    """
    of_vectors = ((64, 64), 1.0, 1.0), (1.0,)
    of_images = ((1200, 1200), 0.3, 0.1), (1000.0, 10.0)
    defaults, first_weights = of_vectors if len(event_shape) == 1 else of_images
    chosen = [d if g is None else g for g, d in zip(given, defaults, strict=True)]
    return (*chosen, first_weights)


def _divergence(target: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Returns that of logits `[M, B, K]`, the mean over the members, `[B]`."""
    return tf.reduce_mean(losses.divergence(target, logits), axis=0)
