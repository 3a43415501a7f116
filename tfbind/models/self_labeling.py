import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfbind import seeds
from tfbind._validation import check_integer, check_number
from tfbind.labeling.sinkhorn import (
    check_enough_rows,
    check_marginal,
    free_shares,
    share_counts,
    solve,
)
from tfbind.layers import AdditiveGaussianNoise
from tfbind.models import _batch
from tfbind.models._backbones import backbone_units, given_backbone, linear_heads
from tfbind.models._base import means
from tfbind.models._clustering import ClusteringModel
from tfbind.models._endpoints import Endpoint, endpoint_maker, image_spec
from tfbind.models._parts import check_corruption, restore_parts, run, saved_parts
from tfbind.models._relabeling import RelabelingModel, spaced_epochs
from tfbind.models._renumbering import renumbered

_BATCH = 500  # of examples whose features are taken at a time
_LEARNED = "learned"  # the `marginal` that is found in the data
_SHARE_RATE = 0.2  # at which shares move at a label step
_LEAST_SHARE = 0.2  # of an equal one, that every cluster keeps while shares are learned
_SCHEDULE = ("num_label_steps", "num_label_epochs")
VIEW_SALT = 5  # tells the seeds of the views that labels are solved from, from those of steps
_WARN_ABOVE = 0.05  # of `cluster_error`, which says what share is off, twice


@keras.saving.register_keras_serializable("tfbind")
class SelfLabeling(ClusteringModel, RelabelingModel):
    """Clusters by classifying: labels and classifier take turns in fitting each other.

    Between epochs every example is given the label that suits the classifier best, of all ways
    in which each cluster gets its share; within them the classifier learns to tell these labels
    of distorted images. Use it where distortions are known that leave the kind of an example as
    it is, and clusters are about as large as `marginal` says: it will make them so. Several heads
    on one backbone find several clusterings; the one whose labels fit best is used.

    Have `marginal="learned"` where clusters may be unequal. Do not use it for round clusters, nor
    for bent ones in small tables where nothing but noise is known to leave the kind as it is:
    k-means is better for those and spectral clustering for these, and both take a second.

    Args:
        event_shape: Tuple of ints, the shape of one example.
        num_clusters: Integer K >= 2.
        num_heads: Integer >= 1, clusterings that share the backbone.
        backbone: Keras model from `event_shape` to features `[B, D]`, or None for convolutions
            with stride 2 and a dense layer on images `[H, W, C]`, and for dense layers elsewhere.
        units: Integers, the filters of the default convolutions and the number of features, or
            the widths of the default dense layers; None for (32, 64, 128, 128) and (64, 64).
            Unused with a backbone of your own.
        strength: Float lambda > 0: the larger, the more the new labels follow the classifier.
        marginal: K positive numbers that sum to 1, the share of each cluster; None for equal ones;
            or "learned", if you do not know them. Label steps begin with equal ones, and move by
            a fifth of the way each time towards those that are given, or towards those that the
            classifier would give, about a fifth of an equal one at least.
        augmentation: A layer of `tfbind.layers` such as `RandomAffine`, which distorts what `fit`
            learns from; or None. By default `AdditiveGaussianNoise(1.0)` on vectors, which must be
            standardised then, and none on images.
        num_label_views: Integer >= 0, distorted views of an example whose mean features its label
            is solved from; 0 for the example itself.
        num_label_steps: Integer, how often labels are solved, in the authors' quadratic spacing:
            denser at first. None for before every epoch.
        num_label_epochs: Integer, the epochs that these are spread over.
        seed: Integer, for the first labels and the distortions, or None to draw one.

    Call arguments:
        inputs: float32 `[B, *event_shape]`; or a dict with that under `image`.

    Returns:
        A dict: `probabilities`, float32 `[B, K]`, of the clusters of the head whose
        labels fitted best when they were last solved, sums to 1; `features`, float32 `[B, D]`.
        `evaluate` has no labels of its own making, so that its `cross_entropy` is of the cluster
        that each head finds most probable.

    Raises:
        ValueError: If an argument is out of its range, data has the wrong shape, or there are
            fewer examples than clusters.

    Example:

    >>> images = np.repeat(np.eye(4, dtype="float32"), 8, axis=0)
    >>> model = tfbind.SelfLabeling((4,), 4, num_heads=1, units=(16,), seed=0)
    >>> model.compile(keras.optimizers.Adam(0.01))
    >>> history = model.fit(images, epochs=3, verbose=0)
    >>> model.predict(images, verbose=0)["features"].shape
    (32, 16)

    Few labels go far with its features: the nearest neighbours of an example are of its kind.

    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> some = KNeighborsClassifier(1).fit(model.embed(images[::8]), ["a", "b", "c", "d"])
    >>> some.predict(model.embed(images[7:9])).tolist()
    ['a', 'b']

    References:
        Asano, Rupprecht, Vedaldi. Self-Labelling via Simultaneous Clustering and Representation
        Learning. ICLR, 2020. https://arxiv.org/abs/1911.05371. Differs from the authors' code,
        which takes the features of one distorted view of each image with the network in training
        mode (here population statistics serve), and knows equal shares only.
    """

    term_weights = {"cross_entropy": 1.0}

    def __init__(
        self,
        event_shape: Sequence[int],
        num_clusters: int,
        *,
        num_heads: int = 10,
        backbone: keras.Model | None = None,
        units: Sequence[int] | None = None,
        strength: float = 25.0,
        marginal: Sequence[float] | str | None = None,
        augmentation: keras.Layer | str | None = "default",
        num_label_views: int = 0,
        num_label_steps: int | None = None,
        num_label_epochs: int | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        num_clusters = check_integer("num_clusters", num_clusters, 2)
        num_heads = check_integer("num_heads", num_heads, 1)
        learned = isinstance(marginal, str) and marginal == _LEARNED
        shares = check_marginal(None if learned else marginal, num_clusters).tolist()
        strength = check_number("strength", strength, 0, open_low=True)
        label_epochs = spaced_epochs(num_label_steps, num_label_epochs)
        super().__init__(event_shape, num_clusters, shares, num_heads=num_heads, **kwargs)
        augmentation = self._default_noise(seed) if augmentation == "default" else augmentation
        check_corruption(augmentation, "augmentation")
        num_label_views = _checked_views(num_label_views, augmentation)
        self.num_heads = num_heads
        self.strength = strength
        self.marginal = marginal if marginal is None or learned else tuple(shares)
        self.augmentation, self.num_label_views = augmentation, num_label_views
        self.num_label_steps, self.num_label_epochs = num_label_steps, num_label_epochs
        self._label_epochs = label_epochs
        self.seed = seeds.base_seed(seed)
        self.units = backbone_units(self.event_shape, units)
        self._own_parts = {"backbone": backbone is None}
        self.backbone = given_backbone(backbone, self.event_shape, self.units)
        self.heads = linear_heads(self.backbone, num_heads, num_clusters)
        self._add_notes()
        self._solve = tf.function(self.solve_labels, jit_compile=True, autograph=False)
        self._see = tf.function(self.label_features, reduce_retracing=True, autograph=False)
        self.trackers |= means("cross_entropy", "changed_labels", "cluster_error")
        if augmentation is not None and not augmentation.built:
            augmentation.build((None, *self.event_shape))
        if self.row_labels.num_rows is not None:
            self._start_labels(self.row_labels.num_rows)
        self.built = True

    def _default_noise(self, seed: int | None) -> keras.Layer | None:
        return AdditiveGaussianNoise(1.0, seed=seed) if len(self.event_shape) == 1 else None

    def _add_notes(self) -> None:
        """Adds what the last label step left: shares and loss a head, and what is logged of it."""

        def note(name, shape=(), value=0.0):
            start = keras.initializers.Constant(value)
            return self.add_weight(shape=shape, initializer=start, trainable=False, name=name)

        equal = 1.0 / self.num_clusters
        self.shares = note("shares", (self.num_heads, self.num_clusters), equal)
        self.head_losses = note("head_losses", (self.num_heads,))
        self.changed_labels = note("changed_labels")
        self.cluster_error = note("cluster_error")

    def build(self, input_shape: Any = None) -> None:
        self.built = True

    @property
    def best_head(self) -> int:
        """The head whose labels fitted best when they were last solved; 0 until then."""
        return int(np.argmin(self.head_losses))

    # Networks.

    def embed(self, images: tf.Tensor) -> tf.Tensor:
        """Returns the features of float32 images `[B, *event_shape]`, float32 `[B, D]`."""
        return tf.cast(run(self.backbone, images), tf.float32)

    def logits(self, features: tf.Tensor) -> tf.Tensor:
        """Returns every head's logits of the clusters, float32 `[B, H, K]`, of `[B, D]`."""
        return tf.cast(run(self.heads, features), tf.float32)

    def call(self, inputs: Any) -> dict[str, tf.Tensor]:
        features = self.embed(_batch.images_of(inputs, self.event_shape))
        return {"probabilities": self._of_best(self.logits(features)), "features": features}

    def _of_best(self, logits: tf.Tensor) -> tf.Tensor:
        best = tf.argmin(self.head_losses, output_type=tf.int32)
        return tf.nn.softmax(tf.gather(logits, best, axis=1))  # [B, K]

    def loss_terms(self, batch: Mapping, seed: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
        images = batch["image"]
        if training and self.augmentation is not None:
            images = self.augmentation.corrupt(images, seed)
        logits = self.logits(self.embed(images))
        labels = self._given(batch) if training else tf.argmax(logits, axis=-1)  # [B, H]
        costs = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        terms = {
            "cross_entropy": tf.reduce_mean(costs, axis=-1),
            "cluster_usage": self._of_best(logits),
        }
        notes = {"changed_labels": self.changed_labels, "cluster_error": self.cluster_error}
        return {**terms, **{key: tf.identity(note) for key, note in notes.items() if training}}

    def _given(self, batch: Mapping) -> tf.Tensor:
        _batch.require_keys(batch, ("index",))
        return tf.transpose(self.row_labels(batch["index"]))

    # Numbers of clusters.

    @property
    def answering(self) -> int:
        return self.best_head if self.marginal is None else 0

    def clusterings(self, images: np.ndarray) -> np.ndarray:
        """Those of every head, or of the best if the heads share a marginal, which is in order."""
        if self.marginal is not None:
            return super().clusterings(images)
        features = self.predict(images, _BATCH, verbose=0)["features"]
        return np.argmax(self.logits(features), axis=-1).T

    def reorder_clusters(self, orders: np.ndarray) -> None:
        if self.marginal is not None:
            self.marginal = tuple(self.marginal[k] for k in orders[0])
            self._reorder_prior(orders[0])
        orders = np.broadcast_to(orders, (self.num_heads, self.num_clusters))
        columns = (orders + self.num_clusters * np.arange(self.num_heads)[:, None]).reshape(1, -1)
        for weight in self.heads.weights:
            self._reorder(weight, columns)
        if self.row_labels.num_rows is not None:
            self.row_labels.assign(renumbered(self.row_labels.labels.numpy(), orders))

    # Labels.

    @property
    def has_labeled(self) -> bool:
        return bool(np.any(self.head_losses))

    def prepare_labels(self, num_rows: int) -> None:
        check_enough_rows("images", num_rows, self.num_clusters)
        before = self.row_labels.num_rows
        super().prepare_labels(num_rows)
        if num_rows != before:
            self._start_labels(num_rows)

    def _start_labels(self, num_rows: int) -> None:
        """Gives each cluster its share of the rows, at random, for each head by itself."""
        shares = None if isinstance(self.marginal, str) else self.marginal
        counts = share_counts(shares, self.num_clusters, num_rows)
        labels = np.repeat(np.arange(self.num_clusters), counts)
        random = np.random.default_rng(self.seed)
        self.row_labels.assign([random.permutation(labels) for _ in range(self.num_heads)])

    def relabels_before(self, epoch: int) -> bool:
        return self._label_epochs is None or epoch in self._label_epochs

    def relabel(self, images: np.ndarray) -> None:
        """Solves the labels of the training set, float32 `[N, *event_shape]`."""
        found = self._solve(self._all_label_features(images))
        if not np.isfinite(found["head_losses"]).all():
            raise ValueError(
                "`images` must have finite features where labels are solved. Received: NaN or "
                "infinity; the training diverged, start again with a smaller learning rate."
            )
        self.adopt_labels(found)
        self._warn_of_errors()

    def _all_label_features(self, images: np.ndarray) -> tf.Tensor:
        if not self.num_label_views:
            return tf.constant(self.predict(images, _BATCH, verbose=0)["features"])
        starts = range(0, len(images), _BATCH)
        return tf.concat([self._see(images[i : i + _BATCH]) for i in starts], axis=0)

    def label_features(self, images: tf.Tensor, salt: tf.Tensor | int = VIEW_SALT) -> tf.Tensor:
        """Returns the features that labels are solved from, float32 `[B, D]`; XLA compiles it.

        The distortions depend on the place in the batch and on nothing else, so that labels change
        because the network does.
        """
        if not self.num_label_views:
            return self.embed(images)
        seed = seeds.fold(self.seed, salt)
        views = seeds.split(seed, self.num_label_views)
        return tf.add_n(
            [self.embed(self.augmentation.corrupt(images, view)) for view in views]
        ) / len(views)

    def solve_labels(self, features: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the labels that suit the heads best, head by head; XLA compiles it.

        Args:
            features: float32 `[N, D]`, the `label_features` of the whole training set in its
                order, N known.

        Returns:
            A dict: `labels`, int32 `[H, N]`; `head_losses`, float32 `[H]`, the heads' mean
            cross-entropies with them; `shares`, float32 `[H, K]`, for the next label step;
            `cluster_error`, float32 scalar, of the worst head.
        """

        def solved(head):
            kernel, bias, shares = head
            logits = features @ kernel + bias  # [N, K]
            found = solve(logits, shares, self.strength)
            costs = tf.nn.sparse_softmax_cross_entropy_with_logits(found.labels, logits)
            shares += _SHARE_RATE * (self._wanted_shares(logits) - shares)
            return found.labels, tf.reduce_mean(costs), shares, found.cluster_error

        size = (-1, self.num_heads, self.num_clusters)
        weights = [tf.reshape(tf.cast(each, tf.float32), size) for each in self.heads.weights]
        kernel, bias = (tf.transpose(each, (1, 0, 2)) for each in weights)  # [H, D or 1, K]
        heads = (kernel, bias, tf.convert_to_tensor(self.shares))
        kinds = (tf.int32, *[tf.float32] * 3)
        labels, losses, shares, errors = tf.map_fn(solved, heads, fn_output_signature=kinds)
        return {
            "labels": labels,
            "head_losses": losses,
            "shares": shares,
            "cluster_error": tf.reduce_max(errors),
        }

    def _wanted_shares(self, logits: tf.Tensor) -> tf.Tensor:
        """Returns the shares to go to, `[K]`, for logits `[N, K]` of the training set."""
        if not isinstance(self.marginal, str):
            return tf.constant(check_marginal(self.marginal, self.num_clusters), tf.float32)
        free = tf.maximum(free_shares(logits, self.strength), _LEAST_SHARE / self.num_clusters)
        return free / tf.reduce_sum(free)

    def adopt_labels(self, found: Mapping[str, tf.Tensor]) -> None:
        """Makes what `solve_labels` found the labels to learn."""
        changed = tf.not_equal(found["labels"], self.row_labels.labels)
        self.changed_labels.assign(tf.reduce_mean(tf.cast(changed, tf.float32)))
        self.cluster_error.assign(found["cluster_error"])
        self.head_losses.assign(found["head_losses"])
        self.shares.assign(found["shares"])
        self.row_labels.assign(found["labels"])

    def _warn_of_errors(self) -> None:
        if self.cluster_error > _WARN_ABOVE:
            warnings.warn(
                f"The shares of the clusters are {float(self.cluster_error):.3f} away from "
                "`marginal` after all iterations: the classifier is surer than they allow. Choose "
                f"a smaller `strength` than {self.strength:g}, or other shares.",
                stacklevel=3,
            )

    # What leaves the process.

    def serving_endpoints(self) -> dict[str, Endpoint]:
        texts = {
            "probabilities": "of each cluster, in [0, 1], sums to 1",
            "features": "for nearest neighbours and linear probes",
        }
        endpoint = endpoint_maker(texts, {"image": self.value_range})
        inputs = (image_spec(self.event_shape),)
        return {
            "serving_default": endpoint(self.call, inputs, tuple(texts)),
            "embed": endpoint(lambda image: {"features": self.embed(image)}, inputs, ("features",)),
        }

    def get_config(self) -> dict[str, Any]:
        names = ("num_heads", "units", "strength", "marginal", "num_label_views")
        return {
            **super().get_config(),
            **saved_parts(self, self._own_parts),
            **{name: getattr(self, name) for name in (*names, *_SCHEDULE, "seed")},
            "augmentation": keras.saving.serialize_keras_object(self.augmentation),
        }

    @classmethod
    def from_config(cls, config: dict) -> "SelfLabeling":
        return cls(**restore_parts(config, ("backbone", "augmentation")))


def _checked_views(num_views: int, augmentation: keras.Layer | None) -> int:
    if check_integer("num_label_views", num_views, 0) and augmentation is None:
        raise ValueError(
            "`num_label_views` must be 0 without an augmentation, which distorts. Received: "
            f"num_label_views={num_views}."
        )
    return num_views
