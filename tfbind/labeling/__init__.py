"""Labels that a training makes for itself: pure functions of arrays."""

from tfbind.labeling.consensus import agreement_buckets, balancing_weights, name_buckets

__all__ = ["agreement_buckets", "balancing_weights", "name_buckets"]
