from collections.abc import Sequence

import keras
import numpy as np

from tfbind.models import PseudoLabelEnsemble
from tfbind.sklearn._base import Clusterer

_FIRST_ROUND = 3 / 8  # of the epochs
_ROUND = 1 / 8


class PseudoLabelEnsembleClusterer(Clusterer):
    """Clusters rows by an ensemble that learns from what its members agree on (Kingdra).

    `PseudoLabelEnsemble` with settings for tables, whose columns should have deviations near 1.
    Use it where clusters are about equally large, and where a probability that is the mean of
    several networks' is wanted. It cannot go on with other rows (`partial_fit`), for what members
    agree on is found in all rows at once.

    Args:
        n_clusters: Integer K >= 2.
        num_members: Integer M >= 2.
        hidden_units: Widths of the hidden layers of a member; None for (64, 64).
        noise: Float >= 0, the deviation of the noise on every layer; None for 1.
        n_init: Integer >= 1, starts, of which the one with the highest `score` is kept.
        learning_rate: Float > 0, Adam's.
        batch_size: Integer >= 1; "auto" for an eighth of the rows, from 16 to 128.
        max_iter: Integer >= 1, epochs; "auto" for about 600 steps, from 10 to 60 epochs. The first
            three eighths go before the first pseudo-labels, and one between two rounds.
        random_state: Integer, `RandomState` or None, of weights, noise and order.

    `transform` returns the probabilities of the clusters, `[N, K]`: members have no features in
    common.

    Attributes:
        model_: The trained `PseudoLabelEnsemble`, which `tfbind.export` and `save` take.
        labels_: int64 `[N]`, the clusters of the rows of the training.
        n_iter_: Integer, the number of epochs.
        n_features_in_: Integer D.
        feature_names_in_: The names of the columns, where they all have one.

    Example:

    >>> from sklearn.datasets import make_blobs
    >>> rows, _ = make_blobs(60, centers=3, n_features=4, random_state=0)
    >>> rows = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    >>> clusterer = tfbind.sklearn.PseudoLabelEnsembleClusterer(3, num_members=3, random_state=0)
    >>> clusterer.fit(rows).predict_proba(rows[:5]).shape
    (5, 3)
    """

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        num_members: int = 6,
        hidden_units: Sequence[int] | None = None,
        noise: float | None = None,
        n_init: int = 1,
        learning_rate: float = 3e-3,
        batch_size: int | str = "auto",
        max_iter: int | str = "auto",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        super().__init__(
            n_clusters,
            n_init=n_init,
            learning_rate=learning_rate,
            batch_size=batch_size,
            max_iter=max_iter,
            random_state=random_state,
        )
        self.num_members = num_members
        self.hidden_units = hidden_units
        self.noise = noise

    def _make_model(self, event_shape: tuple[int, ...], epochs: int, seed: int) -> keras.Model:
        model = PseudoLabelEnsemble(
            event_shape,
            self.n_clusters,
            self.num_members,
            hidden_units=self.hidden_units,
            noise=self.noise,
            first_epochs=max(1, round(_FIRST_ROUND * epochs)),
            round_epochs=max(1, round(_ROUND * epochs)),
            seed=seed,
        )
        model.compile(keras.optimizers.Adam(self.learning_rate))
        return model
