"""`.keras` files and checkpoints bring back everything."""

import keras
import numpy as np
import pytest

from tfbind.training.checkpoint import Checkpoint, ResumableEarlyStopping


def assert_same_outputs(model, again, inputs):
    """Asserts that two models answer alike, to the bit."""
    expected, found = model(inputs), again(inputs)
    assert expected.keys() == found.keys()
    for key in expected:
        np.testing.assert_array_equal(found[key], expected[key], err_msg=key)


def state(model):
    """Yields all variables of a model and its optimiser."""
    yield from model.weights
    yield from model.optimizer.variables


def assert_same_state(model, again):
    """Asserts that weights and optimisers are the same, to the bit."""
    mine, theirs = (list(state(each)) for each in (model, again))
    for one, other in zip(mine, theirs, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy(), err_msg=one.path)


def test_keras_file_of_an_uncompiled_model(entry, event_shape, make, tmp_path):
    model = make(entry, event_shape)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert type(again) is entry.model
    assert not again.compiled
    assert_same_outputs(model, again, entry.inputs(event_shape, 4))


def test_keras_file_of_a_compiled_model(entry, make_compiled, tmp_path):
    model = make_compiled(entry, jit_compile=not entry.repeats_without_xla)
    event_shape = entry.event_shapes[0]
    arguments = {**entry.fit_arguments(event_shape, 16), "batch_size": 8, "verbose": 0}
    model.fit(**arguments)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.compiled
    assert again.get_compile_config() == model.get_compile_config()
    assert_same_outputs(model, again, entry.inputs(event_shape, 4))
    assert_same_state(model, again)
    assert int(again.optimizer.iterations) == 2
    for each in (model, again):
        each.fit(**arguments, shuffle=False)
    assert_same_state(model, again)


@pytest.mark.slow
def test_a_killed_run_continues_to_the_same_weights(entry, make_compiled, tmp_path):
    def train(folder, epochs, from_epoch):
        model = make_compiled(entry, jit_compile=not entry.repeats_without_xla)
        stopping = ResumableEarlyStopping(monitor="loss", patience=9, restore_best_weights=True)
        checkpoint = Checkpoint(folder, stopping, interval=0)
        initial_epoch = checkpoint.restore(model)
        assert initial_epoch == from_epoch
        dataset, steps = entry.stream(entry.event_shapes[0], initial_epoch)
        model.fit(
            dataset,
            epochs=epochs,
            steps_per_epoch=steps,
            initial_epoch=initial_epoch,
            callbacks=[stopping, checkpoint],
            shuffle=False,
            verbose=0,
        )
        if model.needs_calibration:  # from the same batches always, as `training.train` does
            model.calibrate(entry.stream(entry.event_shapes[0], 0)[0].take(steps))
        return model, checkpoint.history

    killed, left_alone = tmp_path / "killed", tmp_path / "left_alone"
    killed.mkdir()
    left_alone.mkdir()
    train(killed, 2, from_epoch=0)
    resumed, history = train(killed, 4, from_epoch=2)
    assert [row["epoch"] for row in history] == [1, 2, 3, 4]
    straight, expected = train(left_alone, 4, from_epoch=0)
    assert_same_state(resumed, straight)
    assert [row["loss"] for row in history] == [row["loss"] for row in expected]
