from typing import Any

from sklearn.base import clone
from sklearn.metrics import adjusted_rand_score


def agreement_scorer(estimator: Any, X: Any, y: None = None) -> float:
    """Returns how well another training, on other rows, agrees with a trained clusterer on these.

    The `scoring` of `GridSearchCV` that chooses the number of clusters, without labels: a clone
    is trained on the held-out rows, and both cluster them. With as many clusters as there are
    kinds both find the same ones; with more, each splits another kind. `score` cannot tell, for
    more clusters can have more mutual information. It works where kinds stand apart and clusters
    are of a size, as those of k-means; one that learns shares may leave a cluster empty, and
    then agrees with one too many. `tfbind.training.select_num_clusters` is for those.

    Args:
        estimator: A trained clusterer with `predict`, or a `Pipeline` that ends in one.
        X: What it takes, rows that it was not trained on.
        y: Ignored.

    Returns:
        The adjusted Rand index of the two clusterings: 1 for equal ones, about 0 for chance.

    Example:

    >>> from sklearn.cluster import KMeans
    >>> from sklearn.datasets import make_blobs
    >>> from sklearn.model_selection import GridSearchCV
    >>> rows, _ = make_blobs(300, centers=4, random_state=3)
    >>> search = GridSearchCV(
    ...     KMeans(n_init=5, random_state=0),
    ...     {"n_clusters": [5, 4, 3]},
    ...     scoring=tfbind.sklearn.agreement_scorer,
    ... )
    >>> search.fit(rows).best_params_
    {'n_clusters': 4}

    References:
        Lange, Roth, Braun, Buhmann. Stability-Based Validation of Clustering Solutions. Neural
        Computation 16, 2004. https://doi.org/10.1162/089976604773717621.
    """
    other = clone(estimator).fit(X)
    return float(adjusted_rand_score(other.predict(X), estimator.predict(X)))
