"""Makes `keras.saving.load_model` find tfbind's classes once tfbind is imported, at no cost.

Keras looks a class up by its registered name, which it has when its module was imported, and
that loads TensorFlow. Until then a stand-in has the name, and imports the module when it is used.
"""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Mapping, Sequence
from typing import Any


def register(classes: Mapping[str, str]) -> None:
    """Gives Keras a stand-in for each class, by name and module, now or when it is imported."""
    if sys.modules.get("keras") is not None:  # None where somebody forbids its import
        _register_now(classes)
    else:
        sys.meta_path.insert(0, _AfterKeras(classes))


def _register_now(classes: Mapping[str, str]) -> None:
    import keras

    for name, module in classes.items():
        if keras.saving.get_registered_object(f"tfbind>{name}") is None:
            # Keras registers no class without `get_config`
            body = {"from_config": _from_config(name, module), "get_config": lambda self: {}}
            keras.saving.register_keras_serializable("tfbind")(type(name, (), body))


def _from_config(name: str, module: str) -> classmethod:
    def from_config(cls: type, config: dict) -> Any:
        return getattr(importlib.import_module(module), name).from_config(config)

    return classmethod(from_config)


class _AfterKeras(importlib.abc.MetaPathFinder):
    """Waits for the import of Keras, and registers when it is done."""

    def __init__(self, classes: Mapping[str, str]) -> None:
        self.classes = classes

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "keras":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec("keras")
        if spec is not None and spec.loader is not None:
            self._register_after(spec.loader)
        return spec

    def _register_after(self, loader: Any) -> None:
        execute = loader.exec_module

        def execute_and_register(module: types.ModuleType) -> None:
            execute(module)
            _register_now(self.classes)

        loader.exec_module = execute_and_register
