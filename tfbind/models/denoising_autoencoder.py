from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfbind import losses
from tfbind._validation import check_choice, check_integer
from tfbind.layers import mlp
from tfbind.models._base import BaseModel, means
from tfbind.models._batch import Field, images_of
from tfbind.models._endpoints import Endpoint, image_spec
from tfbind.models._parts import check_corruption, observation_of, restore_parts, run, saved_parts

# kappa ** 2 / 6 for the paper's Uniform(-kappa, kappa) / sqrt(fan_in + fan_out) initialisation,
# which is how `VarianceScaling(mode="fan_avg")` counts.
_HIDDEN_SCALE = {"relu": 2.0, "tanh": 1.0, "sigmoid": 16.0}
_OUTPUT_SCALE = 1.0 / 6.0


@keras.saving.register_keras_serializable("tfbind")
class DenoisingAutoencoder(BaseModel):
    """Learns to restore data from a noisy copy of it.

    On its own it is a feature learner; inside `ReconstructionClustering` its reconstruction
    tells which elements of an image belong together. By default it is the paper's: one fully
    connected hidden layer, a fully connected output, salt and pepper noise chosen by the caller.

    Args:
        event_shape: Tuple of ints, the shape of one example, such as (28, 28, 1) or (64,).
        encoder: Keras model from `event_shape` to a code, or None for the paper's.
        decoder: Keras model from the code to `event_shape`, logits for binary data and means for
            real-valued data; or None for the paper's, which wants a code of rank 1.
        hidden_units: Width of the paper's hidden layer; unused with an encoder of your own.
        activation: Its activation: "relu", "tanh" or "sigmoid"; unused likewise.
        corruption: A layer of `tfbind.layers` such as `SaltAndPepperNoise`, or None for no noise.
        likelihood: "bernoulli" for data in [0, 1], or "gaussian" for real-valued data with one
            learned standard deviation.

    Call arguments:
        inputs: float32 `[B, *event_shape]`, in [0, 1] if Bernoulli; or a dict with that under
            `image`. Nothing is corrupted in `call`: `fit` and `evaluate` corrupt what they feed,
            and the target is the clean data, or what they are given as `y`, like the inputs.

    Returns:
        A dict: `code`, float32 `[B, ...]`, what the encoder gives; `reconstruction`, float32
        `[B, *event_shape]`, the mean of every element, in [0, 1] if Bernoulli.

    Raises:
        ValueError: If an argument is out of its range, or data has the wrong shape or range.

    Example:

    >>> images = np.eye(16, dtype="float32")
    >>> model = tfbind.DenoisingAutoencoder((16,), hidden_units=32)
    >>> model.compile(keras.optimizers.Adam(0.01))
    >>> history = model.fit(images, epochs=50, verbose=0)
    >>> history.history["loss"][-1] < history.history["loss"][0]
    True

    References:
        Greff, Srivastava, Schmidhuber. Binding via Reconstruction Clustering. ICLR workshop,
        2016. https://arxiv.org/abs/1511.06418, section 3.1. Initialisation as in the authors'
        code: weights Uniform(+-kappa / sqrt(fan_in + fan_out)) with kappa sqrt(12) for ReLU,
        sqrt(6) for tanh, 4 sqrt(6) for logistic units and 1 for the output, biases
        Normal(0, 0.1).
    """

    learns_from = "target"
    scored_by = ("target",)
    term_weights = {"denoising_loss": 1.0}

    def __init__(
        self,
        event_shape: Sequence[int],
        *,
        encoder: keras.Model | None = None,
        decoder: keras.Model | None = None,
        hidden_units: int = 500,
        activation: str = "relu",
        corruption: keras.Layer | None = None,
        likelihood: str = "bernoulli",
        **kwargs: Any,
    ) -> None:
        hidden_units = check_integer("hidden_units", hidden_units, 1)
        check_choice("activation", activation, tuple(_HIDDEN_SCALE))
        check_choice("likelihood", likelihood, ("bernoulli", "gaussian"))
        check_corruption(corruption)
        super().__init__(event_shape, **kwargs)
        self.hidden_units = hidden_units
        self.activation = activation
        self.corruption = corruption
        self.likelihood = likelihood
        self._own_parts = {"encoder": encoder is None, "decoder": decoder is None}
        self.encoder = encoder or self._default_encoder()
        self.decoder = decoder or self._default_decoder()
        self.observation = observation_of(self, likelihood)
        self.value_range = (self.observation.low, self.observation.high)
        self.trackers |= means("denoising_loss")
        self.build((None, *self.event_shape))

    def _default_encoder(self) -> keras.Model:
        return mlp(
            {"image": self.event_shape},
            (),
            (self.hidden_units,),
            output_activation=self.activation,
            kernel_initializer=lambda: _uniform(_HIDDEN_SCALE[self.activation]),
            bias_initializer=_biases,
            name="encoder",
        )

    def _default_decoder(self) -> keras.Model:
        return mlp(
            {"code": self.encoder.output_shape[1:]},
            (),
            self.event_shape,
            kernel_initializer=lambda: _uniform(_OUTPUT_SCALE),
            bias_initializer=_biases,
            name="decoder",
        )

    def build(self, input_shape: Any = None) -> None:
        if self.corruption is not None:
            self.corruption.build(input_shape)
        self.built = True

    def compute_output_shape(self, input_shape: Any) -> dict[str, tuple]:
        code = self.encoder.compute_output_shape(input_shape)
        return {"code": code, "reconstruction": tuple(input_shape)}

    @property
    def noise_seed(self) -> int:
        return 0 if self.corruption is None else self.corruption.seed

    def encode(self, images: tf.Tensor) -> tf.Tensor:
        """Returns the code of float32 images `[B, *event_shape]`."""
        return run(self.encoder, images)

    def decode(self, code: tf.Tensor) -> tf.Tensor:
        """Returns the parameters of p(image | code), float32 `[B, *event_shape]`."""
        return tf.cast(run(self.decoder, code), tf.float32)

    def likelihood_of(self, code: tf.Tensor) -> tfp.distributions.Distribution:
        """Returns p(image | code), a TFP distribution over elements `[B, *event_shape]`."""
        return self.observation.distribution(self.decode(code))

    def reconstruct(self, images: tf.Tensor) -> tf.Tensor:
        """Returns the mean of every element given the code, `[B, *event_shape]`."""
        return self.observation.mean(self.decode(self.encode(images)))

    def call(self, inputs: Any) -> dict[str, tf.Tensor]:
        code = self.encode(images_of(inputs, self.event_shape))
        return {"code": code, "reconstruction": self.observation.mean(self.decode(code))}

    def fields(self, training: bool) -> dict[str, Field]:
        fields = super().fields(training)
        return {**fields, "target": fields["image"]._replace(title="target")}

    def denoising_loss(self, images: tf.Tensor, targets: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Returns -log p(target | corrupted image), float32 `[B]`, nats per example."""
        noisy = images if self.corruption is None else self.corruption.corrupt(images, seed)
        return losses.negative_log_likelihood(self.likelihood_of(self.encode(noisy)), targets)

    def loss_terms(self, batch: Mapping, seed: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
        """The loss is of corrupted images in evaluation too, as for the paper's early stopping."""
        images = batch["image"]
        return {"denoising_loss": self.denoising_loss(images, batch.get("target", images), seed)}

    def serving_endpoints(self) -> dict[str, Endpoint]:
        return {
            "serving_default": Endpoint(
                function=self.call,
                inputs=(image_spec(self.event_shape),),
                outputs={
                    "code": "the encoder's output",
                    "reconstruction": "mean of every element, in the range of the input",
                },
                ranges={"image": self.value_range},
            )
        }

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            **saved_parts(self, self._own_parts),
            "hidden_units": self.hidden_units,
            "activation": self.activation,
            "corruption": keras.saving.serialize_keras_object(self.corruption),
            "likelihood": self.likelihood,
        }

    @classmethod
    def from_config(cls, config: dict) -> "DenoisingAutoencoder":
        return cls(**restore_parts(config, ("encoder", "decoder", "corruption")))


def _uniform(scale: float) -> keras.initializers.Initializer:
    return keras.initializers.VarianceScaling(scale, mode="fan_avg", distribution="uniform")


def _biases() -> keras.initializers.Initializer:
    return keras.initializers.RandomNormal(stddev=0.1)
