import keras
import numpy as np
import tensorflow as tf

from tfbind import distributions, losses, seeds
from tfbind._validation import check_array, check_choice, check_integer, check_number, check_shape
from tfbind.models._base import (
    EventModel,
    check_corruption,
    endpoint_maker,
    inside,
    require_keys,
)

# The paper's "close corner": a one-hot label has no density under the relaxation, this has.
_CORNER = 0.95


@keras.saving.register_keras_serializable("tfbind")
class UntappedVAE(EventModel):
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
    `evaluate` also takes images, or images and labels, and leaves out what they say nothing about.

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
        event_shape,
        num_classes,
        latent_dim=2,
        *,
        classifier=None,
        encoder=None,
        decoder=None,
        classifier_units=(50, 50),
        encoder_units=(10, 10),
        decoder_units=(250, 500),
        activation="tanh",
        corruption=None,
        likelihood="bernoulli",
        latent_range=(-1.5, 1.5),
        marginalize=False,
        temperature=1.0,
        reverse="bound",
        straight_through=False,
        reverse_weight=1.0,
        label_weight=10.0,
        reconstruction_weight=0.1,
        seed=None,
        **kwargs,
    ):
        num_classes = check_integer("num_classes", num_classes, 2)
        latent_dim = check_integer("latent_dim", latent_dim, 1)
        units = {
            "classifier_units": classifier_units,
            "encoder_units": encoder_units,
            "decoder_units": decoder_units,
        }
        units = {
            name: tuple(check_integer(name, size, 1) for size in sizes)
            for name, sizes in units.items()
        }
        check_choice("activation", activation, ("tanh", "relu"))
        check_choice("likelihood", likelihood, ("bernoulli", "gaussian"))
        check_choice("reverse", reverse, ("bound", "marginal", False))
        check_corruption(corruption)
        if not isinstance(latent_range, (tuple, list)) or len(latent_range) != 2:
            raise ValueError(
                "`latent_range` must be a pair of numbers, (low, high). "
                f"Received: latent_range={latent_range!r}."
            )
        low, high = latent_range
        low = check_number("latent_range[0]", low, -np.inf)
        high = check_number("latent_range[1]", high, low, open_low=True)
        super().__init__(event_shape, **kwargs)
        self.num_classes = num_classes
        self.latent_dim = latent_dim
        self.classifier_units = units["classifier_units"]
        self.encoder_units = units["encoder_units"]
        self.decoder_units = units["decoder_units"]
        self.activation = activation
        self.corruption = corruption
        self.likelihood = likelihood
        self.latent_range = (low, high)
        self.marginalize = bool(marginalize)
        self.temperature = check_number("temperature", temperature, 0, open_low=True)
        self.reverse = reverse
        self.straight_through = bool(straight_through)
        self.reverse_weight = check_number("reverse_weight", reverse_weight, 0)
        self.label_weight = check_number("label_weight", label_weight, 0)
        self.reconstruction_weight = check_number("reconstruction_weight", reconstruction_weight, 0)
        self.seed = seeds.base_seed(seed)
        parts = {"classifier": classifier, "encoder": encoder, "decoder": decoder}
        self._own_parts = {name: part is None for name, part in parts.items()}
        self.classifier = classifier or self._default_classifier()
        self.encoder = encoder or self._default_encoder()
        self.decoder = decoder or self._default_decoder()
        if likelihood == "bernoulli":
            self.observation = distributions.BernoulliObservation()
        else:
            scale = self.add_weight(shape=(), initializer="zeros", name="untransformed_scale")
            self.observation = distributions.GaussianObservation(scale)
        self.value_range = (self.observation.low, self.observation.high)
        self.accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
        self.bounds = {
            key: keras.metrics.Mean(name=f"{name}_bound")
            for key, name in (
                ("image", "labeled"),
                ("unlabeled_image", "unlabeled"),
                ("unfeatured_label", "reverse"),
            )
        }
        self.built = True  # all three are Keras models with weights already

    def _default_classifier(self):
        image = keras.layers.Input(self.event_shape, name="image")
        hidden = self._hidden(keras.layers.Flatten()(image), self.classifier_units)
        return keras.Model(image, _dense(self.num_classes)(hidden), name="classifier")

    def _default_encoder(self):
        image = keras.layers.Input(self.event_shape, name="image")
        label = keras.layers.Input((self.num_classes,), name="label")
        hidden = keras.layers.Concatenate()([keras.layers.Flatten()(image), label])
        hidden = self._hidden(hidden, self.encoder_units)
        scale = keras.layers.Dense(self.latent_dim, kernel_initializer="zeros")(hidden)
        outputs = keras.layers.Concatenate()([_dense(self.latent_dim)(hidden), scale])
        return keras.Model([image, label], outputs, name="encoder")

    def _default_decoder(self):
        label = keras.layers.Input((self.num_classes,), name="label")
        latent = keras.layers.Input((self.latent_dim,), name="latent")
        hidden = keras.layers.Concatenate()([label, latent])
        hidden = self._hidden(hidden, self.decoder_units)
        outputs = _dense(int(np.prod(self.event_shape)))(hidden)
        outputs = keras.layers.Reshape(self.event_shape)(outputs)
        return keras.Model([label, latent], outputs, name="decoder")

    def _hidden(self, tensor, units):
        for size in units:
            tensor = _dense(size, self.activation)(tensor)
        return tensor

    def build(self, input_shape=None):
        self.built = True

    # The densities. Labels are float32 `[B, k]`, one-hot or inside the simplex.

    @property
    def log_prior(self):
        """log p(z), the same everywhere in the box, in nats."""
        low, high = self.latent_range
        return -self.latent_dim * np.log(high - low)

    def posterior(self, images, labels):
        """Returns q(z|x, y), a TFP distribution over the box."""
        loc, untransformed = tf.split(
            self.encoder([tf.convert_to_tensor(images), labels]), 2, axis=-1
        )
        return distributions.logit_normal(loc, tf.math.softplus(untransformed), *self.latent_range)

    def likelihood_of(self, labels, latent):
        """Returns p(x|y, z), a TFP distribution over elements `[B, *event_shape]`."""
        return self.observation.distribution(self.decoder([labels, latent]))

    def explain(self, images, labels, noise):
        """Draws z from q(z|x, y) and weighs it.

        Args:
            images: float32 `[B, *event_shape]`.
            labels: float32 `[B, k]`.
            noise: float32 `[B, L]` of Normal(0, 1).

        Returns:
            A pair: p(x|y, z), and log p(x|y, z) + log p(z) - log q(z|x, y), nats `[B]`.
        """
        q = self.posterior(images, labels)
        latent = _transport(q, noise)
        p = self.likelihood_of(labels, latent)
        log_p = losses.sum_over_event(p.log_prob(images)) + self.log_prior
        return p, log_p - q.log_prob(latent)

    def class_ratios(self, images, noise):
        """Returns log p(x, y, z) - log q(z|x, y) of each class y, nats `[B, k]`.

        The float32 noise is `[B * k, L]`.
        """
        k = self.num_classes
        labels = tf.tile(tf.eye(k), [tf.shape(images)[0], 1])
        _, ratios = self.explain(tf.repeat(images, k, axis=0), labels, noise)
        return tf.reshape(ratios, [-1, k]) - np.log(k)

    # The bounds.

    def labeled_bound(self, images, labels, noise):
        """Returns a lower bound of log p(x, y), equation 3, nats `[B]`; noise `[B, L]`."""
        return self.explain(images, labels, noise)[1] - np.log(self.num_classes)

    def unlabeled_bound(self, images, logits, seed):
        """Returns a lower bound of log p(x), equation 4, nats `[B]`, for any q(y|x) of `logits`.

        Relaxed labels have a density, and their prior is uniform on the simplex: (k - 1)!.
        """
        batch = tf.shape(images)[0]
        label_seed, latent_seed = seeds.split(seed, 2)
        if self.marginalize:
            noise = seeds.normal([batch * self.num_classes, self.latent_dim], latent_seed)
            log_q = tf.nn.log_softmax(logits)
            ratios = self.class_ratios(images, noise) - log_q
            return tf.reduce_sum(tf.exp(log_q) * ratios, axis=-1)
        gumbel = distributions.gumbel([batch, self.num_classes], label_seed)
        log_y = distributions.relaxed_one_hot_log_sample(logits, self.temperature, gumbel)
        log_q = distributions.relaxed_one_hot_log_prob(logits, self.temperature, log_y)
        noise = seeds.normal([batch, self.latent_dim], latent_seed)
        log_simplex = tf.math.lgamma(float(self.num_classes))
        return self.explain(images, tf.exp(log_y), noise)[1] + log_simplex - log_q

    def reverse_bound(self, labels, latent, seed):
        """Returns a lower bound of log q(y, z), equation 17, nats `[B]`, without log q(x).

        Less log p(z) it is equation 5, a bound of log q(y). q(x) is a constant, which trains
        nothing, and -log p(x|y, z) is on average an entropy, which is known in closed form.
        """
        if not self.marginalize:
            labels = _CORNER * labels + (1.0 - _CORNER) * (1.0 - labels) / (self.num_classes - 1)
        latent = self._check_latent(latent)
        p = self.likelihood_of(labels, latent)
        images = self._imagine(p, seed)
        entropy = losses.sum_over_event(p.entropy())
        if not self.straight_through:
            images, entropy = tf.stop_gradient(images), tf.stop_gradient(entropy)
        log_q = self.log_label_density(self.classifier(images), labels)
        return log_q + self.posterior(images, labels).log_prob(latent) + entropy

    def log_label_density(self, logits, labels):
        """Returns log q(y|x), nats `[B]`, of the relaxation unless the model marginalises."""
        if self.marginalize:
            return tf.reduce_sum(labels * tf.nn.log_softmax(logits), axis=-1)
        log_y = tf.math.log(labels)
        return distributions.relaxed_one_hot_log_prob(logits, self.temperature, log_y)

    def log_class_marginal(self, logits):
        """Returns log q(y), nats `[k]`: q(y) is the mean of q(y|x) over a batch of images."""
        total = tf.reduce_logsumexp(tf.nn.log_softmax(logits), axis=0)
        return total - tf.math.log(tf.cast(tf.shape(logits)[0], tf.float32))

    def _imagine(self, p, seed):
        """Draws from p(x|y, z), with the gradient of its mean if Bernoulli."""
        mean = p.mean()
        if self.likelihood == "gaussian":
            return mean + p.stddev() * seeds.normal(tf.shape(mean), seed)
        images = tf.cast(seeds.uniform(tf.shape(mean), seed) < mean, tf.float32)
        return mean + tf.stop_gradient(images - mean)

    # Training. The terms of the loss are `[B]`.

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Minus equation 8, of which a batch has the terms that it has data for."""
        batch = self._as_batch(x, y)
        if training and self.reverse and "unfeatured_label" not in batch:
            raise ValueError(
                "`x` must have the key 'unfeatured_label' too, or the model reverse=False. "
                f"Received: {', '.join(map(repr, batch))}."
            )
        step_seed = self.step_seed(self.seed, training)
        seeds_of = dict(zip(self.bounds, seeds.split(step_seed, len(self.bounds)), strict=True))
        logits = {
            key: self._logits(batch[key], seeds_of[key], training)
            for key in ("image", "unlabeled_image")
            if key in batch
        }
        loss = 0.0
        if "image" in batch:
            terms = self._labeled_terms(batch, logits["image"], seeds_of["image"])
            loss += losses.batch_mean(terms, sample_weight)
        if "unlabeled_image" in batch:
            key = "unlabeled_image"
            bound = self.unlabeled_bound(batch[key], logits[key], seeds_of[key])
            self.bounds[key].update_state(bound)
            loss -= losses.batch_mean(bound, sample_weight)
        if "unfeatured_label" in batch and self.reverse:
            key = "unfeatured_label"
            bound = self._reverse_terms(batch, logits, seeds_of[key])
            self.bounds[key].update_state(bound)
            loss -= self.reverse_weight * tf.reduce_mean(bound)
        return loss

    def _logits(self, images, seed, training):
        if training and self.corruption is not None:
            images = self.corruption.corrupt(images, seeds.split(seed, 1)[0])
        return self.classifier(images)

    def _labeled_terms(self, batch, logits, seed):
        images, labels = batch["image"], tf.one_hot(batch["label"], self.num_classes)
        noise = seeds.normal([tf.shape(images)[0], self.latent_dim], seed)
        p, ratio = self.explain(images, labels, noise)
        bound = ratio - np.log(self.num_classes)
        self.bounds["image"].update_state(bound)
        log_q = tf.reduce_sum(labels * tf.nn.log_softmax(logits), axis=-1)
        distance = losses.sum_over_event(tf.square(p.mean() - images))
        distance = tf.sqrt(distance + keras.config.epsilon())  # else no slope where it is 0
        return -bound - self.label_weight * log_q + self.reconstruction_weight * distance

    def _reverse_terms(self, batch, logits, seed):
        labels = batch["unfeatured_label"]
        if self.reverse == "marginal":
            return tf.gather(self.log_class_marginal(logits["unlabeled_image"]), labels)
        one_hot = tf.one_hot(labels, self.num_classes)
        image_seed, latent_seed = seeds.split(seed, 2)
        latent = self.prior_sample(tf.shape(labels)[0], latent_seed)
        return self.reverse_bound(one_hot, latent, image_seed) - self.log_prior

    def _as_batch(self, x, y=None):
        """Returns a dict; `image` in it has its `label`, other images are unlabelled."""
        batch = dict(x) if isinstance(x, dict) else {"image": x}
        if y is not None:
            batch["label"] = y
        if "image" in batch and "label" not in batch:
            batch["unlabeled_image"] = batch.pop("image")
        return batch

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        batch = self._as_batch(x, y)
        results = self.get_metrics_result()
        found = {
            metric.name: results[metric.name] for key, metric in self.bounds.items() if key in batch
        }
        if "label" in batch:
            self.accuracy.update_state(batch["label"], y_pred["probabilities"])
            found["accuracy"] = self.accuracy.result()
        return {"loss": results["loss"], **found}

    # Inference.

    def call(self, inputs):
        images = inputs["image"] if isinstance(inputs, dict) else inputs
        check_shape("images", tuple(images.shape), (None, *self.event_shape))
        logits = self.classifier(images)
        labels = tf.argmax(logits, axis=-1, output_type=tf.int32)
        latent = self.encode(images, labels)
        return {
            "probabilities": tf.nn.softmax(logits),
            "latent": latent,
            "reconstruction": self.decode(labels, latent),
        }

    def encode(self, images, labels, noise=None):
        """Returns z of q(z|x, y), float32 `[B, L]`.

        Args:
            images: float32 `[B, *event_shape]`.
            labels: int `[B]`.
            noise: float32 `[B, L]`, Normal(0, 1) for a sample; None or zeros for the median.
        """
        q = self.posterior(images, tf.one_hot(self._check_labels(labels), self.num_classes))
        return _transport(q, 0.0 if noise is None else noise)

    def decode(self, labels, latent):
        """Returns the mean of p(x|y, z), `[B, *event_shape]`; int labels `[B]`, z `[B, L]`."""
        one_hot = tf.one_hot(self._check_labels(labels), self.num_classes)
        return self.observation.mean(self.decoder([one_hot, self._check_latent(latent)]))

    def prior_sample(self, num_examples, seed):
        """Draws z of p(z), float32 `[num_examples, L]`, inside the box, by a stateless seed."""
        return seeds.uniform([num_examples, self.latent_dim], seed, *self.latent_range)

    def sample(self, labels, seed=None):
        """Draws images of the given classes from the model.

        Args:
            labels: int `[n]`.
            seed: Integer, or None to draw one.

        Returns:
            float32 `[n, *event_shape]`.
        """
        labels = self._check_array("label", np.asarray(labels))
        latent_seed, image_seed = seeds.split(seeds.fold(seeds.base_seed(seed)), 2)
        latent = self.prior_sample(len(labels), latent_seed)
        p = self.likelihood_of(tf.one_hot(labels, self.num_classes), latent)
        return self._imagine(p, image_seed)

    def log_prob(self, images, labels=None, num_samples=100, seed=0):
        """Estimates log p(x), or log p(x, y) given labels, by importance sampling.

        The sum over classes is exact; the draws are from q(z|x, y). A lower bound on average,
        and tight in the limit of many samples.

        Args:
            images: float32 `[B, *event_shape]`.
            labels: int `[B]`, or None.
            num_samples: Integer >= 1.
            seed: Integer seed of the draws.

        Returns:
            float32 `[B]`, nats.
        """
        images = check_array("images", images, self.event_shape, *self.value_range)
        num_samples = check_integer("num_samples", num_samples, 1)
        rows = [len(images) * self.num_classes, self.latent_dim]

        @tf.function  # a loop of steps too small to be run one by one
        def ratios():
            return tf.map_fn(
                lambda draw: self.class_ratios(images, seeds.normal(rows, seeds.fold(seed, draw))),
                tf.range(num_samples),
                fn_output_signature=tf.float32,
            )

        log_joint = tf.reduce_logsumexp(ratios(), axis=0) - np.log(num_samples)  # [B, k]
        if labels is None:
            return tf.reduce_logsumexp(log_joint, axis=-1)
        labels = self._check_array("label", np.asarray(labels))
        return tf.gather(log_joint, labels, batch_dims=1)

    # Checks, endpoints, saving.

    def _check_keys(self, x):
        super()._check_keys(x)
        needed = {"label"} if x.keys() & {"unlabeled_image", "unfeatured_label"} else set()
        if self.reverse == "marginal" and "unfeatured_label" in x:
            needed.add("unlabeled_image")
        require_keys(x, sorted(needed))

    def fit(self, x=None, y=None, *args, **kwargs):
        """Trains on what the class tells; see Keras for the arguments."""
        return super().fit(x, self._check_array("label", y), *args, **kwargs)

    def evaluate(self, x=None, y=None, *args, **kwargs):
        """Scores images, or images with the labels `y`, or what `fit` takes; see Keras."""
        return super().evaluate(x, self._check_array("label", y), *args, **kwargs)

    def _check_labels(self, labels):
        """Returns `labels`, checked if their values are known."""
        if tf.is_symbolic_tensor(labels):
            return labels
        return self._check_array("label", np.asarray(labels))

    def _check_latent(self, latent):
        """Returns `latent` as a tensor; raises if its values are known and outside the box."""
        latent = tf.convert_to_tensor(latent, tf.float32)
        if not tf.is_symbolic_tensor(latent):
            low, high = np.float32(self.latent_range)  # as the flow has them
            check_array("latent", latent, (self.latent_dim,), low, high)
        return latent

    def serving_endpoints(self):
        image = tf.TensorSpec([None, *self.event_shape], tf.float32, name="image")
        label = tf.TensorSpec([None], tf.int32, name="label")
        latent = tf.TensorSpec([None, self.latent_dim], tf.float32, name="latent")
        noise = tf.TensorSpec([None, self.latent_dim], tf.float32, name="noise")
        ranges = {
            "image": self.value_range,
            "label": (0, self.num_classes - 1),
            "latent": self.latent_range,
            "noise": (None, None),
        }
        texts = {
            "probabilities": "q(y|x), in [0, 1], sums to 1",
            "latent": "z, inside the box",
            "reconstruction": "mean of every element, in the range of the input",
        }

        def encode(image, label, noise):
            return {"latent": self.encode(image, inside("label", label, *ranges["label"]), noise)}

        def decode(label, latent):
            label = inside("label", label, *ranges["label"])
            latent = inside("latent", latent, *ranges["latent"])
            return {"reconstruction": self.decode(label, latent)}

        endpoint = endpoint_maker(texts, ranges)
        return {
            "serving_default": endpoint(self.call, (image,), tuple(texts)),
            "classify": endpoint(
                lambda image: {"probabilities": tf.nn.softmax(self.classifier(image))},
                (image,),
                ("probabilities",),
            ),
            "encode": endpoint(encode, (image, label, noise), ("latent",)),
            "decode": endpoint(decode, (label, latent), ("reconstruction",)),
        }

    def get_config(self):
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "latent_dim": self.latent_dim,
            **{
                part: None if own else keras.saving.serialize_keras_object(getattr(self, part))
                for part, own in self._own_parts.items()
            },
            "classifier_units": self.classifier_units,
            "encoder_units": self.encoder_units,
            "decoder_units": self.decoder_units,
            "activation": self.activation,
            "corruption": keras.saving.serialize_keras_object(self.corruption),
            "likelihood": self.likelihood,
            "latent_range": self.latent_range,
            "marginalize": self.marginalize,
            "temperature": self.temperature,
            "reverse": self.reverse,
            "straight_through": self.straight_through,
            "reverse_weight": self.reverse_weight,
            "label_weight": self.label_weight,
            "reconstruction_weight": self.reconstruction_weight,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        for key in ("classifier", "encoder", "decoder", "corruption"):
            config[key] = keras.saving.deserialize_keras_object(config[key])
        return cls(**config)


def _transport(q, noise):
    """Returns z of q, a `logit_normal`, that Normal(0, 1) `noise` leads to."""
    normal = q.distribution.distribution
    return q.bijector.forward(normal.loc + normal.scale * noise)


def _dense(units, activation=None):
    """Glorot's uniform initialisation with gain sqrt(2), and biases of zero."""
    glorot = keras.initializers.VarianceScaling(2.0, mode="fan_avg", distribution="uniform")
    return keras.layers.Dense(units, activation, kernel_initializer=glorot)
