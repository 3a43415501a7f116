import keras
import numpy as np
import tensorflow as tf

from tfbind import seeds
from tfbind._validation import check_number
from tfbind.models._base import check_corruption, require_keys
from tfbind.models.adversarial_mixture import AdversarialMixture, Triple, share

# The paper does not say what h_y is where the label is known. The softmax of 10 and zeros is as
# close to one-hot as what the class encoder learns to give.
_LABEL_LOGIT = 10.0


@keras.saving.register_keras_serializable("tfbind")
class SemiSupervisedAdversarialMixture(AdversarialMixture):
    """An `AdversarialMixture` whose components are classes, of which some examples are labelled.

    Beside the game of the unlabelled examples there is one of the labelled ones, with the same
    discriminator and generated examples, in which the label is given and only z is inferred. It
    teaches the discriminator what an example of each class is; in the paper the class encoder
    learns from that alone, by the game of the unlabelled examples.

    That takes long: to the discriminator a labelled example is an inferred one, so that a class
    encoder which is to look like the other side first learns to avoid the right names. With few
    labels give `label_weight`, which lets the class encoder fit them too, and a `corruption`, lest
    it learn them by heart.

    Args:
        event_shape: Tuple of ints, the shape of one example.
        num_clusters: Integer K >= 2, the number of classes.
        latent_dim: Integer L >= 1.
        label_weight: Float >= 0, of the cross-entropy of labelled examples; the paper has none.
        corruption: A layer of `tfbind.layers` such as `RandomAffine`, or None. While training, the
            cross-entropy is that of examples that have passed through it.
        **kwargs: As in `AdversarialMixture`. Where z depends on y ("class_first"), a class encoder
            with several outputs answers for labelled examples too, but as in inference: nothing in
            it learns from them.

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
    `inferred_accuracy`, and the weighted cross-entropy as a part of `generator_loss`. `evaluate`
    adds `accuracy`, that of the classes, if it has labels.

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

    def __init__(
        self,
        event_shape,
        num_clusters,
        latent_dim,
        *,
        label_weight=0.0,
        corruption=None,
        **kwargs,
    ):
        # Before the rest, as a built model takes no more layers
        self.corruption = check_corruption(corruption)
        self.label_weight = check_number("label_weight", label_weight, 0)
        super().__init__(event_shape, num_clusters, latent_dim, **kwargs)
        self.num_classes = self.num_clusters

    def _averaged(self):
        return [*super()._averaged(), "accuracy"]

    def infer_labeled(self, images, classes, seed, training):
        """Draws z of examples whose class, int `[B]`, is known; returns a `Triple`."""
        labels = tf.one_hot(classes, self.num_clusters)
        noise = seeds.normal([tf.shape(images)[0], self.latent_dim], seed)
        seen = images
        if self.factorization == "class_first":
            _, shown = self._infer_logits(images, None, training=False)
            seen = [images, _LABEL_LOGIT * labels, *map(tf.stop_gradient, shown)]
        latent, _ = self._infer_latent(seen, noise, training)
        return Triple(images, labels, latent)

    def inferred_triples(self, batch, seed, training):
        images = batch.get("unlabeled_image", batch["image"])
        unlabeled_seed, labeled_seed = seeds.split(seed, 2)
        unlabeled = self.infer(images, unlabeled_seed, training)
        if not training and not batch.keys() >= {"label", "unlabeled_image"}:
            return [unlabeled]
        labeled = self.infer_labeled(batch["image"], batch["label"], labeled_seed, training)
        return [unlabeled, labeled]

    def play(self, batch, training):
        labels, terms = super().play(batch, training)
        if "label" not in batch or (training and not self.label_weight):
            return labels, terms
        images, classes = batch["image"], batch["label"]
        if training and self.corruption is not None:
            *_, seed = seeds.split(self.step_seed(self.seed, training), 5)  # the game has four
            images = self.corruption.corrupt(images, seed)
        logits, _ = self._encode(images, None, None, training)
        if self.label_weight:
            term = tf.nn.sparse_softmax_cross_entropy_with_logits(classes, logits)
            for name in ("generator_loss", "loss"):
                terms[name] += self.label_weight * tf.reduce_mean(term)
        if not training:
            best = tf.argmax(logits, axis=-1)
            terms["accuracy"] = share(best == tf.cast(classes, best.dtype))
        return labels, terms

    def train_step(self, data):
        batch = self._as_batch(data)
        require_keys(batch, ("image", "label", "unlabeled_image"))
        return super().train_step(batch)

    def _as_batch(self, data):
        _, labels, _ = keras.utils.unpack_x_y_sample_weight(data)
        batch = super()._as_batch(data)
        return batch if labels is None else {**batch, "label": labels}

    def _cycled(self, x, batch_size, initial_epoch):
        classes = np.unique(x.get("label", []))
        if len(classes) == 1:
            raise ValueError(
                "`label` must hold two classes or more, else the game has nothing to teach. "
                f"Received: class {classes[0]} alone."
            )
        return super()._cycled(x, batch_size, initial_epoch)

    def evaluate(self, x=None, y=None, *args, **kwargs):
        """Scores images, or images with the labels `y`, or what `fit` takes; see Keras."""
        return super().evaluate(x, self._check_array("label", y), *args, **kwargs)

    def get_config(self):
        return {
            **super().get_config(),
            "label_weight": self.label_weight,
            "corruption": keras.saving.serialize_keras_object(self.corruption),
        }

    @classmethod
    def from_config(cls, config):
        corruption = keras.saving.deserialize_keras_object(config["corruption"])
        return super().from_config({**config, "corruption": corruption})
