from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

_FEWEST = 0.1  # share of its prior probability that a cluster in use gets at least


@keras.saving.register_keras_serializable("tfbind")
class ClusterUsage(keras.metrics.Metric):
    """How examples spread over the clusters: `marginal_entropy` and `used_clusters`.

    Watch it in every training without labels: both fall when a clustering collapses, and the
    entropy falls a little when it merges two classes.

    Args:
        prior: K positive numbers that sum to 1, the share of each cluster to expect; or an
            integer K, for equal shares.
        name: Name of the metric.

    Call arguments:
        probabilities: float `[B, K]`, of each cluster, sums to 1.
        sample_weight: Ignored: an example is in its cluster whatever its weight.

    Returns:
        A dict of float32 scalars. `marginal_entropy`, in nats, is that of the mean of the
        probabilities, log K at most. `used_clusters` counts those that are the most probable one
        of at least a tenth of the examples that their prior promises.

    Example:

    >>> usage = tfbind.metrics.ClusterUsage(2)
    >>> usage.update_state([[1.0, 0.0], [1.0, 0.0]])
    >>> {name: float(value) for name, value in usage.result().items()}
    {'marginal_entropy': -0.0, 'used_clusters': 1.0}
    """

    def __init__(
        self, prior: int | np.ndarray | Sequence[float], *, name: str = "cluster_usage"
    ) -> None:
        super().__init__(name=name)
        shares = np.full(prior, 1.0 / prior) if isinstance(prior, int) else prior
        self.prior = np.asarray(shares, "float32")
        shape = self.prior.shape
        self.total = self.add_variable(shape, initializer="zeros", name="total")
        self.counts = self.add_variable(shape, initializer="zeros", name="counts")

    def update_state(self, probabilities: tf.Tensor, sample_weight: None = None) -> None:
        """Adds a batch."""
        probabilities = tf.convert_to_tensor(probabilities, tf.float32)
        best = tf.one_hot(tf.argmax(probabilities, axis=-1), len(self.prior))
        self.total.assign_add(tf.reduce_sum(probabilities, axis=0))
        self.counts.assign_add(tf.reduce_sum(best, axis=0))

    def result(self) -> dict[str, tf.Tensor]:
        share = self.total / tf.maximum(tf.reduce_sum(self.total), 1.0)
        fewest = _FEWEST * self.prior * tf.reduce_sum(self.counts)
        used = tf.logical_and(self.counts > 0.0, self.counts >= fewest)
        return {
            "marginal_entropy": -tf.reduce_sum(tf.math.xlogy(share, share)),
            "used_clusters": tf.reduce_sum(tf.cast(used, tf.float32)),
        }

    def get_config(self) -> dict:
        return {"prior": self.prior.tolist(), "name": self.name}
