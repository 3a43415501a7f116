"""One public model a file."""

from tfbind.models.denoising_autoencoder import DenoisingAutoencoder
from tfbind.models.reconstruction_clustering import ReconstructionClustering

__all__ = ["DenoisingAutoencoder", "ReconstructionClustering"]
