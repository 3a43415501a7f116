import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from tfbind import losses, seeds
from tfbind._validation import check_choice, check_integer, check_number
from tfbind.labeling.consensus import check_agreement
from tfbind.layers import Ladder
from tfbind.models._base import means
from tfbind.models._batch import images_of
from tfbind.models._calibration import CalibratedModel
from tfbind.models._clustering import ClusteringModel
from tfbind.models._endpoints import Endpoint, image_spec
from tfbind.models._parts import check_denoising_weights, ladder_units, lowest_weighted
from tfbind.models._pseudo_classes import PseudoClasses, Rules, pseudo_classes
from tfbind.models._relabeling import RelabelingModel
from tfbind.models._renumbering import renumbered, top_axes

_BATCH = 500  # of examples, when they are labelled


@keras.saving.register_keras_serializable("tfbind")
class PseudoLabelEnsemble(ClusteringModel, CalibratedModel, RelabelingModel):
    """Clusters by an ensemble of ladder networks that learn from what they agree on (Kingdra).

    Each member learns by itself to tell clusters apart: those that say much about an example, are
    used alike, withstand noise, and come from layers that undo noise. Between rounds of epochs,
    examples that all members keep together get a pseudo-label, by which each member then also
    learns: members that err in different ways mend each other, and what all of them confuse stays
    confused. So what counts is how many of the first pseudo-labels are right: have many members,
    and a long first round.

    Args:
        event_shape: Tuple of ints, the shape of one example, such as (28, 28, 1) or (64,).
        num_clusters: Integer K >= 2.
        num_members: Integer M >= 2.
        hidden_units: Tuple of one integer or more, widths of the hidden layers of a member.
        noise: Float >= 0, standard deviation of the noise on every layer; or a tuple with one for
            each, from the input to the top.
        denoising_weights: Tuple of floats >= 0, the weight of the denoising cost of each layer
            from the input to the top.
        information_weight: Float >= 0, the weight of minus the mutual information of examples and
            clusters, of the clean path and of the noisy one.
        marginal_weight: Float >= 0, how much the even use of the clusters counts in it.
        noise_weight: Float >= 0, the weight of the divergence of the noisy path's clusters from
            the clean path's.
        strong_agreement: Integer; more members than that agree on two examples of one pseudo-class.
            None for M - 1, all but one, so that all agree.
        weak_agreement: Integer; no more members than that agree on two of different ones, as far
            as the second is not taken yet; see `labeling.agreement_buckets`.
        confidence_threshold: Float in [0, 1); every member's greatest probability is above it for
            an example that a pseudo-class is made around.
        mapping: Whose numbers pseudo-classes get: "common" for the last member's, which all others
            learn, so that the ensemble answers by the mean of all; "member" for each member's own,
            where the first member answers.
        first_epochs: Integer >= 1, epochs before the first pseudo-labels.
        round_epochs: Integer >= 1, epochs between later ones.
        batched: Whether members run at once; see `layers.Ladder`.
        seed: Integer seed of the noise, or None to draw one.

    Call arguments:
        inputs: float32 `[B, *event_shape]`, of a range near [0, 1]; or a dict with that under
            `image`. `fit` takes images alone, or a dataset of dicts with `image` and `index`, and
            then a callback `Relabeling`. `fit` takes population statistics before each round and
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
    >>> model = tfbind.PseudoLabelEnsemble(
    ...     (16,), 3, num_members=2, hidden_units=(8,), denoising_weights=(1.0, 0.1, 0.1)
    ... )
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
        hidden_units: Sequence[int] = (1200, 1200),
        noise: float | Sequence[float] = 0.3,
        denoising_weights: Sequence[float] = (1000.0, 10.0, 0.1, 0.1),
        information_weight: float = 0.1,
        marginal_weight: float = 4.0,
        noise_weight: float = 1.0,
        strong_agreement: int | None = None,
        weak_agreement: int = 1,
        confidence_threshold: float = 0.9,
        mapping: Literal["common", "member"] = "common",
        first_epochs: int = 5,
        round_epochs: int = 5,
        batched: bool = True,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        num_members = check_integer("num_members", num_members, 2)
        # For every member, or for all, its pseudo-classes; and last, the best buckets so far
        num_heads = 1 + (1 if mapping == "common" else num_members)
        super().__init__(event_shape, num_clusters, num_heads=num_heads, **kwargs)
        units = ladder_units(self.event_shape, hidden_units, self.num_clusters)
        self.denoising_weights = check_denoising_weights(denoising_weights, len(units))
        self.information_weight = check_number("information_weight", information_weight, 0)
        self.marginal_weight = check_number("marginal_weight", marginal_weight, 0)
        self.noise_weight = check_number("noise_weight", noise_weight, 0)
        self.strong_agreement = num_members - 1 if strong_agreement is None else strong_agreement
        self.weak_agreement = weak_agreement
        check_agreement(num_members, self.strong_agreement, weak_agreement)
        self.confidence_threshold = _check_confidence(confidence_threshold)
        self.mapping = check_choice("mapping", mapping, ("common", "member"))
        self.first_epochs = check_integer("first_epochs", first_epochs, 1)
        self.round_epochs = check_integer("round_epochs", round_epochs, 1)
        self.seed = seeds.base_seed(seed)
        self.ladder = self._make_ladder(units, num_members, noise, batched)
        self.trackers |= means(
            *("denoising_cost", "information_cost", "noise_divergence"),
            *("pseudo_cost", "pseudo_labelled"),
        )
        self.build()

    def _make_ladder(self, units, num_members, noise, batched):
        return Ladder(
            units,
            noise=noise,
            num_members=num_members,
            batched=batched,
            top_gain=False,
            top_normalization=False,
            kernel_initializer="glorot_normal",
            decoder_top_input="logits",
            lowest_reconstruction=lowest_weighted(self.denoising_weights),
            dtype=self.dtype_policy,
        )

    @property
    def num_members(self) -> int:
        return self.ladder.num_members

    @property
    def term_weights(self) -> Mapping[str, float]:
        """Of terms that are means over the members: what each minimises is as if it were alone."""
        weights = {
            "denoising_cost": 1.0,
            "information_cost": self.information_weight,
            "noise_divergence": self.noise_weight,
            "pseudo_cost": 1.0,
        }
        return {name: self.num_members * weight for name, weight in weights.items()}

    def build(self, input_shape: Any = None) -> None:
        if self.ladder.built:
            return
        self.ladder.build((None, self.ladder.units[0]))
        # How much an example of each pseudo-class weighs; nothing while there are none
        languages = 1 if self.mapping == "common" else self.num_members
        shape = (languages, self.num_clusters)
        self.class_weights = self._state("class_weights", shape)
        # Of each member in the answer: one of them until they have a language in common
        self.shares = self._state("shares", (self.num_members,))
        self._reset_pseudo_classes()
        self.built = True

    def _state(self, name, shape):
        return self.add_weight(
            shape=shape, initializer="zeros", trainable=False, autocast=False, name=name
        )

    def _reset_pseudo_classes(self):
        speaker = self.num_members - 1 if self.mapping == "common" else 0
        self.shares.assign(tf.one_hot(speaker, self.num_members))
        self.class_weights.assign(tf.zeros_like(self.class_weights))

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
        statistics = {"update": True} if training else {"population": True}
        clean = self.ladder.encode(images, **statistics)
        terms = {
            "information_cost": self._information_cost(clean),
            "cluster_usage": tf.einsum("m,mbk->bk", self.shares, clean.activations[-1]),
        }
        if training:
            noisy = self.ladder.encode(images, seed)
            terms["information_cost"] += self._information_cost(noisy)
            terms["denoising_cost"] = self._denoising_cost(noisy, clean)
            terms["noise_divergence"] = _divergence(clean.logits, noisy.logits)
            terms |= self._pseudo_terms(batch, noisy.logits)
        return terms

    def _information_cost(self, encoding):
        p = encoding.activations[-1]
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

    # Numbers of clusters.

    def clusterings(self, images: np.ndarray) -> np.ndarray:
        """The one that the members have in common, or each member's own."""
        if self.mapping == "common":
            return super().clusterings(images)
        p = self.predict(images, batch_size=_BATCH, verbose=0)["member_probabilities"]
        return p.argmax(axis=-1).T

    def reorder_clusters(self, orders: np.ndarray) -> None:
        for weight, axis in top_axes(self.ladder):
            self._reorder(weight, orders, axis)
        self._reorder(self.class_weights, orders)
        if self.row_labels.num_rows is not None:
            *labels, best = self.row_labels.labels.numpy()
            self.row_labels.assign([*renumbered(np.stack(labels), orders), best])

    # The rounds.

    @property
    def has_labeled(self) -> bool:
        return bool(np.any(self.class_weights))

    def reset_statistics(self) -> None:
        self.ladder.reset_statistics()

    def observe(self, images: tf.Tensor, seed: tf.Tensor) -> None:
        self.ladder.encode(self._flat(images), update="average")

    def relabels_before(self, epoch: int) -> bool:
        later = epoch - self.first_epochs
        return later >= 0 and later % self.round_epochs == 0

    def prepare_labels(self, num_rows: int) -> None:
        if num_rows < self.num_clusters:
            raise ValueError(
                f"`images` must hold {self.num_clusters} examples or more, one for each cluster. "
                f"Received: {num_rows}."
            )
        are_new = num_rows != self.row_labels.num_rows
        super().prepare_labels(num_rows)
        if are_new:
            self.row_labels.assign(np.full(self.row_labels.shape, -1))

    def relabel(self, images: np.ndarray) -> None:
        """Gives the examples that the members agree on pseudo-labels.

        Where they find fewer pseudo-classes than clusters, the fullest ones of an earlier round
        are taken again, or none.

        Args:
            images: float32 `[N, *event_shape]`, the training set.
        """
        self.calibrate(images)
        p = self.predict(images, batch_size=_BATCH, verbose=0)["member_probabilities"]
        best = self.row_labels.labels.numpy()[-1]
        self._take(pseudo_classes(p.argmax(axis=-1), p.max(axis=-1), best, self._rules()))

    def _rules(self) -> Rules:
        return Rules(
            self.num_clusters,
            self.strong_agreement,
            self.weak_agreement,
            self.confidence_threshold,
            self.mapping,
        )

    def _take(self, found: PseudoClasses) -> None:
        if found.num_found < self.num_clusters:
            _warn_of_few(found, self.num_clusters)
        self.row_labels.assign([*found.labels, found.best])
        self.class_weights.assign(found.weights)
        if self.mapping == "common" and found.weights.any():
            self.shares.assign(tf.fill([self.num_members], 1.0 / self.num_members))

    def serving_endpoints(self) -> dict[str, Endpoint]:
        outputs = {
            "probabilities": "of each cluster, in [0, 1], sums to 1",
            "member_probabilities": "the same by each member of the ensemble",
        }
        image, ranges = image_spec(self.event_shape), {"image": self.value_range}
        return {"serving_default": Endpoint(self.call, (image,), outputs, ranges)}

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_members": self.num_members,
            "hidden_units": self.ladder.units[1:-1],
            "noise": self.ladder.noise,
            "denoising_weights": self.denoising_weights,
            "information_weight": self.information_weight,
            "marginal_weight": self.marginal_weight,
            "noise_weight": self.noise_weight,
            "strong_agreement": self.strong_agreement,
            "weak_agreement": self.weak_agreement,
            "confidence_threshold": self.confidence_threshold,
            "mapping": self.mapping,
            "first_epochs": self.first_epochs,
            "round_epochs": self.round_epochs,
            "batched": self.ladder.batched,
            "seed": self.seed,
        }


def _check_confidence(threshold: float) -> float:
    if check_number("confidence_threshold", threshold, 0, 1) == 1:
        raise ValueError(
            "`confidence_threshold` must be less than 1, since no probability is greater. "
            f"Received: confidence_threshold={threshold!r}."
        )
    return float(threshold)


def _divergence(clean: tf.Tensor, noisy: tf.Tensor) -> tf.Tensor:
    """Returns KL(clean || noisy) of logits `[M, B, K]`, the mean over the members, `[B]`.

    Only the noisy path is drawn to the other one.
    """
    target = tf.stop_gradient(tf.nn.log_softmax(clean))
    far = target - tf.nn.log_softmax(noisy)
    return tf.reduce_mean(tf.reduce_sum(tf.exp(target) * far, axis=-1), axis=0)


def _warn_of_few(found: PseudoClasses, num_clusters: int) -> None:
    instead = "those of an earlier round stay" if found.weights.any() else "there are none yet"
    warnings.warn(
        f"The members agree on {found.num_found} of {num_clusters} pseudo-classes, so that "
        f"{instead}; try a longer first round (first_epochs), a lower confidence_threshold, "
        "fewer clusters, or more data.",
        stacklevel=3,
    )
