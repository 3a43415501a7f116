from collections.abc import Mapping, Sequence
from typing import Any, Literal

import keras
import tensorflow as tf

from tfbind import losses, seeds
from tfbind._validation import check_integer
from tfbind.layers import Ladder
from tfbind.models._base import cluster_information, means
from tfbind.models._batch import Field, images_of, require_keys, semi_supervised_fields
from tfbind.models._calibration import CalibratedModel
from tfbind.models._endpoints import Endpoint, image_spec
from tfbind.models._parts import check_denoising_weights, ladder_units, lowest_weighted


@keras.saving.register_keras_serializable("tfbind")
class LadderNetwork(CalibratedModel):
    """Classifies with few labels: every layer also learns to undo noise on unlabelled examples.

    A noisy and a clean path share one encoder. The labelled examples train the noisy path's top;
    on the unlabelled ones a decoder with lateral connections restores each layer of the clean
    path from the noisy one. `fit` takes both, `predict` and `evaluate` use the clean path.

    Args:
        event_shape: Tuple of ints, the shape of one example, such as (28, 28, 1) or (64,).
        num_classes: Integer C >= 2.
        hidden_units: Tuple of one integer or more, widths of the hidden layers.
        denoising_weights: Tuple of floats >= 0, the weight of the denoising cost of each layer
            from the input to the top. The decoder goes down to the lowest layer with a weight:
            (0, ..., 0, w) is the Gamma model, zeros everywhere a plain network with noise.
        noise: Float >= 0, standard deviation of the noise on every layer; or a tuple with one for
            each, from the input to the top.
        combinator: "gauss" or "gauss_stable_v"; see `layers.Ladder`.
        seed: Integer seed of the noise, or None to draw one.

    Call arguments:
        inputs: float32 `[B, *event_shape]`, of a range near [0, 1]; or a dict with that under
            `image`. `fit` takes a dict with `image` and `label`, int `[B]`, and
            `unlabeled_image`, or a `tf.data.Dataset` of such dicts; `evaluate` takes images and
            labels, or a dict with both. `fit` ends by taking the population statistics of the
            clean path from the labelled images, as the paper does.

    Returns:
        A dict: `probabilities`, float32 `[B, C]`, sums to 1; `latent`, float32
        `[B, hidden_units[-1]]`, the highest hidden layer.

    Raises:
        ValueError: If an argument is out of its range, or data has the wrong shape or range.

    Example:

    >>> images = np.random.default_rng(0).random((40, 16)).astype("float32")
    >>> labels = (images[:, 0] > 0.5).astype("int32")
    >>> model = tfbind.LadderNetwork(
    ...     (16,), 2, hidden_units=(32,), denoising_weights=(10.0, 1.0, 0.1)
    ... )
    >>> model.compile(keras.optimizers.Adam(0.01))
    >>> data = {"image": images[:10], "label": labels[:10], "unlabeled_image": images}
    >>> history = model.fit(data, batch_size=10, epochs=2, verbose=0)
    >>> model.predict(images, verbose=0)["probabilities"].shape
    (40, 2)

    References:
        Rasmus, Valpola, Honkala, Berglund, Raiko. Semi-Supervised Learning with Ladder Networks.
        NeurIPS, 2015. https://arxiv.org/abs/1507.02672, Algorithm 1.
    """

    learns_from = "label"
    scored_by = ("label",)
    term_weights = {"classification_cost": 1.0, "denoising_cost": 1.0}
    fewest_rows = 2  # one row alone has no variance to divide by

    def __init__(
        self,
        event_shape: Sequence[int],
        num_classes: int,
        *,
        hidden_units: Sequence[int] = (1000, 500, 250, 250, 250),
        denoising_weights: Sequence[float] = (1000.0, 10.0, 0.1, 0.1, 0.1, 0.1, 0.1),
        noise: float | Sequence[float] = 0.3,
        combinator: Literal["gauss", "gauss_stable_v"] = "gauss",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        num_classes = check_integer("num_classes", num_classes, 2)
        super().__init__(event_shape, **kwargs)
        units = ladder_units(self.event_shape, hidden_units, num_classes)
        self.denoising_weights = check_denoising_weights(denoising_weights, len(units))
        self.num_classes = num_classes
        self.seed = seeds.base_seed(seed)
        self.ladder = Ladder(
            units,
            noise=noise,
            combinator=combinator,
            dtype=self.dtype_policy,
            lowest_reconstruction=lowest_weighted(self.denoising_weights),
        )
        self.trackers |= means("classification_cost", "denoising_cost", "accuracy")
        self.build()

    def build(self, input_shape: Any = None) -> None:
        if not self.ladder.built:
            self.ladder.build((None, self.ladder.units[0]))
        self.built = True

    def fields(self, training: bool) -> dict[str, Field]:
        fields = super().fields(training)
        return {**fields, **semi_supervised_fields(fields["image"], self.num_classes)}

    def check_training_keys(self, keys: Mapping) -> None:
        require_keys(keys, ("label", "unlabeled_image"))

    def _flat(self, inputs: Any) -> tf.Tensor:
        images = images_of(inputs, self.event_shape)
        return tf.reshape(images, [-1, self.ladder.units[0]])

    def call(self, inputs: Any) -> dict[str, tf.Tensor]:
        encoding = self.ladder.encode(self._flat(inputs), population=True)
        return {
            "probabilities": encoding.activations[-1],
            "latent": encoding.activations[-2],
        }

    def loss_terms(self, batch: Mapping, seed: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
        """The cross-entropy of the noisy labelled path, and the unlabelled examples' denoising.

        In evaluation it is the cross-entropy of the clean path.
        """
        require_keys(batch, ("label",))
        images = self._flat(batch["image"])
        if training:
            encoding = self.ladder.encode(images, seed)
        else:
            encoding = self.ladder.encode(images, population=True)
        terms = {
            "classification_cost": _cross_entropy(batch["label"], encoding.logits),
            "accuracy": _correct(batch["label"], encoding.logits),
        }
        if training:
            seed = tf.random.fold_in(seed, len(self.ladder.units), alg="philox")
            terms["denoising_cost"] = self.denoising_cost(batch["unlabeled_image"], seed)
        return terms

    def denoising_cost(self, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Returns the weighted denoising cost of all layers, float32 `[B]`.

        Args:
            images: float32 `[B, *event_shape]`, unlabelled.
            seed: Stateless int32 `[2]` seed of the noise.
        """
        images = self._flat(images)
        clean = self.ladder.encode(images, update=True)
        reconstructions = self.ladder.decode(self.ladder.encode(images, seed))
        costs = losses.denoising_costs(reconstructions, clean, self.denoising_weights)
        return tf.add_n(list(costs.values())) if costs else tf.zeros(tf.shape(images)[0])

    def reset_statistics(self) -> None:
        self.ladder.reset_statistics()

    def observe(self, images: tf.Tensor, seed: tf.Tensor) -> None:
        self.ladder.encode(self._flat(images), update="average")

    def unsupervised_score(self, images: Any, batch_size: int | None = None) -> float:
        """Returns the mutual information of examples and classes, in nats, log C at most."""
        return cluster_information(self, images, batch_size)

    def serving_endpoints(self) -> dict[str, Endpoint]:
        outputs = {
            "probabilities": "of each class, sums to 1",
            "latent": "the highest hidden layer",
        }
        ranges = {"image": self.value_range}
        image = image_spec(self.event_shape)
        return {"serving_default": Endpoint(self.call, (image,), outputs, ranges)}

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "hidden_units": self.ladder.units[1:-1],
            "denoising_weights": self.denoising_weights,
            "noise": self.ladder.noise,
            "combinator": self.ladder.combinator,
            "seed": self.seed,
        }


def _cross_entropy(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    labels = tf.one_hot(labels, logits.shape[-1])
    return -tf.reduce_sum(labels * tf.nn.log_softmax(logits), axis=-1)


def _correct(labels: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
    best = tf.argmax(scores, axis=-1, output_type=tf.int32)
    return tf.cast(tf.cast(labels, tf.int32) == best, tf.float32)
