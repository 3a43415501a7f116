"""Convolutions without padding as products of patches, which are much faster for one channel.

A convolution whose width is a multiple of its stride sees blocks of stride x stride pixels, n x n
of them at a time. Blocks become channels, n x n shifted copies of those lie side by side, and what
is left is one matrix product. Transposed, the product comes first, and its parts are added where
they overlap. The gradient of either map is the other, and so is that of the gradient. XLA on CPU
has nothing but slow loops for convolutions of a single channel.
"""

import itertools

import keras
import tensorflow as tf


def patches(images: tf.Tensor, width: int, stride: int) -> tf.Tensor:
    """Returns what a convolution sees at each place: `[B, O, O, width * width * C]`.

    Args:
        images: `[B, S, S, C]`, S a multiple of `stride`.
        width: Integer, a multiple of `stride`.
        stride: Integer.
    """
    blocks = _space_to_depth(images, stride)  # [B, S / stride, S / stride, stride * stride * C]
    shifts, side = width // stride, blocks.shape[1] - width // stride + 1
    parts = [
        blocks[:, row : row + side, column : column + side]
        for row, column in itertools.product(range(shifts), repeat=2)
    ]
    return tf.concat(parts, axis=-1)


def from_patches(values: tf.Tensor, width: int, stride: int) -> tf.Tensor:
    """Returns images `[B, S, S, C]`, in which patches are added: the transposed map of `patches`.

    Args:
        values: `[B, O, O, width * width * C]`.
        width: Integer, a multiple of `stride`.
        stride: Integer.
    """
    shifts = width // stride
    parts = tf.split(values, shifts**2, axis=-1)
    offsets = itertools.product(range(shifts), repeat=2)
    blocks = [
        tf.pad(part, [[0, 0], *([by, shifts - 1 - by] for by in offset), [0, 0]])
        for part, offset in zip(parts, offsets, strict=True)
    ]
    return _depth_to_space(tf.add_n(blocks), stride)


def _space_to_depth(images, stride):
    return images if stride == 1 else tf.nn.space_to_depth(images, stride)


def _depth_to_space(blocks, stride):
    return blocks if stride == 1 else tf.nn.depth_to_space(blocks, stride)


def _matrix(kernel, stride):
    """Returns a kernel `[width, width, C, F]` as `[width * width * C, F]`, ordered as patches."""
    width, _, channels, filters = kernel.shape
    shape = (width // stride, stride) * 2 + (channels, filters)
    return tf.reshape(tf.transpose(tf.reshape(kernel, shape), [0, 2, 1, 3, 4, 5]), [-1, filters])


@keras.saving.register_keras_serializable("tfbind")
class PatchConv2D(keras.layers.Conv2D):
    """A convolution without padding, its width a multiple of its stride, as one product."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        width, stride = self.kernel_size[0], self.strides[0]
        seen = patches(inputs, width, stride)
        return tf.einsum("bhwi,io->bhwo", seen, _matrix(self.kernel, stride)) + self.bias


@keras.saving.register_keras_serializable("tfbind")
class PatchConv2DTranspose(keras.layers.Conv2DTranspose):
    """A transposed convolution without padding, its width a multiple of its stride, likewise."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        width, stride = self.kernel_size[0], self.strides[0]
        values = tf.einsum("bhwi,oi->bhwo", inputs, _matrix(self.kernel, stride))
        return from_patches(values, width, stride) + self.bias
