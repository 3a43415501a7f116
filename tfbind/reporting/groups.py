"""What the page says of groups: the masks over the pictures, best and worst."""

from typing import Any

import numpy as np

from tfbind import metrics, plots, reading
from tfbind.plots.groups import picture_overlay
from tfbind.reporting import embedded
from tfbind.reporting.clusters import colors
from tfbind.reporting.examples import Shown

_PICTURED = 8  # of the best, and of the worst
_LONGEST = 320  # pixels of a picture on the page


def section(model: Any, outputs: dict[str, np.ndarray], shown: Shown) -> dict[str, Any] | None:
    """Returns what the page shows of a model's `assignments`; None if they are of no pictures."""
    if not embedded.has_pixels(shown.examples.image.shape[1:]):
        return None
    assignments, confidence = outputs["assignments"], outputs["confidence"]
    truth = shown.examples.groups
    scores = None if truth is None else agreements(truth, assignments)
    order = best_first(confidence if scores is None else scores)
    half = min(_PICTURED, -(-len(order) // 2))

    def example(place):
        return {
            "name": shown.names[place],
            "picture": shown.picture(place),
            "groups": _colored(shown, place, assignments[place]),
            "truth": None if truth is None else _true_groups(shown, place, truth[place]),
            "confidence": float(confidence[place]),
            "ami": None if scores is None else round(float(scores[place]), 2) + 0.0,
        }

    return {
        "by": "confidence" if scores is None else "AMI",
        "best": [example(i) for i in order[:half]],
        "worst": [example(i) for i in order[::-1][: min(half, len(order) - half)]],
        "mean_confidence": float(confidence.mean()),
        "mean_ami": None if scores is None else float(np.nanmean(scores)),
        "chance": 1 / assignments.shape[1],
        "colors": colors(assignments.shape[1]),
        "map": None,
    }


def agreements(truth: np.ndarray, assignments: np.ndarray) -> np.ndarray:
    """Returns the AMI of each picture, [n]; NaN where a picture has nothing to score."""
    num_true = max(1, int(truth.max()))
    return metrics.adjusted_mutual_information(
        truth, assignments.argmax(axis=1), num_true, assignments.shape[1]
    ).numpy()


def best_first(scores: np.ndarray) -> np.ndarray:
    """Returns the places of scores, the highest first; those without a score are left out."""
    order = np.argsort(-scores, kind="stable")
    return order[np.isfinite(scores[order])]


def _colored(shown: Shown, place: int, assignments: np.ndarray) -> str:
    """Returns a picture in the groups' colours, of own files in their own size."""
    own, image = shown.own, shown.examples.image[place]
    original = None if own is None else own.original(int(shown.rows[place]))
    if own is None or original is None or not isinstance(own.preparation, reading.Pictures):
        return embedded.picture_uri(plots.overlay(image, assignments), _LONGEST)
    colored = overlay_of(own.preparation, original, assignments)
    return embedded.picture_uri(colored, _LONGEST)


def overlay_of(
    preparation: reading.Pictures, picture: np.ndarray, assignments: np.ndarray
) -> np.ndarray:
    """Returns a picture of a person's own in the groups' colours, uint8 `[H, W, 3]`."""
    return picture_overlay(preparation, picture, preparation.put_back(assignments, picture))


def _true_groups(shown: Shown, place: int, truth: np.ndarray) -> str:
    """Returns the true groups, each in a colour; what is not scored is black."""
    shares = truth[None] == np.arange(1, max(2, int(truth.max()) + 1))[:, None, None]
    return embedded.picture_uri(plots.overlay(np.ones_like(truth), shares.astype("float32")))
