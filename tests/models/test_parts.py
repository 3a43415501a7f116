"""What a model is made of: networks that run in the mode of the step."""

import keras
import numpy as np
import tensorflow as tf

from tfbind.models._parts import run

from .adversarial_toys import COMPONENTS, IMAGES, SHAPE, make


@keras.saving.register_keras_serializable("test")
class Frozen(keras.layers.Layer):
    """Calls what is inside as in inference, as one does with a network trained elsewhere."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inside = keras.layers.BatchNormalization()

    def build(self, input_shape):
        self.inside.build(input_shape)

    def call(self, inputs):
        return self.inside(inputs, training=False)


def test_a_mode_of_its_own_ends_with_a_part():
    model = make()
    frozen, dropped = Frozen(), keras.layers.Dropout(0.5)
    ones = tf.ones([4, 100])
    for training in (True, False):
        with model._running(training):
            run(frozen, ones)
            run(dropped, ones, training=not training)
            assert bool(tf.reduce_any(run(dropped, ones) == 0.0)) == training
    assert (run(dropped, ones, training=True).numpy() == 0.0).any()
    assert (run(dropped, ones).numpy() == 1.0).all()


def test_networks_after_a_frozen_one_still_train():
    image = keras.layers.Input(SHAPE)
    hidden = keras.layers.Dense(2 * COMPONENTS)(Frozen()(image))
    model = make(class_encoder=keras.Model(image, hidden))
    model.compile("sgd", run_eagerly=True)
    before = [variable.numpy() for variable in model.decoder.non_trainable_variables]
    model.train_on_batch(IMAGES)
    moved = [variable.numpy() for variable in model.decoder.non_trainable_variables]
    assert all((a != b).any() for a, b in zip(before, moved, strict=True))
    statistics = model.class_encoder.non_trainable_variables
    assert [np.unique(variable).tolist() for variable in statistics] == [[0.0], [1.0]]
    model.evaluate(IMAGES, verbose=0)
    for variable, value in zip(model.decoder.non_trainable_variables, moved, strict=True):
        np.testing.assert_array_equal(variable, value)
