"""Labels to begin with: the clusters of a mixture of Gaussians."""

from typing import TYPE_CHECKING

import numpy as np

from tfbind import _rows
from tfbind._stored import Stored
from tfbind._validation import check_choice, check_integer

if TYPE_CHECKING:
    from sklearn.mixture import GaussianMixture

_ROWS = 5000  # that a mixture is fitted to, at most
_STARTS = 3


def fit_mixture(rows: np.ndarray, num_clusters: int) -> "GaussianMixture":
    """Fits a mixture of Gaussians to vectors; the same rows give the same mixture.

    Args:
        rows: float32 `[N, D]`, or examples of another shape, whose numbers are then in a row. Of
            more than 5000, as many are drawn to fit it to.
        num_clusters: Integer K >= 2.

    Returns:
        A `sklearn.mixture.GaussianMixture` with a variance for every column and cluster.

    Raises:
        ValueError: If there are fewer rows than clusters.

    Example:

    >>> rows = np.repeat(np.eye(3, 5), [20, 10, 10], axis=0)
    >>> mixture = tfbind.labeling.fit_mixture(rows, 3)
    >>> sorted(mixture.weights_.round(2).tolist())
    [0.25, 0.25, 0.5]
    """
    from sklearn.mixture import GaussianMixture  # slow, and for this alone

    rows = rows if isinstance(rows, Stored) else flat(rows)
    if len(rows) > _ROWS:
        rows = rows[np.sort(np.random.default_rng(0).permutation(len(rows))[:_ROWS])]
    mixture = GaussianMixture(
        check_integer("num_clusters", num_clusters, 2),
        covariance_type="diag",
        n_init=_STARTS,
        random_state=0,
        reg_covar=1e-3,
    )
    return mixture.fit(flat(rows))


def flat(rows: np.ndarray) -> np.ndarray:
    """Returns the numbers of each example in a row, float64 `[N, D]`."""
    rows = np.asarray(_rows.dense(rows), "float64")
    return rows.reshape(len(rows), -1)


def mixture_labels(rows: np.ndarray, num_clusters: int, num_heads: int) -> dict[str, np.ndarray]:
    """Returns the clusters of `fit_mixture` in the form of `SelfLabeling.solve_labels`.

    All heads get the same labels, and know nothing of them yet: each loses log K.
    """
    mixture = fit_mixture(rows, num_clusters)
    parts = rows.chunks() if isinstance(rows, Stored) else (rows,)
    labels = np.concatenate([mixture.predict(flat(part)) for part in parts])
    shares = mixture.weights_
    return {
        "labels": np.tile(labels.astype("int32"), (num_heads, 1)),
        "head_losses": np.full(num_heads, np.log(num_clusters), "float32"),
        "shares": np.tile(shares.astype("float32"), (num_heads, 1)),
        "cluster_error": np.zeros((), "float32"),
    }


def check_first_labels(first_labels: str, learned: bool) -> str:
    """Returns `first_labels`; raises if they are a mixture's, and the marginal is not learned."""
    check_choice("first_labels", first_labels, ("network", "mixture"))
    if first_labels == "mixture" and not learned:
        raise ValueError(
            "`first_labels` must be 'network' where clusters get shares that are told, since "
            "a mixture's have their own. Received: first_labels='mixture'; have marginal='learned'."
        )
    return first_labels
