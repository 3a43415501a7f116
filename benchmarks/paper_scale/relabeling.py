"""What of a model that labels its own examples leaves the process, as programs and values."""

import numpy as np
import tensorflow as tf

from tfbind.models import PseudoLabelEnsemble, SelfLabeling

_OBSERVED = 100  # examples at a time, as `calibrate` of arrays
_EMBEDDED = 500


def described(model, num_epochs):
    """Returns what `rounds` is told of a model, or None of one that does not label."""
    if not isinstance(model, (PseudoLabelEnsemble, SelfLabeling)):
        return None
    epochs = [epoch for epoch in range(num_epochs) if model.relabels_before(epoch)]
    if isinstance(model, SelfLabeling):
        return {"kind": "solved", "epochs": epochs}
    variables = {
        "labels": model.row_labels.labels,
        "class_weights": model.class_weights,
        "shares": model.shares,
        "information_now": model.information_now,
    }
    return {
        "kind": "agreed",
        "epochs": epochs,
        "rules": model.rules._asdict(),
        "leave_out_merged": model.leave_out_merged,
        "later_information_weight": model.later_information_weight,
        "places": {
            name: next(place for place, each in enumerate(model.variables) if each is variable)
            for name, variable in variables.items()
        },
    }


def observed_sizes(model):
    """Returns the sizes of the batches that population statistics are taken of for new labels."""
    if not isinstance(model, PseudoLabelEnsemble):
        return ()
    rows = model.row_labels.num_rows
    return [size for size in (min(rows, _OBSERVED), rows % _OBSERVED) if size]


def functions(model):
    """Returns the functions that labelling takes besides those of every model."""
    if not isinstance(model, SelfLabeling):
        return {}

    def embed(batch):
        return {"features": model.embed(batch["image"])}

    def predict(batch):
        features = model.embed(batch["image"])
        logits = model.logits(features)
        return {
            "probabilities": model._of_best(logits),
            "clusters": tf.argmax(logits, axis=-1, output_type=tf.int32),
        }

    def adopt(batch):
        found = model.solve_labels(batch["features"])
        model.adopt_labels(found)
        return {"cluster_error": found["cluster_error"]}

    images = {"image": np.zeros((_EMBEDDED, *model.event_shape), "float32")}
    size = (model.row_labels.num_rows, model.backbone.output_shape[-1])
    return {
        "embed": (embed, images),
        "predict": (predict, images),
        "adopt": (adopt, {"features": np.zeros(size, "float32")}),
    }
