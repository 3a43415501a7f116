"""Training under a `tf.distribute` strategy: what Keras leaves open, and what cannot work.

Replicas train as one process with the whole batch would, but for their noise. Each has an equal
part of every batch; what is taken over a batch as a whole, `tfbind._replicas` takes over all parts.
Keras 3.15 cannot train on several workers: `_maybe_symbolic_build` and `_make_function`, which it
keeps to itself, are what is changed here, and a test looks whether they are still what they were.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfbind import _replicas
from tfbind.models import _batch
from tfbind.models._parts import batch_normalizations

# Settings of optimizers that would see a replica's own gradients
_OF_ONE_REPLICA = ("clipnorm", "global_clipnorm", "clipvalue", "gradient_accumulation_steps")
_SCOPE = "make and compile the model inside `with strategy.scope():`"


class DistributedModel(keras.Model):
    """A Keras model, built when it is made, that trains under a strategy as without one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._here: Callable | None = None

    @property
    def num_replicas(self) -> int:
        """How many replicas share a batch."""
        return self.distribute_strategy.num_replicas_in_sync

    @property
    def has_other_workers(self) -> bool:
        """Whether replicas are in other processes too."""
        strategy = self.distribute_strategy
        return self.num_replicas > 1 and self.num_replicas > len(strategy.extended.worker_devices)

    def check_scope(self) -> None:
        """Raises if the model is used under another strategy than it was made under."""
        around = tf.distribute.get_strategy() if tf.distribute.has_strategy() else None
        if around is not None and around is not self._distribute_strategy:
            raise ValueError(
                "The model must be made inside the scope of the strategy that it is trained under. "
                f"Received: one that was made outside of it; {_SCOPE}."
            )

    def check_distribution(self) -> None:
        """Raises unless the model, as it is compiled, can train under its strategy."""
        self.check_scope()
        if self.num_replicas == 1:
            return
        if self.steps_per_execution > 1:
            raise ValueError(
                "`steps_per_execution` must be 1 under a strategy of several replicas. Received: "
                f"steps_per_execution={self.steps_per_execution}."
            )
        if isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer):
            raise ValueError(
                "`dtype` must not be 'mixed_float16' under a strategy of several replicas, each of "
                "which would leave out steps by itself. Received: it; have 'mixed_bfloat16'."
            )
        if self.jit_compile:
            raise ValueError(
                "`jit_compile` must be False or 'auto' under a strategy of several replicas, whose "
                "variables are on several devices. Received: jit_compile=True."
            )

    def check_optimizer(self, optimizer: keras.optimizers.Optimizer) -> None:
        """Raises if replicas would not do together what an optimiser does."""
        if optimizer._distribution_strategy is not self.distribute_strategy:
            raise ValueError(
                "`optimizer` must be made inside the scope of the model's strategy. Received: one "
                f"that was made outside of it; {_SCOPE}, with a new optimizer."
            )
        for name in _OF_ONE_REPLICA if self.num_replicas > 1 else ():
            value = optimizer.get_config().get(name)
            if value is not None:
                raise ValueError(
                    f"`{name}` of an optimizer must be None under a strategy of several replicas, "
                    f"each of which would do it by itself. Received: {name}={value}."
                )

    def check_alone(self, name: str, instead: str) -> None:
        """Raises if there are several replicas, each of which would get a whole batch."""
        if self.num_replicas > 1:
            raise ValueError(
                f"`{name}` must not be called under a strategy of several replicas, among which it "
                f"divides nothing. Received: {self.num_replicas} replicas; call `{instead}`."
            )

    def check_same_seed(self, seed: int) -> None:
        """Raises if the model has another seed on other workers, hence other orders and labels."""

        def add() -> tf.Tensor:
            return _replicas.total(tf.constant(seed, tf.int64))[0]

        together = tf.function(lambda: self.distribute_strategy.run(add), autograph=False)
        if self._first(together()) != seed * self.num_replicas:
            raise ValueError(
                "`seed` of a model must be the same on every worker. "
                f"Received: seed={seed}, and another elsewhere."
            )

    # What Keras keeps to itself.

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Does nothing: the model is built, and Keras' way fails where there are workers."""

    def _make_function(self, step_function: Callable) -> Callable:
        """Returns what runs a step on the next batch of an iterator.

        On several workers the logs of a step are those of the worker's own replicas. Keras would
        reduce each of them over all workers, along an axis that they do not have.
        """
        if not self.has_other_workers:
            return super()._make_function(step_function)

        def step(iterator: Any) -> Any:
            logs = self.distribute_strategy.run(step_function, args=(iterator.get_next(),))
            return keras.tree.map_structure(self._first, logs)

        return step if self.run_eagerly else tf.function(step, autograph=False)

    def _first(self, value: Any) -> tf.Tensor:
        return self.distribute_strategy.experimental_local_results(value)[0]

    # Data.

    def _dealt(self, feed: Any, batch_size: int | None) -> Any:
        """Returns what Keras is fed, of which every replica gets an equal part of each batch."""
        if self.num_replicas == 1:
            return feed
        if _batch.holds_arrays(feed):
            rows = feed["image"].shape[0]
            for size in {min(batch_size or _batch.SIZE, rows), rows % (batch_size or _batch.SIZE)}:
                self._check_divides(size)
            return feed
        _require_dataset(feed)
        for spec in keras.tree.flatten(feed.element_spec):
            self._check_divides(spec.shape[0] or 0)
        if any(spec.shape[0] is None for spec in keras.tree.flatten(feed.element_spec)):
            feed = feed.map(self._check_batch)
        return by_position(feed)

    def _check_divides(self, rows: int) -> None:
        if rows % self.num_replicas:
            raise ValueError(f"{self._division} Received: one of {rows}.")

    @property
    def _division(self) -> str:
        return f"A batch must divide evenly among the {self.num_replicas} replicas of the strategy."

    def _check_batch(self, batch: Mapping) -> Mapping:
        """Returns a batch of a pipeline; drawing it fails with a sentence if it does not divide."""
        sizes = [tf.shape(part)[0] for part in batch.values()]
        checks = [
            _batch.assertion(size % self.num_replicas == 0, self._division, "one of ", text, ".")
            for size, text in ((size, _batch.text(size)) for size in sizes)
        ]
        with tf.control_dependencies(checks):
            return {key: tf.identity(part) for key, part in batch.items()}

    @contextlib.contextmanager
    def _joint_normalization(self) -> Iterator[None]:
        """Makes Keras' batch normalisation take its statistics over the batch of all replicas."""
        layers = batch_normalizations(self) if self.num_replicas > 1 else []
        joint = [layer for layer in layers if not layer.synchronized]
        for layer in joint:
            layer.synchronized = True
        try:
            yield
        finally:
            for layer in joint:
                layer.synchronized = False

    def _predict_here(self, x: Any, batch_size: int | None, steps: int | None) -> dict:
        """Returns what `predict` does, on one device and without the other workers."""
        if self._here is None:
            self._here = tf.function(lambda batch: self(batch, training=False), autograph=False)
        if _batch.holds_arrays(x):
            x = _batch.batches(x, batch_size or _batch.SIZE)
        _require_dataset(x)
        found = [self._here(batch) for batch in x.take(steps or -1)]
        return {key: np.concatenate([each[key] for each in found]) for key in found[0]}


def _require_dataset(data: Any) -> None:
    if not isinstance(data, tf.data.Dataset):
        raise ValueError(
            "`x` must be arrays or a tf.data.Dataset under a strategy. "
            f"Received: {type(data).__name__}; see `tf.data.Dataset.from_generator`."
        )


def by_position(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Returns a dataset of which each worker takes its part of every batch, by position."""
    options = tf.data.Options()
    policy = tf.data.experimental.AutoShardPolicy.DATA
    options.experimental_distribute.auto_shard_policy = policy
    return dataset.with_options(options)
