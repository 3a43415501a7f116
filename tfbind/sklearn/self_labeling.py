import copy
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tfbind.layers import AdditiveGaussianNoise, RandomAffine
from tfbind.models import SelfLabeling
from tfbind.sklearn._base import AUTO, IncrementalClusterer
from tfbind.training.auto import ROWS_NOISE, ROWS_UNITS

_IMAGE_UNITS = (32, 64, 64)
_SHIFT = 1 / 12  # of the side of an image


class SelfLabelingClusterer(IncrementalClusterer):
    """Clusters rows by self-labelling, whatever their clusters' sizes are.

    `SelfLabeling` with settings for tables: it begins with the clusters of a Gaussian mixture and
    moves them to where a network can tell them apart under noise. Columns should have deviations
    near 1. Where clusters are round clouds, scikit-learn's mixture or k-means does as well.

    Args:
        n_clusters: Integer K >= 2.
        image_shape: Tuple (H, W, C) if the columns are the numbers of an image, which then meets
            convolutions; or None.
        marginal: "learned" for clusters of any size; or K positive numbers that sum to 1, the
            share of each; or None for equal ones; "auto" for "learned" on tables, and for equal
            ones on images, which have no first clusters to learn shares from.
        augmentation: A layer of `tfbind.layers`, which distorts what is learned from; None for
            none; "auto" for noise of half a deviation on tables, and for small rotations,
            scales, shears and shifts of images.
        units: Widths of the dense layers, or of the convolutions and the features; None for
            (128, 128, 64), and (32, 64, 64) on images.
        num_heads: Integer >= 1, clusterings that share the network; the best one answers.
        strength: Float > 0: the larger, the more labels follow the classifier.
        num_online_epochs: Integer >= 0, epochs at first whose steps find the labels of their batch
            from other views of it; of images as large as MNIST's have as many as `max_iter`.
        n_init: Integer >= 1, starts, of which the one with the highest `score` is kept.
        learning_rate: Float > 0, Adam's.
        batch_size: Integer >= 1; "auto" for an eighth of the rows, from 16 to 128.
        max_iter: Integer >= 1, epochs; "auto" for about 600 steps, from 10 to 60 epochs.
        random_state: Integer, `RandomState` or None, of weights, noise and order.

    `transform` returns the features of the network's last layer, by default `[N, 64]`.

    Attributes:
        model_: The trained `SelfLabeling`, which `tfbind.export` and `save` take.
        labels_: int64 `[N]`, the clusters of the rows of the last training.
        n_iter_: Integer, the number of epochs.
        n_features_in_: Integer D.
        feature_names_in_: The names of the columns, where they all have one.

    Example:

    >>> from sklearn.datasets import make_blobs
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> rows, _ = make_blobs([60, 30, 10], random_state=3)
    >>> clusterer = tfbind.sklearn.SelfLabelingClusterer(3, random_state=0)
    >>> pipeline = make_pipeline(StandardScaler(), clusterer)
    >>> labels = pipeline.fit_predict(rows)
    >>> sorted(np.bincount(labels).tolist())
    [10, 30, 60]
    >>> pipeline[-1].model_.save(tempfile.mkdtemp() + "/clusters.keras")
    """

    features = "features"

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        image_shape: Sequence[int] | None = None,
        marginal: Sequence[float] | str | None = "auto",
        augmentation: keras.Layer | str | None = "auto",
        units: Sequence[int] | None = None,
        num_heads: int = 5,
        strength: float = 10.0,
        num_online_epochs: int = 0,
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
        self.image_shape = image_shape
        self.marginal = marginal
        self.augmentation = augmentation
        self.units = units
        self.num_heads = num_heads
        self.strength = strength
        self.num_online_epochs = num_online_epochs

    def _make_model(self, event_shape: tuple[int, ...], epochs: int, seed: int) -> keras.Model:
        of_tables = self.image_shape is None
        units = ROWS_UNITS if of_tables else _IMAGE_UNITS
        marginal = self.marginal
        if isinstance(marginal, str) and marginal == AUTO:
            marginal = "learned" if of_tables else None
        from_mixture = of_tables and isinstance(marginal, str)
        model = SelfLabeling(
            event_shape,
            self.n_clusters,
            num_heads=self.num_heads,
            units=units if self.units is None else self.units,
            strength=self.strength,
            num_online_epochs=self.num_online_epochs,
            marginal=marginal,
            first_labels="mixture" if from_mixture else "network",
            augmentation=self._layer(event_shape, seed),
            seed=seed,
        )
        model.compile(keras.optimizers.Adam(self.learning_rate))
        return model

    def _layer(self, event_shape: tuple[int, ...], seed: int) -> Any:
        if self.augmentation != AUTO:
            return copy.deepcopy(self.augmentation)  # training builds it
        if self.image_shape is None:
            return AdditiveGaussianNoise(ROWS_NOISE, seed=seed)
        shift = _SHIFT * event_shape[0]
        return RandomAffine(rotation=10.0, scale=0.1, shear=0.1, shift=shift, seed=seed)
