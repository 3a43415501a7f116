"""Keras 3 models that find the parts of unlabelled data, and the tools to ship them.

Nothing is loaded before it is used: `import tfbind` alone starts no TensorFlow, so that a serving
client can live in a small process.
"""

import importlib

__version__ = "0.1.0"

_MODELS = (
    "AdversarialMixture",
    "DenoisingAutoencoder",
    "LadderNetwork",
    "ReconstructionClustering",
    "SemiSupervisedAdversarialMixture",
    "Tagger",
    "UntappedVAE",
)
_MODULES = (
    "data",
    "distributions",
    "export",
    "layers",
    "losses",
    "metrics",
    "models",
    "plots",
    "serving",
    "training",
)

__all__ = [*_MODELS, *_MODULES]


def __getattr__(name):
    if name in _MODULES:
        return importlib.import_module(f"tfbind.{name}")
    if name in _MODELS:
        return getattr(importlib.import_module("tfbind.models"), name)
    raise AttributeError(f"module 'tfbind' has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
