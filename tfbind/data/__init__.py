"""Data sets of binary images made of objects, with the true group of every pixel.

Importing this registers the data sets with TFDS: `tfds.load("tfbind_shapes")`.
"""

from tfbind.data._load import NAMES as NAMES
from tfbind.data._load import load as load
from tfbind.data.bars import TfbindBars as TfbindBars
from tfbind.data.corners import TfbindCorners as TfbindCorners
from tfbind.data.mnist_shape import TfbindMnistShape as TfbindMnistShape
from tfbind.data.multi_mnist import TfbindMultiMnist as TfbindMultiMnist
from tfbind.data.shapes import TfbindShapes as TfbindShapes
from tfbind.data.simple_superposition import PatternsConfig as PatternsConfig
from tfbind.data.simple_superposition import (
    TfbindSimpleSuperposition as TfbindSimpleSuperposition,
)

__all__ = [
    "NAMES",
    "PatternsConfig",
    "TfbindBars",
    "TfbindCorners",
    "TfbindMnistShape",
    "TfbindMultiMnist",
    "TfbindShapes",
    "TfbindSimpleSuperposition",
    "load",
]
