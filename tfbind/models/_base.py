"""The training protocol of every model: Keras' mechanics are here, a model has its mathematics."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfbind import losses, seeds
from tfbind._validation import check_integer
from tfbind.models import _batch
from tfbind.models._batch import Field
from tfbind.models._endpoints import Endpoint, write_saved_model

# What the seeds of the networks' own layers, such as dropout, are told apart by from a step's.
_LAYER_SALT = 3


class Player(NamedTuple):
    """Who minimises what: the weight of each term in its loss, and the variables it changes."""

    weights: Mapping[str, float]
    variables: Sequence[keras.Variable]


class BaseModel(keras.Model):
    """A model of examples of one `event_shape`, trained by `fit` as Keras users know it.

    A subclass writes down `loss_terms`, `scores` and `call`, and declares

    - `trackers`: a Keras metric under the name of everything that a step may log;
    - `term_weights`: how much each term counts in the loss, or `players` if there are several
      optimisers; terms that count nowhere are only logged;
    - `fields`: what a batch may hold, if there is more than images;
    - `learns_from` and `scored_by`: what `fit` and `evaluate` take `y` for, None if for nothing;
    - `value_range`: (low, high) of the data, None for open;
    - `fewest_rows`: how many examples a batch must hold to train on;
    - `seed`: of the training's noise, and of the order of several streams of arrays.

    `fit` corrupts, normalises by the batch and drops out; `evaluate`, `predict` and what is
    exported do not. Networks of the user's own are run in the mode of the step, and the losses
    that their layers add are part of the loss.
    """

    learns_from: str | None = None
    scored_by: str | None = None
    value_range: tuple = (None, None)
    fewest_rows = 1
    needs_calibration = False
    seed = 0

    def __init__(self, event_shape: Sequence[int], **kwargs: Any):
        if not isinstance(event_shape, (tuple, list)) or not event_shape:
            raise ValueError(
                "`event_shape` must be a tuple of one integer or more. "
                f"Received: event_shape={event_shape!r}."
            )
        event_shape = tuple(check_integer("event_shape", size, 1) for size in event_shape)
        # What runs in the compute dtype are the layers inside, not densities and losses.
        super().__init__(autocast=False, **kwargs)
        self.event_shape = event_shape
        self.trackers: dict[str, keras.metrics.Metric] = {}

    # What a model says.

    def loss_terms(self, batch: Mapping, seed: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
        """Returns the named terms of the loss, and whatever else is to be logged.

        Args:
            batch: Dict of tensors, as in `fields`.
            seed: Stateless int32 `[2]` seed of this step.
            training: Whether this is a step of `fit`.

        Returns:
            A dict: terms of the loss, float `[B]`, or `[]` if of the batch as a whole; and what
            the other trackers of that name take.
        """
        raise NotImplementedError

    def scores(self, batch: Mapping, outputs: Mapping) -> dict[str, Any]:
        """Returns what needs the truth: a dict of what trackers take, a tuple where several things.

        It is asked for if `evaluate` was given what the model is `scored_by`.
        """
        return {}

    @property
    def term_weights(self) -> Mapping[str, float]:
        """The weight of each term in the loss."""
        raise NotImplementedError

    def players(self) -> list[Player]:
        """Returns who minimises what, in the order of the optimisers."""
        return [Player(self.term_weights, self.trainable_variables)]

    def fields(self, training: bool) -> dict[str, Field]:
        """Returns what a batch may hold, in `fit` or elsewhere."""
        return {
            "image": Field("images", self.event_shape, False, *self.value_range),
            "sample_weight": Field("sample_weight", (), False, 0.0),
        }

    def check_training_keys(self, keys: Mapping) -> None:
        """Raises unless `fit` has all that it needs."""

    def own_callbacks(self, data: Any) -> list[keras.callbacks.Callback]:
        """Returns the callbacks that a training on checked `data` needs, which come last."""
        return []

    def serving_endpoints(self) -> dict[str, Endpoint]:
        """Returns the endpoints to export: dict of name to `Endpoint`."""
        raise NotImplementedError

    @property
    def noise_seed(self) -> int:
        """The base seed of what a step draws."""
        return self.seed

    # Steps.

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        batch = self._as_batch(data, training=True)
        seed = self.step_seed(training=True)
        self._reseed(seed)
        players = self.players()
        with tf.GradientTape(persistent=len(players) > 1) as tape, self._running(training=True):
            terms = self.loss_terms(batch, seed, training=True)
            totals = [self._total(player.weights, terms, batch) for player in players]
            added = self._added()
            scaled = [self.optimizer.scale_loss(_per_replica(total + added)) for total in totals]
        gradients, variables = [], []
        for player, total in zip(players, scaled, strict=True):
            gradients += tape.gradient(total, player.variables)
            variables += player.variables
        self.optimizer.apply(gradients, variables)
        return self._logs(terms, [*totals, added], batch)

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        batch = self._as_batch(data, training=False)
        with self._running(training=False):
            terms = self.loss_terms(batch, self.step_seed(training=False), training=False)
            totals = [self._total(player.weights, terms, batch) for player in self.players()]
            added = self._added()
        if self.scored_by in batch:
            terms = {**terms, **self.scores(batch, self(batch, training=False))}
        return self._logs(terms, [*totals, added], batch)

    def step_seed(self, training: bool) -> tf.Tensor:
        """Returns a stateless seed that no other step, batch or replica has.

        While training the optimiser's step tells batches apart. It stands still in evaluation,
        where the loss tracker's count does, which starts from zero every time.
        """
        if not self.compiled:
            return seeds.step_seed(self.noise_seed, 0)
        step = _num_batches(self.optimizer)
        if training:
            return seeds.step_seed(self.noise_seed, step)
        return seeds.step_seed(self.noise_seed, step, 1, self._loss_tracker.count)

    def _reseed(self, seed: tf.Tensor) -> None:
        """Makes the noise of the networks' own layers, such as dropout, follow from `seed`."""
        weights = {id(weight) for weight in self.weights}
        states = [state for state in self.variables if id(state) not in weights]
        own = tf.random.fold_in(seed, _LAYER_SALT, alg="philox")
        for state, new in zip(states, seeds.split(own, len(states)), strict=True):
            state.assign(tf.cast(new, state.dtype))

    @contextlib.contextmanager
    def _running(self, training: bool) -> Iterator[None]:
        """Makes networks run in the mode of the step, and their losses add up, as in `call`."""
        self._get_call_context().set_value("training", training)
        try:
            yield
        finally:
            self._maybe_reset_call_context()

    def _total(self, weights: Mapping[str, float], terms: Mapping, batch: Mapping) -> tf.Tensor:
        """Returns the weighted sum of terms, each its mean over the batch."""
        sample_weight = batch.get("sample_weight")
        means = [
            weight * _mean(name, terms[name], sample_weight)
            for name, weight in weights.items()
            if weight and name in terms
        ]
        return tf.add_n(means)

    def _added(self) -> tf.Tensor:
        """Returns the losses that layers add, such as regularisers: once, for all players."""
        return tf.reduce_sum([tf.cast(added, tf.float32) for added in self.losses])

    def _logs(
        self, logged: Mapping, totals: Sequence[tf.Tensor], batch: Mapping
    ) -> dict[str, tf.Tensor]:
        rows = tf.shape(batch["image"])[0]
        self._loss_tracker.update_state(tf.add_n(totals), sample_weight=rows)
        results = {"loss": self._loss_tracker.result()}
        for name, value in logged.items():
            tracker = self.trackers[name]
            if not isinstance(value, tuple):
                value = (value,) if value.shape.rank else (value, rows)
            tracker.update_state(*value)
            result = tracker.result()
            results |= {name: result} if tf.is_tensor(result) else result
        return results

    def _get_metrics_result_or_logs(self, logs: Mapping) -> dict[str, Any]:
        # Keras calls it out of the graph, where metrics such as a best matching are known.
        exact = self.get_metrics_result()
        return {name: exact[name] for name in logs}

    def _as_batch(self, data: Any, training: bool) -> dict[str, tf.Tensor]:
        batch = _batch.as_dict(
            *keras.utils.unpack_x_y_sample_weight(data),
            target=self.learns_from if training else self.scored_by,
        )
        _batch.check_keys(batch, self.fields(training))
        return batch

    # What Keras users call.

    def compile(
        self,
        optimizer: Any = "adam",
        loss: None = None,
        loss_weights: None = None,
        metrics: None = None,
        weighted_metrics: None = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: bool | str = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Configures the training; the model knows its own loss and its own metrics.

        Args:
            optimizer: Keras optimizer, or its name.
            loss: None; likewise `loss_weights`, `metrics` and `weighted_metrics`.
            run_eagerly: As in Keras, like all that follow.
            steps_per_execution: Integer.
            jit_compile: Whether XLA compiles the step; "auto" is without on a CPU.
            auto_scale_loss: Whether losses are scaled under the dtype policy "mixed_float16".

        Raises:
            ValueError: If there is a loss or a metric.
        """
        foreign = {
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
        }
        for name, value in foreign.items():
            if value is not None:
                raise ValueError(
                    f"`{name}` must be None: a {type(self).__name__} has a loss and metrics of its "
                    f"own. Received: {name}={value!r}; score what `predict` returns instead."
                )
        super().compile(
            optimizer,
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
            jit_compile=jit_compile,
            auto_scale_loss=auto_scale_loss,
        )
        # At once: neither XLA under a strategy nor a resumed training can wait for the first step.
        if not self.optimizer.built:
            self.optimizer.build([v for player in self.players() for v in player.variables])

    def compile_from_config(self, config: dict) -> None:
        self.compile(**keras.saving.deserialize_keras_object(config))

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
        data = self._checked(x, y, sample_weight, training=True)
        if validation_data is not None:
            parts = keras.utils.unpack_x_y_sample_weight(validation_data)
            validation_data = (self._checked(*parts, training=False),)
        feed, steps = self._feed(data, batch_size, initial_epoch)
        if steps is not None:
            if validation_split:
                raise ValueError(
                    "`validation_split` must be 0 where there are several streams of examples. "
                    f"Received: validation_split={validation_split}; give validation_data."
                )
            batch_size, shuffle = None, False
        with _batch.one_sentence():
            return super().fit(
                feed,
                batch_size=batch_size,
                epochs=epochs,
                verbose=verbose,
                callbacks=self._with_own(callbacks, data),
                validation_split=validation_split,
                validation_data=validation_data,
                shuffle=shuffle,
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
        if _batch.holds_arrays(x):
            rows, batch_size = len(x["image"]), batch_size or 32
            if rows <= batch_size and not callbacks and not steps:
                # A pipeline of its own would take longer than the model
                return self._predict_one(x, verbose)
            x = tf.data.Dataset.from_tensor_slices(x).batch(batch_size)
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
        if class_weight is not None:
            raise ValueError(
                f"`class_weight` must be None. Received: class_weight={class_weight!r}."
            )
        data = self._checked(x, y, sample_weight, training=True)
        return super().train_on_batch(data, return_dict=return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Runs one step of `evaluate` on one batch; see Keras."""
        data = self._checked(x, y, sample_weight, training=False)
        return super().test_on_batch(data, return_dict=return_dict)

    def predict_on_batch(self, x: Any) -> dict[str, np.ndarray]:
        """Returns what `call` does, as arrays, for one batch."""
        return super().predict_on_batch(self._checked(x, training=False))

    def export(
        self,
        filepath: str | os.PathLike,
        format: str = "tf_saved_model",
        verbose: bool | None = None,
        input_signature: None = None,
    ) -> None:
        """Writes `serving_endpoints()` as a SavedModel.

        `tfbind.export` has more to offer: versions, a card, a check, TFLite.
        """
        if format != "tf_saved_model" or input_signature is not None:
            raise ValueError(
                "`format` must be 'tf_saved_model', with the model's own signatures. Received: "
                f"format={format!r}, input_signature={input_signature!r}; for devices use "
                "`tfbind.export.export_tflite`."
            )
        write_saved_model(self.serving_endpoints(), filepath)
        if verbose:
            print(f"Saved artifact at '{filepath}'.")

    # Checks.

    def _checked(self, x: Any, y: Any = None, sample_weight: Any = None, *, training: bool) -> Any:
        """Returns a checked dict of arrays, or a dataset that is checked as it goes."""
        fields = self.fields(training)
        target = self.learns_from if training else self.scored_by
        data = _batch.checked(
            x, y, sample_weight, fields, target, self.fewest_rows if training else 1
        )
        if training:
            self.check_training_keys(_batch.keys_of(data))
        return data

    def _feed(
        self, data: Any, batch_size: int | None, initial_epoch: int
    ) -> tuple[Any, int | None]:
        """Returns what Keras is fed, and the steps of an epoch if it cannot count them itself."""
        if not _batch.has_streams(data):
            return data, None
        from tfbind.data import pipelines  # loads TFDS, which a served model does without

        batch_size = check_integer("batch_size", batch_size or 32, self.fewest_rows)
        return pipelines.semi_supervised_epochs(
            data["image"],
            data["label"],
            data["unlabeled_image"],
            batch_size,
            seeds.base_seed(self.seed),
            initial_epoch,
            unfeatured_labels=data.get("unfeatured_label"),
        )

    def _with_own(self, callbacks: Any, data: Any) -> Any:
        """Returns the user's callbacks, and then those of the model that the user has not given."""
        given = keras.tree.flatten(callbacks or [])
        kinds = {type(callback) for callback in given}
        own = [each for each in self.own_callbacks(data) if type(each) not in kinds]
        return [*given, *own]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "event_shape": self.event_shape}


def means(*names: str) -> dict[str, keras.metrics.Metric]:
    """Returns trackers that average, by name."""
    return {name: keras.metrics.Mean(name=name) for name in names}


def _num_batches(optimizer: keras.optimizers.Optimizer) -> tf.Tensor:
    """Returns the number of batches seen; `iterations` counts fewer where gradients add up."""
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        optimizer = optimizer.inner_optimizer
    return optimizer.variables[0]


def _mean(name: str, term: tf.Tensor, sample_weight: tf.Tensor | None) -> tf.Tensor:
    if term.shape.rank == 0 and sample_weight is not None:
        raise ValueError(
            f"`sample_weight` must be None: {name} is of a batch as a whole, not of its examples. "
            "Received: weights of the examples."
        )
    return losses.batch_mean(term, sample_weight)


def _per_replica(loss: tf.Tensor) -> tf.Tensor:
    """Returns a replica's share of the loss: a strategy adds the gradients of all."""
    return loss / tf.distribute.get_strategy().num_replicas_in_sync
