"""The task of clustering: which examples are of one kind, without labels."""

import dataclasses
import functools
from typing import Any, ClassVar

import keras
import numpy as np
from matplotlib.figure import Figure
from sklearn import manifold

from tfbind import metrics, plots
from tfbind.data import pipelines
from tfbind.models import AdversarialMixture, PseudoLabelEnsemble
from tfbind.models._clustering import ClusteringModel
from tfbind.training.callbacks import ClusteringErrors, CollapseWarning, clustering_errors
from tfbind.training.tasks.base import Examples, Task, TrainingData, truth

BATCH = 500  # of examples in inference
_EMBEDDED = 1000  # test examples in the picture of the latent space
_PICTURED = 10  # test examples in the others


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clustering(Task):
    """Finds which examples are of one kind, without labels, which only the scores see."""

    METRIC: ClassVar[str] = "error"

    def training_data(self, examples: Examples, batch_size: int, seed: int) -> TrainingData:
        stream = functools.partial(pipelines.shuffled_epochs, examples.image, batch_size, seed)
        return TrainingData(
            event_shape=examples.image.shape[1:],
            stream=stream,
            images=examples.image,
            labels=examples.label,
        )

    def callbacks(
        self, model: keras.Model, watched: Examples | None, seed: int
    ) -> tuple[keras.callbacks.Callback, ...]:
        errors = () if watched is None else (ClusteringErrors(watched.image, watched.label),)
        return (*errors, *collapse_warning(model))

    def score(
        self,
        model: keras.Model,
        examples: Examples,
        *,
        seed: int,
        num_starts: int = 5,
        verbose: int = 0,
    ) -> dict[str, float]:
        """Scores the clusters; `num_starts` does nothing here.

        Returns:
            A dict: `error`, the share of examples outside the best matching of clusters and
            classes; `majority_error`, where a cluster stands for its most frequent class;
            `used_clusters` and `marginal_entropy`; of an adversarial mixture `latent_error`, as
            the first, for clusters by p(y|z); of an ensemble `member_error`, the mean of its
            members', and `best_member_error`; and `num_images`.
        """
        labels = truth(examples.label, "the classes of the images")
        found = model.predict(examples.image, batch_size=BATCH, verbose=verbose)
        scores = clustering_errors(labels, found["probabilities"].argmax(axis=1))
        if isinstance(model, AdversarialMixture):
            by_latent = clustering_errors(labels, clusters_by_latent(model, found))
            scores["latent_error"] = by_latent["error"]
        if isinstance(model, PseudoLabelEnsemble):
            scores |= member_errors(labels, found["member_probabilities"])
        return {**scores, **cluster_usage(model, found), "num_images": len(labels)}

    def figures(self, model: keras.Model, examples: Examples, seed: int) -> dict[str, Figure]:
        return cluster_figures(model, examples, seed)


def collapse_warning(model: keras.Model) -> tuple[CollapseWarning, ...]:
    """Returns the callback that warns when a clustering model collapses; none for another."""
    return (CollapseWarning(),) if isinstance(model, ClusteringModel) else ()


def clusters_by_latent(model: AdversarialMixture, found: dict[str, Any]) -> np.ndarray:
    """Returns the clusters by p(y|z), of what `predict` gives."""
    return np.argmax(model.component_probabilities(found["latent"]), axis=1)


def member_errors(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Returns what members of an ensemble do alone, of their `probabilities` `[n, M, K]`."""
    clusters = probabilities.argmax(axis=-1).T
    errors = [clustering_errors(labels, each)["error"] for each in clusters]
    return {"member_error": float(np.mean(errors)), "best_member_error": min(errors)}


def cluster_usage(model: keras.Model, found: dict[str, Any]) -> dict[str, float]:
    """Returns `used_clusters` and `marginal_entropy`, of what `predict` gives; if it clusters."""
    if not isinstance(model, ClusteringModel):
        return {}
    usage = metrics.ClusterUsage(model.trackers["cluster_usage"].prior)
    usage.update_state(found["probabilities"])
    return {name: float(value) for name, value in usage.result().items()}


def cluster_figures(model: keras.Model, examples: Examples, seed: int) -> dict[str, Figure]:
    """Returns the pictures of a clustering model, of each kind that it is; none of another.

    Where classes are unknown, clusters take their place, and there is no table of both.
    """
    drawing = [draw for kind, draw in _PICTURES if isinstance(model, kind)]
    if not drawing:
        return {}
    found = model.predict(examples.image, batch_size=BATCH, verbose=0)
    figures: dict[str, Figure] = {}
    for draw in drawing:
        figures |= draw(model, examples, found, seed)
    return figures


def _draw_clusters(model, examples, found, seed):
    if examples.label is None:
        return {}
    clusters = found["probabilities"].argmax(axis=1)
    matrix = plots.cluster_matrix_figure(examples.label, clusters, model.num_clusters)
    return {"clusters.png": matrix}


def _draw_rounds(model, examples, found, seed):
    return {"rounds.png": plots.rounds_figure(model.rounds)} if model.rounds else {}


def _draw_mixture(model, examples, found, seed):
    """Draws what the components generate, and what is in the latent space."""
    if len(model.event_shape) == 1:
        return {}
    classes = found["probabilities"].argmax(axis=1) if examples.label is None else examples.label
    shown, some = examples.image[:_PICTURED], slice(_EMBEDDED)
    restored = found["reconstruction"][:_PICTURED]
    points = manifold.TSNE(random_state=seed).fit_transform(found["latent"][some])
    return {
        "components.png": plots.components_figure(_samples(model, seed)),
        "reconstructions.png": plots.reconstructions_figure(shown, restored),
        "interpolations.png": plots.interpolations_figure(model.interpolate(shown[:-1], shown[1:])),
        "embedding.png": plots.embedding_figure(points, classes[some]),
    }


def _samples(model: AdversarialMixture, seed: int) -> np.ndarray:
    """Returns samples of every component, `[K, n, *event_shape]`."""
    size = (model.num_clusters, _PICTURED, model.latent_dim)
    noise = np.random.default_rng(seed).standard_normal(size).astype("float32")
    return np.stack([model.generate([k] * _PICTURED, noise[k]) for k in range(len(noise))])


# What draws each kind of model; all are of the first one.
_PICTURES = (
    (ClusteringModel, _draw_clusters),
    (AdversarialMixture, _draw_mixture),
    (PseudoLabelEnsemble, _draw_rounds),
)
