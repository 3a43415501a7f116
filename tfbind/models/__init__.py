"""One public model a file."""

from tfbind.models.denoising_autoencoder import DenoisingAutoencoder
from tfbind.models.ladder_network import LadderNetwork
from tfbind.models.reconstruction_clustering import ReconstructionClustering
from tfbind.models.tagger import Tagger
from tfbind.models.untapped_vae import UntappedVAE

__all__ = [
    "DenoisingAutoencoder",
    "LadderNetwork",
    "ReconstructionClustering",
    "Tagger",
    "UntappedVAE",
]
