"""What the page says of clusters and of classes: exemplars, doubts, neighbours, a map."""

from typing import Any, NamedTuple

import numpy as np
from sklearn import decomposition, manifold

from tfbind import metrics
from tfbind.models import UntappedVAE
from tfbind.plots import canvas
from tfbind.reporting import columns, embedded
from tfbind.reporting.examples import Shown

_EXEMPLARS = 8
_ROWS = 5  # of a table, instead
_DOUBTFUL = 4  # members of a cluster that are shown as its least sure ones
_LEAST_SURE = 12  # examples, of all
_MAPPED = 700  # examples on the map
_MOST_FEATURES = 50  # that are mapped; of more, as many principal components
_SPRITE = 32  # pixels of a picture on the map
_SPRITE_COLUMNS = 28
_TOLD = 6  # columns of a row that the map tells
_MOST_CLASSES = 30  # of the table of classes and clusters


class Cluster(NamedTuple):
    """A cluster, by the examples that are in it, places in the data.

    `nearest` is the other cluster to which its members give the most probability, on average
    `taken`; None for an empty one. Exemplars are the surest members, from the surest on, and
    doubtful ones the least sure of the others, from the least sure on.
    """

    number: int
    size: int
    nearest: int | None
    taken: float
    exemplars: np.ndarray
    doubtful: np.ndarray


def clusters_of(probabilities: np.ndarray) -> list[Cluster]:
    """Returns the clusters of examples with probabilities float `[n, K]`, by their numbers."""
    found = probabilities.argmax(axis=1)
    return [_cluster(probabilities, k, found == k) for k in range(probabilities.shape[1])]


def _cluster(probabilities: np.ndarray, number: int, members: np.ndarray) -> Cluster:
    places = np.flatnonzero(members)
    order = places[np.argsort(-probabilities[places, number], kind="stable")]
    nearest, taken = None, 0.0
    if len(places):
        means = probabilities[places].mean(axis=0, dtype="float64")
        means[number] = -1
        nearest, taken = int(means.argmax()), float(means.max())
    doubtful = order[_EXEMPLARS:][::-1][:_DOUBTFUL]
    return Cluster(number, len(places), nearest, taken, order[:_EXEMPLARS], doubtful)


def section(model: Any, outputs: dict[str, np.ndarray], shown: Shown, seed: int) -> dict[str, Any]:
    """Returns what the page shows of a model's `probabilities`, a dict for its template."""
    probabilities = outputs["probabilities"]
    clusters, found = clusters_of(probabilities), probabilities.argmax(axis=1)
    table = shown.table
    told = [] if table is None else table.telling(found, len(clusters))
    sure = probabilities.max(axis=1)
    most = _EXEMPLARS if table is None else _ROWS

    def example(place):
        row = None if table is None else table.texts[place, told].tolist()
        return {**shown.drawn(place), "sure": float(sure[place]), "row": row}

    return {
        "clusters": [
            {
                **cluster._asdict(),
                "share": cluster.size / len(found),
                "exemplars": [example(i) for i in cluster.exemplars[:most]],
                "doubtful": [example(i) for i in cluster.doubtful],
                "mostly": _mostly(shown, found == cluster.number),
                "typical": table.typical(found == cluster.number) if table and cluster.size else [],
            }
            for cluster in clusters
        ],
        "least_sure": [
            {**example(i), "cluster": int(found[i]), "truth": _truth(shown, i)}
            for i in np.argsort(sure, kind="stable")[:_LEAST_SURE]
        ],
        "colors": colors(len(clusters)),
        "columns": [] if table is None else [table.names[i] for i in told],
        "left_out": 0 if table is None else len(table.names) - len(told),
        "confusion": _confusion(shown, found, len(clusters)),
        "map": _map(model, outputs, shown, table, seed),
    }


def colors(count: int) -> list[str]:
    """Returns the colour of each group or cluster as `#rrggbb`."""
    return [canvas.line_color(number) for number in range(count)]


def _labels(shown: Shown) -> np.ndarray | None:
    """Returns the true class of each example, `[n]`; None unless each has one."""
    label = shown.examples.label
    return label if label is not None and np.ndim(label) == 1 else None


def _truth(shown: Shown, place: int) -> str | None:
    labels = _labels(shown)
    return None if labels is None else shown.class_of(int(labels[place]))


def _mostly(shown: Shown, members: np.ndarray) -> dict[str, Any] | None:
    """Returns the most frequent class among members, and its share."""
    labels = _labels(shown)
    if labels is None or not members.any():
        return None
    counts = np.bincount(labels[members])
    return {
        "name": shown.class_of(int(counts.argmax())),
        "share": float(counts.max() / counts.sum()),
    }


def _confusion(shown: Shown, found: np.ndarray, num_clusters: int) -> dict[str, Any] | None:
    """Returns how many examples of each class are in each cluster, clusters in the classes' order.

    Returns None where classes are unknown, or too many for a table.
    """
    labels = _labels(shown)
    if labels is None or num_clusters > _MOST_CLASSES or labels.max() >= _MOST_CLASSES:
        return None
    counts = np.zeros((labels.max() + 1, num_clusters), int)
    np.add.at(counts, (labels, found), 1)
    _, matched = metrics.best_matching(counts)
    order = [*matched.tolist(), *np.setdiff1d(np.arange(num_clusters), matched).tolist()]
    return {
        "clusters": order,
        "classes": [shown.class_of(i) for i in range(len(counts))],
        "counts": counts[:, order].tolist(),
        "largest": int(counts.max()),
        "accuracy": float(metrics.clustering_accuracy(labels, found)),
        "commonest": float(np.bincount(labels).max() / len(labels)),
    }


def _map(
    model: Any,
    outputs: dict[str, np.ndarray],
    shown: Shown,
    table: columns.Table | None,
    seed: int,
) -> dict[str, Any] | None:
    """Returns the map of some examples; None if there are too few, or all are alike."""
    count = len(shown.names)
    some = np.sort(np.random.default_rng(seed).permutation(count)[:_MAPPED])
    what, features = _features(model, outputs)
    points = embed(features[some], seed)
    if points is None:
        return None
    found = outputs["probabilities"][some]
    order = np.argsort(found.argmax(axis=1), kind="stable")  # the keys go through it in this order
    some, points, found = some[order], points[order], found[order]
    return {
        "what": what,
        "points": points.round(1).tolist(),
        "clusters": found.argmax(axis=1).tolist(),
        "sure": found.max(axis=1).round(3).tolist(),
        "names": [f"row {shown.names[i]}" if shown.is_table else shown.names[i] for i in some],
        "rows": None if table is None else _told_rows(table, some),
        "sprite": _sprite(shown.examples.image[some]),
    }


def _features(model: Any, outputs: dict[str, np.ndarray]) -> tuple[str, np.ndarray]:
    """Returns what examples are mapped by, and its name: features, if they tell kinds apart."""
    if "features" in outputs:
        return "features", outputs["features"]
    if "latent" in outputs and not isinstance(model, UntappedVAE):  # whose latents are of styles
        return "latents", outputs["latent"]
    return "probabilities", outputs["probabilities"]


def embed(features: np.ndarray, seed: int, width: float = 1000.0) -> np.ndarray | None:
    """Returns points float `[n, 2]` in [0, width], near where features `[n, D]` are near.

    By t-SNE, whose axes mean nothing; None if there are under ten examples or all are alike.
    """
    features = features.reshape(len(features), -1).astype("float64")
    if len(features) < 10 or not np.ptp(features, axis=0).any():
        return None
    if min(features.shape) > _MOST_FEATURES:
        reducing = decomposition.PCA(_MOST_FEATURES, random_state=seed)
        features = reducing.fit_transform(features)
    perplexity = min(30.0, (len(features) - 1) / 3)
    mapping = manifold.TSNE(perplexity=perplexity, init="random", random_state=seed)
    points = mapping.fit_transform(features).astype("float64")
    low, spread = points.min(axis=0), np.maximum(np.ptp(points, axis=0), 1e-9)
    return (points - low) / spread * width


def _told_rows(table: columns.Table, some: np.ndarray) -> list[str]:
    names = table.names[:_TOLD]
    return [
        "\n".join(f"{name}: {text}" for name, text in zip(names, table.texts[i], strict=False))
        for i in some
    ]


def _sprite(images: np.ndarray) -> dict[str, Any] | None:
    """Returns all pictures of a map side by side in one; None if they have no pixels."""
    if not embedded.has_pixels(images.shape[1:]):
        return None
    step = -(-max(images.shape[1:3]) // _SPRITE)  # large ones lose pixels
    tiles = np.stack([embedded.pixels_of(image[::step, ::step]) for image in images])
    count, height, width = tiles.shape[:3]
    num_rows = -(-count // _SPRITE_COLUMNS)
    filled = np.zeros((num_rows * _SPRITE_COLUMNS, *tiles.shape[1:]), "uint8")
    filled[:count] = tiles
    grid = filled.reshape(num_rows, _SPRITE_COLUMNS, *tiles.shape[1:]).swapaxes(1, 2)
    sheet = grid.reshape(num_rows * height, _SPRITE_COLUMNS * width, *tiles.shape[3:])
    return {
        "uri": embedded.picture_uri(sheet),
        "width": width,
        "height": height,
        "columns": _SPRITE_COLUMNS,
        "rows": num_rows,
    }
