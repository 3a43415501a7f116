"""Convolutions as products against TensorFlow's own: values, gradients, and gradients of those."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbind.models._patch_convolutions import (
    PatchConv2D,
    PatchConv2DTranspose,
    from_patches,
    patches,
)

SHAPES = [(6, 2, 1, 1), (8, 4, 2, 1), (9, 3, 3, 1), (8, 4, 2, 3), (5, 5, 1, 2), (6, 6, 2, 1)]
LAYERS = {PatchConv2D: keras.layers.Conv2D, PatchConv2DTranspose: keras.layers.Conv2DTranspose}


def draw(*shape, seed=0):
    return tf.constant(np.random.default_rng(seed).standard_normal(shape), tf.float32)


def sides(kind, size, width, stride):
    """Returns the pixels a side of what goes in."""
    return size if kind is PatchConv2D else (size - width) // stride + 1


@pytest.mark.parametrize(("size", "width", "stride", "channels"), SHAPES)
def test_patches_are_what_tensorflow_extracts(size, width, stride, channels):
    images = draw(2, size, size, channels)
    found = patches(images, width, stride)
    sizes, strides = [1, width, width, 1], [1, stride, stride, 1]
    expected = tf.image.extract_patches(images, sizes, strides, [1] * 4, "VALID")
    np.testing.assert_array_equal(np.sort(found, axis=-1), np.sort(expected, axis=-1))


@pytest.mark.parametrize(("size", "width", "stride", "channels"), SHAPES)
def test_from_patches_is_the_transposed_map(size, width, stride, channels):
    """<patches(x), v> = <x, from_patches(v)> for all x and v, which defines it."""
    images = tf.cast(draw(2, size, size, channels), tf.float64)
    seen = patches(images, width, stride)
    values = tf.cast(draw(*seen.shape, seed=1), tf.float64)
    back = from_patches(values, width, stride)
    assert back.shape == images.shape
    np.testing.assert_allclose(tf.reduce_sum(seen * values), tf.reduce_sum(images * back))


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize(("size", "width", "stride", "channels"), SHAPES[:4])
def test_values_gradients_and_the_gradient_of_a_penalty(
    kind, size, width, stride, channels, jit_compile
):
    """As the penalty of the adversarial mixture is made: of the gradient of what goes in."""
    side = sides(kind, size, width, stride)
    inputs = draw(3, side, side, channels if kind is PatchConv2D else 4)
    filters = 4 if kind is PatchConv2D else channels
    found, expected = (
        results(made(filters, width, stride), inputs, jit_compile) for made in (kind, LAYERS[kind])
    )
    for value, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(value, other, rtol=1e-4, atol=1e-4 * np.abs(other).max())


def results(layer, inputs, jit_compile):
    """Returns the outputs, the penalty, and its gradients and those of the outputs."""
    layer.build(inputs.shape)
    layer.set_weights([draw(*w.shape, seed=2) for w in layer.weights])
    variables = [w.value for w in layer.weights]

    @tf.function(jit_compile=jit_compile)
    def both(inputs):
        with tf.GradientTape(persistent=True) as outer:
            outer.watch(inputs)
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                outputs = layer(inputs)
                value = tf.reduce_sum(tf.sin(outputs))
            penalty = tf.reduce_sum(tape.gradient(value, inputs) ** 3)
        sources = [inputs, *variables]
        return outputs, penalty, outer.gradient(value, sources), outer.gradient(penalty, sources)

    return tf.nest.flatten(both(inputs))


@pytest.mark.parametrize("kind", LAYERS)
def test_saving_and_mixed_precision(kind, tmp_path):
    side = sides(kind, 8, 4, 2)
    layer = kind(5, 4, 2, dtype="mixed_bfloat16")
    model = keras.Sequential([keras.layers.Input((side, side, 1)), layer])
    images = draw(2, side, side, 1)
    outputs = model(images)
    assert outputs.dtype == tf.bfloat16
    assert outputs.shape == layer.compute_output_shape(images.shape)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(again.layers[0], kind)
    np.testing.assert_array_equal(again(images), outputs)
