import keras
import numpy as np
import tensorflow as tf

from tfbind import losses
from tfbind._validation import check_choice, check_integer, check_shape
from tfbind.distributions import BernoulliObservation, GaussianObservation
from tfbind.models._base import Endpoint, EventModel, check_corruption

# kappa ** 2 / 6 for the paper's Uniform(-kappa, kappa) / sqrt(fan_in + fan_out) initialisation,
# which is how `VarianceScaling(mode="fan_avg")` counts.
_HIDDEN_SCALE = {"relu": 2.0, "tanh": 1.0, "sigmoid": 16.0}
_OUTPUT_SCALE = 1.0 / 6.0


@keras.saving.register_keras_serializable("tfbind")
class DenoisingAutoencoder(EventModel):
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
        inputs: float32 `[B, *event_shape]`, in [0, 1] if Bernoulli. Nothing is corrupted in
            `call`: `fit` and `evaluate` corrupt what they feed, and the target is the clean data.

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

    def __init__(
        self,
        event_shape,
        *,
        encoder=None,
        decoder=None,
        hidden_units=500,
        activation="relu",
        corruption=None,
        likelihood="bernoulli",
        **kwargs,
    ):
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
        if likelihood == "bernoulli":
            self.observation = BernoulliObservation()
        else:
            scale = self.add_weight(shape=(), initializer="zeros", name="untransformed_scale")
            self.observation = GaussianObservation(scale)
        self.value_range = (self.observation.low, self.observation.high)
        self.built = True  # both halves are Keras models with weights already

    def _default_encoder(self):
        layers = [
            keras.layers.Input(self.event_shape),
            keras.layers.Flatten(),
            keras.layers.Dense(
                self.hidden_units,
                self.activation,
                kernel_initializer=_uniform(_HIDDEN_SCALE[self.activation]),
                bias_initializer=keras.initializers.RandomNormal(stddev=0.1),
            ),
        ]
        return keras.Sequential(layers, name="encoder")

    def _default_decoder(self):
        layers = [
            keras.layers.Input(self.encoder.output_shape[1:]),
            keras.layers.Dense(
                int(np.prod(self.event_shape)),
                kernel_initializer=_uniform(_OUTPUT_SCALE),
                bias_initializer=keras.initializers.RandomNormal(stddev=0.1),
            ),
            keras.layers.Reshape(self.event_shape),
        ]
        return keras.Sequential(layers, name="decoder")

    def build(self, input_shape=None):
        self.built = True

    def encode(self, images):
        """Returns the code of float32 images `[B, *event_shape]`."""
        return self.encoder(images)

    def likelihood_of(self, code):
        """Returns p(image | code), a TFP distribution over elements `[B, *event_shape]`."""
        return self.observation.distribution(self.decoder(code))

    def reconstruct(self, images):
        """Returns the mean of every element given the code, `[B, *event_shape]`."""
        return self.observation.mean(self.decoder(self.encoder(images)))

    def call(self, inputs):
        check_shape("images", tuple(inputs.shape), (None, *self.event_shape))
        code = self.encode(inputs)
        return {"code": code, "reconstruction": self.observation.mean(self.decoder(code))}

    def denoising_loss(self, images, targets, seed):
        """Returns -log p(target | corrupted image), float32 `[B]`, nats per example."""
        noisy = images if self.corruption is None else self.corruption.corrupt(images, seed)
        return losses.negative_log_likelihood(self.likelihood_of(self.encode(noisy)), targets)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        # The loss looks at corrupted images in evaluation too, as the paper's early stopping
        # does, so `y_pred` goes unused and the compiler removes the pass that made it.
        seed = self.corruption.seed if self.corruption is not None else 0
        per_example = self.denoising_loss(x, x if y is None else y, self.step_seed(seed, training))
        return losses.batch_mean(per_example, sample_weight)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return self.get_metrics_result()

    def serving_endpoints(self):
        image = tf.TensorSpec([None, *self.event_shape], tf.float32, name="image")
        return {
            "serving_default": Endpoint(
                function=self.call,
                inputs=(image,),
                outputs={
                    "code": "the encoder's output",
                    "reconstruction": "mean of every element, in the range of the input",
                },
                ranges={"image": self.value_range},
            )
        }

    def get_config(self):
        return {
            **super().get_config(),
            **{
                part: None if own else keras.saving.serialize_keras_object(getattr(self, part))
                for part, own in self._own_parts.items()
            },
            "hidden_units": self.hidden_units,
            "activation": self.activation,
            "corruption": keras.saving.serialize_keras_object(self.corruption),
            "likelihood": self.likelihood,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        for key in ("encoder", "decoder", "corruption"):
            config[key] = keras.saving.deserialize_keras_object(config[key])
        return cls(**config)


def _uniform(scale):
    return keras.initializers.VarianceScaling(scale, mode="fan_avg", distribution="uniform")
