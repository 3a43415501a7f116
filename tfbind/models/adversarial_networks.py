"""The networks of the adversarial mixture: the paper's for MNIST and SVHN, and others.

Each function returns the five parts as a dict, for the model to take::

    networks = tfbind.models.adversarial_networks.mnist_networks(10, 64)
    model = tfbind.AdversarialMixture((28, 28, 1), 10, 64, **networks)

The convolutions are those of the paper's tables, all without padding, so that images shrink to
exactly one pixel and grow back to their size; the layers of the discriminator that join x, y and z
are lost there, and are ours. Where the tables leave the place of dropout open, it comes after
the convolution. There is no batch normalisation in the discriminator, whose gradient is penalised
example by example.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import keras

from tfbind._validation import check_choice, check_integer, check_number
from tfbind.layers.mlp import mlp
from tfbind.models._patch_convolutions import PatchConv2D, PatchConv2DTranspose
from tfbind.models._quick_layers import Dropout, EveryClass, Mixture, PixelConv2DTranspose

FACTORIZATIONS = ("class_first", "latent_first", "independent")

# Keras' 1e-3 is above the variance of the first layers at their initial weights of 0.02
_EPSILON = 1e-5


class _Design(NamedTuple):
    """What convolutional networks differ in."""

    event_shape: tuple
    convolutions: tuple  # channels, width and stride, from the image to a single pixel
    prior_units: tuple  # of the hidden layers of the prior
    units: int  # of the discriminator's dense layers on y and on z
    joint_units: int  # of its layers on all three


_MNIST = _Design(
    event_shape=(28, 28, 1),
    convolutions=((16, 2, 1), (32, 3, 2), (64, 3, 2), (64, 3, 1), (128, 4, 1)),
    prior_units=(64, 64),
    units=64,
    joint_units=256,
)
_SVHN = _Design(
    event_shape=(32, 32, 3),
    convolutions=((16, 2, 1), (128, 3, 2), (128, 3, 1), (256, 3, 2), (256, 3, 1), (512, 4, 1)),
    prior_units=(),
    units=512,
    joint_units=1024,
)


def mnist_networks(
    num_clusters: int,
    latent_dim: int,
    factorization: str = "class_first",
    dropout: float = 0.2,
    *,
    discriminator_initializer: str | None = None,
) -> dict[str, keras.Model]:
    """Returns the paper's networks for 28x28 grey images.

    Whichever of y and z is drawn first has a path of its own, and the path of the other adds the
    layers of the first to its own. "latent_first" is the wiring of the paper's tables, in which
    y sees the layers on the way to z but not z itself; in "class_first" the path of z takes y
    too.

    Args:
        num_clusters: Integer K >= 2.
        latent_dim: Integer L >= 1.
        factorization: The model's: "class_first", "latent_first" or "independent".
        dropout: Float in [0, 0.9].
        discriminator_initializer: Name of the Keras initializer of the discriminator's kernels;
            None for the paper's, a normal distribution of deviation 0.02, as in all others.
            Nothing normalises the layers of a discriminator, so that with the paper's it starts out
            flat, and was seen to judge x for thousands of steps before it minded how y fits. That
            suits the search for clusters; labels want "he_normal", to be heard from the start.

    Returns:
        A dict: `class_encoder`, `latent_encoder`, `prior`, `decoder`, `discriminator`.

    Example:

    >>> networks = tfbind.models.adversarial_networks.mnist_networks(10, 64)
    >>> networks["decoder"].output_shape
    (None, 28, 28, 1)
    """
    return _image_networks(
        _MNIST, num_clusters, latent_dim, factorization, dropout, discriminator_initializer
    )


def svhn_networks(
    num_clusters: int,
    latent_dim: int,
    factorization: str = "class_first",
    dropout: float = 0.0,
    *,
    discriminator_initializer: str | None = None,
) -> dict[str, keras.Model]:
    """Returns the paper's networks for 32x32 colour images; see `mnist_networks`."""
    return _image_networks(
        _SVHN, num_clusters, latent_dim, factorization, dropout, discriminator_initializer
    )


def convolutional_networks(
    event_shape: tuple[int, ...],
    num_clusters: int,
    latent_dim: int,
    convolutions: Sequence[tuple[int, int, int]],
    factorization: str = "class_first",
    dropout: float = 0.0,
    *,
    prior_units: tuple[int, ...] = (64, 64),
    units: int = 64,
    joint_units: int = 256,
    discriminator_initializer: str | None = None,
) -> dict[str, keras.Model]:
    """Returns networks like the paper's for images of any size; see `mnist_networks`.

    Args:
        event_shape: (height, width, channels) of an image, as high as wide.
        num_clusters: Integer K >= 2.
        latent_dim: Integer L >= 1.
        convolutions: Channels, width and stride of each, which bring an image to a single pixel:
            one of width w and stride s leaves (size - w) / s + 1 pixels a side, a whole number.
        factorization: The model's: "class_first", "latent_first" or "independent".
        dropout: Float in [0, 0.9].
        prior_units: Widths of the hidden layers of the prior.
        units: Width of the discriminator's layers on y and on z.
        joint_units: Width of its layers on all three.
        discriminator_initializer: As in `mnist_networks`.

    Returns:
        A dict: `class_encoder`, `latent_encoder`, `prior`, `decoder`, `discriminator`.

    Raises:
        ValueError: If an argument is out of its range, or the convolutions do not fit the image.

    Example:

    >>> convolutions = ((16, 4, 2), (32, 3, 2), (128, 6, 1))  # 28, 13, 6, 1 pixels a side
    >>> networks = tfbind.models.adversarial_networks.convolutional_networks(
    ...     (28, 28, 1), 10, 16, convolutions
    ... )
    >>> networks["decoder"].output_shape
    (None, 28, 28, 1)
    """
    height, width, _ = event_shape
    size = height
    for _, window, stride in convolutions:
        rest = (size - window) % stride if size >= window else 1
        size = 0 if rest else (size - window) // stride + 1
    if height != width or size != 1:
        raise ValueError(
            "`convolutions` must bring a square image to a single pixel, and leave no pixel over. "
            f"Received: convolutions={tuple(convolutions)} for {height} x {width} pixels."
        )
    design = _Design(event_shape, tuple(convolutions), prior_units, units, joint_units)
    return _image_networks(
        design, num_clusters, latent_dim, factorization, dropout, discriminator_initializer
    )


def dense_networks(
    event_shape: tuple[int, ...],
    num_clusters: int,
    latent_dim: int,
    factorization: str = "class_first",
    hidden_units: Sequence[int] = (256, 256),
    output_activation: str = "sigmoid",
) -> dict[str, keras.Model]:
    """Returns dense networks for examples of any shape, such as tabular data; not the paper's.

    Args:
        event_shape: Tuple of ints, the shape of one example.
        num_clusters: Integer K >= 2.
        latent_dim: Integer L >= 1.
        factorization: The model's: "class_first", "latent_first" or "independent".
        hidden_units: Widths of the hidden layers of every network but the prior, which is linear.
        output_activation: Of the decoder: "sigmoid" for data in [0, 1], "linear" for other data.

    Returns:
        A dict: `class_encoder`, `latent_encoder`, `prior`, `decoder`, `discriminator`.

    Example:

    >>> networks = tfbind.models.adversarial_networks.dense_networks((4,), 3, 2)
    >>> networks["discriminator"].output_shape
    (None, 1)
    """
    num_clusters = check_integer("num_clusters", num_clusters, 2)
    latent_dim = check_integer("latent_dim", latent_dim, 1)
    check_choice("factorization", factorization, FACTORIZATIONS)
    shapes = {"image": event_shape, "label": (num_clusters,), "latent": (latent_dim,)}
    seen = {
        "class_encoder": ["image", "latent"][: 2 if factorization == "latent_first" else 1],
        "latent_encoder": ["image", "label"][: 2 if factorization == "class_first" else 1],
        "decoder": ["label", "latent"],
        "discriminator": ["image", "label", "latent"],
    }
    dense = keras.layers.Dense
    outputs = {
        "class_encoder": dense(2 * num_clusters),
        "latent_encoder": dense(2 * latent_dim),
        "decoder": _shaped(dense(math.prod(event_shape), output_activation), event_shape),
        "discriminator": dense(1),
    }
    networks = {
        name: mlp(
            {key: shapes[key] for key in seen[name]},
            hidden_units,
            output,
            activation="leaky_relu",
            normalization=None if name == "discriminator" else _normalization,
            name=name,
        )
        for name, output in outputs.items()
    }
    return networks | {"prior": _prior(num_clusters, latent_dim, (), 0.0)}


def _image_networks(
    design, num_clusters, latent_dim, factorization, dropout, discriminator_initializer
):
    num_clusters = check_integer("num_clusters", num_clusters, 2)
    latent_dim = check_integer("latent_dim", latent_dim, 1)
    check_choice("factorization", factorization, FACTORIZATIONS)
    dropout = check_number("dropout", dropout, 0, 0.9)
    sizes = {"class_encoder": num_clusters, "latent_encoder": latent_dim}
    first, second = sizes if factorization != "latent_first" else reversed(sizes)
    if factorization == "independent":
        networks = {name: _path(design, name, size, dropout) for name, size in sizes.items()}
    else:
        networks = {first: _path(design, first, sizes[first], dropout, shows_layers=True)}
        networks[second] = _path(
            design,
            second,
            sizes[second],
            dropout,
            added=networks[first].output_shape[1:],
            drawn=sizes[first],
            sees_drawn=factorization == "class_first",
        )
    return networks | {
        "prior": _prior(num_clusters, latent_dim, design.prior_units, dropout),
        "decoder": _decoder(design, num_clusters, latent_dim, dropout),
        "discriminator": _discriminator(
            design, num_clusters, latent_dim, dropout, discriminator_initializer
        ),
    }


def _path(
    design, name, size, dropout, *, shows_layers=False, added=(), drawn=None, sees_drawn=False
):
    """A path from an image to the means and log-variances of y or z.

    Args:
        design: `_Design`.
        name: Of the network.
        size: Integer, components or dimensions.
        dropout: Float.
        shows_layers: Whether the convolutions are outputs too.
        added: Their shapes in the other network, where they are inputs of this one.
        drawn: Size of what was drawn before, an input too, or None.
        sees_drawn: Whether the last layer takes that in.
    """
    hidden = image = keras.layers.Input(design.event_shape, name="image")
    others = [keras.layers.Input(shape[1:]) for shape in added]
    sample = None if drawn is None else keras.layers.Input((drawn,), name="sample")
    own = []
    for index, convolution in enumerate(design.convolutions):
        hidden = _convolution(hidden, convolution, dropout)
        own.append(hidden)
        terms = [hidden, *others[index : index + 1]]
        if sees_drawn and convolution is design.convolutions[-1]:
            terms.append(_dense(hidden.shape[-1])(sample))
        hidden = _normalized(keras.layers.Add()(terms) if len(terms) > 1 else hidden)
    parameters = _dense(2 * size)(hidden)
    inputs = image if sample is None else [image, sample, *others]
    return keras.Model(inputs, [parameters, *own] if shows_layers else parameters, name=name)


def _prior(num_clusters, latent_dim, units, dropout):
    """From one-hot y to the mean of p(z|y)."""
    hidden = label = keras.layers.Input((num_clusters,), name="label")
    for index, size in enumerate(units):
        hidden = _dense(size)(hidden)
        hidden = _normalized(_dropped(hidden, dropout) if index else hidden)
    return keras.Model(label, _dense(latent_dim)(hidden), name="prior")


def _decoder(design, num_clusters, latent_dim, dropout):
    """From y and z to an image, through the convolutions of `_path` the other way round.

    The path of y is linear, and every layer of it is added to that of z. Where nothing is dropped
    at random it is the mixture, by y, of what the K components give, which are few.
    """
    label = keras.layers.Input((num_clusters,), name="label")
    latent = keras.layers.Input((latent_dim,), name="latent")
    channels, widths, strides = zip(*reversed(design.convolutions), strict=True)
    channels = (*channels, design.event_shape[-1])
    hidden, linear = (
        keras.layers.Reshape((1, 1, channels[0]))(_dense(channels[0])(tensor))
        for tensor in (latent, label if dropout else EveryClass()(label))
    )

    def with_linear():
        return keras.layers.Add()([hidden, linear if dropout else Mixture()([label, linear])])

    for index, convolution in enumerate(zip(channels[1:], widths, strides, strict=True)):
        rate = dropout if index < len(widths) - 1 else 0.0  # which would blacken pixels
        hidden = _normalized(with_linear())
        hidden = _transposed(hidden, convolution, rate)
        linear = _transposed(linear, convolution, rate)
    image = keras.layers.Activation("sigmoid")(with_linear())
    return keras.Model([label, latent], image, name="decoder")


def _discriminator(design, num_clusters, latent_dim, dropout, initializer):
    """From x, y and z to the logit of its having been inferred."""
    inputs = [
        keras.layers.Input(shape, name=name)
        for name, shape in (
            ("image", design.event_shape),
            ("label", (num_clusters,)),
            ("latent", (latent_dim,)),
        )
    ]
    hidden, *others = inputs
    for convolution in design.convolutions:
        hidden = _leaky(_convolution(hidden, convolution, dropout, initializer))
    parts = [hidden]
    for other in others:
        for _ in range(2):
            other = _dense(design.units, initializer)(other)
            other = _leaky(_dropped(other, dropout))
        parts.append(other)
    joint = keras.layers.Concatenate()(parts)
    for _ in range(2):
        joint = _leaky(_dense(design.joint_units, initializer)(joint))
    return keras.Model(inputs, _dense(1, initializer)(joint), name="discriminator")


def _convolution(tensor, convolution, dropout, initializer=None):
    channels, width, stride = convolution
    if tensor.shape[1] == width:  # the last one, which is a matrix product
        tensor = _dense(channels, initializer)(keras.layers.Flatten()(tensor))
    else:
        quick = tensor.shape[-1] == 1 and width % stride == 0
        kind = PatchConv2D if quick else keras.layers.Conv2D
        tensor = kind(*convolution, kernel_initializer=_kernels(initializer))(tensor)
    return _dropped(tensor, dropout)


def _transposed(tensor, convolution, dropout):
    channels, width, stride = convolution
    kind = keras.layers.Conv2DTranspose
    if tensor.shape[1] == 1:
        kind = PixelConv2DTranspose
    elif channels == 1 and width % stride == 0:
        kind = PatchConv2DTranspose
    return _dropped(kind(*convolution, kernel_initializer=_kernels())(tensor), dropout)


def _dense(units, initializer=None):
    return keras.layers.Dense(units, kernel_initializer=_kernels(initializer))


def _kernels(initializer=None):
    return keras.initializers.RandomNormal(stddev=0.02) if initializer is None else initializer


def _dropped(tensor, rate):
    return Dropout(rate)(tensor) if rate else tensor


def _normalized(tensor):
    return _leaky(_normalization()(tensor))


def _normalization():
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=_EPSILON)


def _shaped(layer, shape):
    return lambda tensor: keras.layers.Reshape(shape)(layer(tensor))


def _leaky(tensor):
    return keras.layers.LeakyReLU(0.2)(tensor)
