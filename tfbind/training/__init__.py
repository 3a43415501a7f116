"""From a preset to a trained, scored and saved model."""

from tfbind.training import callbacks as callbacks
from tfbind.training import presets as presets
from tfbind.training.run import evaluate as evaluate
from tfbind.training.run import load as load
from tfbind.training.run import train as train
from tfbind.training.selection import NumGroupsSelection as NumGroupsSelection
from tfbind.training.selection import regroup as regroup
from tfbind.training.selection import select_num_groups as select_num_groups

__all__ = [
    "NumGroupsSelection",
    "callbacks",
    "evaluate",
    "load",
    "presets",
    "regroup",
    "select_num_groups",
    "train",
]
