"""Distributions, from TensorFlow Probability where it has them."""

from tfbind import _backend as _backend
from tfbind.distributions.labels import ExactLabels, RelaxedLabels
from tfbind.distributions.logistic_flow import LogisticFlow, logit_normal
from tfbind.distributions.mixture_means import corner_means, grid_means
from tfbind.distributions.observation import BernoulliObservation, GaussianObservation
from tfbind.distributions.relaxed_one_hot import (
    gumbel,
    relaxed_one_hot_log_prob,
    relaxed_one_hot_log_sample,
)

__all__ = [
    "BernoulliObservation",
    "ExactLabels",
    "GaussianObservation",
    "LogisticFlow",
    "RelaxedLabels",
    "corner_means",
    "grid_means",
    "gumbel",
    "logit_normal",
    "relaxed_one_hot_log_prob",
    "relaxed_one_hot_log_sample",
]
