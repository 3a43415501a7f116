"""The task of the untapped paper: only some classes have labelled images. Its data, its scores."""

import numpy as np
from sklearn import linear_model

from tfbind import metrics


def hide_classes(images, labels, num_seen, num_unlabeled, seed):
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
    >>> from tfbind.training import unseen_classes
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


def name_classes(probabilities, num_seen):
    """Finds which class each output of a model stands for, from what it decodes to.

    The seen classes are their own. Each other output claims the likeliest class that is still
    free; where several claim one, the most certain gets it and the rest claim again.

    Args:
        probabilities: `[k, k]`, of every class given the image that an output decodes to.
        num_seen: Integer, how many classes had labels.

    Returns:
        int64 `[k]`, a permutation: the class of each output.

    Example:

    >>> from tfbind.training import unseen_classes
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


def decoded_classes(model, images, labels):
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


def decoded_grid(model, images, labels, size=8):
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


def naming_classifier(images, labels):
    """Returns the logistic regression, trained on all labels, that names decoded images."""
    return linear_model.LogisticRegression(C=0.01, max_iter=1000).fit(_flat(images), labels)


def score_unseen_classes(probabilities, labels, claims, num_seen):
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
