"""A model of forty lines, which the shared tests take like any other: what the next one needs."""

import keras
import numpy as np
import tensorflow as tf

from tfbind.models._base import means
from tfbind.models._batch import images_of
from tfbind.models._clustering import ClusteringModel


@keras.saving.register_keras_serializable("tfbind")
class SoftMeans(ClusteringModel):
    """Clusters examples by their distances to K centres, which gradient descent moves.

    Returns:
        A dict: `probabilities`, float32 `[B, K]`, sums to 1.

    Raises:
        ValueError: If an argument is out of its range, or data has the wrong shape.
    """

    term_weights = {"distance": 1.0}

    def __init__(self, event_shape, num_clusters=3, **kwargs):
        super().__init__(event_shape, num_clusters, **kwargs)
        shape = (num_clusters, int(np.prod(self.event_shape)))
        self.centers = self.add_weight(shape=shape, initializer="random_uniform", name="centers")
        self.trackers |= means("distance")
        self.built = True

    def distances(self, inputs):
        rows = tf.reshape(images_of(inputs, self.event_shape), [-1, 1, self.centers.shape[1]])
        return tf.reduce_sum(tf.square(rows - self.centers), axis=-1)  # [B, K]

    def call(self, inputs):
        return {"probabilities": tf.nn.softmax(-self.distances(inputs))}

    def loss_terms(self, batch, seed, training):
        distances = self.distances(batch["image"])
        p = tf.nn.softmax(-distances)
        return {"distance": tf.reduce_sum(p * distances, axis=-1), "cluster_usage": p}
