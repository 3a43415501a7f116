"""Data with next to nothing in it: every public model trains on it, or says why it cannot."""

import numpy as np
import pytest

from .test_contract import ROWS, any_entry, arrays_of, cases, dataset_of, eager  # noqa: F401


@pytest.fixture(params=cases(further=pytest.mark.long))
def entry(request, any_entry):  # noqa: F811
    return request.param


@pytest.fixture
def model(entry, make_compiled):
    return eager(make_compiled(entry))


def trains_or_refuses(model, x, *refusals, **arguments):
    """Trains; expects losses that are numbers, or one of some sentences. Returns which it was."""
    try:
        history = model.fit(x, epochs=2, verbose=0, **arguments).history
    except ValueError as error:
        assert any(sentence in str(error) for sentence in refusals), error
        assert "Received: " in str(error)
        return False
    assert all(np.isfinite(values).all() for values in history.values()), history
    return True


def scores_are_numbers(entry, model):
    arguments = entry.evaluate_arguments(entry.event_shapes[0], ROWS)
    scores = model.evaluate(**arguments, batch_size=8, verbose=0, return_dict=True)
    assert np.isfinite(scores["loss"])


DIFFER = "must differ in each batch, which is divided by its deviation."


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_equal_examples(entry, model, value):
    x = arrays_of(entry)
    equal = {key: np.full_like(x[key], value) for key in x if key.endswith("image")}
    if trains_or_refuses(model, {**x, **equal}, DIFFER, batch_size=8):
        scores_are_numbers(entry, model)


def test_one_class(entry, model):
    x = arrays_of(entry)
    if "label" in x:
        x = {**x, "label": np.zeros_like(x["label"])}
    else:
        x = {**x, "image": np.resize(x["image"][:2], x["image"].shape)}  # one kind, nearly
    if trains_or_refuses(model, x, "`label` must hold two classes or more", batch_size=8):
        scores_are_numbers(entry, model)


def test_fewer_rows_than_parts(entry, model):
    x = {key: value[:2] for key, value in arrays_of(entry).items()}
    if trains_or_refuses(model, x, "must hold", "must be", DIFFER, batch_size=8):
        scores_are_numbers(entry, model)


def test_one_row(entry, model):
    x = {key: value[:1] for key, value in arrays_of(entry).items()}
    trains_or_refuses(model, x, "must hold", "must be", DIFFER, batch_size=8)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_bad_number(entry, model, value):
    x = arrays_of(entry)
    bad = {**x, "image": x["image"].copy()}
    bad["image"].flat[-1] = value
    for data, arguments in ((bad, {"batch_size": 8}), (dataset_of(bad, ROWS).batch(8), {})):
        assert not trains_or_refuses(model, data, "`images` must", **arguments)
