from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfbind import _replicas, seeds
from tfbind._validation import check_integer, check_number
from tfbind.labeling.mixture import check_first_labels, mixture_labels
from tfbind.labeling.sinkhorn import (
    check_enough_rows,
    check_marginal,
    check_solved,
    share_counts,
    solve,
    solve_batch,
    wanted_shares,
    warn_of_error,
)
from tfbind.layers import AdditiveGaussianNoise
from tfbind.models import _batch
from tfbind.models._backbones import backbone_units, given_backbone, linear_heads
from tfbind.models._base import means
from tfbind.models._clustering import ClusteringModel
from tfbind.models._endpoints import Endpoint, endpoint_maker, image_spec
from tfbind.models._parts import check_corruption, restore_parts, run, saved_parts
from tfbind.models._relabeling import RelabelingModel, check_online_epochs, spaced_epochs
from tfbind.models._renumbering import renumbered

_BATCH = 500  # of examples whose features are taken at a time
_LEARNED = "learned"  # the `marginal` that is found in the data
_SHARE_RATE = 0.2  # at which shares move at a label step
_LOSS_RATE = 0.01  # at which the losses of the heads are averaged over steps
_SCHEDULE = ("num_label_steps", "num_label_epochs", "num_online_epochs")


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
        first_labels: "network", which suit the network as it is drawn; or "mixture", the clusters
            of a mixture of Gaussians, for vectors: with a learned marginal.
        augmentation: A layer of `tfbind.layers` such as `RandomAffine`, which distorts what `fit`
            learns from; or None. By default `AdditiveGaussianNoise(1.0)` on vectors, which must be
            standardised then, and none on images.
        num_label_steps: Integer, how often labels are solved, in the authors' quadratic spacing:
            denser at first. None for before every epoch.
        num_label_epochs: Integer, the epochs that these are spread over.
        num_online_epochs: Integer >= 0, epochs at first in which each step solves the labels of
            its batch, from other views of it; label steps come after them. Digits need these, all
            the time: a label step gives what a large kind has too many of to others for an epoch.
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
        Caron et al. Unsupervised Learning of Visual Features by Contrasting Cluster Assignments.
        NeurIPS, 2020, for the labels of a batch, which are hard here.
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
        first_labels: str = "network",
        augmentation: keras.Layer | str | None = "default",
        num_label_steps: int | None = None,
        num_label_epochs: int | None = None,
        num_online_epochs: int = 0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        num_clusters = check_integer("num_clusters", num_clusters, 2)
        num_heads = check_integer("num_heads", num_heads, 1)
        learned = isinstance(marginal, str) and marginal == _LEARNED
        shares = check_marginal(None if learned else marginal, num_clusters)
        strength = check_number("strength", strength, 0, open_low=True)
        label_epochs = spaced_epochs(num_label_steps, num_label_epochs)
        super().__init__(event_shape, num_clusters, shares, num_heads=num_heads, **kwargs)
        given = self._default_noise(seed) if augmentation == "default" else augmentation
        self.augmentation = check_corruption(given, "augmentation")
        self.num_online_epochs = check_online_epochs(num_online_epochs, given)
        self.num_heads = num_heads
        self.strength = strength
        self.marginal: Any = (
            marginal if marginal is None or learned else tuple(map(float, marginal))
        )
        self.first_labels = check_first_labels(first_labels, learned)
        self.num_label_steps, self.num_label_epochs = num_label_steps, num_label_epochs
        self._label_epochs = label_epochs
        self.seed = seeds.base_seed(seed)
        self.units = backbone_units(self.event_shape, units)
        self._own_parts = {"backbone": backbone is None}
        self.backbone = given_backbone(backbone, self.event_shape, self.units)
        self.heads = linear_heads(self.backbone, num_heads, num_clusters)
        self._add_notes()
        self._compile_label_step()
        self.trackers |= means("cross_entropy", "changed_labels", "cluster_error")
        if self.augmentation is not None and not self.augmentation.built:
            self.augmentation.build((None, *self.event_shape))
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
        self.online_losses = note("online_losses", (self.num_heads,))
        self.changed_labels = note("changed_labels")
        self.cluster_error = note("cluster_error")

    def build(self, input_shape: Any = None) -> None:
        self.built = True

    @property
    def best_head(self) -> int:
        """The head whose labels fit best: the last that were solved, or those of late batches."""
        return int(self._best_head())

    def _best_head(self) -> tf.Tensor:
        has_labeled = tf.reduce_any(self.head_losses > 0)
        losses = tf.where(has_labeled, self.head_losses, self.online_losses)
        return tf.argmin(losses, output_type=tf.int32)

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
        return tf.nn.softmax(tf.gather(logits, self._best_head(), axis=1))  # [B, K]

    def loss_terms(self, batch: Mapping, seed: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
        images = batch["image"]
        if training:
            images = self._view(images, seed)
        logits = self.logits(self.embed(images))
        labels = self._labels(batch, seed) if training else tf.argmax(logits, axis=-1)  # [B, H]
        costs = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        if training and self.num_online_epochs:
            step = _replicas.mean(costs, axis=0) - self.online_losses
            self.online_losses.assign_add(_LOSS_RATE * step)
        terms = {
            "cross_entropy": tf.reduce_mean(costs, axis=-1),
            "cluster_usage": self._of_best(logits),
        }
        notes = {"changed_labels": self.changed_labels, "cluster_error": self.cluster_error}
        return {**terms, **{key: tf.identity(note) for key, note in notes.items() if training}}

    def _view(self, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return images if self.augmentation is None else self.augmentation.corrupt(images, seed)

    def _labels(self, batch: Mapping, seed: tf.Tensor) -> tf.Tensor:
        """Returns what to learn, int32 `[B, H]`: of the rows, once labels were solved for them."""
        _batch.require_keys(batch, ("index",))

        def given():
            return tf.transpose(self.row_labels(batch["index"]))

        def found():
            view = self._view(batch["image"], seeds.split(seed, 2)[1])
            return solve_batch(self.logits(self.embed(view)), self.shares, self.strength)

        if not self.num_online_epochs:
            return given()
        if _replicas.number() > 1:  # which cannot do anything together inside of a condition
            return given() if self._learns_given else found()
        return tf.cond(tf.reduce_any(self.head_losses > 0), given, found)

    def make_train_function(self, force: bool = False) -> None:
        self._learns_given = self.has_labeled
        super().make_train_function(force)

    # Numbers of clusters.

    @property
    def _given_shares(self) -> tuple[float, ...] | None:
        """The shares that were given to all heads in one order, if any."""
        return None if isinstance(self.marginal, str) else self.marginal

    @property
    def expected_shares(self) -> np.ndarray:
        return self.shares.numpy()[self.best_head]

    @property
    def answering(self) -> int:
        return self.best_head if self._given_shares is None else 0

    def clusterings(self, images: np.ndarray) -> np.ndarray:
        """Those of every head, or of the best if all were given shares in one order."""
        if self._given_shares is not None:
            return super().clusterings(images)
        features = self.predict(images, _BATCH, verbose=0)["features"]
        return np.argmax(self.logits(features), axis=-1).T

    def reorder_clusters(self, orders: np.ndarray) -> None:
        if self._given_shares is not None:
            self.marginal = tuple(self._given_shares[k] for k in orders[0])
            self._reorder_prior(orders[0])
            self._compile_label_step()  # the old one holds the old marginal
        orders = np.broadcast_to(orders, (self.num_heads, self.num_clusters))
        self._reorder(self.shares, orders)
        columns = (orders + self.num_clusters * np.arange(self.num_heads)[:, None]).reshape(1, -1)
        for weight in self.heads.weights:
            self._reorder(weight, columns)
        if self.row_labels.num_rows is not None:
            self.row_labels.assign(renumbered(self.row_labels.labels.numpy(), orders))

    # Labels.

    def _compile_label_step(self) -> None:
        self._solve = tf.function(self.solve_labels, jit_compile=True, autograph=False)

    @property
    def has_labeled(self) -> bool:
        return bool(np.any(self.head_losses.numpy()))

    def prepare_labels(self, num_rows: int) -> None:
        check_enough_rows("images", num_rows, self.num_clusters)
        before = self.row_labels.num_rows
        super().prepare_labels(num_rows)
        if num_rows != before:
            self._start_labels(num_rows)

    def _start_labels(self, num_rows: int) -> None:
        """Gives each cluster its share of the rows, at random, for each head by itself."""
        counts = share_counts(self._given_shares, self.num_clusters, num_rows)
        labels = np.repeat(np.arange(self.num_clusters), counts)
        random = np.random.default_rng(self.seed)
        self.row_labels.assign([random.permutation(labels) for _ in range(self.num_heads)])

    def relabels_before(self, epoch: int) -> bool:
        epoch -= self.num_online_epochs
        return epoch >= 0 and (self._label_epochs is None or epoch in self._label_epochs)

    def relabel(self, images: np.ndarray) -> None:
        """Solves the labels of the training set, float32 `[N, *event_shape]`, sparse or not."""
        if self.first_labels == "mixture" and not self.has_labeled:
            self.adopt_labels(mixture_labels(images, self.num_clusters, self.num_heads))
            return
        features = self.predict(images, _BATCH, verbose=0)["features"]
        self.adopt_labels(check_solved(self._solve(tf.constant(features))))
        warn_of_error(float(self.cluster_error.numpy()), self.strength)

    def solve_labels(self, features: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the labels that suit the heads best, head by head; XLA compiles it.

        Args:
            features: float32 `[N, D]`, those of the whole training set in its
                order, N known.

        Returns:
            A dict: `labels`, int32 `[H, N]`; `head_losses`, the mean cross-entropies with them,
            `[H]`; `shares`, `[H, K]`, for the next label step; `cluster_error`, of the worst head.
        """

        def solved(head):
            kernel, bias, shares = head
            logits = features @ kernel + bias  # [N, K]
            found = solve(logits, shares, self.strength)
            costs = tf.nn.sparse_softmax_cross_entropy_with_logits(found.labels, logits)
            wanted = wanted_shares(self.marginal, logits, self.strength)
            shares += _SHARE_RATE * (wanted - shares)
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

    def adopt_labels(self, found: Mapping[str, tf.Tensor]) -> None:
        """Makes what `solve_labels` found the labels to learn."""
        changed = tf.not_equal(found["labels"], self.row_labels.labels)
        self.changed_labels.assign(tf.reduce_mean(tf.cast(changed, tf.float32)))
        self.cluster_error.assign(found["cluster_error"])
        are_first = self.num_replicas > 1 and not self.has_labeled
        self.head_losses.assign(found["head_losses"])
        self.shares.assign(found["shares"])
        self.row_labels.assign(found["labels"])
        if are_first:
            self.make_train_function(force=True)

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
        names = ("num_heads", "units", "strength", "marginal", "first_labels", *_SCHEDULE)
        return {
            **super().get_config(),
            **saved_parts(self, self._own_parts),
            **{name: getattr(self, name) for name in (*names, "seed")},
            "augmentation": keras.saving.serialize_keras_object(self.augmentation),
        }

    @classmethod
    def from_config(cls, config: dict) -> "SelfLabeling":
        return cls(**restore_parts(config, ("backbone", "augmentation")))
