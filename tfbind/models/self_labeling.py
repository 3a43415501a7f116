import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfbind import seeds
from tfbind._validation import check_integer, check_number
from tfbind.labeling import Assignment, balanced_labels
from tfbind.labeling.sinkhorn import check_enough_rows, check_marginal, share_counts
from tfbind.layers import mlp
from tfbind.models import _batch
from tfbind.models._base import means
from tfbind.models._clustering import ClusteringModel
from tfbind.models._endpoints import Endpoint, endpoint_maker, image_spec
from tfbind.models._parts import check_corruption, restore_parts, run, saved_parts
from tfbind.models._relabeling import RelabelingModel
from tfbind.models._renumbering import renumbered

_CONVOLUTIONAL = (32, 64, 128, 128)
_DENSE = (512, 512, 128)
_BATCH = 500  # of examples whose features are taken at a time
_MOMENTUM = 0.9  # of population statistics, which new labels read after every epoch
_HEAD_DEVIATION = 0.01  # of the heads' first weights; the authors'
_WARN_ABOVE = 0.05  # of `cluster_error`, which says what share is off, twice


@keras.saving.register_keras_serializable("tfbind")
class SelfLabeling(ClusteringModel, RelabelingModel):
    """Clusters by classifying: labels and classifier take turns in fitting each other.

    Between epochs every example is given the label that suits the classifier best, of all ways
    in which each cluster gets its share; within them the classifier learns to tell these labels
    of distorted images. Use it where distortions are known that leave the kind of an example as
    it is, and clusters are about as large as `marginal` says: it will make them so. Several heads
    on one backbone find several clusterings; the one whose labels fit best is used.

    Args:
        event_shape: Tuple of ints, the shape of one example.
        num_clusters: Integer K >= 2.
        num_heads: Integer >= 1, clusterings that share the backbone.
        backbone: Keras model from `event_shape` to features `[B, D]`, or None for convolutions
            with stride 2 and a dense layer on images `[H, W, C]`, and for dense layers elsewhere.
        units: Integers, the filters of the default convolutions and the number of features, or
            the widths of the default dense layers; None for (32, 64, 128, 128) and
            (512, 512, 128). Unused with a backbone of your own.
        strength: Float lambda > 0: the larger, the more the new labels follow the classifier.
        marginal: K positive numbers that sum to 1, the share of each cluster; None for equal ones.
        augmentation: A layer of `tfbind.layers` such as `RandomAffine`, which distorts what `fit`
            learns from; or None.
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

    References:
        Asano, Rupprecht, Vedaldi. Self-Labelling via Simultaneous Clustering and Representation
        Learning. ICLR, 2020. https://arxiv.org/abs/1911.05371. Differs from the authors' code,
        which takes the features of one distorted view of each image with the network in training
        mode (here they are those of the image itself, with population statistics), and whose
        labels may miss the shares.
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
        marginal: Sequence[float] | None = None,
        augmentation: keras.Layer | None = None,
        num_label_steps: int | None = None,
        num_label_epochs: int | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        num_clusters = check_integer("num_clusters", num_clusters, 2)
        num_heads = check_integer("num_heads", num_heads, 1)
        shares = check_marginal(marginal, num_clusters).tolist()
        strength = check_number("strength", strength, 0, open_low=True)
        check_corruption(augmentation, "augmentation")
        label_epochs = _label_epochs(num_label_steps, num_label_epochs)
        super().__init__(event_shape, num_clusters, shares, num_heads=num_heads, **kwargs)
        self.num_heads = num_heads
        self.strength = strength
        self.marginal = None if marginal is None else tuple(map(float, marginal))
        self.augmentation = augmentation
        self.num_label_steps, self.num_label_epochs = num_label_steps, num_label_epochs
        self._label_epochs = label_epochs
        self.seed = seeds.base_seed(seed)
        self.units = self._default_units() if units is None else _checked_units(units)
        self._own_parts = {"backbone": backbone is None}
        self.backbone = _checked_backbone(backbone) if backbone else self._default_backbone()
        self.heads = self._linear_heads()
        self._add_notes()
        self.trackers |= means("cross_entropy", "changed_labels", "cluster_error")
        if augmentation is not None and not augmentation.built:
            augmentation.build((None, *self.event_shape))
        if self.row_labels.num_rows is not None:
            self._start_labels(self.row_labels.num_rows)
        self.built = True

    def _default_units(self) -> tuple[int, ...]:
        return _CONVOLUTIONAL if len(self.event_shape) == 3 else _DENSE

    def _default_backbone(self) -> keras.Model:
        if len(self.event_shape) == 3:
            return _convolutions(self.event_shape, self.units)
        inputs = {"image": self.event_shape}
        return mlp(inputs, self.units, lambda top: top, normalization=_norm, name="backbone")

    def _linear_heads(self) -> keras.Model:
        size = (self.num_heads, self.num_clusters)
        normal = keras.initializers.RandomNormal(stddev=_HEAD_DEVIATION)
        layers = [
            keras.layers.Input(self.backbone.output_shape[1:]),
            keras.layers.Dense(int(np.prod(size)), kernel_initializer=normal),
            keras.layers.Reshape(size),
        ]
        return keras.Sequential(layers, name="heads")

    def _add_notes(self) -> None:
        """Adds what the last label step found: its loss a head, and what a training logs of it."""

        def note(name, shape=()):
            return self.add_weight(shape=shape, initializer="zeros", trainable=False, name=name)

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
        counts = share_counts(self.marginal, self.num_clusters, num_rows)
        labels = np.repeat(np.arange(self.num_clusters), counts)
        random = np.random.default_rng(self.seed)
        self.row_labels.assign([random.permutation(labels) for _ in range(self.num_heads)])

    def relabels_before(self, epoch: int) -> bool:
        return self._label_epochs is None or epoch in self._label_epochs

    def relabel(self, images: np.ndarray) -> None:
        """Solves the labels of the training set, float32 `[N, *event_shape]`, head by head."""
        features = self.predict(images, _BATCH, verbose=0)["features"]
        losses, found = zip(
            *[self._solved(features, h) for h in range(self.num_heads)], strict=True
        )
        labels = tf.stack([each.labels for each in found])  # [H, N]
        changed = tf.not_equal(labels, self.row_labels.labels)
        self.changed_labels.assign(tf.reduce_mean(tf.cast(changed, tf.float32)))
        self.cluster_error.assign(tf.reduce_max([each.cluster_error for each in found]))
        self.head_losses.assign(losses)
        self.row_labels.assign(labels)
        self._warn_of_errors()

    def _solved(self, features: np.ndarray, head: int) -> tuple[tf.Tensor, Assignment]:
        """Returns a head's new labels, and its mean cross-entropy with them."""
        kernel, bias = (tf.cast(weight, tf.float32) for weight in self.heads.weights)
        mine = slice(head * self.num_clusters, (head + 1) * self.num_clusters)
        logits = features @ kernel[:, mine] + bias[mine]  # [N, K]
        found = balanced_labels(logits, self.strength, self.marginal)
        costs = tf.nn.sparse_softmax_cross_entropy_with_logits(found.labels, logits)
        return tf.reduce_mean(costs), found

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
        names = ("num_heads", "units", "strength", "marginal", "num_label_steps")
        return {
            **super().get_config(),
            **saved_parts(self, self._own_parts),
            **{name: getattr(self, name) for name in (*names, "num_label_epochs", "seed")},
            "augmentation": keras.saving.serialize_keras_object(self.augmentation),
        }

    @classmethod
    def from_config(cls, config: dict) -> "SelfLabeling":
        return cls(**restore_parts(config, ("backbone", "augmentation")))


def _label_epochs(num_steps: int | None, num_epochs: int | None) -> frozenset[int] | None:
    """Returns the epochs before which labels are solved, None for all.

    Differs from the authors' code, which solves them within epochs too: steps that would fall
    within one epoch are one, before it.
    """
    if num_steps is None and num_epochs is None:
        return None
    if num_steps is None or num_epochs is None:
        raise ValueError(
            "`num_label_steps` and `num_label_epochs` must be given together. Received: "
            f"num_label_steps={num_steps}, num_label_epochs={num_epochs}."
        )
    num_steps = check_integer("num_label_steps", num_steps, 1)
    num_epochs = check_integer("num_label_epochs", num_epochs, 1)
    times = np.linspace(0.0, 1.0, num_steps) ** 2
    return frozenset((num_epochs * times).astype(int).tolist())


def _checked_units(units: Sequence[int]) -> tuple[int, ...]:
    if not units:
        raise ValueError(f"`units` must hold at least one integer. Received: units={units!r}.")
    return tuple(check_integer("units", size, 1) for size in units)


def _checked_backbone(backbone: keras.Model) -> keras.Model:
    if len(backbone.output_shape) != 2:
        raise ValueError(
            "`backbone` must give features of shape (n, D). Received: an output of shape "
            f"{backbone.output_shape}; add a Flatten or a pooling layer."
        )
    return backbone


def _norm() -> keras.layers.Layer:
    return keras.layers.BatchNormalization(momentum=_MOMENTUM)


def _convolutions(event_shape: tuple[int, ...], units: Sequence[int]) -> keras.Model:
    """Returns convolutions of stride 2, and a dense layer of the last of `units`."""
    layers = [keras.layers.Input(event_shape)]
    for filters in units[:-1]:
        layers.append(keras.layers.Conv2D(filters, 3, 2, padding="same", use_bias=False))
        layers += [_norm(), keras.layers.Activation("relu")]
    layers += [keras.layers.Flatten(), keras.layers.Dense(units[-1], use_bias=False)]
    return keras.Sequential([*layers, _norm(), keras.layers.Activation("relu")], name="backbone")
