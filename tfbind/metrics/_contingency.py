"""Contingency tables of many groupings at once."""

import numpy as np
import tensorflow as tf

from tfbind._validation import check_integer


def contingency_table(
    groups_true: np.ndarray | tf.Tensor,
    groups_pred: np.ndarray | tf.Tensor,
    num_true: int,
    num_pred: int,
) -> tf.Tensor:
    """Counts, per image, the scored pixels that each pair of true and predicted group shares.

    A pixel is scored unless its true group is 0, which stands for background or overlap.

    Args:
        groups_true: Integer `[B, ...]`, ids in 0..num_true.
        groups_pred: Integer `[B, ...]`, ids in 0..num_pred-1 on the scored pixels.
        num_true: Number of true groups, without the 0.
        num_pred: Number of predicted groups.

    Returns:
        float64 `[B, num_true, num_pred]`. No pixel is dropped silently: an id out of range raises
        when executing eagerly; a compiled graph cannot raise, so there the image's table is NaN.
    """
    num_true = check_integer("num_true", num_true, 1)
    num_pred = check_integer("num_pred", num_pred, 1)
    groups_true = _flat_ids("groups_true", groups_true)  # [B, P]
    groups_pred = _flat_ids("groups_pred", groups_pred)  # [B, P]
    if not groups_true.shape.is_compatible_with(groups_pred.shape):
        raise ValueError(
            "`groups_true` and `groups_pred` must have the same shape. Received: "
            f"{tuple(groups_true.shape)} and {tuple(groups_pred.shape)} after flattening."
        )
    scored = groups_true != 0
    misfit_true = (groups_true < 0) | (groups_true > num_true)
    misfit_pred = scored & ((groups_pred < 0) | (groups_pred >= num_pred))
    if tf.executing_eagerly():
        _refuse("groups_true", groups_true, misfit_true, f"num_true={num_true}", num_true)
        _refuse("groups_pred", groups_pred, misfit_pred, f"num_pred={num_pred}", num_pred - 1)
    # one_hot gives a row of zeros for id -1, so unscored pixels add to no cell.
    table = tf.matmul(
        tf.one_hot(groups_true - 1, num_true),  # [B, P, R]
        tf.one_hot(groups_pred, num_pred),  # [B, P, C]
        transpose_a=True,
    )  # [B, R, C], exact: float32 counts up to 2**24
    misfit = tf.reduce_any(misfit_true | misfit_pred, axis=1)  # [B]
    table = tf.where(misfit[:, None, None], float("nan"), table)
    return tf.cast(table, tf.float64)


def _flat_ids(name, groups):
    groups = tf.convert_to_tensor(groups)
    if not groups.dtype.is_integer:
        raise ValueError(f"`{name}` must hold integer ids. Received: dtype {groups.dtype.name}.")
    if groups.shape.rank is not None and groups.shape.rank < 2:
        raise ValueError(
            f"`{name}` must have a batch axis and at least one axis of pixels. "
            f"Received: shape {tuple(groups.shape)}."
        )
    return tf.reshape(tf.cast(groups, tf.int32), [tf.shape(groups)[0], -1])


def _refuse(name, groups, misfit, size, largest):
    if bool(tf.reduce_any(misfit)):
        raise ValueError(
            f"`{name}` must hold ids from 0 to {largest}. "
            f"Received: {size} and the id {int(groups[misfit][0])}."
        )
