"""What the models share that find the kinds of examples there are, without labels."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tfbind import metrics
from tfbind._validation import check_integer
from tfbind.models._base import BaseModel
from tfbind.models._batch import Field
from tfbind.models._endpoints import Endpoint, image_spec

# True classes that `evaluate` is ready for.
_MAX_CLASSES = 1000


class ClusteringModel(BaseModel):
    """A model that gives each example to one of `num_clusters` clusters.

    Subclasses return `probabilities`, float32 `[B, K]`, from `call`, and give those of a step as
    `cluster_usage` among their loss terms, so that a collapse shows: `marginal_entropy` and
    `used_clusters` are logged. `evaluate` takes labels too, and then returns `accuracy`, each
    cluster being one class and each class one cluster, and `majority_accuracy`, a cluster being
    its most frequent class; both are fractions.

    Args:
        event_shape: Tuple of ints, the shape of one example.
        num_clusters: Integer K >= 2.
        prior: K positive numbers that sum to 1, the share of each cluster to expect; None for
            equal ones.
    """

    scored_by: tuple[str, ...] = ("label",)

    def __init__(
        self,
        event_shape: Sequence[int],
        num_clusters: int,
        prior: np.ndarray | Sequence[float] | None = None,
        **kwargs: Any,
    ) -> None:
        num_clusters = check_integer("num_clusters", num_clusters, 2)
        super().__init__(event_shape, **kwargs)
        self.num_clusters = num_clusters
        usage = metrics.ClusterUsage(num_clusters if prior is None else prior)
        accuracies = self._accuracies()
        self._scored = tuple(accuracies)
        self.trackers |= {"cluster_usage": usage, **accuracies}

    def _accuracies(self) -> dict[str, keras.metrics.Metric]:
        size = (_MAX_CLASSES, self.num_clusters)
        return {
            "accuracy": metrics.ClusteringAccuracy(*size, name="accuracy"),
            "majority_accuracy": metrics.Purity(*size, name="majority_accuracy"),
        }

    def fields(self, training: bool) -> dict[str, Field]:
        fields = super().fields(training)
        return fields if training else {**fields, "label": self._label_field()}

    def _label_field(self) -> Field:
        return Field("label", (), True, 0, _MAX_CLASSES - 1)

    def scores(self, batch: Mapping, outputs: Mapping) -> dict[str, Any]:
        found = (batch["label"], outputs["probabilities"])
        return {name: found for name in self._scored}

    def probabilities(self, images: Any, batch_size: int | None = None) -> np.ndarray:
        """Returns the probability of each cluster, float32 `[n, K]`, of images `[n, ...]`."""
        return self.predict(images, batch_size, verbose=0)["probabilities"]

    def cluster(self, images: Any, batch_size: int | None = None) -> np.ndarray:
        """Gives every example to its most probable cluster.

        Args:
            images: float32 `[n, *event_shape]`.
            batch_size: Integer, examples at a time; None for 32.

        Returns:
            int64 `[n]`, from 0 to K - 1.
        """
        return np.argmax(self.probabilities(images, batch_size), axis=-1)

    def serving_endpoints(self) -> dict[str, Endpoint]:
        outputs = {"probabilities": "of each cluster, in [0, 1], sums to 1"}
        image, ranges = image_spec(self.event_shape), {"image": self.value_range}
        return {"serving_default": Endpoint(self.call, (image,), outputs, ranges)}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_clusters": self.num_clusters}
