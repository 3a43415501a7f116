"""What the estimators share: checks, starts, schedules, and what is read off a trained model."""

import contextlib
import random
import warnings
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    ClusterMixin,
    TransformerMixin,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.sparsefuncs import mean_variance_axis
from sklearn.utils.validation import check_is_fitted, validate_data

from tfbind import _rows
from tfbind._validation import check_integer, check_number
from tfbind.training import best_of, diagnose

AUTO = "auto"  # what goes by the rows
_BATCHES = (16, 128)  # least and greatest, an eighth of the rows
_FEWEST_EPOCHS = 10
_PREDICTED = 500  # rows at a time
_LOOKED_AT = 2000  # rows, for doubts
_DEVIATIONS = (0.2, 5.0)  # of columns, between which noise and learning rates work


class Clusterer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, BaseEstimator):
    """A clustering model as scikit-learn has estimators.

    Subclasses keep their arguments as they are, make a compiled model of them, and say under which
    key of the model's outputs `transform` finds what it returns.
    """

    features = "probabilities"
    num_steps = 600  # of a training, about
    most_epochs = 60
    image_shape: Any = None

    def __init__(
        self,
        n_clusters: int,
        *,
        n_init: int,
        learning_rate: float,
        batch_size: int | str,
        max_iter: int | str,
        random_state: Any,
    ) -> None:
        self.n_clusters = n_clusters
        self.n_init = n_init
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.random_state = random_state

    def _make_model(self, event_shape: tuple[int, ...], epochs: int, seed: int) -> keras.Model:
        """Returns a fresh compiled model; its arguments that all have are checked."""
        raise NotImplementedError

    def fit(self, X: Any, y: None = None) -> "Clusterer":
        """Trains from `n_init` starts and keeps the model of the highest score without labels.

        Args:
            X: Floats `[N, D]`, N rows of D columns; sparse or not, where rows are no images.
            y: Ignored.

        Returns:
            The estimator.

        Warns:
            ConvergenceWarning: If the result looks as if the training had failed.
        """
        examples = self._examples(X, reset=True)
        self._check_settings(examples.shape[0])
        _warn_of_scale(examples)
        batch_size, epochs = self._schedule(examples.shape[0])
        with _global_randomness_kept():
            found = best_of(
                lambda seed: self._make_model(examples.shape[1:], epochs, seed),
                examples,
                starts=self.n_init,
                seed=self._seed(),
                epochs=epochs,
                batch_size=batch_size,
            )
        self.model_, self.n_iter_ = found.model, epochs
        self._keep(examples)
        for finding in diagnose(self.model_, _rows.dense(examples[:_LOOKED_AT])):
            warnings.warn(finding.sentence, ConvergenceWarning, stacklevel=2)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Returns the most probable cluster of each row, int64 `[N]`, from 0 to K - 1."""
        return np.argmax(self.predict_proba(X), axis=-1)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Returns the probability of each cluster, float32 `[N, K]`; rows sum to 1."""
        return self._outputs(X)["probabilities"]

    def transform(self, X: Any) -> np.ndarray:
        """Returns what the model makes of each row, float32 `[N, F]`; see the class."""
        return self._outputs(X)[self.features]

    def score(self, X: Any, y: None = None) -> float:
        """Returns the mutual information of rows and clusters in nats, log K at most.

        It is high where every row is surely in one cluster and all clusters are in use, and tells
        settings with the same number of clusters apart, as `n_init` does the starts. More
        clusters can have more of it: choose their number by `agreement_scorer`.
        """
        check_is_fitted(self)
        return self.model_.unsupervised_score(self._examples(X), _PREDICTED)

    def _outputs(self, X: Any) -> dict[str, np.ndarray]:
        check_is_fitted(self)
        return self.model_.predict(self._examples(X), _PREDICTED, verbose=0)

    def _keep(self, examples: Any) -> None:
        """Notes what a training found, which needs its own labels no more."""
        self.model_.end_training()
        outputs = self.model_.predict(examples, _PREDICTED, verbose=0)
        self.labels_ = np.argmax(outputs["probabilities"], axis=-1)
        self._n_features_out = outputs[self.features].shape[1]

    # Checks, and what follows from the arguments.

    def _examples(self, X: Any, reset: bool = False) -> Any:
        """Returns rows as the model takes them, float32 `[N, *event_shape]`, sparse or not."""
        rows = validate_data(
            self,
            X,
            reset=reset,
            accept_sparse="csr" if self.image_shape is None else False,
            dtype="float32",
            ensure_min_samples=2 if reset else 1,
        )
        if self.image_shape is None:
            return rows
        if np.ndim(self.image_shape) != 1 or np.prod(self.image_shape) != rows.shape[1]:
            raise ValueError(
                "`image_shape` must be a tuple (H, W, C) of as many numbers as `X` has columns. "
                f"Received: image_shape={self.image_shape}, and {rows.shape[1]} columns."
            )
        return rows.reshape(-1, *self.image_shape)

    def _check_settings(self, num_rows: int) -> None:
        if check_integer("n_clusters", self.n_clusters, 2) > num_rows:
            raise ValueError(
                "`X` must hold a row or more for each cluster. Received: "
                f"n_clusters={self.n_clusters}, and {num_rows} rows."
            )
        check_integer("n_init", self.n_init, 1)
        check_number("learning_rate", self.learning_rate, 0, open_low=True)

    def _schedule(self, num_rows: int) -> tuple[int, int]:
        """Returns the size of a batch and the number of epochs."""
        batch_size, epochs = self.batch_size, self.max_iter
        if batch_size == AUTO:
            batch_size = int(np.clip(num_rows // 8, *_BATCHES))
        batch_size = check_integer("batch_size", batch_size, 1)
        if epochs == AUTO:
            epochs = self.num_steps * batch_size // num_rows
            epochs = int(np.clip(epochs, _FEWEST_EPOCHS, self.most_epochs))
        return batch_size, check_integer("max_iter", epochs, 1)

    def _seed(self) -> int:
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = self.image_shape is None
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


class IncrementalClusterer(Clusterer):
    """One whose model can go on learning from other rows, with the clusters that it has."""

    def partial_fit(self, X: Any, y: None = None) -> "IncrementalClusterer":
        """Trains for one epoch more on some rows; clusters keep their numbers.

        Args:
            X: Floats `[N, D]`, N >= K; sparse or not, where rows are no images.
            y: Ignored.

        Returns:
            The estimator.
        """
        is_new = "model_" not in vars(self)
        examples = self._examples(X, reset=is_new)
        self._check_settings(examples.shape[0])
        _warn_of_scale(examples)
        batch_size, _ = self._schedule(examples.shape[0])
        seed = self._seed() if is_new else self.model_.seed
        with _global_randomness_kept():
            keras.utils.set_random_seed(seed)
            if is_new:
                self.model_, self.n_iter_ = self._make_model(examples.shape[1:], 1, seed), 0
            done, self.n_iter_ = self.n_iter_, self.n_iter_ + 1
            self.model_.fit(examples, None, batch_size, self.n_iter_, 0, initial_epoch=done)
        self._keep(examples)
        return self


@contextlib.contextmanager
def _global_randomness_kept() -> Iterator[None]:
    """Leaves Python's and NumPy's generators as they were, of which other estimators draw."""
    states = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


def _warn_of_scale(examples: Any) -> None:
    rows = examples.reshape(examples.shape[0], -1)
    variances = mean_variance_axis(rows, 0)[1] if _rows.is_sparse(rows) else rows.var(axis=0)
    varying = variances[variances > 0]
    deviation = float(np.sqrt(varying.mean())) if varying.size else 1.0
    low, high = _DEVIATIONS
    if not low <= deviation <= high:
        warnings.warn(
            "The columns of `X` should have deviations near 1, for which noise and learning rates "
            f"are made. Received: {deviation:.3g} in the mean; scale them, by a `StandardScaler` "
            "before this estimator, say.",
            stacklevel=3,
        )
