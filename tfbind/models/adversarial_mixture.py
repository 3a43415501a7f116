from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfbind import losses, seeds
from tfbind._validation import check_array, check_choice, check_integer, check_number, check_shape
from tfbind.models import adversarial_networks
from tfbind.models._base import EventModel, endpoint_maker, inside
from tfbind.models._component_usage import ComponentUsage

tfd = tfp.distributions

_TINY = 1e-12  # under the root of the gradient's norm, which else has no slope at zero


class Triple(NamedTuple):
    """An example with its two latent variables, of one of the two joint distributions."""

    image: tf.Tensor  # x, [B, *event_shape]
    label: tf.Tensor  # y, [B, K], one-hot or inside the simplex
    latent: tf.Tensor  # z, [B, L]


@keras.saving.register_keras_serializable("tfbind")
class AdversarialMixture(EventModel):
    """Clusters examples by learning, in a game, a mixture model that generates them.

    One side infers the component y and the latent z of each example x; the other draws y and z
    from a mixture of K Gaussians and generates x. A discriminator learns to tell the triples
    (x, y, z) of the two sides apart, and both learn to be mistaken for each other, until y and z
    of an example are those that would generate it. Use it where the components should be
    the kinds of things in the data, and where new examples of one kind are wanted too.

    Args:
        event_shape: Tuple of ints, the shape of one example.
        num_clusters: Integer K >= 2.
        latent_dim: Integer L >= 1.
        class_encoder: Keras model to 2 K numbers, mean and log-variance of h_y, of which y is the
            softmax; None for a dense network.
        latent_encoder: Keras model to 2 L numbers, mean and log-variance of z; likewise. The one
            that comes first sees the example, and may give a list, 2 K or 2 L numbers and
            whatever else of its own; the other sees the list of the example, h_y or z, and that.
        prior: The means of the mixture: an array `[K, L]`, which stays as it is, or a Keras model
            from one-hot y to a mean, which is learned; None for a linear one.
        decoder: Keras model from `[y, z]` to an example; None for a dense network.
        discriminator: Keras model from `[x, y, z]` to one logit, high for inferred triples,
            without batch normalisation; None for a dense network.
        hidden_units: Widths of the hidden layers of the dense networks.
        factorization: Of the inferring side: "class_first", q(y|x) q(z|x, y); "latent_first",
            q(z|x) q(y|x, z); or "independent", q(y|x) q(z|x).
        class_probabilities: K positive numbers, p(y) up to a constant, such as the class counts of
            the training set; None for equal ones.
        gradient_penalty: Float >= 0, the weight of the penalty on the discriminator's gradient.
        output_activation: "sigmoid" for data in [0, 1], or "linear" for any other.
        seed: Integer seed of the training's noise, or None to draw one.

    Call arguments:
        inputs: float32 `[B, *event_shape]`, in [0, 1] if so chosen; or a dict with that under
            `image`.

    Returns:
        A dict: `probabilities`, float32 `[B, K]`, the softmax of the mean of h_y, sums to 1;
        `latent`, float32 `[B, L]`, the mean of z; `reconstruction`, float32 `[B, *event_shape]`,
        what the decoder makes of both.

    `fit` logs, and `evaluate` returns: `discriminator_loss`, with the penalty, `generator_loss`,
    and `loss`, their sum, which says how the game stands and not how good the model is;
    `inferred_accuracy` and `generated_accuracy`, the discriminator's on each side, both near 1
    when it has won; `gradient_norm`, the discriminator's between the two, which the penalty
    holds near 1; `marginal_entropy`, log K when all components are inferred equally often; and
    `used_clusters`. The last two show a collapse, of which
    `tfbind.training.callbacks.CollapseWarning` warns.

    What to do about it. Components out of use: another seed, fewer latent dimensions (what z can
    say, y need not), a smaller learning rate. A discriminator that has won, right on both sides
    almost always: a larger penalty, or a smaller learning rate for it alone. One that cannot
    tell the sides apart from the start, in data whose examples lie closer together than 1: spread
    the data (`output_activation="linear"`), or a smaller penalty, for the gradient that it holds
    at 1 is too small there.

    Raises:
        ValueError: If an argument is out of its range, or data has the wrong shape or range.

    Example:

    >>> images = np.random.default_rng(0).random((20, 6)).astype("float32")
    >>> model = tfbind.AdversarialMixture((6,), 3, 2, hidden_units=(16,))
    >>> model.compile(keras.optimizers.Adam(2e-4, beta_1=0.5))
    >>> history = model.fit(images, batch_size=10, verbose=0)
    >>> model.cluster(images).shape
    (20,)
    >>> model.generate([0, 1, 2]).shape
    TensorShape([3, 6])

    References:
        Jesson, Low-Kam, Nair, Soudan, Chandelier, Chapados. Adversarially Learned Mixture Model.
        2018. https://arxiv.org/abs/1807.05344, Algorithm 1. The penalty is that of the
        discriminator's logits, between inferred and generated triples, at one point an example.
    """

    OPTIMIZERS = ("optimizer", "discriminator_optimizer")

    def __init__(
        self,
        event_shape,
        num_clusters,
        latent_dim,
        *,
        class_encoder=None,
        latent_encoder=None,
        prior=None,
        decoder=None,
        discriminator=None,
        hidden_units=(256, 256),
        factorization="class_first",
        class_probabilities=None,
        gradient_penalty=10.0,
        output_activation="sigmoid",
        seed=None,
        **kwargs,
    ):
        num_clusters = check_integer("num_clusters", num_clusters, 2)
        latent_dim = check_integer("latent_dim", latent_dim, 1)
        hidden_units = tuple(check_integer("hidden_units", size, 1) for size in hidden_units)
        check_choice("factorization", factorization, adversarial_networks.FACTORIZATIONS)
        check_choice("output_activation", output_activation, ("sigmoid", "linear"))
        gradient_penalty = check_number("gradient_penalty", gradient_penalty, 0)
        super().__init__(event_shape, **kwargs)
        self.num_clusters = num_clusters
        self.latent_dim = latent_dim
        self.hidden_units = hidden_units
        self.factorization = factorization
        self.class_probabilities = self._checked_probabilities(class_probabilities)
        self.gradient_penalty = gradient_penalty
        self.output_activation = output_activation
        self.value_range = (0.0, 1.0) if output_activation == "sigmoid" else (None, None)
        self.seed = seeds.base_seed(seed)
        networks = {
            "class_encoder": class_encoder,
            "latent_encoder": latent_encoder,
            "prior": prior,
            "decoder": decoder,
            "discriminator": discriminator,
        }
        self._own_networks = {name: part is None for name, part in networks.items()}
        if any(self._own_networks.values()):
            default = adversarial_networks.dense_networks(
                self.event_shape,
                num_clusters,
                latent_dim,
                factorization,
                hidden_units,
                output_activation,
            )
            networks |= {name: default[name] for name, own in self._own_networks.items() if own}
        self.class_encoder = networks["class_encoder"]
        self.latent_encoder = networks["latent_encoder"]
        self.prior, self.fixed_means = self._learned_or_fixed(networks["prior"])
        self.decoder = networks["decoder"]
        self.discriminator = networks["discriminator"]
        self.averages = {name: keras.metrics.Mean(name=name) for name in self._averaged()}
        self.component_usage = ComponentUsage(self.class_probabilities)
        self.build()

    def _checked_probabilities(self, weights):
        if weights is None:
            weights = np.ones(self.num_clusters)
        weights = np.asarray(weights, "float64")
        check_shape("class_probabilities", weights.shape, (self.num_clusters,))
        if not np.isfinite(weights).all() or (weights <= 0).any():
            raise ValueError(
                "`class_probabilities` must be positive numbers. "
                f"Received: class_probabilities={weights.tolist()}."
            )
        return (weights / weights.sum()).astype("float32")

    def _learned_or_fixed(self, prior):
        if isinstance(prior, keras.Layer):
            return prior, None
        means = check_array("prior", prior, (self.latent_dim,))
        check_shape("prior", means.shape, (self.num_clusters, self.latent_dim))
        return None, means

    def _averaged(self):
        names = ["loss", "discriminator_loss", "generator_loss"]
        names += ["inferred_accuracy", "generated_accuracy"]
        return names + ["gradient_norm"] * (self.gradient_penalty > 0)

    def build(self, input_shape=None):
        if self.built:
            return
        for layer in getattr(self.discriminator, "layers", ()):
            if isinstance(layer, keras.layers.BatchNormalization):
                raise ValueError(
                    "`discriminator` must have no batch normalisation, since its gradient is "
                    f"penalised example by example. Received: the layer {layer.name!r}."
                )
        labels = tf.one_hot([0], self.num_clusters)
        generated = self.decode(labels, self.prior_mean(labels))
        self.discriminate(Triple(generated, *self.encode(generated)))
        self.built = True

    # The two joint distributions. Labels are float32 `[B, K]`, one-hot or inside the simplex.

    def encode(self, images, class_noise=None, noise=None, training=False):
        """Infers y and z of examples.

        Args:
            images: float32 `[B, *event_shape]`.
            class_noise: float32 `[B, K]`, Normal(0, 1) for a sample of y; None for its centre.
            noise: float32 `[B, L]`, likewise for z.
            training: Whether the networks normalise by this batch, and drop out.

        Returns:
            A pair: y, float32 `[B, K]`, sums to 1; z, float32 `[B, L]`.
        """
        logits, latent = self._encode(images, class_noise, noise, training)
        return tf.nn.softmax(logits), latent

    def _encode(self, images, class_noise, noise, training):
        """Infers h_y, of which y is the softmax, and z."""
        if self.factorization == "latent_first":
            latent, shown = self._infer_latent(images, noise, training)
            logits, _ = self._infer_logits([images, latent, *shown], class_noise, training)
        else:
            logits, shown = self._infer_logits(images, class_noise, training)
            dependent = self.factorization == "class_first"
            seen = [images, logits, *shown] if dependent else images
            latent, _ = self._infer_latent(seen, noise, training)
        return logits, latent

    def _infer_logits(self, inputs, noise, training):
        shape = (2 * self.num_clusters,)
        return _draw(self._run("class_encoder", inputs, shape, training), noise)

    def _infer_latent(self, inputs, noise, training):
        return _draw(self._run("latent_encoder", inputs, (2 * self.latent_dim,), training), noise)

    def prior_mean(self, labels, training=False):
        """Returns the means of p(z|y), float32 `[B, L]`, of one-hot labels."""
        if self.fixed_means is not None:
            return labels @ self.fixed_means
        return self._run("prior", labels, (self.latent_dim,), training)[0]

    def latent_prior(self):
        """Returns p(z), a TFP mixture of K Gaussians of unit variance."""
        means = self.prior_mean(tf.eye(self.num_clusters))
        return tfd.MixtureSameFamily(
            tfd.Categorical(probs=self.class_probabilities), tfd.MultivariateNormalDiag(loc=means)
        )

    def decode(self, labels, latent, training=False):
        """Returns the examples that y and z generate, float32 `[B, *event_shape]`."""
        return self._run("decoder", [labels, latent], self.event_shape, training)[0]

    def discriminate(self, triple, training=False):
        """Returns the logit of each example's having been inferred, float32 `[B]`."""
        return self._run("discriminator", list(triple), (1,), training)[0][:, 0]

    def _run(self, name, inputs, shape, training):
        """Returns a network's output, of which `shape` is demanded, and a list of what else."""
        inputs = tf.nest.map_structure(tf.convert_to_tensor, inputs)
        outputs = getattr(self, name)(inputs, training=training)
        outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        check_shape(f"{name}(...)", tuple(outputs[0].shape), (None, *shape))
        return tf.cast(outputs[0], tf.float32), outputs[1:]

    # The game.

    def infer(self, images, seed, training):
        """Draws y and z of examples, with a stateless seed; returns a `Triple`."""
        class_seed, latent_seed = seeds.split(seed, 2)
        rows = tf.shape(images)[0]
        class_noise = seeds.normal([rows, self.num_clusters], class_seed)
        noise = seeds.normal([rows, self.latent_dim], latent_seed)
        return Triple(images, *self.encode(images, class_noise, noise, training))

    def synthesize(self, num_examples, seed, training):
        """Draws y and z of the prior and generates examples of them; returns a `Triple`."""
        class_seed, latent_seed = seeds.split(seed, 2)
        below = np.cumsum(self.class_probabilities)[:-1]
        ranks = seeds.uniform([num_examples, 1], class_seed)
        classes = tf.reduce_sum(tf.cast(ranks >= below, tf.int32), axis=-1)
        labels = tf.one_hot(classes, self.num_clusters)
        latent = self.prior_mean(labels, training)
        latent += seeds.normal([num_examples, self.latent_dim], latent_seed)
        return Triple(self.decode(labels, latent, training), labels, latent)

    def inferred_triples(self, batch, seed, training):
        """Returns one `Triple` for each game that the generated ones take part in."""
        return [self.infer(batch["image"], seed, training)]

    def gradient_norms(self, inferred, generated, seed, training):
        """Returns the norms of the discriminator's gradient, float32 `[B]`.

        It is that of the logit with respect to x, y and z together, at a random point between
        each inferred triple and a generated one.
        """
        share = seeds.uniform([tf.shape(generated.label)[0]], seed)
        points = [
            one + _like(share, one) * (other - one)
            for one, other in zip(inferred, generated, strict=True)
        ]
        with tf.GradientTape() as tape:
            tape.watch(points)
            logits = self.discriminate(points, training)
        slopes = tape.gradient(logits, points, unconnected_gradients="zero")
        squares = tf.add_n([losses.sum_over_event(tf.square(slope)) for slope in slopes])
        return tf.sqrt(squares + _TINY)

    def play(self, batch, training):
        """Plays one round: every loss comes from the same samples and logits (Algorithm 1).

        Args:
            batch: Dict of tensors.
            training: Whether the networks normalise by this batch, and drop out.

        Returns:
            A pair: the inferred y, float32 `[B, K]`; a dict of float32 scalars, to be averaged.
        """
        inferred_seed, generated_seed, penalty_seed, own_seed = seeds.split(
            self.step_seed(self.seed, training), 4
        )
        if training:
            self._reseed(own_seed)
        triples = self.inferred_triples(batch, inferred_seed, training)
        rows = [tf.shape(triple.image)[0] for triple in triples]
        generated = self.synthesize(rows[0], generated_seed, training)
        inferred = Triple(*(tf.concat(parts, axis=0) for parts in zip(*triples, strict=True)))
        both = Triple(*(tf.concat(ends, axis=0) for ends in zip(inferred, generated, strict=True)))
        *real, fake = tf.split(self.discriminate(both, training), [*rows, rows[0]])
        terms = {
            "discriminator_loss": _mean([losses.adversarial_loss(logits, fake) for logits in real]),
            "generator_loss": _mean([losses.adversarial_loss(fake, logits) for logits in real]),
            "inferred_accuracy": _mean([share(logits > 0.0) for logits in real]),
            "generated_accuracy": share(fake < 0.0),
        }
        if self.gradient_penalty:
            # As many of each game as there are generated triples, so that each weighs the same
            chosen = tf.range(rows[0]) * tf.add_n(rows) // rows[0]
            ends = Triple(*(tf.gather(part, chosen) for part in inferred))
            norms = self.gradient_norms(ends, generated, penalty_seed, training)
            penalty = tf.reduce_mean(tf.square(norms - 1.0))
            terms["discriminator_loss"] += self.gradient_penalty * penalty
            terms["gradient_norm"] = tf.reduce_mean(norms)
        terms["loss"] = terms["discriminator_loss"] + terms["generator_loss"]
        return triples[0].label, terms

    def _reseed(self, seed):
        """Makes the noise of the networks' own layers, such as dropout, follow from `seed`."""
        states = [
            state
            for network in self._networks()
            for state in network.variables
            if all(state is not weight for weight in network.weights)
        ]
        for state, own in zip(states, seeds.split(seed, len(states)), strict=True):
            state.assign(tf.cast(own, state.dtype))

    # Training.

    def _networks(self):
        learned = [] if self.prior is None else [self.prior]
        return [self.class_encoder, self.latent_encoder, *learned, self.decoder, self.discriminator]

    @property
    def generator_weights(self):
        """The trainable weights of all networks but the discriminator."""
        return [weight for part in self._networks()[:-1] for weight in part.trainable_weights]

    def compile(self, optimizer="adam", discriminator_optimizer=None, **kwargs):
        """Configures the model for training.

        Args:
            optimizer: Keras optimizer, or its name, of encoders, prior and decoder.
            discriminator_optimizer: That of the discriminator; None for another like the first.
            **kwargs: `jit_compile`, `run_eagerly` and `steps_per_execution`; see Keras.
        """
        super().compile(optimizer, **kwargs)
        if discriminator_optimizer is None:
            discriminator_optimizer = type(self.optimizer).from_config(self.optimizer.get_config())
        self.discriminator_optimizer = keras.optimizers.get(discriminator_optimizer)
        self.optimizer.build(self.generator_weights)
        self.discriminator_optimizer.build(self.discriminator.trainable_weights)

    def get_compile_config(self):
        config = super().get_compile_config()
        if config:
            config["discriminator_optimizer"] = keras.optimizers.serialize(
                self.discriminator_optimizer
            )
        return config

    def compile_from_config(self, config):
        config = keras.saving.deserialize_keras_object(config)
        names = ("optimizer", "discriminator_optimizer")
        names += ("jit_compile", "run_eagerly", "steps_per_execution")
        self.compile(**{name: config[name] for name in names})

    def train_step(self, data):
        batch = self._as_batch(data)
        with tf.GradientTape(persistent=True) as tape:
            labels, terms = self.play(batch, training=True)
        sides = (
            (self.optimizer, "generator_loss", self.generator_weights),
            (
                self.discriminator_optimizer,
                "discriminator_loss",
                self.discriminator.trainable_weights,
            ),
        )
        gradients = [tape.gradient(terms[name], weights) for _, name, weights in sides]
        for (optimizer, _, weights), gradient in zip(sides, gradients, strict=True):
            optimizer.apply(gradient, weights)
        return self._log(labels, terms)

    def test_step(self, data):
        return self._log(*self.play(self._as_batch(data), training=False))

    def _as_batch(self, data):
        x, _, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if sample_weight is not None:
            raise ValueError("`sample_weight` must be None. Received: weights of the examples.")
        return x if isinstance(x, dict) else {"image": x}

    def _log(self, labels, terms):
        self.component_usage.update_state(labels)
        for name, value in terms.items():
            self.averages[name].update_state(value, tf.shape(labels)[0])
        results = {name: self.averages[name].result() for name in terms}
        return {**results, **self.component_usage.result()}

    # Inference.

    def call(self, inputs):
        images = inputs["image"] if isinstance(inputs, dict) else inputs
        check_shape("images", tuple(images.shape), (None, *self.event_shape))
        probabilities, latent = self.encode(images)
        return {
            "probabilities": probabilities,
            "latent": latent,
            "reconstruction": self.decode(probabilities, latent),
        }

    def component_probabilities(self, latent):
        """Returns p(y|z), float32 `[B, K]`: Bayes' rule in the latent space, equation 18."""
        return self.latent_prior().posterior_marginal(latent).probs_parameter()

    def cluster(self, images, rule="encoder", batch_size=None):
        """Gives every example to a component.

        Args:
            images: float32 `[n, *event_shape]`.
            rule: "encoder", the most probable y of q(y|x), or "latent", that of p(y|z).
            batch_size: Integer, examples at a time; None for 32.

        Returns:
            int64 `[n]`, from 0 to K - 1.
        """
        check_choice("rule", rule, ("encoder", "latent"))
        found = self.predict(images, batch_size, verbose=0)
        probabilities = found["probabilities"]
        if rule == "latent":
            probabilities = self.component_probabilities(found["latent"])
        return np.argmax(probabilities, axis=-1)

    def reconstruct(self, images):
        """Returns what the decoder makes of the inferred y and z, `[B, *event_shape]`."""
        return self.decode(*self.encode(self._check_array("image", images)))

    def generate(self, labels, noise=None):
        """Generates examples of given components.

        Args:
            labels: int `[n]`, from 0 to K - 1.
            noise: float32 `[n, L]`, Normal(0, 1) for a sample; None or zeros for the centre.

        Returns:
            float32 `[n, *event_shape]`.
        """
        one_hot = tf.one_hot(self._check_components(labels), self.num_clusters)
        latent = self.prior_mean(one_hot)
        if noise is not None:
            check_shape("noise", tuple(noise.shape), (None, self.latent_dim))
            latent += noise
        return self.decode(one_hot, latent)

    def interpolate(self, start, end, num_steps=8):
        """Generates what lies between pairs of examples, along the line from (y, z) to (y, z).

        Args:
            start: float32 `[B, *event_shape]`.
            end: float32 `[B, *event_shape]`.
            num_steps: Integer >= 2, which counts both ends.

        Returns:
            float32 `[B, num_steps, *event_shape]`.
        """
        num_steps = check_integer("num_steps", num_steps, 2)
        ends = [self.encode(self._check_array("image", images)) for images in (start, end)]
        steps = [
            self.decode(*(one + share * (other - one) for one, other in zip(*ends, strict=True)))
            for share in np.linspace(0.0, 1.0, num_steps, dtype="float32")
        ]
        return tf.stack(steps, axis=1)

    def _check_components(self, labels):
        """Returns `labels`; raises if their values are known and are not those of components."""
        if tf.is_symbolic_tensor(labels):
            return labels
        labels = np.asarray(labels)
        known = np.issubdtype(labels.dtype, np.integer) and labels.size > 0
        if not known or labels.min() < 0 or labels.max() >= self.num_clusters:
            raise ValueError(
                f"`labels` must hold integers from 0 to {self.num_clusters - 1}. "
                f"Received: labels={labels.tolist()}."
            )
        return labels

    def serving_endpoints(self):
        image = tf.TensorSpec([None, *self.event_shape], tf.float32, name="image")
        class_noise = tf.TensorSpec([None, self.num_clusters], tf.float32, name="class_noise")
        noise = tf.TensorSpec([None, self.latent_dim], tf.float32, name="noise")
        label = tf.TensorSpec([None], tf.int32, name="label")
        ranges = {
            "image": self.value_range,
            "class_noise": (None, None),
            "noise": (None, None),
            "label": (0, self.num_clusters - 1),
        }
        texts = {
            "probabilities": "y, in [0, 1], sums to 1",
            "latent_probabilities": "p(y|z) at the mean of z, in [0, 1], sums to 1",
            "latent": "z",
            "reconstruction": "of the example, from y and z",
            "generated": "an example of the component",
        }

        def classify(image):
            probabilities, latent = self.encode(image)
            by_latent = self.component_probabilities(latent)
            return {"probabilities": probabilities, "latent_probabilities": by_latent}

        def encode(image, class_noise, noise):
            probabilities, latent = self.encode(image, class_noise, noise)
            return {"probabilities": probabilities, "latent": latent}

        def generate(label, noise):
            label = inside("label", label, *ranges["label"])
            return {"generated": self.generate(label, noise)}

        inferred = ("probabilities", "latent")
        endpoint = endpoint_maker(texts, ranges)
        return {
            "serving_default": endpoint(self.call, (image,), (*inferred, "reconstruction")),
            "classify": endpoint(classify, (image,), ("probabilities", "latent_probabilities")),
            "encode": endpoint(encode, (image, class_noise, noise), inferred),
            "generate": endpoint(generate, (label, noise), ("generated",)),
        }

    def get_config(self):
        networks = {
            name: None if own else keras.saving.serialize_keras_object(getattr(self, name))
            for name, own in self._own_networks.items()
        }
        if self.fixed_means is not None:
            networks["prior"] = self.fixed_means.tolist()
        return {
            **super().get_config(),
            "num_clusters": self.num_clusters,
            "latent_dim": self.latent_dim,
            **networks,
            "hidden_units": self.hidden_units,
            "factorization": self.factorization,
            "class_probabilities": self.class_probabilities.tolist(),
            "gradient_penalty": self.gradient_penalty,
            "output_activation": self.output_activation,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config):
        networks = ("class_encoder", "latent_encoder", "prior", "decoder", "discriminator")
        given = {name: keras.saving.deserialize_keras_object(config[name]) for name in networks}
        return cls(**{**config, **given})


def _draw(outputs, noise):
    """Returns a sample of what a network gives, mean and log-variance, and what else it gives."""
    parameters, shown = outputs
    mean, log_variance = tf.split(parameters, 2, axis=-1)
    return mean if noise is None else mean + tf.exp(0.5 * log_variance) * noise, shown


def _like(share, tensor):
    """Returns `share`, `[B]`, with axes of size 1 for the others of `tensor`, `[B, ...]`."""
    return tf.reshape(share, [-1] + [1] * (tensor.shape.rank - 1))


def _mean(terms):
    return tf.add_n(terms) / len(terms)


def share(flags):
    """Returns the share of true ones, a float32 scalar."""
    return tf.reduce_mean(tf.cast(flags, tf.float32))
