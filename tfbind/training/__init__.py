"""From a preset to a trained, scored and saved model."""

from tfbind.training import callbacks as callbacks
from tfbind.training import presets as presets
from tfbind.training.run import evaluate as evaluate
from tfbind.training.run import load as load
from tfbind.training.run import train as train

__all__ = ["callbacks", "evaluate", "load", "presets", "train"]
