from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfbind import losses, seeds
from tfbind._validation import check_array, check_choice, check_integer, check_number, check_shape
from tfbind.models import _joint, adversarial_networks
from tfbind.models._base import Player, means
from tfbind.models._batch import images_of
from tfbind.models._clustering import ClusteringModel
from tfbind.models._endpoints import Endpoint
from tfbind.models._joint_optimizer import JointOptimizer
from tfbind.models._mixture_endpoints import mixture_endpoints
from tfbind.models._parts import restore_parts, saved_parts

_AVERAGED = (
    *("discriminator_loss", "generator_loss", "gradient_penalty"),
    *("inferred_accuracy", "generated_accuracy", "gradient_norm"),
)
_NETWORKS = ("class_encoder", "latent_encoder", "prior", "decoder", "discriminator")


@keras.saving.register_keras_serializable("tfbind")
class AdversarialMixture(ClusteringModel):
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

    `fit` logs, and `evaluate` returns: `discriminator_loss`, `generator_loss`, `gradient_penalty`
    and `loss`, their sum with the penalty weighted, which says how the game stands and not how good
    the model is; `inferred_accuracy` and `generated_accuracy`, the discriminator's on each side,
    both near 1 when it has won; `gradient_norm`, the discriminator's between the two, which the
    penalty holds near 1; `marginal_entropy`, log K when all components are inferred equally often;
    and `used_clusters`. The last two show a collapse, of which
    `tfbind.training.callbacks.CollapseWarning` warns. `evaluate` with labels adds `accuracy`, each
    component being one class and each class one component, and `majority_accuracy`.

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

    def __init__(
        self,
        event_shape: Sequence[int],
        num_clusters: int,
        latent_dim: int,
        *,
        class_encoder: keras.Model | None = None,
        latent_encoder: keras.Model | None = None,
        prior: keras.Model | np.ndarray | Sequence | None = None,
        decoder: keras.Model | None = None,
        discriminator: keras.Model | None = None,
        hidden_units: Sequence[int] = (256, 256),
        factorization: str = "class_first",
        class_probabilities: Sequence[float] | None = None,
        gradient_penalty: float = 10.0,
        output_activation: str = "sigmoid",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        num_clusters = check_integer("num_clusters", num_clusters, 2)
        prior_probabilities = _joint.check_probabilities(class_probabilities, num_clusters)
        super().__init__(event_shape, num_clusters, prior_probabilities, **kwargs)
        self.latent_dim = check_integer("latent_dim", latent_dim, 1)
        self.hidden_units = tuple(check_integer("hidden_units", size, 1) for size in hidden_units)
        self.factorization = check_choice(
            "factorization", factorization, adversarial_networks.FACTORIZATIONS
        )
        self.class_probabilities = prior_probabilities
        self.gradient_penalty = check_number("gradient_penalty", gradient_penalty, 0)
        self.output_activation = check_choice(
            "output_activation", output_activation, ("sigmoid", "linear")
        )
        self.value_range = (0.0, 1.0) if output_activation == "sigmoid" else (None, None)
        self.seed = seeds.base_seed(seed)
        given = (class_encoder, latent_encoder, prior, decoder, discriminator)
        self._add_networks(dict(zip(_NETWORKS, given, strict=True)))
        self.trackers |= means(*_AVERAGED)
        self.built = True

    def _add_networks(self, networks: dict) -> None:
        sizes = (self.num_clusters, self.latent_dim)
        self._own_parts = {name: part is None for name, part in networks.items()}
        if any(self._own_parts.values()):
            shapes = (self.event_shape, *sizes, self.factorization)
            default = adversarial_networks.dense_networks(
                *shapes, self.hidden_units, output_activation=self.output_activation
            )
            networks |= {name: default[name] for name, own in self._own_parts.items() if own}
        self.class_encoder = networks["class_encoder"]
        self.latent_encoder = networks["latent_encoder"]
        self.prior = _joint.check_prior(networks["prior"], *sizes)
        self.decoder = networks["decoder"]
        self.discriminator = networks["discriminator"]
        self.inferring = _joint.InferringSide(
            self.class_encoder, self.latent_encoder, *sizes, self.factorization
        )
        self.generating = _joint.GeneratingSide(
            self.prior, self.decoder, self.class_probabilities, self.latent_dim, self.event_shape
        )
        self._try_networks()

    def _try_networks(self) -> None:
        """Builds networks that are not built yet, and raises if one does not fit."""
        _joint.check_discriminator(self.discriminator)
        labels = tf.one_hot([0], self.num_clusters)
        generated = self.decode(labels, self.prior_mean(labels))
        self.discriminate(_joint.Triple(generated, *self.encode(generated)))

    def build(self, input_shape: Any = None) -> None:
        self.built = True

    # The two joint distributions, and who tells them apart.

    def encode(
        self,
        images: tf.Tensor,
        class_noise: tf.Tensor | None = None,
        noise: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Infers y and z of examples.

        Args:
            images: float32 `[B, *event_shape]`.
            class_noise: float32 `[B, K]`, Normal(0, 1) for a sample of y; None for its centre.
            noise: float32 `[B, L]`, likewise for z.

        Returns:
            A pair: y, float32 `[B, K]`, sums to 1; z, float32 `[B, L]`.
        """
        logits, latent = self.inferring.infer(images, class_noise, noise)
        return tf.nn.softmax(logits), latent

    def prior_mean(self, labels: tf.Tensor) -> tf.Tensor:
        """Returns the means of p(z|y), float32 `[B, L]`, of one-hot labels."""
        return self.generating.prior_mean(labels)

    def decode(self, labels: tf.Tensor, latent: tf.Tensor) -> tf.Tensor:
        """Returns the examples that y and z generate, float32 `[B, *event_shape]`."""
        return self.generating.decode(labels, latent)

    def discriminate(self, triple: Sequence[tf.Tensor]) -> tf.Tensor:
        """Returns the logit of each (x, y, z)'s having been inferred, float32 `[B]`."""
        return _joint.outputs_of("discriminator", self.discriminator, list(triple), (1,))[0][:, 0]

    # The game.

    def inferred_triples(
        self, batch: Mapping, seed: tf.Tensor, training: bool
    ) -> list[_joint.Triple]:
        """Returns one `Triple` for each game that the generated ones take part in."""
        return [self.inferring.sample(batch["image"], seed)]

    def loss_terms(self, batch: Mapping, seed: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
        """Every loss comes from the same samples and logits: Algorithm 1."""
        inferred_seed, generated_seed, penalty_seed = seeds.split(seed, 3)
        games = self.inferred_triples(batch, inferred_seed, training)
        generated = self.generating.sample(tf.shape(games[0].image)[0], generated_seed)
        terms = self._game_terms(games, generated, penalty_seed)
        return terms | self.terms_beside(games[0], generated, seed, training)

    def terms_beside(
        self, inferred: _joint.Triple, generated: _joint.Triple, seed: tf.Tensor, training: bool
    ) -> dict[str, tf.Tensor]:
        """Returns terms beside the game, of the triples of its two sides; in the paper none."""
        return {}

    def _game_terms(
        self, games: list[_joint.Triple], generated: _joint.Triple, seed: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        rows = [tf.shape(triples.image)[0] for triples in games]
        inferred = _joint.joined(games)
        logits = self.discriminate(_joint.joined([inferred, generated]))
        *real, fake = tf.split(logits, [*rows, rows[0]])
        terms = {
            "discriminator_loss": _mean([losses.adversarial_loss(each, fake) for each in real]),
            "generator_loss": _mean([losses.adversarial_loss(fake, each) for each in real]),
            "inferred_accuracy": _mean([_share(each > 0.0) for each in real]),
            "generated_accuracy": _share(fake < 0.0),
            "cluster_usage": games[0].label,
        }
        if self.gradient_penalty:
            # As many of each game as there are generated triples, so that each weighs the same
            chosen = tf.range(rows[0]) * tf.add_n(rows) // rows[0]
            ends = [tf.gather(part, chosen) for part in inferred]
            points = _joint.between(ends, generated, seeds.uniform([rows[0]], seed))
            norms = losses.gradient_norms(self.discriminate, points)
            terms["gradient_penalty"] = tf.reduce_mean(tf.square(norms - 1.0))
            terms["gradient_norm"] = tf.reduce_mean(norms)
        return terms

    def players(self) -> list[Player]:
        """First who infers and generates, then the discriminator."""
        judging = self.discriminator.trainable_variables
        others = {id(variable) for variable in judging}
        playing = [each for each in self.trainable_variables if id(each) not in others]
        judged = {"discriminator_loss": 1.0, "gradient_penalty": self.gradient_penalty}
        return [Player({"generator_loss": 1.0}, playing), Player(judged, judging)]

    def compile(  # type: ignore[override]  # a second optimiser
        self, optimizer: Any = "adam", discriminator_optimizer: Any = None, **kwargs: Any
    ) -> None:
        """Configures the model for training.

        The two optimisers become one, so that callbacks that set the learning rate set both in
        proportion; `optimizer` may be such a one, as in a loaded model.

        Args:
            optimizer: Keras optimizer, or its name, of encoders, prior and decoder.
            discriminator_optimizer: That of the discriminator; None for another like the first.
            **kwargs: `jit_compile`, `run_eagerly`, `steps_per_execution` and `auto_scale_loss`;
                see Keras.
        """
        optimizer = keras.optimizers.get(optimizer)
        if not isinstance(optimizer, JointOptimizer):
            if discriminator_optimizer is None:
                discriminator_optimizer = type(optimizer).from_config(optimizer.get_config())
            optimizer = JointOptimizer([optimizer, keras.optimizers.get(discriminator_optimizer)])
        optimizer.divide([player.variables for player in self.players()])
        super().compile(optimizer, **kwargs)

    # Inference.

    def call(self, inputs: Any) -> dict[str, tf.Tensor]:
        probabilities, latent = self.encode(images_of(inputs, self.event_shape))
        return {
            "probabilities": probabilities,
            "latent": latent,
            "reconstruction": self.decode(probabilities, latent),
        }

    def component_probabilities(self, latent: tf.Tensor) -> tf.Tensor:
        """Returns p(y|z), float32 `[B, K]`: Bayes' rule in the latent space, equation 18."""
        return self.generating.latent_prior().posterior_marginal(latent).probs_parameter()

    def reconstruct(self, images: np.ndarray) -> tf.Tensor:
        """Returns what the decoder makes of the inferred y and z, `[B, *event_shape]`."""
        return self.decode(*self.encode(self._check_images(images)))

    def generate(self, labels: Any, noise: tf.Tensor | None = None) -> tf.Tensor:
        """Generates examples of given components.

        Args:
            labels: int `[n]`, from 0 to K - 1.
            noise: float32 `[n, L]`, Normal(0, 1) for a sample; None or zeros for the centre.

        Returns:
            float32 `[n, *event_shape]`.
        """
        one_hot = tf.one_hot(_joint.check_classes(labels, self.num_clusters), self.num_clusters)
        latent = self.prior_mean(one_hot)
        if noise is not None:
            check_shape("noise", tuple(noise.shape), (None, self.latent_dim))
            latent += noise
        return self.decode(one_hot, latent)

    def interpolate(self, start: np.ndarray, end: np.ndarray, num_steps: int = 8) -> tf.Tensor:
        """Generates what lies between pairs of examples, along the line from (y, z) to (y, z).

        Args:
            start: float32 `[B, *event_shape]`.
            end: float32 `[B, *event_shape]`.
            num_steps: Integer >= 2, which counts both ends.

        Returns:
            float32 `[B, num_steps, *event_shape]`.
        """
        num_steps = check_integer("num_steps", num_steps, 2)
        one, other = (self.encode(self._check_images(images)) for images in (start, end))
        points = [
            _joint.between(one, other, tf.fill([len(start)], share))
            for share in np.linspace(0.0, 1.0, num_steps, dtype="float32")
        ]
        return tf.stack([self.decode(*point) for point in points], axis=1)

    def _check_images(self, images: Any) -> np.ndarray:
        return check_array("images", images, self.event_shape, *self.value_range)

    def serving_endpoints(self) -> dict[str, Endpoint]:
        return mixture_endpoints(self)

    def get_config(self) -> dict[str, Any]:
        networks = saved_parts(self, self._own_parts)
        if isinstance(self.prior, np.ndarray):
            networks["prior"] = self.prior.tolist()
        return {
            **super().get_config(),
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
    def from_config(cls, config: dict) -> "AdversarialMixture":
        return cls(**restore_parts(config, _NETWORKS))


def _mean(terms: Sequence[tf.Tensor]) -> tf.Tensor:
    return tf.add_n(terms) / len(terms)


def _share(flags: tf.Tensor) -> tf.Tensor:
    """Returns the share of true ones, a float32 scalar."""
    return tf.reduce_mean(tf.cast(flags, tf.float32))
