"""Every public name is documented, and every example in a docstring runs.

The examples find the modules in `NAMESPACE` imported; anything else they import themselves.
"""

import doctest
import inspect
import os
import tempfile

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfbind

NAMESPACE = {"keras": keras, "np": np, "os": os, "tempfile": tempfile, "tf": tf, "tfbind": tfbind}
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def public():
    """Returns every public class and function by its full name."""
    names = {}
    for package in tfbind.__all__:
        module = getattr(tfbind, package)
        for name in getattr(module, "__all__", ()):
            names[f"tfbind.{package}.{name}"] = getattr(module, name)
    return {
        name: value
        for name, value in names.items()
        if inspect.isclass(value) or inspect.isfunction(value)
    }


PUBLIC = public()
SLOW = ("tfbind.sklearn.", "tfbind.reporting.report", "tfbind.serving.write_page")  # to train


@pytest.mark.parametrize("name", PUBLIC)
def test_it_has_a_docstring(name):
    assert PUBLIC[name].__doc__  # of its own: `__doc__` of a class is not inherited


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, value in PUBLIC.items()
        if inspect.isclass(value) and issubclass(value, (keras.Layer, keras.Metric))
    ],
)
def test_a_keras_class_shows_an_example(name):
    assert ">>>" in inspect.getdoc(PUBLIC[name])


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * name.startswith(SLOW))
        for name in PUBLIC
        if ">>>" in (PUBLIC[name].__doc__ or "")
    ],
)
def test_the_example_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    finder = doctest.DocTestFinder(recurse=False)
    (example,) = finder.find(PUBLIC[name], name, globs=NAMESPACE.copy())
    output = []
    failed, _ = doctest.DocTestRunner(verbose=False, optionflags=FLAGS).run(
        example, out=output.append
    )
    assert failed == 0, "".join(output)
