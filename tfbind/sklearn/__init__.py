"""Estimators of scikit-learn over the clustering models."""

from tfbind.sklearn.adversarial_mixture import (
    AdversarialMixtureClusterer as AdversarialMixtureClusterer,
)
from tfbind.sklearn.agreement import agreement_scorer as agreement_scorer
from tfbind.sklearn.pseudo_label_ensemble import (
    PseudoLabelEnsembleClusterer as PseudoLabelEnsembleClusterer,
)
from tfbind.sklearn.self_labeling import SelfLabelingClusterer as SelfLabelingClusterer

__all__ = [
    "AdversarialMixtureClusterer",
    "PseudoLabelEnsembleClusterer",
    "SelfLabelingClusterer",
    "agreement_scorer",
]
