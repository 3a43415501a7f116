"""The task of few labels: most examples of every class are without theirs."""

import dataclasses
import functools
from typing import ClassVar

import keras
import numpy as np
from matplotlib.figure import Figure

from tfbind._validation import check_integer
from tfbind.data import pipelines
from tfbind.models import AdversarialMixture
from tfbind.training.callbacks import ClassificationErrors
from tfbind.training.tasks import clustering, grouping
from tfbind.training.tasks.base import Examples, Task, TrainingData, truth


@dataclasses.dataclass(frozen=True, kw_only=True)
class FewLabels(Task):
    """Finds the class of an example, of which few training examples have a label.

    All training examples are unlabelled ones, those with labels among them, as in the papers.

    Attributes:
        num_labels: Examples whose labels are kept, the same number of each class; None for all.
        num_classes: Classes of the examples.
    """

    METRIC: ClassVar[str] = "error"

    num_labels: int | None
    num_classes: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integer("num_classes", self.num_classes, 2)
        if self.num_labels is not None:
            check_integer("num_labels", self.num_labels, 1)

    def training_data(self, examples: Examples, batch_size: int, seed: int) -> TrainingData:
        labels = truth(examples.label, "the classes of the images")
        kept = np.arange(len(labels))
        if self.num_labels is not None:
            kept = pipelines.balanced_subset(_first(labels), self.num_labels, seed)
        stream = functools.partial(
            pipelines.semi_supervised_epochs,
            examples.image[kept],
            labels[kept],
            examples.image,
            batch_size,
            seed,
        )
        return TrainingData(event_shape=examples.image.shape[1:], stream=stream)

    def callbacks(
        self, model: keras.Model, watched: Examples | None, seed: int
    ) -> tuple[keras.callbacks.Callback, ...]:
        errors = () if watched is None else (ClassificationErrors(watched.image, watched.label),)
        return (*errors, *clustering.collapse_warning(model))

    def score(
        self,
        model: keras.Model,
        examples: Examples,
        *,
        seed: int,
        num_starts: int = 5,
        verbose: int = 0,
    ) -> dict[str, float]:
        """Scores the classes; `num_starts` does nothing here.

        Returns:
            A dict: `error`, the share of examples that are classified wrongly; `cross_entropy`,
            nats per example; of an adversarial mixture `latent_error`, of the classes by p(y|z),
            `used_clusters` and `marginal_entropy`; and `num_images`.
        """
        labels = truth(examples.label, "the classes of the images")
        found = model.predict(examples.image, batch_size=clustering.BATCH, verbose=verbose)
        right = found["probabilities"][np.arange(len(labels)), labels]
        scores = {
            "error": _share_wrong(found["probabilities"].argmax(axis=1), labels),
            "cross_entropy": float(-np.log(np.maximum(right, np.finfo("float32").tiny)).mean()),
        }
        if isinstance(model, AdversarialMixture):
            by_latent = clustering.clusters_by_latent(model, found)
            scores["latent_error"] = _share_wrong(by_latent, labels)
        return {**scores, **clustering.cluster_usage(model, found), "num_images": len(labels)}

    def figures(self, model: keras.Model, examples: Examples, seed: int) -> dict[str, Figure]:
        return clustering.cluster_figures(model, examples, seed)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FewLabeledScenes(FewLabels):
    """Finds the groups of an image and their classes, of which few training images have labels.

    Labels are several an image, one for each of its objects, in an order that says nothing.
    """

    KEYS: ClassVar[tuple[str, ...]] = ("image", "label", "groups")

    def callbacks(
        self, model: keras.Model, watched: Examples | None, seed: int
    ) -> tuple[keras.callbacks.Callback, ...]:
        return grouping.iteration_scores(model, watched, seed)

    def score(
        self,
        model: keras.Model,
        examples: Examples,
        *,
        seed: int,
        num_starts: int = 5,
        verbose: int = 0,
    ) -> dict[str, float]:
        """Returns `error`, the share of classes that are wrong, and the scores of `Grouping`."""
        labels = truth(examples.label, "the classes of the objects")
        inputs = {"image": examples.image, "label": labels}
        found = model.evaluate(inputs, batch_size=100, return_dict=True, verbose=verbose)
        if examples.groups is None:
            return {"error": found["error"], "num_images": len(labels)}
        groups = grouping.score_groups(model, examples, seed, num_starts, verbose)
        return {"error": found["error"], **groups}

    def figures(self, model: keras.Model, examples: Examples, seed: int) -> dict[str, Figure]:
        return grouping.group_figures(model, examples)


def _first(labels: np.ndarray) -> np.ndarray:
    """Returns the labels by which subsets are balanced: the first of those of an image."""
    return labels.reshape(len(labels), -1)[:, 0]


def _share_wrong(classes: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean(classes != labels))
