"""Layers that several models share."""

from tfbind import _backend as _backend
from tfbind.layers.additive_gaussian_noise import AdditiveGaussianNoise
from tfbind.layers.bit_flip_noise import BitFlipNoise
from tfbind.layers.ladder import Ladder
from tfbind.layers.masking_noise import MaskingNoise
from tfbind.layers.mlp import mlp
from tfbind.layers.random_affine import RandomAffine
from tfbind.layers.random_photo import RandomPhoto
from tfbind.layers.row_labels import RowLabels
from tfbind.layers.salt_and_pepper_noise import SaltAndPepperNoise
from tfbind.layers.standardization import Standardization
from tfbind.layers.tagger_step import TaggerStep

__all__ = [
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
    "mlp",
]
