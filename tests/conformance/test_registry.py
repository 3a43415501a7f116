"""Every public model has an entry, and is what its entry and its docstring say."""

import inspect
import json
import re

import keras
import pytest

from tfbind import models

from . import test_contract
from .conftest import DOCUMENT, title
from .registry import REGISTRY, missing


def documented_keys(model):
    """Returns the keys of the dict that a class docstring says `call` returns."""
    section = re.search(r"\nReturns:\n(.+?)\nRaises:\n", inspect.getdoc(model), re.DOTALL)[1]
    return set(re.findall(r"`(\w+)`, (?:float|int)32", " ".join(section.split())))


def test_every_public_model_has_an_entry():
    assert missing(models.__all__, REGISTRY) == []


def test_a_model_without_an_entry_is_found():
    names = [entry.model.__name__ for entry in REGISTRY]
    assert missing([*names, "Newcomer"], REGISTRY) == ["Newcomer"]
    assert missing(names, REGISTRY[1:]) == names[:1]


def test_entries_have_names_of_their_own():
    names = [entry.name for entry in REGISTRY]
    assert sorted(set(names)) == sorted(names)


def test_an_undocumented_output_is_found():
    class Model:
        """One line.

        Returns:
            A dict: `one`, float32 `[B]`, of `call`;
            `two`, int32 `[B]`.

        Raises:
            ValueError: Never.
        """

    assert documented_keys(Model) == {"one", "two"}


def test_the_entries_of_a_model_have_all_its_documented_outputs(entry):
    keys = [other.output_keys for other in REGISTRY if other.model is entry.model]
    assert set().union(*keys) == documented_keys(entry.model)


def test_outputs_are_those_of_the_entry(entry, event_shape, make):
    outputs = make(entry, event_shape)(entry.inputs(event_shape, 3))
    assert set(outputs) == entry.output_keys
    assert {len(tensor) for tensor in outputs.values()} == {3}


def test_served_outputs_are_those_of_call(entry, make):
    endpoints = make(entry).serving_endpoints()
    assert next(iter(endpoints)) == "serving_default"
    assert set(endpoints["serving_default"].outputs) == entry.output_keys
    for endpoint in endpoints.values():
        assert {spec.name for spec in endpoint.inputs} <= set(endpoint.ranges)
        assert all(spec.shape[0] is None for spec in endpoint.inputs)


def test_number_of_weights(entry, make):
    assert make(entry).count_params() == entry.num_weights


def test_registered_under_the_package(entry):
    assert keras.saving.get_registered_name(entry.model) == f"tfbind>{entry.model.__name__}"


def test_config_round_trip(entry, event_shape, make):
    model = make(entry, event_shape)
    config = model.get_config()
    again = entry.model.from_config(json.loads(json.dumps(config)))
    assert json.dumps(again.get_config()) == json.dumps(config)
    assert [w.shape for w in again.weights] == [w.shape for w in model.weights]


def test_unknown_argument_is_refused(entry, make):
    with pytest.raises((TypeError, ValueError), match="no_such_argument"):
        entry.model.from_config({**make(entry).get_config(), "no_such_argument": 1})


def test_the_document_is_of_the_tests_and_the_models():
    lines = DOCUMENT.read_text("utf-8").splitlines()
    (header, *rows) = [line for line in lines if line.startswith("| ")]
    assert re.findall(r"`(\w+)`", header) == sorted(models.__all__)
    tests = [name for name in vars(test_contract) if name.startswith("test_")]
    assert sorted(row.split(" | ")[0].strip("| ") for row in rows) == sorted(map(title, tests))
    assert "NO" not in "".join(rows)
