"""One public model a file."""

from tfbind import _backend as _backend
from tfbind.models.adversarial_mixture import AdversarialMixture
from tfbind.models.denoising_autoencoder import DenoisingAutoencoder
from tfbind.models.invariant_adversarial_mixture import InvariantAdversarialMixture
from tfbind.models.ladder_network import LadderNetwork
from tfbind.models.pseudo_label_ensemble import PseudoLabelEnsemble
from tfbind.models.reconstruction_clustering import ReconstructionClustering
from tfbind.models.self_labeling import SelfLabeling
from tfbind.models.semi_supervised_adversarial_mixture import SemiSupervisedAdversarialMixture
from tfbind.models.tagger import Tagger
from tfbind.models.untapped_vae import UntappedVAE

__all__ = [
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
]
