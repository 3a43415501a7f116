"""Labels that a training makes for itself: pure functions of arrays."""

from tfbind import _backend as _backend
from tfbind.labeling.sinkhorn import Assignment, balanced_labels

__all__ = ["Assignment", "balanced_labels"]
