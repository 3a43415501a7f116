"""Keras 3 models that find the parts of unlabelled data, and the tools to ship them.

Nothing is loaded before it is used: `import tfbind` alone starts no TensorFlow, so that a serving
client can live in a small process. `keras.saving.load_model` finds tfbind's classes all the same.
"""

import importlib
from typing import Any

from tfbind import _registration

__version__ = "0.1.0"

_MODELS = (
    "AdversarialMixture",
    "DenoisingAutoencoder",
    "InvariantAdversarialMixture",
    "LadderNetwork",
    "PseudoLabelEnsemble",
    "ReconstructionClustering",
    "SelfLabeling",
    "SemiSupervisedAdversarialMixture",
    "Tagger",
    "UntappedVAE",
)
_LAYERS = (
    "AdditiveGaussianNoise",
    "BitFlipNoise",
    "Ladder",
    "MaskingNoise",
    "RandomAffine",
    "RandomPhoto",
    "RowLabels",
    "SaltAndPepperNoise",
    "Standardization",
    "TaggerStep",
)
_MODULES = (
    "data",
    "distributions",
    "export",
    "labeling",
    "layers",
    "metrics",
    "models",
    "plots",
    "reading",
    "reporting",
    "serving",
    "sklearn",
    "training",
)

__all__ = [*_MODELS, *_MODULES, "load"]

_registration.register(
    {
        **dict.fromkeys(_MODELS, "tfbind.models"),
        **dict.fromkeys(_LAYERS, "tfbind.layers"),
        "JointOptimizer": "tfbind.models._joint_optimizer",
    }
)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"tfbind.{name}")
    if name in _MODELS:
        return getattr(importlib.import_module("tfbind.models"), name)
    if name == "load":
        return importlib.import_module("tfbind.training").load
    raise AttributeError(f"module 'tfbind' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
