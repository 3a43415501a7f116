import keras
import numpy as np
import tensorflow as tf

from tfbind import losses, seeds
from tfbind._validation import check_integer, check_number, check_shape
from tfbind.layers import Ladder
from tfbind.models._base import Endpoint, EventModel

_EPSILON = 1e-10


@keras.saving.register_keras_serializable("tfbind")
class LadderNetwork(EventModel):
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
            `unlabeled_image`, or a `tf.data.Dataset` of such dicts; `evaluate` takes a dict with
            `image` and `label`.

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

    def __init__(
        self,
        event_shape,
        num_classes,
        *,
        hidden_units=(1000, 500, 250, 250, 250),
        denoising_weights=(1000.0, 10.0, 0.1, 0.1, 0.1, 0.1, 0.1),
        noise=0.3,
        combinator="gauss",
        seed=None,
        **kwargs,
    ):
        num_classes = check_integer("num_classes", num_classes, 2)
        super().__init__(event_shape, autocast=False, **kwargs)
        if not isinstance(hidden_units, (tuple, list)) or not hidden_units:
            raise ValueError(
                "`hidden_units` must be a tuple of one integer or more. "
                f"Received: hidden_units={hidden_units!r}."
            )
        units = (int(np.prod(self.event_shape)), *hidden_units, num_classes)
        if not isinstance(denoising_weights, (tuple, list)) or len(denoising_weights) != len(units):
            raise ValueError(
                f"`denoising_weights` must be a tuple of {len(units)} numbers, one a layer, the "
                f"input's first. Received: denoising_weights={denoising_weights!r}."
            )
        self.denoising_weights = tuple(
            check_number("denoising_weights", weight, 0) for weight in denoising_weights
        )
        self.num_classes = num_classes
        self.seed = seeds.base_seed(seed)
        self.ladder = Ladder(
            units,
            noise=noise,
            combinator=combinator,
            dtype=self.dtype_policy,
            lowest_reconstruction=next(
                (i for i, weight in enumerate(self.denoising_weights) if weight), len(units)
            ),
        )
        self.classification_cost = keras.metrics.Mean(name="classification_cost")
        self.denoising_cost = keras.metrics.Mean(name="denoising_cost")
        self.accuracy = keras.metrics.Mean(name="accuracy")
        self.build()

    def build(self, input_shape=None):
        if not self.built:
            self.ladder.build()
            self.built = True

    def _flat(self, images):
        images = tf.cast(images, tf.float32)
        check_shape("images", tuple(images.shape), (None, *self.event_shape))
        return tf.reshape(images, [-1, self.ladder.units[0]])

    def call(self, inputs):
        images = inputs["image"] if isinstance(inputs, dict) else inputs
        encoding = self.ladder.encode(self._flat(images), population=True)
        return {
            "probabilities": encoding.activations[-1],
            "latent": encoding.activations[-2],
        }

    def denoising_costs(self, images, seed):
        """Returns the weighted denoising cost of every layer, a list of float32 scalars.

        Args:
            images: float32 `[B, *event_shape]`, unlabelled.
            seed: Stateless int32 `[2]` seed of the noise.
        """
        images = self._flat(images)
        clean = self.ladder.encode(images, update=True)
        noisy = self.ladder.encode(images, seed)
        reconstructions = self.ladder.decode(noisy)
        costs = []
        for layer, weight in enumerate(self.denoising_weights):
            if weight:
                z = reconstructions[layer]
                if layer > 0:
                    deviation = tf.sqrt(clean.variances[layer] + _EPSILON)
                    z = (z - clean.means[layer]) / deviation
                costs.append(weight * tf.reduce_mean(tf.square(z - clean.laterals[layer])))
        return costs

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Cross-entropy of the noisy labelled path plus the denoising costs of the unlabelled.

        In evaluation it is the cross-entropy of the clean path.
        """
        needed = ("image", "label", "unlabeled_image") if training else ("image", "label")
        for key in needed:
            if not isinstance(x, dict) or key not in x:
                received = ", ".join(map(repr, x)) if isinstance(x, dict) else "images alone"
                raise ValueError(f"`x` must have the key {key!r} too. Received: {received}.")
        if not training:
            self._logged = ("loss", "accuracy")
            log_p = tf.math.log(y_pred["probabilities"] + _EPSILON)
            self.accuracy.update_state(_correct(x["label"], log_p), sample_weight)
            return _cross_entropy(x["label"], log_p, sample_weight)
        self._logged = ("loss", "accuracy", "classification_cost", "denoising_cost")
        seed = self.step_seed(self.seed, training)
        noisy = self.ladder.encode(self._flat(x["image"]), seed)
        log_p = tf.nn.log_softmax(noisy.logits)
        cross_entropy = _cross_entropy(x["label"], log_p, sample_weight)
        seed = tf.random.fold_in(seed, len(self.ladder.units), alg="philox")
        denoising = tf.add_n(self.denoising_costs(x["unlabeled_image"], seed) or [0.0])
        self.classification_cost.update_state(cross_entropy)
        self.denoising_cost.update_state(denoising)
        self.accuracy.update_state(_correct(x["label"], log_p))
        return cross_entropy + denoising

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        results = self.get_metrics_result()
        return {name: results[name] for name in self._logged}

    def calibrate(self, x, batch_size=100):
        """Sets the population statistics of the clean path to the averages over `x`.

        `fit` leaves moving averages over the unlabelled examples; the paper takes the labelled
        ones, once, after training.

        Args:
            x: float32 images `[n, *event_shape]`, or a finite `tf.data.Dataset` of batches of
                them, or of dicts with them under `image`.
            batch_size: Integer, for an array; statistics are averaged over batches of this size.
        """
        x = self.check_inputs(x)
        if not isinstance(x, tf.data.Dataset):
            x = tf.data.Dataset.from_tensor_slices(x).batch(batch_size)
        self.ladder.reset_statistics()

        @tf.function(jit_compile=True, autograph=False)
        def update(images):
            self.ladder.encode(self._flat(images), update="average")

        for batch in x:
            update(batch["image"] if isinstance(batch, dict) else batch)

    def serving_endpoints(self):
        image = tf.TensorSpec([None, *self.event_shape], tf.float32, name="image")
        outputs = {
            "probabilities": "of each class, sums to 1",
            "latent": "the highest hidden layer",
        }
        ranges = {"image": self.value_range}
        return {"serving_default": Endpoint(self.call, (image,), outputs, ranges)}

    def get_config(self):
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "hidden_units": self.ladder.units[1:-1],
            "denoising_weights": self.denoising_weights,
            "noise": self.ladder.noise,
            "combinator": self.ladder.combinator,
            "seed": self.seed,
        }


def _cross_entropy(labels, log_p, sample_weight):
    labels = tf.one_hot(labels, log_p.shape[-1])
    return losses.batch_mean(-tf.reduce_sum(labels * log_p, axis=-1), sample_weight)


def _correct(labels, scores):
    best = tf.argmax(scores, axis=-1, output_type=tf.int32)
    return tf.cast(tf.cast(labels, tf.int32) == best, tf.float32)
