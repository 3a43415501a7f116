"""What a training step of a model minimises, out of the step."""

import tensorflow as tf


def terms(model, batch, training=True):
    """Returns what `loss_terms` gives for a dict of arrays."""
    batch = {key: tf.convert_to_tensor(value) for key, value in batch.items()}
    return model.loss_terms(batch, model.step_seed(training), training)


def loss(model, batch, training=True):
    """Returns the weighted sum of the means of the terms, for a model of one optimiser."""
    found = terms(model, batch, training)
    return tf.add_n(
        [
            weight * tf.reduce_mean(found[name])
            for name, weight in model.term_weights.items()
            if name in found
        ]
    )
