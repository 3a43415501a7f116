"""From a preset to a trained, scored and saved model."""

from tfbind.training import callbacks as callbacks
from tfbind.training import presets as presets
from tfbind.training import tasks as tasks
from tfbind.training.folder import Run as Run
from tfbind.training.own import own_data as own_data
from tfbind.training.preset import Optimizer as Optimizer
from tfbind.training.preset import Paper as Paper
from tfbind.training.preset import Part as Part
from tfbind.training.preset import Preset as Preset
from tfbind.training.run import evaluate as evaluate
from tfbind.training.run import figures as figures
from tfbind.training.run import train as train
from tfbind.training.selection import NumGroupsSelection as NumGroupsSelection
from tfbind.training.selection import regroup as regroup
from tfbind.training.selection import select_num_groups as select_num_groups

__all__ = [
    "NumGroupsSelection",
    "Optimizer",
    "Paper",
    "Part",
    "Preset",
    "Run",
    "callbacks",
    "evaluate",
    "figures",
    "own_data",
    "presets",
    "regroup",
    "select_num_groups",
    "tasks",
    "train",
]
