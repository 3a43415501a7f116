"""`fit` and `evaluate`: they run, the loss falls, seeds and XLA keep their promises."""

import functools

import numpy as np
import pytest
import tensorflow as tf

COMPILED = pytest.param(True, marks=pytest.mark.slow)


@pytest.fixture(scope="module")
def train(make_compiled, test_seed):
    """Trains an entry's model; once for every set of arguments, `attempt` among them."""

    @functools.cache
    def train(entry, seed=test_seed, attempt=1, jit_compile=False):
        model = make_compiled(entry, jit_compile=jit_compile, seed=seed)
        arguments = entry.fit_arguments(entry.event_shapes[0], 32)
        history = model.fit(**arguments, batch_size=8, epochs=12, verbose=0).history
        return model, np.array(history["loss"])

    return train


@pytest.mark.parametrize("jit_compile", [False, COMPILED])
def test_the_loss_falls(entry, jit_compile, train):
    _, losses = train(entry, jit_compile=jit_compile)
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.8 * losses[0] or not entry.loss_falls


@pytest.mark.slow
def test_xla_trains_alike(entry, train):
    (_, losses), (_, compiled) = train(entry, jit_compile=False), train(entry, jit_compile=True)
    assert compiled.mean() == pytest.approx(losses.mean(), rel=0.1)  # their noise may differ


def test_training_reaches_every_trainable_weight(entry, make, train):
    trained = train(entry, jit_compile=False)[0].trainable_weights
    for one, other in zip(make(entry).trainable_weights, trained, strict=True):
        assert (one.numpy() != other.numpy()).any(), one.path


@pytest.mark.slow
def test_the_same_seed_gives_the_same_model(entry, train):
    (first, losses), (again, losses_again) = (
        train(entry, attempt=attempt, jit_compile=not entry.repeats_without_xla)
        for attempt in (1, 2)
    )
    np.testing.assert_array_equal(losses, losses_again)
    for one, other in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    inputs = entry.inputs(entry.event_shapes[0], 4)
    expected, found = first(inputs), again(inputs)
    for key in expected:
        np.testing.assert_array_equal(found[key], expected[key])


def test_another_seed_gives_another_model(entry, train, test_seed):
    (first, losses) = train(entry, jit_compile=False)
    (other, other_losses) = train(entry, seed=test_seed + 1)
    assert (losses != other_losses).all()
    for one, another in zip(first.trainable_weights, other.trainable_weights, strict=True):
        assert (one.numpy() != another.numpy()).any(), one.path


@pytest.mark.parametrize("jit_compile", [False, COMPILED])
def test_evaluate(entry, jit_compile, train):
    model = train(entry, jit_compile=jit_compile)[0]
    arguments = {**entry.evaluate_arguments(entry.event_shapes[0], 12), "batch_size": 6}
    scores = model.evaluate(**arguments, verbose=0, return_dict=True)
    assert set(scores) == entry.evaluate_keys
    assert np.isfinite(list(scores.values())).all()
    # The noise of an evaluation does not depend on what ran before.
    assert model.evaluate(**arguments, verbose=0, return_dict=True) == scores


def test_a_dataset_does_as_well_as_an_array(entry, make_compiled):
    event_shape = entry.event_shapes[0]
    dataset, steps = entry.stream(event_shape, 0)
    arguments = {"epochs": 2, "steps_per_epoch": steps, "shuffle": False, "verbose": 0}
    arrays = entry.evaluate_arguments(event_shape, 12)
    batches = tf.data.Dataset.from_tensor_slices(tuple(arrays.values())).batch(6)
    model = make_compiled(entry)
    history = model.fit(dataset, validation_data=batches, **arguments).history
    assert set(history) == {*entry.fit_keys, *(f"val_{key}" for key in entry.evaluate_keys)}
    assert model.evaluate(batches, verbose=0, return_dict=True) == pytest.approx(
        model.evaluate(**arrays, batch_size=6, verbose=0, return_dict=True)
    )
