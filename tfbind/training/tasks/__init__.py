"""What a model is trained for: a task owns the data, the scores and the pictures."""

from tfbind.training.tasks.base import Examples, Task, TrainingData, kinds
from tfbind.training.tasks.clustering import Clustering
from tfbind.training.tasks.few_labels import FewLabeledScenes, FewLabels
from tfbind.training.tasks.grouping import Grouping
from tfbind.training.tasks.unseen_classes import UnseenClasses

__all__ = [
    "Clustering",
    "Examples",
    "FewLabeledScenes",
    "FewLabels",
    "Grouping",
    "Task",
    "TrainingData",
    "UnseenClasses",
    "kinds",
]
