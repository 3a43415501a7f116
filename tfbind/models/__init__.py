"""One public model a file."""

import importlib

from tfbind import _backend as _backend

# Lazy while the models are being rewritten.
_FILES = {
    "AdversarialMixture": "adversarial_mixture",
    "DenoisingAutoencoder": "denoising_autoencoder",
    "LadderNetwork": "ladder_network",
    "ReconstructionClustering": "reconstruction_clustering",
    "SemiSupervisedAdversarialMixture": "semi_supervised_adversarial_mixture",
    "Tagger": "tagger",
    "UntappedVAE": "untapped_vae",
}
__all__ = list(_FILES)


def __getattr__(name):
    if name not in _FILES:
        raise AttributeError(f"module 'tfbind.models' has no attribute {name!r}")
    return getattr(importlib.import_module(f"tfbind.models.{_FILES[name]}"), name)
