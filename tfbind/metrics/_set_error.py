import numpy as np
import tensorflow as tf

from tfbind._validation import check_shape


def set_error(labels: np.ndarray | tf.Tensor, probabilities: np.ndarray | tf.Tensor) -> tf.Tensor:
    """The share of an example's true classes that are missing from its most probable ones.

    For examples with several objects, whose labels have no order. An example with d distinct
    labels is compared with its d most probable classes, so that with one label this is the usual
    0/1 error.

    Args:
        labels: Integer `[B]` or `[B, n]`, in 0..C-1; a label may occur twice.
        probabilities: float32 `[B, C]`; only their order counts.

    Returns:
        float32 `[B]`, in [0, 1].

    Raises:
        ValueError: If the shapes do not fit.

    Example:

    >>> probabilities = np.array([[0.4, 0.3, 0.2, 0.1]] * 3, "float32")
    >>> tfbind.metrics.set_error([[1, 0], [0, 3], [2, 2]], probabilities).numpy().tolist()
    [0.0, 0.5, 1.0]

    References:
        Greff, Rasmus, Berglund, Hao, Schmidhuber, Valpola. Tagger: Deep Unsupervised Perceptual
        Grouping. NIPS, 2016. https://arxiv.org/abs/1606.06724, section 4.2.
    """
    labels, probabilities = tf.convert_to_tensor(labels), tf.convert_to_tensor(probabilities)
    check_shape("probabilities", tuple(probabilities.shape), (labels.shape[0], None))
    num_classes = probabilities.shape[1]
    labels = tf.reshape(labels, [tf.shape(labels)[0], -1])
    true = tf.reduce_max(tf.one_hot(labels, num_classes), axis=1)  # [B, C]
    order = tf.argsort(probabilities, axis=1, direction="DESCENDING", stable=True)
    rank = tf.cast(tf.argsort(order, axis=1), tf.float32)
    num_true = tf.reduce_sum(true, axis=1, keepdims=True)
    found = tf.reduce_sum(true * tf.cast(rank < num_true, tf.float32), axis=1)
    return 1.0 - found / num_true[:, 0]
