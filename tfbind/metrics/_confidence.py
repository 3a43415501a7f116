import keras
import numpy as np
import tensorflow as tf

from tfbind.metrics._mean_over_images import MeanOverImages


@keras.saving.register_keras_serializable("tfbind")
class Confidence(MeanOverImages):
    """Mean over images of how decided the assignments of the scored pixels are.

    An image's confidence is the mean over its scored pixels of the largest assignment. Report it
    beside AMI: assignments that collapse towards 1 / K can still score well by their argmax.
    Images without a scored pixel are left out. Before any image the result is 0.

    Args:
        name: Name of the metric.
        dtype: Dtype of the mean.

    Call arguments:
        y_true: Integer `[B, ...]`, true group of each pixel; 0 is not scored.
        y_pred: float `[B, K, ...]`, assignments to K groups, summing to 1 over K.
        sample_weight: float `[B]` or None.

    Returns:
        float32 scalar in [1 / K, 1].

    Raises:
        ValueError: If a shape does not fit.

    Example:

    >>> metric = tfbind.metrics.Confidence()
    >>> metric.update_state([[0, 1, 2]], [[[0.5, 0.75, 0.0], [0.5, 0.25, 1.0]]])
    >>> float(metric.result())
    0.875

    References:
        Greff, Srivastava, Schmidhuber. Binding via Reconstruction Clustering. arXiv, 2015.
        https://arxiv.org/abs/1511.06418
    """

    def __init__(self, *, name: str = "confidence", dtype: str | None = None) -> None:
        super().__init__(name=name, dtype=dtype)

    def score(self, y_true: np.ndarray | tf.Tensor, y_pred: np.ndarray | tf.Tensor) -> tf.Tensor:
        largest = tf.reduce_max(y_pred, axis=1)  # [B, ...]
        scored = tf.cast(y_true != 0, largest.dtype)
        pixels = list(range(1, len(y_true.shape)))
        return tf.reduce_sum(largest * scored, pixels) / tf.reduce_sum(scored, pixels)  # [B]
