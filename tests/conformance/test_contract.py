"""The contract with Keras: what its users rely on works for every public model, or is refused.

Each test is one row of docs/conformance.md, which conftest.py can
write anew. Steps run eagerly here: what they do is the same, and tracing takes longer.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

from .registry import first_entries

ROWS = 16


@pytest.fixture
def any_entry():
    """Keeps conftest.py from running these tests on every variant of a model."""


# One of each kind (groups, clusters, classes); the others are among the slow tests.
DEFAULT = ("ReconstructionClustering", "AdversarialMixture", "UntappedVAE")


def cases(further=pytest.mark.slow):
    """Yields the models, all but a few of which are marked."""
    for entry in first_entries():
        name = entry.model.__name__
        marks = () if name in DEFAULT else (further,)
        yield pytest.param(entry, id=name, marks=marks)


@pytest.fixture(params=cases())
def entry(request, any_entry):
    return request.param


@pytest.fixture
def refused(record_property):
    """Expects a sentence with a word in it, and notes it for the document."""

    def refused(error, word):
        assert word in str(error)
        assert "Received" in str(error)
        record_property("outcome", "refused")

    return refused


@pytest.fixture
def model(entry, make_compiled):
    return eager(make_compiled(entry))


def eager(model):
    model.run_eagerly = True
    return model


def arrays_of(entry, rows=ROWS):
    """Returns what `fit` takes, as a dict of arrays."""
    x = entry.fit_arguments(entry.event_shapes[0], rows)["x"]
    return x if isinstance(x, dict) else {"image": x}


def test_arguments_by_position(entry, model):
    shape = entry.event_shapes[0]
    model.fit(entry.fit_arguments(shape, ROWS)["x"], None, 8, 1, 0)
    inputs = entry.inputs(shape, ROWS)
    assert set(model.predict(inputs, 32, 0)) == entry.output_keys
    arguments = entry.evaluate_arguments(shape, ROWS)
    scores = model.evaluate(arguments["x"], arguments.get("y"), 8, 0)
    assert len(np.atleast_1d(scores)) == len(entry.evaluate_keys)


def test_the_training_flag_reaches_networks(entry, make_with):
    normal = keras.layers.BatchNormalization(momentum=0.5)
    model = eager(make_with(entry, normal))
    model.fit(arrays_of(entry), batch_size=8, verbose=0)
    moved = normal.moving_mean.numpy()
    assert np.abs(moved).max() > 0.0
    arguments = entry.evaluate_arguments(entry.event_shapes[0], ROWS)
    model.evaluate(**arguments, verbose=0)
    model.predict(entry.inputs(entry.event_shapes[0], 4), verbose=0)
    np.testing.assert_array_equal(normal.moving_mean, moved)


def test_dropout_is_for_training(entry, make_with):
    plain, dropped = (eager(make_with(entry, keras.layers.Dropout(rate))) for rate in (0.0, 0.99))
    for one, other in zip(plain.weights, dropped.weights, strict=True):
        other.assign(one)
    inputs = entry.inputs(entry.event_shapes[0], 4)
    for key, value in plain.predict(inputs, verbose=0).items():
        np.testing.assert_allclose(dropped.predict(inputs, verbose=0)[key], value, rtol=1e-5)
    losses = [
        m.fit(arrays_of(entry), batch_size=8, verbose=0).history["loss"] for m in (plain, dropped)
    ]
    assert losses[0] != losses[1]


def test_losses_that_layers_add_count(entry, make_with):
    weight = keras.regularizers.L2(10.0)
    heavy = keras.layers.Dense(8, kernel_initializer="ones", kernel_regularizer=weight)
    light = keras.layers.Dense(8, kernel_initializer="ones")
    models = [eager(make_with(entry, layer)) for layer in (heavy, light)]
    for one, other in zip(*(model.weights for model in models), strict=True):
        other.assign(one)
    added = 10.0 * float(tf.reduce_sum(tf.square(heavy.kernel)))
    x = arrays_of(entry)
    for model in models:
        model.optimizer.learning_rate = 0.0
    losses = [model.train_on_batch(x, return_dict=True)["loss"] for model in models]
    assert losses[0] - losses[1] == pytest.approx(added, rel=1e-3)
    before = float(tf.reduce_sum(tf.square(heavy.kernel)))
    models[0].optimizer.learning_rate = 0.01
    models[0].fit(x, batch_size=8, epochs=2, verbose=0)
    assert float(tf.reduce_sum(tf.square(heavy.kernel))) < before


def test_labels_have_one_shape(entry, make_compiled):
    x = arrays_of(entry)
    if "label" not in x:
        pytest.skip("learns from no labels")
    losses = []
    for labels in (x["label"], x["label"][:, None]):
        model = eager(make_compiled(entry))
        losses.append(model.fit({**x, "label": labels}, batch_size=8, verbose=0).history["loss"])
    assert losses[0] == losses[1]
    for wrong, sentence in (
        (np.eye(2, dtype="int32")[x["label"]], "`label` must have shape"),
        (x["label"] - 1, "`label` must hold integers from 0 to"),
        (x["label"] + 7, "`label` must hold integers from 0 to"),
        (x["label"] + 0.5, "`label` must hold integers"),
    ):
        with pytest.raises(ValueError, match=sentence):
            model.fit({**x, "label": wrong}, verbose=0)


def dataset_of(x, rows):
    return tf.data.Dataset.from_tensor_slices(
        {key: np.resize(value, (rows, *value.shape[1:])) for key, value in x.items()}
    )


def test_datasets_are_checked_like_arrays(entry, model):
    x = arrays_of(entry)
    model.fit(dataset_of(x, ROWS).batch(8), verbose=0)
    bad = {"image": np.full_like(x["image"], 255.0)}
    bad = bad if model.value_range != (None, None) else {"image": x["image"] * np.nan}
    with pytest.raises(ValueError, match="`images` must"):
        model.fit(dataset_of({**x, **bad}, ROWS).batch(8), verbose=0)
    if "label" in x:
        for labels in (x["label"] - 1, x["label"] + 7):
            with pytest.raises(ValueError, match="`label` must hold integers from 0"):
                model.fit(dataset_of({**x, "label": labels}, ROWS).batch(8), verbose=0)
    unknown = tf.data.Dataset.from_generator(
        lambda: iter([x["image"]]), output_signature=tf.TensorSpec(None, tf.float32)
    )
    with pytest.raises(ValueError, match="`images` must have a known number of axes"):
        model.predict(unknown, verbose=0)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_dtype_policies_train_alike(entry, policy, make_compiled):
    x = {key: value[:8] for key, value in arrays_of(entry).items()}
    losses = []
    for name in ("float32", policy):
        keras.config.set_dtype_policy(name)
        try:
            model = eager(make_compiled(entry))
        finally:
            keras.config.set_dtype_policy("float32")
        scales = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
        assert scales == (name == "mixed_float16")
        losses.append(losses_of_steps(model, x, 2))  # a third one of a game grows its rounding
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.03, atol=0.03)


def losses_of_steps(model, x, num_steps):
    """Returns the losses of the first steps; those that are skipped, as too steep, do not count."""
    losses = []
    while len(losses) < num_steps:
        loss = model.train_on_batch(x, return_dict=True)["loss"]
        if int(model.optimizer.iterations) > len(losses):
            losses.append(loss)
    return losses


def test_every_optimizer_follows_a_schedule(entry, model):
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch: 0.5 * 0.1**epoch)
    plateau = keras.callbacks.ReduceLROnPlateau(monitor="loss", factor=0.1, patience=1, mode="max")
    model.fit(arrays_of(entry), batch_size=8, epochs=2, callbacks=[schedule], verbose=0)
    rates = [float(each.learning_rate.numpy()) for each in model.optimizers]
    np.testing.assert_allclose(rates, 0.05, rtol=1e-5)
    model.fit(arrays_of(entry), batch_size=8, epochs=3, callbacks=[plateau], verbose=0)
    assert len({float(each.learning_rate.numpy()) for each in model.optimizers}) == 1


def test_averaged_weights_are_put_in_place(entry, make):
    x = {key: value[:8] for key, value in arrays_of(entry).items()}
    optimizer = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5)
    model, plain = make(entry), make(entry)
    model.compile(optimizer, run_eagerly=True)
    plain.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    model.fit(x, batch_size=8, epochs=2, shuffle=False, verbose=0)  # of one step each
    after = []
    for epoch in range(2):
        plain.fit(x, batch_size=8, initial_epoch=epoch, epochs=epoch + 1, shuffle=False, verbose=0)
        after.append([weight.numpy() for weight in plain.trainable_variables])
    for found, first, second in zip(model.trainable_variables, *after, strict=True):
        np.testing.assert_allclose(found, (first + second) / 2, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("argument", ["loss", "metrics", "weighted_metrics", "loss_weights"])
def test_compile_refuses_what_it_would_ignore(entry, make, argument):
    with pytest.raises(ValueError, match=f"`{argument}` must be None: a {entry.model.__name__} "):
        make(entry).compile("adam", **{argument: ["mae"]})


def test_weights_of_examples_are_used_or_refused(entry, model, refused):
    arguments = entry.evaluate_arguments(entry.event_shapes[0], ROWS)
    x = arrays_of(entry)
    with pytest.raises(ValueError, match="`class_weight` must be None. Received: class_weight={"):
        model.fit(x, class_weight={0: 2.0}, verbose=0)
    weights = np.zeros(len(x["image"]), "float32")
    try:
        history = model.fit(x, sample_weight=weights, batch_size=8, verbose=0).history
        assert history["loss"][0] == 0.0
    except ValueError as error:
        refused(error, "sample_weight")
    try:
        weights = np.zeros(rows_of(arguments["x"]))
        scores = model.evaluate(**arguments, sample_weight=weights, verbose=0, return_dict=True)
        assert scores["loss"] == 0.0
    except ValueError as error:
        refused(error, "sample_weight")


def rows_of(x):
    return len(x["image"] if isinstance(x, dict) else x)


def test_y_is_used_or_refused(entry, model, refused):
    x = arrays_of(entry)
    if model.learns_from is None:
        with pytest.raises(ValueError, match="`y` must be None: there is nothing") as info:
            model.fit(x, np.zeros(len(x["image"]), int), verbose=0)
        refused(info.value, "`y`")
    else:
        rest = {key: value for key, value in x.items() if key != model.learns_from}
        model.fit(rest, x.get(model.learns_from, x["image"]), batch_size=8, verbose=0)


def test_export_writes_the_endpoints(entry, make, tmp_path):
    model = make(entry)
    model.export(tmp_path / "model")
    served = tf.saved_model.load(str(tmp_path / "model")).signatures
    assert set(served) - {"serving_default"} == set(model.serving_endpoints()) - {"serving_default"}


def test_validation_split_works_or_is_refused(entry, model, refused):
    x = arrays_of(entry)
    try:
        history = model.fit(x, batch_size=8, validation_split=0.25, verbose=0).history
        assert np.isfinite(history["val_loss"][0])
    except ValueError as error:
        refused(error, "`validation_split` must be 0")


def test_a_last_batch_of_one_row(entry, model, refused):
    x = arrays_of(entry)
    try:
        history = model.fit(dataset_of(x, 9).batch(8), verbose=0).history
        assert abs(history["loss"][0]) < 1e3
    except ValueError as error:
        refused(error, "A batch must hold 2 examples or more")


def test_the_summary_tells_shapes(entry, make):
    lines = []
    make(entry).summary(print_fn=lambda line, line_break=False: lines.append(line))
    text = "\n".join(lines)
    assert "unbuilt" not in text
    assert "?" not in text


def test_one_batch_is_predicted_without_a_pipeline(entry, model, monkeypatch):
    inputs = entry.inputs(entry.event_shapes[0], 4)
    expected = model.predict_on_batch(inputs)
    monkeypatch.setattr(tf.data.Dataset, "from_tensor_slices", None)
    found = model.predict(inputs, verbose=0)
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=1e-5, atol=1e-6)


def test_callbacks(entry, model, tmp_path):
    shape = entry.event_shapes[0]
    arguments = entry.evaluate_arguments(shape, ROWS)
    validation = (arguments["x"], arguments.get("y"))
    history = model.fit(
        **entry.fit_arguments(shape, ROWS),
        validation_data=validation,
        batch_size=8,
        epochs=3,
        verbose=0,
        callbacks=[
            keras.callbacks.EarlyStopping("val_loss", patience=0, mode="max"),
            keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", monitor="val_loss"),
            keras.callbacks.CSVLogger(tmp_path / "log.csv"),
            keras.callbacks.TerminateOnNaN(),
        ],
    ).history
    assert {f"val_{key}" for key in entry.evaluate_keys} <= set(history)
    again = keras.saving.load_model(tmp_path / "best.keras")
    assert type(again) is entry.model


def test_backup_and_restore(entry, make_compiled, tmp_path):
    backup = tmp_path / "backup"
    stopped = eager(make_compiled(entry))
    arguments = {**entry.fit_arguments(entry.event_shapes[0], ROWS), "batch_size": 8, "verbose": 0}

    class Kill(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    callbacks = [keras.callbacks.BackupAndRestore(backup), Kill()]
    with pytest.raises(KeyboardInterrupt):
        stopped.fit(**arguments, epochs=4, shuffle=False, callbacks=callbacks)
    resumed = eager(make_compiled(entry))
    history = resumed.fit(
        **arguments, epochs=4, shuffle=False, callbacks=[keras.callbacks.BackupAndRestore(backup)]
    )
    assert history.epoch == [2, 3]


def test_steps_per_epoch(entry, model):
    dataset, _ = entry.stream(entry.event_shapes[0], 0)
    model.fit(dataset, steps_per_epoch=3, epochs=2, verbose=0)
    found = model.optimizer.iterations
    assert int(found) == 6


def test_clone_model(entry, make):
    model = make(entry)
    again = keras.models.clone_model(model)
    assert [w.shape for w in again.weights] == [w.shape for w in model.weights]


def test_train_on_batch(entry, model):
    x = arrays_of(entry)
    rows = min(map(len, x.values()))
    x = {key: value[:rows] for key, value in x.items()}
    logs = model.train_on_batch(x, return_dict=True)
    assert set(logs) == entry.fit_keys
    assert int(model.optimizer.iterations) == 1
    logs = (
        model.test_on_batch(entry.inputs(entry.event_shapes[0], 4), return_dict=True)
        if (model.learns_from is None)
        else {"loss": 0.0}
    )
    assert "loss" in logs


def test_what_is_not_trainable_stays(entry, make):
    model = make(entry)
    layers = [layer for layer in model.layers if layer.trainable_weights]
    frozen = layers[0]
    frozen.trainable = False
    model.compile(keras.optimizers.Adam(0.1), run_eagerly=True)
    before = [weight.numpy() for weight in frozen.weights]
    kept = {id(w) for w in frozen.non_trainable_weights}
    model.fit(arrays_of(entry), batch_size=8, verbose=0)
    for weight, value in zip(frozen.weights, before, strict=True):
        if id(weight) not in kept or "kernel" in weight.path:
            np.testing.assert_array_equal(weight.numpy(), value)


def test_steps_per_execution(entry, make):
    model = make(entry)
    model.compile(keras.optimizers.Adam(0.01), steps_per_execution=2)
    history = model.fit(arrays_of(entry), batch_size=8, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
