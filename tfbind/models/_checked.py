"""What Keras users call, with checked data: `fit`, `evaluate`, `predict` and one batch of each."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfbind import seeds
from tfbind._validation import check_integer
from tfbind.models import _batch, _given
from tfbind.models._batch import Field
from tfbind.models._distribution import DistributedModel, by_position
from tfbind.models._finite_loss import FiniteLoss


class CheckedModel(DistributedModel):
    """A Keras model of examples of one `event_shape`, which checks what it is given.

    `fit`, `evaluate` and `predict` take what Keras' own do: arrays, flat dicts of arrays, datasets
    of either; of vectors also sparse matrices, of SciPy or TensorFlow, of which no more than a
    batch is ever made dense. What they cannot use they refuse, in one sentence; a step sees a dict.
    Subclasses declare

    - `fields`: what a batch may hold, if there is more than images;
    - `learns_from`: what `fit` takes `y` for, None if for nothing;
    - `scored_by`: the truths that `evaluate` scores by, of which `y` is the first;
    - `value_range`: (low, high) of the data, None for open;
    - `fewest_rows`: how many examples a batch must hold to train on;
    - `seed`: of the order of several streams of arrays, as of all that is drawn.
    """

    learns_from: str | None = None
    scored_by: tuple[str, ...] = ()
    value_range: tuple = (None, None)
    fewest_rows = 1
    seed = 0

    def __init__(self, event_shape: Sequence[int], **kwargs: Any) -> None:
        if not isinstance(event_shape, (tuple, list)) or not event_shape:
            raise ValueError(
                "`event_shape` must be a tuple of one integer or more. "
                f"Received: event_shape={event_shape!r}."
            )
        event_shape = tuple(check_integer("event_shape", size, 1) for size in event_shape)
        # What runs in the compute dtype are the layers inside, not densities and losses.
        super().__init__(autocast=False, **kwargs)
        self.event_shape = event_shape

    def fields(self, training: bool) -> dict[str, Field]:
        """Returns what a batch may hold, in `fit` or elsewhere."""
        return {
            "image": Field("images", self.event_shape, False, *self.value_range),
            "sample_weight": Field("sample_weight", (), False, 0.0, np.inf),
        }

    def check_training_keys(self, keys: Mapping) -> None:
        """Raises unless `fit` has all that it needs."""

    def own_callbacks(self, data: Any) -> list[keras.callbacks.Callback]:
        """Returns the callbacks that a training on checked `data` needs, which come last."""
        return [FiniteLoss()]

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
    ) -> keras.callbacks.History:
        """Trains as `keras.Model.fit` does; see the class for what `x` and `y` may be."""
        if class_weight is not None:
            raise ValueError(
                "`class_weight` must be None. Received: "
                f"class_weight={class_weight!r}; weigh the examples by `sample_weight`."
            )
        self.check_distribution()
        data = self._checked(x, y, sample_weight, training=True)
        if validation_data is not None:
            parts = keras.utils.unpack_x_y_sample_weight(validation_data)
            checked = self._checked(*parts, training=False)
            validation_data = (self._evaluated(checked, validation_batch_size or batch_size),)
        feed, steps = self._fed(data, batch_size, initial_epoch, shuffle)
        if _batch.holds_arrays(data) and not _batch.holds_arrays(feed):
            if validation_split:
                raise ValueError(
                    "`validation_split` must be 0 where there are several streams of examples, or "
                    f"sparse ones. Received: validation_split={validation_split}; give "
                    "validation_data."
                )
            batch_size = None
        with _batch.one_sentence(), self._joint_normalization():
            return super().fit(
                feed,
                batch_size=batch_size,
                epochs=epochs,
                verbose=verbose,
                callbacks=self._with_own(callbacks, data, steps_per_epoch),
                validation_split=validation_split,
                validation_data=validation_data,
                shuffle=shuffle and _batch.holds_arrays(feed),  # datasets shuffle themselves
                initial_epoch=initial_epoch,
                steps_per_epoch=steps_per_epoch or steps,
                validation_steps=validation_steps,
                validation_batch_size=validation_batch_size,
                validation_freq=validation_freq,
            )

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Scores as `keras.Model.evaluate` does; see the class for what `x` and `y` may be."""
        if not kwargs:  # else `fit` asks, with what it has checked
            x, y, sample_weight = self._checked(x, y, sample_weight, training=False), None, None
            x = self._evaluated(x, batch_size)
        with _batch.one_sentence():
            return super().evaluate(
                x, y, batch_size, verbose, sample_weight, steps, callbacks, return_dict, **kwargs
            )

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> dict[str, np.ndarray]:
        """Returns what `call` does, as arrays, for any number of examples."""
        x = self._checked(x, training=False)
        if self.has_other_workers:
            return self._predict_here(x, batch_size, steps)
        if _batch.holds_arrays(x):
            rows, batch_size = x["image"].shape[0], batch_size or _batch.SIZE
            if rows <= batch_size and not callbacks and not steps and self.num_replicas == 1:
                # A pipeline of its own would take longer than the model
                return self._predict_one(_batch.dense_batch(x), verbose)
            x = _batch.batches(x, batch_size)
            batch_size = None
        with _batch.one_sentence():
            return super().predict(x, batch_size, verbose, steps, callbacks)

    def _predict_one(self, x: Mapping, verbose: int | str) -> dict[str, np.ndarray]:
        outputs = super().predict_on_batch(x)
        if verbose:
            bar = keras.utils.Progbar(1, verbose=1 if verbose == "auto" else verbose)
            bar.update(1, finalize=True)
        return outputs

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: None = None,
        return_dict: bool = False,
    ) -> Any:
        """Runs one step of `fit` on one batch; see Keras."""
        self.check_alone("train_on_batch", "fit")
        if class_weight is not None:
            raise ValueError(
                f"`class_weight` must be None. Received: class_weight={class_weight!r}."
            )
        data = self._checked(x, y, sample_weight, training=True)
        return super().train_on_batch(_batch.dense_batch(data), return_dict=return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Runs one step of `evaluate` on one batch; see Keras."""
        self.check_alone("test_on_batch", "evaluate")
        data = self._checked(x, y, sample_weight, training=False)
        return super().test_on_batch(_batch.dense_batch(data), return_dict=return_dict)

    def predict_on_batch(self, x: Any) -> dict[str, np.ndarray]:
        """Returns what `call` does, as arrays, for one batch."""
        x = self._checked(x, training=False)
        if self.num_replicas > 1:
            return self._predict_here(x, x["image"].shape[0], None)
        return super().predict_on_batch(_batch.dense_batch(x))

    # Checks.

    def _checked(self, x: Any, y: Any = None, sample_weight: Any = None, *, training: bool) -> Any:
        """Returns a checked dict of arrays, or a dataset that is checked as it goes."""
        fewest = self.fewest_rows if training else 1
        rules = _given.Rules(self.fields(training), self._target(training), fewest)
        data = _given.checked(x, y, sample_weight, rules)
        keys = _batch.keys_of(data)
        if training and keys is not None:
            self.check_training_keys(keys)
        return data

    def _feed(
        self, data: Any, batch_size: int | None, initial_epoch: int
    ) -> tuple[Any, int | None]:
        """Returns what Keras is fed, and the steps of an epoch if it cannot count them itself."""
        if not _batch.has_streams(data):
            return data, None
        from tfbind.data import pipelines  # loads TFDS, which a served model does without

        batch_size = check_integer("batch_size", batch_size or _batch.SIZE, self.fewest_rows)
        return pipelines.semi_supervised_epochs(
            data["image"],
            data["label"],
            data["unlabeled_image"],
            batch_size,
            seeds.base_seed(self.seed),
            initial_epoch,
            unfeatured_labels=data.get("unfeatured_label"),
        )

    def _with_own(self, callbacks: Any, data: Any, steps_per_epoch: int | None) -> Any:
        """Returns the user's callbacks, and then those of the model that the user has not given."""
        if steps_per_epoch is not None and isinstance(data, tf.data.Dataset):
            data = data.take(steps_per_epoch)  # which may be endless
        if isinstance(callbacks, keras.callbacks.CallbackList):
            callbacks = callbacks.callbacks
        given = keras.tree.flatten(callbacks or [])
        kinds = {type(callback) for callback in given}
        own = [each for each in self.own_callbacks(data) if type(each) not in kinds]
        return [*given, *own]

    def _fed(
        self, data: Any, batch_size: int | None, initial_epoch: int, shuffle: bool
    ) -> tuple[Any, int | None]:
        """Returns what `_feed` does, such that every replica gets its part of each batch."""
        if self.has_other_workers:
            self.check_same_seed(self.seed)
        feed, steps = self._feed(data, batch_size, initial_epoch)
        if _batch.holds_arrays(feed) and shuffle and self.has_other_workers:
            feed, steps = self._alike(feed, batch_size, initial_epoch)
        if _batch.holds_lazy(feed):
            feed = _batch.batches(feed, batch_size or _batch.SIZE, shuffle)
        return self._dealt(feed, batch_size), steps

    def _alike(
        self, arrays: Mapping, batch_size: int | None, initial_epoch: int
    ) -> tuple[Any, int]:
        """Returns arrays as a pipeline with the same order on every worker."""
        from tfbind.data import pipelines

        batch_size = check_integer("batch_size", batch_size or _batch.SIZE, self.fewest_rows)
        seed = seeds.base_seed(self.seed)
        return pipelines.array_epochs(arrays, batch_size, seed, initial_epoch)

    def _evaluated(self, data: Any, batch_size: int | None) -> Any:
        """Returns checked data as Keras can go through them; see `_batch.batches`."""
        if _batch.holds_lazy(data) or (_batch.holds_arrays(data) and self.has_other_workers):
            data = _batch.batches(data, batch_size or _batch.SIZE)
        is_shared = isinstance(data, tf.data.Dataset) and self.num_replicas > 1
        return by_position(data) if is_shared else data

    def _as_batch(self, data: Any, training: bool) -> dict[str, tf.Tensor]:
        batch = _batch.as_dict(
            *keras.utils.unpack_x_y_sample_weight(data),
            target=self._target(training),
        )
        _batch.check_keys(batch, self.fields(training))
        if training:
            self.check_training_keys(batch)
        return batch

    def _target(self, training: bool) -> str | None:
        """Returns the key that `y` goes under."""
        return self.learns_from if training else next(iter(self.scored_by), None)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "event_shape": self.event_shape}
