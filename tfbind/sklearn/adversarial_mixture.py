from collections.abc import Sequence

import keras
import numpy as np

from tfbind.models import AdversarialMixture
from tfbind.sklearn._base import IncrementalClusterer

_MOMENTUM = 0.5  # beta_1, as the authors have it


class AdversarialMixtureClusterer(IncrementalClusterer):
    """Clusters rows by a mixture that a game teaches to generate them.

    `AdversarialMixture` with settings for tables, whose columns should have deviations near 1. Use
    it where new rows of a cluster are wanted too: `model_.generate`. A game may fail: have
    `n_init` starts.

    Args:
        n_clusters: Integer K >= 2.
        latent_dim: Integer L >= 1, what rows of a cluster differ in.
        hidden_units: Widths of the hidden layers of each network.
        gradient_penalty: Float >= 0, the weight of the penalty on the discriminator's gradient.
        n_init: Integer >= 1, starts, of which the one with the highest `score` is kept.
        learning_rate: Float > 0, Adam's.
        batch_size: Integer >= 1; "auto" for an eighth of the rows, from 16 to 128.
        max_iter: Integer >= 1, epochs; "auto" for about 2000 steps, from 10 to 200 epochs.
        random_state: Integer, `RandomState` or None, of weights, noise and order.

    `transform` returns the latents, `[N, L]`.

    Attributes:
        model_: The trained `AdversarialMixture`, which `tfbind.export` and `save` take.
        labels_: int64 `[N]`, the clusters of the rows of the last training.
        n_iter_: Integer, the number of epochs.
        n_features_in_: Integer D.
        feature_names_in_: The names of the columns, where they all have one.

    Example:

    >>> middles = np.repeat([[-2, 0, 2], [2, 0, -2]], 20, axis=0)
    >>> rows = middles + np.random.default_rng(0).normal(0, 0.1, middles.shape)
    >>> clusterer = tfbind.sklearn.AdversarialMixtureClusterer(2, max_iter=30, random_state=1)
    >>> clusterer.fit(rows).transform(rows).shape
    (40, 2)
    >>> clusterer.model_.generate([0, 1]).shape
    TensorShape([2, 3])
    """

    features = "latent"
    num_steps = 2000
    most_epochs = 200

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        latent_dim: int = 2,
        hidden_units: Sequence[int] = (256, 256),
        gradient_penalty: float = 0.1,
        n_init: int = 1,
        learning_rate: float = 1e-3,
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
        self.latent_dim = latent_dim
        self.hidden_units = hidden_units
        self.gradient_penalty = gradient_penalty

    def _make_model(self, event_shape: tuple[int, ...], epochs: int, seed: int) -> keras.Model:
        model = AdversarialMixture(
            event_shape,
            self.n_clusters,
            self.latent_dim,
            hidden_units=self.hidden_units,
            gradient_penalty=self.gradient_penalty,
            output_activation="linear",
            seed=seed,
        )
        model.compile(keras.optimizers.Adam(self.learning_rate, beta_1=_MOMENTUM))
        return model
