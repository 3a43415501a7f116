"""What the models share that find the kinds of examples there are, without labels."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tfbind import metrics
from tfbind._validation import check_array, check_integer
from tfbind.models._base import BaseModel, cluster_information
from tfbind.models._batch import Field
from tfbind.models._endpoints import Endpoint, image_spec
from tfbind.models._renumbering import matched_order, reorder

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

    def unsupervised_score(self, images: Any, batch_size: int | None = None) -> float:
        """Returns the mutual information of examples and clusters, in nats, log K at most.

        It is high where every example is surely in one cluster and all clusters are in use: a
        model that has merged two kinds of examples, or cannot tell two of them apart, has less.
        """
        return cluster_information(self, images, batch_size)

    @property
    def expected_shares(self) -> np.ndarray:
        """The share of the examples that each cluster is expected to have, float32 `[K]`."""
        return self.trackers["cluster_usage"].prior

    # Numbers of clusters.

    def align_clusters(self, reference: Any, images: Any) -> np.ndarray:
        """Renumbers the clusters inside the model, so that they are those of a former clustering.

        Each gets the number of the former cluster with which it shares most examples, each number
        once (Hungarian algorithm). Nothing else changes: the same examples are together, and `fit`
        goes on as it would have. A model that holds several clusterings, such as heads, matches
        each of them.

        Args:
            reference: A model with a method `cluster`, such as the former one; or its clusters,
                integers `[n]` from 0 to K - 1.
            images: float32 `[n, *event_shape]`, examples that both know.

        Returns:
            int64 `[K]`: the number so far of what is now cluster 0, 1, and so on.

        Raises:
            ValueError: If the clusters are none of this model's numbers, there is not one for each
                example, or the kind of model cannot be renumbered.
        """
        images = check_array("images", images, self.event_shape, *self.value_range)
        former = reference if np.ndim(reference) else reference.cluster(images)
        found = self.clusterings(images)
        orders = np.stack([matched_order(former, each, self.num_clusters) for each in found])
        self.reorder_clusters(orders)
        return orders[self.answering]

    @property
    def answering(self) -> int:
        """Which of its `clusterings` the model answers by."""
        return 0

    def clusterings(self, images: np.ndarray) -> np.ndarray:
        """Returns all clusterings with numbers of their own, int `[S, n]`."""
        return self.cluster(images)[None]

    def reorder_clusters(self, orders: np.ndarray) -> None:
        """Makes cluster `orders[s, k]` of the s-th of `clusterings` cluster k of it."""
        raise ValueError(
            "`align_clusters` must be asked of a `PseudoLabelEnsemble` or a `SelfLabeling`, whose "
            f"outputs can be put in another order. Received: a `{type(self).__name__}`."
        )

    def _reorder(self, weight: keras.Variable, orders: np.ndarray, axis: int = -1) -> None:
        """Puts an axis of a weight, and of what the optimiser remembers of it, in order."""
        reorder(weight, orders, axis, self.optimizer if self.compiled else None)

    def _reorder_prior(self, order: np.ndarray) -> None:
        usage = self.trackers["cluster_usage"]
        usage.prior = usage.prior[order]
        if self.compiled:  # compiled steps hold the old one
            self.make_train_function(force=True)
            self.make_test_function(force=True)

    def serving_endpoints(self) -> dict[str, Endpoint]:
        outputs = {"probabilities": "of each cluster, in [0, 1], sums to 1"}
        image, ranges = image_spec(self.event_shape), {"image": self.value_range}
        return {"serving_default": Endpoint(self.call, (image,), outputs, ranges)}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_clusters": self.num_clusters}
