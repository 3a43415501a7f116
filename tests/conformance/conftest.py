"""Runs every test that asks for `entry` on every entry, and on its event shapes if it asks."""

import keras
import pytest

from .registry import REGISTRY


def pytest_generate_tests(metafunc):
    names = metafunc.fixturenames
    if "event_shape" in names:
        cases = [(entry, shape) for entry in REGISTRY for shape in entry.event_shapes]
        ids = [f"{entry.name}-{'x'.join(map(str, shape))}" for entry, shape in cases]
        metafunc.parametrize(("entry", "event_shape"), cases, ids=ids)
    elif "entry" in names:
        ids = [entry.name for entry in REGISTRY]
        metafunc.parametrize("entry", REGISTRY, ids=ids, scope="module")


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
