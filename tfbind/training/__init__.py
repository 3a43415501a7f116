"""From a preset to a trained, scored and saved model."""

from tfbind.training import callbacks as callbacks
from tfbind.training import presets as presets
from tfbind.training import tasks as tasks
from tfbind.training.auto import Plan as Plan
from tfbind.training.auto import choose as choose
from tfbind.training.counting import choose_num_groups as choose_num_groups
from tfbind.training.counting import count_by_mixture as count_by_mixture
from tfbind.training.counting import with_num_clusters as with_num_clusters
from tfbind.training.diagnosis import Finding as Finding
from tfbind.training.diagnosis import diagnose as diagnose
from tfbind.training.folder import Run as Run
from tfbind.training.loading import load as load
from tfbind.training.loading import located as located
from tfbind.training.num_clusters import NumClustersSelection as NumClustersSelection
from tfbind.training.num_clusters import select_num_clusters as select_num_clusters
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
from tfbind.training.several import select_preset_clusters as select_preset_clusters
from tfbind.training.several import train_seeds as train_seeds
from tfbind.training.starts import Starts as Starts
from tfbind.training.starts import best_of as best_of

__all__ = [
    "Finding",
    "NumClustersSelection",
    "NumGroupsSelection",
    "Optimizer",
    "Paper",
    "Part",
    "Plan",
    "Preset",
    "Run",
    "Starts",
    "best_of",
    "callbacks",
    "choose",
    "choose_num_groups",
    "count_by_mixture",
    "diagnose",
    "evaluate",
    "figures",
    "load",
    "located",
    "own_data",
    "presets",
    "regroup",
    "select_num_clusters",
    "select_num_groups",
    "select_preset_clusters",
    "tasks",
    "train",
    "train_seeds",
    "with_num_clusters",
]
