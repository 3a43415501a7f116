"""Data sets of images made of objects, with the true group of every pixel; of digits; of posts.

Importing this registers the data sets with TFDS: `tfds.load("tfbind_shapes")`.
"""

from tfbind.data._load import NAMES as NAMES
from tfbind.data._load import image_shape as image_shape
from tfbind.data._load import load as load
from tfbind.data.bars import TfbindBars as TfbindBars
from tfbind.data.corners import TfbindCorners as TfbindCorners
from tfbind.data.digits import TfbindDigits as TfbindDigits
from tfbind.data.mnist_shape import TfbindMnistShape as TfbindMnistShape
from tfbind.data.multi_mnist import TfbindMultiMnist as TfbindMultiMnist
from tfbind.data.newsgroups import TfbindNewsgroups as TfbindNewsgroups
from tfbind.data.shapes import TfbindShapes as TfbindShapes
from tfbind.data.shapes20 import TfbindShapes20 as TfbindShapes20
from tfbind.data.simple_superposition import PatternsConfig as PatternsConfig
from tfbind.data.simple_superposition import (
    TfbindSimpleSuperposition as TfbindSimpleSuperposition,
)
from tfbind.data.textured_mnist import TfbindTexturedMnist as TfbindTexturedMnist

__all__ = [
    "NAMES",
    "PatternsConfig",
    "TfbindBars",
    "TfbindCorners",
    "TfbindDigits",
    "TfbindMnistShape",
    "TfbindMultiMnist",
    "TfbindNewsgroups",
    "TfbindShapes",
    "TfbindShapes20",
    "TfbindSimpleSuperposition",
    "TfbindTexturedMnist",
    "image_shape",
    "load",
]
