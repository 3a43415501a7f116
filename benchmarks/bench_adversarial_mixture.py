"""The adversarial mixture: a training step against its convolutions, and the penalty's share."""

import json
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from benchmarks import _measure
from tfbind.training import presets

_EVENT_SHAPE = (28, 28, 1)
_NO_PENALTY = {"gradient_penalty": 0.0}


class _Convolution(NamedTuple):
    """A convolution of images of `side` pixels, without padding.

    To a single pixel it is a matrix product, and pixels are `[B, channels]`, as in the networks.
    """

    kernel: tf.Tensor  # [width, width, channels, filters]
    stride: int
    side: int

    @property
    def outputs(self):
        return (self.side - self.kernel.shape[0]) // self.stride + 1

    @property
    def to_pixel(self):
        return self.outputs == 1

    @property
    def matrix(self):
        return tf.reshape(self.kernel, [-1, self.kernel.shape[-1]])

    def forward(self, images):
        if self.to_pixel:
            return tf.reshape(images, [images.shape[0], -1]) @ self.matrix
        return tf.nn.conv2d(images, self.kernel, self.stride, "VALID")

    def to_images(self, gradient):
        """The gradient of the images; where the convolution is transposed, the way forward."""
        shape = [gradient.shape[0], self.side, self.side, self.kernel.shape[2]]
        if self.to_pixel:
            return tf.reshape(tf.matmul(gradient, self.matrix, transpose_b=True), shape)
        return tf.nn.conv2d_transpose(gradient, self.kernel, shape, self.stride, "VALID")

    def to_kernel(self, images, gradient):
        if self.to_pixel:
            return tf.matmul(tf.reshape(images, [images.shape[0], -1]), gradient, transpose_a=True)
        return tf.raw_ops.Conv2DBackpropFilter(
            input=images,
            filter_sizes=self.kernel.shape,
            out_backprop=gradient,
            strides=[1, self.stride, self.stride, 1],
            padding="VALID",
        )


def run(changes=None, batch_size=100, rounds=5):
    """Returns the rows: memory of a step, convolutions over step, what XLA and the penalty change.

    Args:
        changes: Settings that differ from those of the preset `amm-mnist`, as a dict.
        batch_size: Images in a step.
        rounds: Of all steps.
    """
    preset = presets.get("amm-mnist").changed(**(changes or {}))
    without_penalty = preset.changed(**_NO_PENALTY)
    before = _measure.peak_megabytes()
    step = _step(preset, batch_size)
    step()
    memory = _measure.peak_megabytes() - before  # so this comes first: peaks only ever grow
    model = preset.build(_EVENT_SHAPE)
    sides = {
        "convolutions": _convolutions(model, batch_size),
        "convolutions_without_xla": _convolutions(model, batch_size, jit_compile=False),
        "step": step,
        "step_without_xla": _step(preset, batch_size, jit_compile=False),
        "no_penalty": _step(without_penalty, batch_size),
        "no_penalty_without_xla": _step(without_penalty, batch_size, jit_compile=False),
    }
    times = _measure.interleaved(sides, rounds)
    gigaflops = _gigaflops(model, batch_size)

    def compare(over, under, **more):
        name = f"adversarial_mixture_{over}_over_{under}"
        return _measure.compare(name, times, over, under, **more)

    rows = [
        _measure.step_memory("adversarial_mixture", model, memory),
        compare("step", "step_without_xla"),
    ]
    for way in ("", "_without_xla"):
        rows += [
            compare(
                f"convolutions{way}",
                f"step{way}",
                images_per_second=batch_size / times[f"step{way}"].seconds,
                convolutions_gigaflops_a_second=gigaflops / times[f"convolutions{way}"].seconds,
            ),
            compare(f"step{way}", f"no_penalty{way}"),
        ]
    return rows


def _step(preset, batch_size, jit_compile=True):
    """Returns a function that trains on one batch as `fit` does, optimiser and metrics included."""
    model = preset.build(_EVENT_SHAPE)
    model.compile(model.optimizer, jit_compile=jit_compile)
    images = tf.constant(np.random.default_rng(0).random((batch_size, *_EVENT_SHAPE)), tf.float32)
    return lambda: model.train_on_batch(images)


def _layers(model):
    """Returns the convolutions from an image to a pixel, with random kernels.

    Encoders and discriminator have the same, and the decoder's paths do them the other way round.
    """
    layers = {
        layer.output.shape[1]: layer
        for layer in model.decoder.layers
        if isinstance(layer, keras.layers.Conv2DTranspose)
    }
    return [
        _Convolution(_random(layer.kernel.shape), layer.strides[0], side)
        for side, layer in sorted(layers.items(), reverse=True)
    ]


def _convolutions(model, batch_size, jit_compile=True):
    """Returns a function that does the convolutions of one training step, no more.

    Both encoders go there and back, and so do both paths of the decoder, the other way round. The
    discriminator sees twice as many images and goes back twice, for its own loss and for the other
    side's. The penalty goes there, back to the image for the gradient, and there once more for the
    slope of its norm. All that comes out is returned, so that nothing can be left out.
    """
    *paths, discriminator = (_layers(model) for _ in range(5))
    images = _random((2 * batch_size, *_EVENT_SHAPE))
    pixels, others = (
        _random((2 * batch_size, discriminator[-1].kernel.shape[-1])) for _ in range(2)
    )

    @tf.function(jit_compile=jit_compile)
    def convolutions(paths, discriminator, images, pixels, others):
        image, point = tf.split(images, 2)
        pixel, _ = tf.split(pixels, 2)
        found = []
        for number, path in enumerate(paths):
            found += _there_and_back(path, image, pixel, to_image=number >= 2)
        found += _there_and_back(discriminator, images, pixels, to_image=False)
        found.append(_back(discriminator, others)[0])
        found.append(_there(discriminator, point)[-1])
        return found + _there_and_back(discriminator, image, pixel)

    arguments = paths, discriminator, images, pixels, others
    return lambda: convolutions(*arguments)[0].numpy()


def _gigaflops(model, batch_size):
    """Returns how much `_convolutions` does."""
    products = [int(np.prod(layer.kernel.shape)) * layer.outputs**2 for layer in _layers(model)]
    times = 2 * 3 + 2 * 3 + 2 * 4 + 4
    to_images = 2 + 2  # of the encoders and the discriminator's own loss, which nobody needs
    return 2e-9 * batch_size * (times * sum(products) - to_images * products[0])


def _there(layers, images):
    tensors = [images]
    for layer in layers:
        tensors.append(layer.forward(tensors[-1]))
    return tensors


def _back(layers, pixels):
    tensors = [pixels]
    for layer in reversed(layers):
        tensors.append(layer.to_images(tensors[-1]))
    return tensors[::-1]


def _there_and_back(layers, images, pixels, to_image=True):
    """Returns the gradients of all kernels, and both ends."""
    forward = _there(layers, images)
    back = _back(layers[0 if to_image else 1 :], pixels)
    ends = zip(layers, forward[:-1], back[-len(layers) :], strict=True)
    return [forward[-1], back[0], *(layer.to_kernel(*tensors) for layer, *tensors in ends)]


def _random(shape):
    return tf.random.normal(shape) / np.prod(shape[:-1]) ** 0.5  # neither overflows nor vanishes


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
