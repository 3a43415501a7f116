"""The training protocol of every model: Keras' mechanics are here, a model has its mathematics."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tfbind import losses, seeds
from tfbind.models._checked import CheckedModel
from tfbind.models._endpoints import Endpoint, write_saved_model
from tfbind.models._joint_optimizer import JointOptimizer

# What the seeds of the networks' own layers, such as dropout, are told apart by from a step's.
_LAYER_SALT = 3


class Player(NamedTuple):
    """Who minimises what: the weight of each term in its loss, and the variables it changes."""

    weights: Mapping[str, float]
    variables: Sequence[keras.Variable]


class BaseModel(CheckedModel):
    """A model of examples of one `event_shape`, trained by `fit` as Keras users know it.

    A subclass writes down `loss_terms`, `scores` and `call`, and declares, besides what
    `CheckedModel` asks for,

    - `trackers`: a Keras metric under the name of everything that a step may log;
    - `term_weights`: how much each term counts in the loss, or `players` if there are several
      optimisers; terms that count nowhere are only logged.

    `fit` corrupts, normalises by the batch and drops out; `evaluate`, `predict` and what is
    exported do not. Networks of the user's own are run in the mode of the step, and the losses
    that their layers add are part of the loss.
    """

    needs_calibration = False

    def __init__(self, event_shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(event_shape, **kwargs)
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

        It is asked for if `evaluate` was given something that the model is `scored_by`.
        """
        return {}

    @property
    def term_weights(self) -> Mapping[str, float]:
        """The weight of each term in the loss: a number, or a tensor where it changes."""
        raise NotImplementedError

    def players(self) -> list[Player]:
        """Returns who minimises what, in the order of the optimisers."""
        return [Player(self.term_weights, self.trainable_variables)]

    def end_training(self) -> None:
        """Forgets what only a training needs, before the trained model is saved."""

    def serving_endpoints(self) -> dict[str, Endpoint]:
        """Returns the endpoints to export: dict of name to `Endpoint`."""
        raise NotImplementedError

    def unsupervised_score(self, images: Any, batch_size: int | None = None) -> float:
        """Returns how good a trained model is by images alone, the higher the better.

        It tells several trainings of one model apart, not models from each other. Here it is minus
        the loss of `evaluate`.
        """
        logs = self.evaluate(images, batch_size=batch_size, return_dict=True, verbose=0)
        return -float(logs["loss"])

    @property
    def noise_seed(self) -> int:
        """The base seed of what a step draws."""
        return self.seed

    @property
    def optimizers(self) -> tuple[keras.optimizers.Optimizer, ...]:
        """The optimisers of the players, in their order."""
        optimizer = inner(self.optimizer)
        return optimizer.members if isinstance(optimizer, JointOptimizer) else (optimizer,)

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
        gradients: list[tf.Tensor] = []
        variables: list[keras.Variable] = []
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
        if batch.keys() & set(self.scored_by):
            terms = {**terms, **self.scores(batch, self(batch, training=False))}
        return self._logs(terms, [*totals, added], batch)

    def step_seed(self, training: bool) -> tf.Tensor:
        """Returns a stateless seed that no other step, batch or replica has.

        While training the optimiser's step tells batches apart. It stands still in evaluation,
        where the loss tracker's count does, which starts from zero every time.
        """
        if not self.compiled:
            return seeds.step_seed(self.noise_seed, 0)
        if training:
            return seeds.step_seed(self.noise_seed, self.num_steps)
        return seeds.step_seed(self.noise_seed, self.num_steps, 1, self._loss_tracker.count)

    @property
    def num_steps(self) -> tf.Variable:
        """The steps that the compiled model was trained by so far, a scalar."""
        return inner(self.optimizer).variables[0]  # `iterations`, but where gradients add up

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
            if name in terms and (tf.is_tensor(weight) or weight)
        ]
        return tf.add_n(means or [tf.zeros([])])

    def _added(self) -> tf.Tensor:
        """Returns the losses that layers add, such as regularisers: once, for all players."""
        return tf.reduce_sum([tf.cast(added, tf.float32) for added in self.losses])

    def _logs(
        self, logged: Mapping, totals: Sequence[tf.Tensor], batch: Mapping
    ) -> dict[str, tf.Tensor]:
        rows = tf.shape(batch["image"])[0]
        self._loss_tracker.update_state(_known(tf.add_n(totals), rows), sample_weight=rows)
        results = {"loss": self._loss_tracker.result()}
        for name, value in logged.items():
            tracker = self.trackers[name]
            if not isinstance(value, tuple):
                value = (value,) if value.shape.rank else (_known(value, rows), rows)
            tracker.update_state(*value)
            result = tracker.result()
            results |= {name: result} if tf.is_tensor(result) else result
        return results

    def _get_metrics_result_or_logs(self, logs: Mapping) -> dict[str, Any]:
        # Keras calls it out of the graph, where metrics such as a best matching are known.
        with self.distribute_strategy.scope():
            exact = self.get_metrics_result()
        return {name: exact[name] for name in logs}

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
        self.check_scope()
        with self.distribute_strategy.scope():
            super().compile(
                optimizer,
                run_eagerly=run_eagerly,
                steps_per_execution=steps_per_execution,
                jit_compile=jit_compile,
                auto_scale_loss=auto_scale_loss,
            )
            # At once: neither a strategy nor a resumed training can wait for the first step.
            if not self.optimizer.built:
                self.optimizer.build([v for player in self.players() for v in player.variables])
        self.check_distribution()
        for each in self.optimizers:
            self.check_optimizer(each)

    def compile_from_config(self, config: dict) -> None:
        self.compile(**keras.saving.deserialize_keras_object(config))

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

    def restore_from(self, other: keras.Model) -> None:
        """Takes over the weights, and the state of the optimiser, of a model of the same kind."""
        self.set_weights(other.get_weights())
        theirs = other.optimizer.variables
        for mine, value in zip(self.optimizer.variables, theirs, strict=True):
            mine.assign(value)


def cluster_information(model: keras.Model, images: Any, batch_size: int | None = None) -> float:
    """Returns the mutual information of examples and their clusters or classes, in nats.

    It is log K at most, where every example is surely in one of K and all are equally full. A
    model that has merged two kinds of examples, or cannot tell two of them apart, has less.
    """
    p = model.predict(images, batch_size=batch_size, verbose=0)["probabilities"]
    return -float(losses.negative_mutual_information(p.astype("float64"), 1.0))


def means(*names: str) -> dict[str, keras.metrics.Metric]:
    """Returns trackers that average, by name."""
    return {name: keras.metrics.Mean(name=name) for name in names}


def inner(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """Returns the optimiser without the one around it that scales losses."""
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return optimizer.inner_optimizer
    return optimizer


def _mean(name: str, term: tf.Tensor, sample_weight: tf.Tensor | None) -> tf.Tensor:
    if term.shape.rank == 0 and sample_weight is not None:
        raise ValueError(
            f"`sample_weight` must be None: {name} is of a batch as a whole, not of its examples. "
            "Received: weights of the examples."
        )
    return losses.batch_mean(term, sample_weight)


def _known(value: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Returns what is of a batch as a whole; 0 of none, as a replica may get of a last batch."""
    return tf.where(rows > 0, value, tf.zeros_like(value))


def _per_replica(loss: tf.Tensor) -> tf.Tensor:
    """Returns a replica's share of the loss: a strategy adds the gradients of all."""
    return loss / tf.distribute.get_strategy().num_replicas_in_sync
