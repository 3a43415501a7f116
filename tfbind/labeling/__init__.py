"""Labels that a training makes for itself: pure functions of arrays."""

from tfbind import _backend as _backend
from tfbind.labeling.consensus import agreement_buckets, balancing_weights, name_buckets
from tfbind.labeling.mixture import fit_mixture
from tfbind.labeling.sinkhorn import Assignment, balanced_labels

__all__ = [
    "Assignment",
    "agreement_buckets",
    "balanced_labels",
    "balancing_weights",
    "fit_mixture",
    "name_buckets",
]
