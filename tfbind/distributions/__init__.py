"""Distributions, from TensorFlow Probability where it has them."""

from tfbind.distributions.observation import BernoulliObservation, GaussianObservation

__all__ = ["BernoulliObservation", "GaussianObservation"]
