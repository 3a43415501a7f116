"""The task of unseen classes: only some classes have labelled images."""

import dataclasses
import functools
from typing import ClassVar

import keras
import numpy as np
from matplotlib.figure import Figure
from sklearn import linear_model

from tfbind import metrics, plots
from tfbind._validation import check_integer
from tfbind.data import pipelines
from tfbind.models import UntappedVAE
from tfbind.training.tasks.base import Examples, Task, TrainingData, truth


@dataclasses.dataclass(frozen=True, kw_only=True)
class UnseenClasses(Task):
    """Finds the class of an image, where some classes have no labelled image.

    The score is the cross-entropy on the images of those classes, after naming.

    Attributes:
        num_classes: Classes of the data to keep, the first ones. With 5, of which `num_seen` is 3,
            settings can be compared without a look at the labels of classes 5 to 9.
        num_seen: Classes with labels, the first ones.
        num_unlabeled: Images to draw without labels.
    """

    METRIC: ClassVar[str] = "cross_entropy"

    train_split: str = "train+test"
    test_split: str = "train+test"
    num_classes: int = 10
    num_seen: int = 5
    num_unlabeled: int = 20_000

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("num_seen", "num_unlabeled"):
            check_integer(name, getattr(self, name), 1)
        check_integer("num_classes", self.num_classes, self.num_seen + 1)

    def load(self, split: str, data_dir: str | None = None, dtype: str = "float32") -> Examples:
        examples = super().load(split, data_dir, dtype)
        return examples.take(examples.label < self.num_classes)

    def training_data(self, examples: Examples, batch_size: int, seed: int) -> TrainingData:
        labels = truth(examples.label, "the classes of the images")
        parts = hide_classes(examples.image, labels, self.num_seen, self.num_unlabeled, seed)
        stream = functools.partial(
            pipelines.semi_supervised_epochs,
            parts["image"],
            parts["label"],
            parts["unlabeled_image"],
            batch_size,
            seed,
            unfeatured_labels=parts["unfeatured_label"],
        )
        return TrainingData(event_shape=examples.image.shape[1:], stream=stream)

    def score(
        self,
        model: keras.Model,
        examples: Examples,
        *,
        seed: int,
        num_starts: int = 5,
        verbose: int = 0,
    ) -> dict[str, float]:
        """Scores the classes without labels, and the seen ones; `num_starts` does nothing here.

        Returns:
            What `score_unseen_classes` says, `seen_accuracy`, and `num_images`, those of unseen
            classes.
        """
        images, labels = examples.image, truth(examples.label, "the classes of the images")
        _, claims = self._decode(model, examples)
        outputs = model.predict(images, batch_size=1000, verbose=verbose)["probabilities"]
        seen = labels < self.num_seen
        scores = score_unseen_classes(outputs[~seen], labels[~seen], claims, self.num_seen)
        correct = outputs[seen].argmax(axis=1) == labels[seen]
        return {
            **scores,
            "seen_accuracy": float(correct.mean()),
            "num_images": int(np.sum(~seen)),
        }

    def figures(self, model: keras.Model, examples: Examples, seed: int) -> dict[str, Figure]:
        decoded, claims = self._decode(model, examples)
        names = name_classes(claims, self.num_seen)
        images, labels, _ = examples.take(examples.label < self.num_seen)
        grid, dims = decoded_grid(model, images, labels)
        return {
            "classes.png": plots.classes_figure(decoded, names.tolist(), self.num_seen),
            "manifold.png": plots.manifold_figure(grid, names.tolist(), model.latent_range, dims),
        }

    def _decode(self, model: UntappedVAE, examples: Examples) -> tuple[np.ndarray, np.ndarray]:
        """Returns what every output decodes to, and of every class how probable that is."""
        images, labels, _ = examples.take(examples.label < self.num_seen)
        decoded = decoded_classes(model, images, labels)
        classifier = naming_classifier(examples.image, examples.label)
        return decoded, classifier.predict_proba(_flat(decoded))


def hide_classes(
    images: np.ndarray, labels: np.ndarray, num_seen: int, num_unlabeled: int, seed: int
) -> dict[str, np.ndarray]:
    """Takes away the labels of all classes from `num_seen` on, and of a sample of all images.

    Args:
        images: Array `[n, ...]`.
        labels: Integers `[n]`, classes 0, 1, ...
        num_seen: Integer, how many classes keep their labels.
        num_unlabeled: Integer, images to draw without labels, with replacement as in the paper.
        seed: Integer seed of the draw.

    Returns:
        A dict of arrays: `image` and `label`, every image of the seen classes; `unlabeled_image`,
        a draw from all; `unfeatured_label`, each class once.

    Example:

    >>> images, labels = np.arange(6.0)[:, None], np.array([0, 1, 2, 0, 1, 2])
    >>> from tfbind.training.tasks import unseen_classes
    >>> unseen_classes.hide_classes(images, labels, 2, 10, seed=0)["label"].tolist()
    [0, 1, 0, 1]
    """
    seen = labels < num_seen
    drawn = np.random.default_rng(seed).integers(0, len(images), num_unlabeled)
    return {
        "image": images[seen],
        "label": labels[seen],
        "unlabeled_image": images[drawn],
        "unfeatured_label": np.arange(labels.max() + 1),
    }


def name_classes(probabilities: np.ndarray, num_seen: int) -> np.ndarray:
    """Finds which class each output of a model stands for, from what it decodes to.

    The seen classes are their own. Each other output claims the likeliest class that is still
    free; where several claim one, the most certain gets it and the rest claim again.

    Args:
        probabilities: `[k, k]`, of every class given the image that an output decodes to.
        num_seen: Integer, how many classes had labels.

    Returns:
        int64 `[k]`, a permutation: the class of each output.

    Example:

    >>> from tfbind.training.tasks import unseen_classes
    >>> claims = np.array([[1.0, 0.0, 0.0], [0.0, 0.4, 0.6], [0.0, 0.3, 0.7]])
    >>> unseen_classes.name_classes(claims, num_seen=1).tolist()
    [0, 1, 2]
    """
    names = np.arange(len(probabilities))
    outputs = free = list(range(num_seen, len(probabilities)))
    while outputs:
        claims = {output: free[probabilities[output, free].argmax()] for output in outputs}
        winners = {}
        for output in sorted(outputs, key=lambda output: probabilities[output, claims[output]]):
            winners[claims[output]] = output  # the most certain comes last
        for name, output in winners.items():
            names[output] = name
        outputs = [output for output in outputs if output not in winners.values()]
        free = [name for name in free if name not in winners]
    return names


def decoded_classes(model: UntappedVAE, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Decodes every one-hot label at the mean of the latents of labelled images.

    Args:
        model: An `UntappedVAE`.
        images: float32 `[n, *event_shape]`.
        labels: Integers `[n]`.

    Returns:
        float32 `[k, *event_shape]`: the paper's Figure 2.
    """
    latents = model.encode(images, labels).numpy()
    mean = np.tile(latents.mean(axis=0), (model.num_classes, 1))
    return model.decode(np.arange(model.num_classes), mean).numpy()


def decoded_grid(
    model: UntappedVAE, images: np.ndarray, labels: np.ndarray, size: int = 8
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Decodes every one-hot label all over the box of the latents.

    Of more than two dimensions those are traversed in which the latents of the labelled images
    differ most, for training leaves some unused; the others stay at the mean.

    Args:
        model: An `UntappedVAE`.
        images: float32 `[n, *event_shape]`.
        labels: Integers `[n]`.
        size: Integer, points along a dimension.

    Returns:
        A pair: float32 `[k, size, size, *event_shape]`, whose columns go along the first dimension
        and whose rows go down along the second, of which there is one row where z has one
        dimension; and the tuple of the dimensions, from 0.
    """
    latents = model.encode(images, labels).numpy()
    dims = tuple(sorted(latents.std(axis=0).argsort()[-2:].tolist()))
    low, high = model.latent_range
    points = low + (high - low) * (np.arange(size) + 0.5) / size
    grid = np.tile(latents.mean(axis=0), (size ** (len(dims) - 1), size, 1))
    grid[..., dims[0]] = points
    if len(dims) > 1:
        grid[..., dims[1]] = points[::-1, None]
    rows, k = grid.reshape(-1, model.latent_dim), model.num_classes
    decoded = model.decode(np.repeat(np.arange(k), len(rows)), np.tile(rows, (k, 1)))
    return decoded.numpy().reshape(k, *grid.shape[:2], *model.event_shape), dims


def naming_classifier(images: np.ndarray, labels: np.ndarray) -> linear_model.LogisticRegression:
    """Returns the logistic regression, trained on all labels, that names decoded images."""
    return linear_model.LogisticRegression(C=0.01, max_iter=1000).fit(_flat(images), labels)


def score_unseen_classes(
    probabilities: np.ndarray, labels: np.ndarray, claims: np.ndarray, num_seen: int
) -> dict[str, float]:
    """Scores what a model says about images of the classes it had no labelled images of.

    Args:
        probabilities: float `[n, k]`, q(y|x) of these images.
        labels: Integers `[n]`, their classes, all >= num_seen.
        claims: `[k, k]`, of every class given the image that an output decodes to.
        num_seen: Integer.

    Returns:
        A dict: `cross_entropy`, nats per image, and `accuracy`, after naming; `num_owned`, how
        many unseen classes some unseen output decodes to before clashes are settled;
        `matched_accuracy`, with the naming that suits the answers best.
    """
    names = name_classes(claims, num_seen)
    named = np.empty_like(probabilities)
    named[:, names] = probabilities
    correct = np.maximum(named[np.arange(len(labels)), labels], np.finfo("float32").tiny)
    owned = set(claims[num_seen:].argmax(axis=1)) & set(range(num_seen, len(claims)))
    return {
        "cross_entropy": float(-np.log(correct).mean()),
        "accuracy": float((named.argmax(axis=1) == labels).mean()),
        "num_owned": len(owned),
        "matched_accuracy": metrics.clustering_accuracy(labels, probabilities.argmax(axis=1)),
    }


def _flat(images):
    return images.reshape(len(images), -1)
