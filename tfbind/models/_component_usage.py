import keras
import tensorflow as tf

_FEWEST = 0.1  # share of its prior probability that a component in use gets at least


class ComponentUsage(keras.metrics.Metric):
    """How examples spread over the components: `marginal_entropy` and `used_clusters`.

    The entropy, in nats, is that of the mean of the inferred y, log K at most. A component is in
    use if it is the most probable one of at least a tenth of the examples that its prior
    probability promises. Both fall when the mixture collapses.
    """

    def __init__(self, probabilities, **kwargs):
        super().__init__(name="component_usage", **kwargs)
        self.probabilities = probabilities
        shape = (len(probabilities),)
        self.total = self.add_variable(shape, initializer="zeros", name="total")
        self.counts = self.add_variable(shape, initializer="zeros", name="counts")

    def update_state(self, labels):
        best = tf.one_hot(tf.argmax(labels, axis=-1), len(self.probabilities))
        self.total.assign_add(tf.reduce_sum(labels, axis=0))
        self.counts.assign_add(tf.reduce_sum(best, axis=0))

    def result(self):
        share = self.total / tf.maximum(tf.reduce_sum(self.total), 1.0)
        fewest = _FEWEST * self.probabilities * tf.reduce_sum(self.counts)
        used = tf.logical_and(self.counts > 0.0, self.counts >= fewest)
        return {
            "marginal_entropy": -tf.reduce_sum(tf.math.xlogy(share, share)),
            "used_clusters": tf.reduce_sum(tf.cast(used, tf.float32)),
        }
