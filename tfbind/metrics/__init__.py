"""Scores for groupings of pixels and clusterings of examples, as functions and Keras metrics."""

from tfbind import _backend as _backend
from tfbind.metrics._adjusted_mutual_information import (
    AdjustedMutualInformation as AdjustedMutualInformation,
)
from tfbind.metrics._adjusted_mutual_information import (
    adjusted_mutual_information as adjusted_mutual_information,
)
from tfbind.metrics._adjusted_rand_index import AdjustedRandIndex as AdjustedRandIndex
from tfbind.metrics._adjusted_rand_index import adjusted_rand_index as adjusted_rand_index
from tfbind.metrics._class_table import best_matching as best_matching
from tfbind.metrics._class_table import class_table as class_table
from tfbind.metrics._cluster_usage import ClusterUsage as ClusterUsage
from tfbind.metrics._clustering_accuracy import ClusteringAccuracy as ClusteringAccuracy
from tfbind.metrics._clustering_accuracy import Purity as Purity
from tfbind.metrics._clustering_accuracy import clustering_accuracy as clustering_accuracy
from tfbind.metrics._clustering_accuracy import purity as purity
from tfbind.metrics._confidence import Confidence as Confidence
from tfbind.metrics._set_error import set_error as set_error

__all__ = [
    "AdjustedMutualInformation",
    "AdjustedRandIndex",
    "ClusterUsage",
    "ClusteringAccuracy",
    "Confidence",
    "Purity",
    "adjusted_mutual_information",
    "adjusted_rand_index",
    "best_matching",
    "class_table",
    "clustering_accuracy",
    "purity",
    "set_error",
]
