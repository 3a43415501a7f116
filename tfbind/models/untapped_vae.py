from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfbind import _replicas, losses, seeds
from tfbind._validation import check_choice, check_integer, check_number
from tfbind.distributions import RelaxedLabels
from tfbind.layers import mlp
from tfbind.models._base import means
from tfbind.models._batch import Field, require_keys, semi_supervised_fields
from tfbind.models._class_vae import ClassVAE
from tfbind.models._parts import check_corruption, restore_parts, run, saved_parts


@keras.saving.register_keras_serializable("tfbind")
class UntappedVAE(ClassVAE):
    """A semi-supervised VAE that also learns from labels without images.

    The forward model p(y) p(z) p(x|y, z) explains images, labelled or not; the reverse model
    q(x) q(y|x) q(z|x, y), made of the same three networks, explains labels. Use it where some
    classes have no labelled image at all, but their names, or their frequencies, are known.
    Without the reverse model it is the M2 of Kingma et al.

    Args:
        event_shape: Tuple of ints, the shape of one image or other example.
        num_classes: Integer k >= 2.
        latent_dim: Integer L >= 1, dimensions of z, what an image says besides its class.
        classifier: Keras model from `event_shape` to k logits, q(y|x); None for the paper's.
        encoder: Keras model from `[image, label]`, label float32 `[B, k]`, to 2 L numbers, the
            means of q(z|x, y) and its standard deviations before a softplus, both before the
            flow into the box; None for the paper's.
        decoder: Keras model from `[label, latent]` to `event_shape`, p(x|y, z), logits for binary
            data and means for real-valued data; None for the paper's.
        classifier_units: Widths of the hidden layers of the paper's classifier.
        encoder_units: Those of its encoder.
        decoder_units: Those of its decoder. All three are unused with networks of your own.
        activation: Their activation: "tanh", as in the paper, or "relu".
        corruption: A layer of `tfbind.layers` such as `RandomAffine`, or None. While training the
            classifier sees corrupted images, and everything else the images as they are, so that
            it learns to give the same answer for both.
        likelihood: "bernoulli" for data in [0, 1], or "gaussian" for real-valued data with one
            learned standard deviation.
        latent_range: Pair (low, high), the box [low, high]^L on which p(z) is uniform.
        marginalize: Whether unlabelled images sum over the k classes, exactly, at k times the
            decoder's cost; otherwise they draw one relaxed label, as in the paper.
        temperature: Float > 0, of the relaxation; unused with `marginalize`.
        reverse: How labels without images enter. "bound": the paper's bound, for which the
            decoder imagines an image from the label and a latent. "marginal": the likelihood
            itself, q(y) = mean of q(y|x) over the batch's unlabelled images, which can be computed
            where q(x) is the data. False: not at all.
        straight_through: Whether the reverse bound also trains the decoder, straight through the
            binary image it imagines. In the authors' code it does not.
        reverse_weight: Float >= 0, the weight of the reverse term; the paper's is 1.
        label_weight: Float >= 0, alpha_f, of the cross-entropy of labelled images.
        reconstruction_weight: Float >= 0, alpha_r, of the Euclidean distance between a labelled
            image and its reconstruction.
        seed: Integer seed of the training's noise, or None to draw one.

    Call arguments:
        inputs: float32 `[B, *event_shape]`, in [0, 1] if Bernoulli.

    Returns:
        A dict: `probabilities`, float32 `[B, k]`, q(y|x), sums to 1; `latent`, float32 `[B, L]`,
        the median of q(z|x, y) for the most probable class; `reconstruction`, float32
        `[B, *event_shape]`, the mean of p(x|y, z) there.

    `fit` takes a dict of arrays, of any lengths, or a dataset of dicts: `image` and int `label`;
    `unlabeled_image`; int `unfeatured_label`, labels without images, unless `reverse` is False.
    It logs `labeled_bound`, `unlabeled_bound` and `reverse_bound`, to be raised, `cross_entropy`
    and `reconstruction_distance` of labelled images, to be lowered, and `accuracy`. `evaluate`
    takes images, or images and labels, and says what they tell.

    Raises:
        ValueError: If an argument is out of its range, or data has the wrong shape or range.

    Example:

    >>> batch = {
    ...     "image": np.eye(16, dtype="float32"),
    ...     "label": np.arange(16) % 2,
    ...     "unlabeled_image": np.eye(16, dtype="float32"),
    ...     "unfeatured_label": np.arange(16) % 4,
    ... }
    >>> model = tfbind.UntappedVAE((16,), num_classes=4)
    >>> model.compile(keras.optimizers.Adam(0.01))
    >>> history = model.fit(batch, epochs=20, verbose=0)
    >>> model.predict(batch["image"], verbose=0)["probabilities"].shape
    (16, 4)

    References:
        Inverting VAEs (all-umass/untapped), equations 3 to 5, 8 and 17; the log-determinant of
        its equations 14 to 16 applies the sigmoid once too often and is corrected here, as it is
        in the authors' code. Where paper and code differ this follows the paper: log q(z|x, y) is
        in the reverse bound, which the code leaves out; z of a label without an image is drawn anew
        in every step, where the code has ten pairs in all; the reconstruction is a mean, where the
        code's is a binary sample, which trains nothing; the cross-entropy is that of q(y|x), where
        the code's is of a relaxed label; the weights are those of equation 8, ten times the code's,
        and the box is [-1.5, 1.5]^L, where the code's flow has `latent_range=(-pi/2, pi/2)`. It
        follows the code in that the decoder is not trained by what it imagines, unless
        `straight_through`, and that labelled images have no reverse bound.
        Kingma, Rezende, Mohamed, Welling. Semi-supervised learning with deep generative models.
        NIPS, 2014. https://arxiv.org/abs/1406.5298 (M2).
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        num_classes: int,
        latent_dim: int = 2,
        *,
        classifier: keras.Model | None = None,
        encoder: keras.Model | None = None,
        decoder: keras.Model | None = None,
        classifier_units: Sequence[int] = (50, 50),
        encoder_units: Sequence[int] = (10, 10),
        decoder_units: Sequence[int] = (250, 500),
        activation: str = "tanh",
        corruption: keras.Layer | None = None,
        likelihood: str = "bernoulli",
        latent_range: Sequence[float] = (-1.5, 1.5),
        marginalize: bool = False,
        temperature: float = 1.0,
        reverse: str | bool = "bound",
        straight_through: bool = False,
        reverse_weight: float = 1.0,
        label_weight: float = 10.0,
        reconstruction_weight: float = 0.1,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            event_shape,
            num_classes,
            latent_dim,
            likelihood=likelihood,
            latent_range=latent_range,
            seed=seed,
            **kwargs,
        )
        self.classifier_units = _check_units("classifier_units", classifier_units)
        self.encoder_units = _check_units("encoder_units", encoder_units)
        self.decoder_units = _check_units("decoder_units", decoder_units)
        self.activation = check_choice("activation", activation, ("tanh", "relu"))
        self.corruption = check_corruption(corruption)
        self.marginalize = bool(marginalize)
        relaxed = RelaxedLabels(num_classes, temperature)
        self.temperature = relaxed.temperature
        self.labels = self.classes if self.marginalize else relaxed
        self.reverse = check_choice("reverse", reverse, ("bound", "marginal", False))
        self.straight_through = bool(straight_through)
        self.reverse_weight = check_number("reverse_weight", reverse_weight, 0)
        self.label_weight = check_number("label_weight", label_weight, 0)
        self.reconstruction_weight = check_number("reconstruction_weight", reconstruction_weight, 0)
        self._set_networks(classifier=classifier, encoder=encoder, decoder=decoder)
        self.trackers |= means(*self.term_weights)
        self.built = True  # all three are Keras models with weights already

    def _set_networks(self, **given: keras.Model | None) -> None:
        """Sets the networks that are given, and the paper's for the others."""
        self._own_parts = {name: network is None for name, network in given.items()}
        image, label = {"image": self.event_shape}, {"label": (self.num_classes,)}
        latent = {"latent": (self.latent_dim,)}
        self.classifier = given["classifier"] or self._network(
            "classifier", image, self.classifier_units, (self.num_classes,)
        )
        self.encoder = given["encoder"] or self._network(
            "encoder", image | label, self.encoder_units, self._means_and_scales
        )
        self.decoder = given["decoder"] or self._network(
            "decoder", label | latent, self.decoder_units, self.event_shape
        )
        if self.corruption is not None:
            self.corruption.build((None, *self.event_shape))

    def _network(self, name: str, *layout: Any) -> keras.Model:
        return mlp(*layout, activation=self.activation, kernel_initializer=_glorot, name=name)

    def _means_and_scales(self, hidden: Any) -> Any:
        scale = keras.layers.Dense(self.latent_dim, kernel_initializer="zeros")(hidden)
        loc = keras.layers.Dense(self.latent_dim, kernel_initializer=_glorot())(hidden)
        return keras.layers.Concatenate()([loc, scale])

    def build(self, input_shape: Any = None) -> None:
        self.built = True

    # The bounds.

    def labeled_bound(self, images: tf.Tensor, labels: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        """Returns a lower bound of log p(x, y), equation 3, nats `[B]`; noise `[B, L]`."""
        return self.explain(images, labels, noise)[1] + self.classes.log_prior

    def unlabeled_bound(self, images: tf.Tensor, logits: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Returns a lower bound of log p(x), equation 4, nats `[B]`, for any q(y|x) of `logits`."""
        label_seed, latent_seed = seeds.split(seed, 2)
        y = self.labels.candidates(logits, label_seed)
        noise = seeds.normal([tf.size(y.weights), self.latent_dim], latent_seed)
        log_p = self.explain_each(images, y.labels, noise) + self.labels.log_prior
        return tf.reduce_sum(y.weights * (log_p - y.log_prob), axis=-1)

    def reverse_bound(self, labels: tf.Tensor, latent: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Returns a lower bound of log q(y, z), equation 17, nats `[B]`, without log q(x).

        Less log p(z) it is equation 5, a bound of log q(y). q(x) is a constant, which trains
        nothing, and -log p(x|y, z) is on average an entropy, which is known in closed form.
        """
        labels, latent = self.labels.corner(labels), self._check_latent(latent)
        images, entropy = self._imagined(self.likelihood_of(labels, latent), seed)
        log_q = self.labels.log_prob(self.logits(images), labels)
        return log_q + self.posterior(images, labels).log_prob(latent) + entropy

    def _imagined(
        self, p: tfp.distributions.Distribution, seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns images drawn from p(x|y, z) and its entropy, nats `[B]`."""
        images, entropy = self._imagine(p, seed), losses.sum_over_event(p.entropy())
        if self.straight_through:
            return images, entropy
        return tf.stop_gradient(images), tf.stop_gradient(entropy)

    def log_class_marginal(self, logits: tf.Tensor) -> tf.Tensor:
        """Returns log q(y), nats `[k]`: q(y) is the mean of q(y|x) over a batch of images."""
        log_p = _replicas.gathered(tf.nn.log_softmax(logits))
        total = tf.reduce_logsumexp(log_p, axis=0)
        return total - tf.math.log(tf.cast(tf.shape(log_p)[0], tf.float32))

    # Training.

    @property
    def term_weights(self) -> Mapping[str, float]:
        """Minus equation 8."""
        return {
            "labeled_bound": -1.0,
            "cross_entropy": self.label_weight,
            "reconstruction_distance": self.reconstruction_weight,
            "unlabeled_bound": -1.0,
            **({"reverse_bound": -self.reverse_weight} if self.reverse else {}),
        }

    def loss_terms(self, batch: Mapping, seed: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
        """The terms that a batch has data for; in evaluation images are labelled, or they are not.

        All are `[B]`, of the kind of examples that they are about.
        """
        labeled_seed, unlabeled_seed, reverse_seed = seeds.split(seed, 3)
        terms: dict[str, Any] = {}
        if "label" in batch:
            terms |= self._labeled_terms(batch, labeled_seed, training)
        if training or "label" not in batch:
            images = batch.get("unlabeled_image", batch["image"])
            logits = self._seen_logits(images, unlabeled_seed, training)
            terms["unlabeled_bound"] = self.unlabeled_bound(images, logits, unlabeled_seed)
            if training and self.reverse:
                labels = batch["unfeatured_label"]
                terms["reverse_bound"] = self._reverse_term(labels, logits, reverse_seed)
        if training:  # the accuracy is that of clean images, as in `evaluate`
            probabilities = run(self.classifier, batch["image"], training=False)
            terms |= self.scores(batch, {"probabilities": probabilities})
        return terms

    def _seen_logits(self, images: tf.Tensor, seed: tf.Tensor, training: bool) -> tf.Tensor:
        if training and self.corruption is not None:
            images = self.corruption.corrupt(images, seeds.split(seed, 1)[0])
        return self.logits(images)

    def _labeled_terms(
        self, batch: Mapping, seed: tf.Tensor, training: bool
    ) -> dict[str, tf.Tensor]:
        images, labels = batch["image"], tf.one_hot(batch["label"], self.num_classes)
        logits = self._seen_logits(images, seed, training)
        noise = seeds.normal([tf.shape(images)[0], self.latent_dim], seed)
        p, ratio = self.explain(images, labels, noise)
        distance = losses.sum_over_event(tf.square(p.mean() - images))
        return {
            "labeled_bound": ratio + self.classes.log_prior,
            "cross_entropy": -self.classes.log_prob(logits, labels),
            # Where it is 0 the root alone has no slope.
            "reconstruction_distance": tf.sqrt(distance + keras.config.epsilon()),
        }

    def _reverse_term(self, labels: tf.Tensor, logits: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Returns the reverse model's bound of log q(y) of int labels, or that itself, `[B]`."""
        if self.reverse == "marginal":
            return tf.gather(self.log_class_marginal(logits), labels)
        image_seed, latent_seed = seeds.split(seed, 2)
        latent = self.prior_sample(tf.shape(labels)[0], latent_seed)
        one_hot = tf.one_hot(labels, self.num_classes)
        return self.reverse_bound(one_hot, latent, image_seed) - self.log_prior

    def fields(self, training: bool) -> dict[str, Field]:
        fields = super().fields(training)
        if not training:
            return fields
        image = fields["image"]
        return {
            **fields,
            **semi_supervised_fields(image, self.num_classes),
            "unfeatured_label": self._label_field._replace(title="unfeatured_label", paired=False),
        }

    def check_training_keys(self, keys: Mapping) -> None:
        require_keys(keys, ("label", "unlabeled_image"))
        if self.reverse and "unfeatured_label" not in keys:
            raise ValueError(
                "`x` must have the key 'unfeatured_label' too, or the model reverse=False. "
                f"Received: {', '.join(map(repr, keys))}."
            )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            **saved_parts(self, self._own_parts),
            "classifier_units": self.classifier_units,
            "encoder_units": self.encoder_units,
            "decoder_units": self.decoder_units,
            "activation": self.activation,
            "corruption": keras.saving.serialize_keras_object(self.corruption),
            "marginalize": self.marginalize,
            "temperature": self.temperature,
            "reverse": self.reverse,
            "straight_through": self.straight_through,
            "reverse_weight": self.reverse_weight,
            "label_weight": self.label_weight,
            "reconstruction_weight": self.reconstruction_weight,
        }

    @classmethod
    def from_config(cls, config: dict) -> "UntappedVAE":
        return cls(**restore_parts(config, ("classifier", "encoder", "decoder", "corruption")))


def _check_units(name: str, sizes: Sequence[int]) -> tuple[int, ...]:
    return tuple(check_integer(name, size, 1) for size in sizes)


def _glorot() -> keras.initializers.Initializer:
    """Glorot's uniform initialisation with gain sqrt(2)."""
    return keras.initializers.VarianceScaling(2.0, mode="fan_avg", distribution="uniform")
