"""What the Keras metrics of groupings share: a score per image, averaged over images."""

import keras
import numpy as np
import tensorflow as tf


class MeanOverImages(keras.metrics.Mean):
    """Averages `score(y_true, y_pred)` over the images that have a scored pixel.

    An image whose true groups are all 0 has nothing to score: it counts neither for nor against.
    """

    def score(self, y_true: np.ndarray | tf.Tensor, y_pred: np.ndarray | tf.Tensor) -> tf.Tensor:
        """Returns float `[B]`, one score per image; unused where no pixel is scored."""
        raise NotImplementedError

    def update_state(
        self,
        y_true: np.ndarray | tf.Tensor,
        y_pred: np.ndarray | tf.Tensor,
        sample_weight: np.ndarray | tf.Tensor | None = None,
    ) -> None:
        """Adds a batch.

        Args:
            y_true: Integer `[B, ...]`, the true group of each pixel; 0 is not scored.
            y_pred: float `[B, K, ...]`, the assignments of each pixel to K groups.
            sample_weight: float `[B]`, the weight of each image, or None for equal weights.
        """
        y_true, y_pred = tf.convert_to_tensor(y_true), tf.convert_to_tensor(y_pred)
        _check_shapes(y_true.shape, y_pred.shape)
        pixels = list(range(1, len(y_true.shape)))
        has_scored = tf.reduce_any(y_true != 0, axis=pixels)  # [B]
        scores = tf.where(has_scored, self.score(y_true, y_pred), 0.0)  # [B]
        weights = tf.cast(has_scored, scores.dtype)  # [B]
        if sample_weight is not None:
            sample_weight = tf.cast(sample_weight, scores.dtype)
            if len(sample_weight.shape) != 1:
                raise ValueError(
                    "`sample_weight` must have shape [B], one weight per image. "
                    f"Received: shape {tuple(sample_weight.shape)}."
                )
            weights *= sample_weight
        super().update_state(scores, weights)


def _check_shapes(true_shape, pred_shape):
    fits = (
        len(true_shape) >= 2
        and len(pred_shape) == len(true_shape) + 1
        and pred_shape[1] is not None
        and (true_shape[:1] + true_shape[1:]).is_compatible_with(pred_shape[:1] + pred_shape[2:])
    )
    if not fits:
        raise ValueError(
            "`y_true` must have shape [B, ...] and `y_pred` shape [B, K, ...] with the same pixel "
            f"axes and a known K. Received: {tuple(true_shape)} and {tuple(pred_shape)}."
        )
