"""Runs every test that asks for `entry` on every entry, and on its event shapes if it asks.

With WRITE_CONFORMANCE=1 in the environment it writes docs/conformance.md of test_contract.py.
"""

import os
import pathlib

import keras
import pytest

from .registry import REGISTRY

DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "docs" / "conformance.md"
_HEAD = """\
# What Keras users rely on, model by model

Written by the tests:

    WRITE_CONFORMANCE=1 .venv/bin/python -m pytest -m '' tests/conformance/test_contract.py

"yes": it does what Keras' own models do; "refused": one sentence says that it cannot; "-": the
model has nothing of the kind, such as labels or networks of the user's own.

"""
# Whose tests of a model's further variants and shapes, and of these models, are slow ones.
_SLOW_FILES = ("test_artifacts", "test_saving", "test_training")
_SLOW = ("InvariantAdversarialMixture", "SelfLabeling", "SemiSupervisedAdversarialMixture")
_outcomes = {}


def pytest_generate_tests(metafunc):
    names = metafunc.fixturenames
    takes_long = metafunc.module.__name__.rpartition(".")[2] in _SLOW_FILES
    if "event_shape" in names:
        cases = [
            pytest.param(
                *(entry, shape),
                id=f"{entry.name}-{'x'.join(map(str, shape))}",
                marks=_marks((takes_long and further) or shape != entry.event_shapes[0]),
            )
            for entry, further in _with_speed(REGISTRY)
            for shape in entry.event_shapes
        ]
        metafunc.parametrize(("entry", "event_shape"), cases)
    elif "any_entry" not in names and "entry" in names:
        cases = [
            pytest.param(entry, id=entry.name, marks=_marks(takes_long and further))
            for entry, further in _with_speed(REGISTRY)
        ]
        metafunc.parametrize("entry", cases, scope="module")


def _marks(is_slow):
    return [pytest.mark.slow] * is_slow


def _with_speed(entries):
    """Yields every entry, and whether it is a further variant of a model, or of a slow one."""
    seen = set()
    for entry in entries:
        yield entry, entry.model in seen or entry.model.__name__ in _SLOW
        seen.add(entry.model)


def pytest_runtest_logreport(report):
    if "test_contract.py" not in report.nodeid or (report.when != "call" and not report.skipped):
        return
    name, _, case = report.nodeid.rpartition("::")[2].partition("[")
    model = case.rstrip("]").split("-")[0]
    outcome = "-" if report.skipped else "yes" if report.passed else "NO"
    outcome = dict(report.user_properties).get("outcome", outcome)
    row = _outcomes.setdefault(title(name), {})
    row[model] = outcome if row.get(model) in (None, outcome) else "NO"


def pytest_sessionfinish(session):
    if os.environ.get("WRITE_CONFORMANCE"):
        DOCUMENT.write_text(_HEAD + document(_outcomes))


def title(name):
    """Returns what a test is called in the document."""
    return name.removeprefix("test_").replace("_", " ")


def document(outcomes):
    """Returns the table, a row a test and a column a model."""
    models = sorted({model for row in outcomes.values() for model in row})
    lines = [
        f"| | {' | '.join(f'`{model}`' for model in models)} |",
        "|---" * (len(models) + 1) + "|",
    ]
    for name, row in outcomes.items():
        lines.append(f"| {name} | {' | '.join(row.get(model, '-') for model in models)} |")
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="session")
def make(test_seed):
    """Makes an entry's model, not compiled, from a seed of its own."""

    def make(entry, event_shape=None, seed=test_seed):
        keras.utils.set_random_seed(seed)
        return entry.make(event_shape or entry.event_shapes[0])

    return make


@pytest.fixture(scope="session")
def make_compiled(make):
    """Makes an entry's model and compiles it, without XLA unless asked."""

    def make_compiled(entry, jit_compile=False, **kwargs):
        model = make(entry, **kwargs)
        entry.compile(model, jit_compile)
        return model

    return make_compiled


@pytest.fixture(scope="session")
def make_with(test_seed):
    """Makes an entry's model with a network of the user's that has a given layer, and compiles."""

    def make_with(entry, layer):
        if entry.make_with is None:
            pytest.skip("has no networks of the user's")
        keras.utils.set_random_seed(test_seed)
        model = entry.make_with(entry.event_shapes[0], layer)
        entry.compile(model, False)
        return model

    return make_with
