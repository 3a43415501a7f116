"""scikit-learn's own checks of what an estimator has to do."""

import pytest
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

from tfbind.sklearn import (
    AdversarialMixtureClusterer,
    PseudoLabelEnsembleClusterer,
    SelfLabelingClusterer,
)

# The checks set `n_clusters=1`, and a model has two clusters or more.
OF_ONE_CLUSTER = (
    "check_dont_overwrite_parameters",
    "check_fit2d_1feature",
    "check_fit2d_predict1d",
    "check_methods_subset_invariance",
)
EXPECTED = {
    **dict.fromkeys(OF_ONE_CLUSTER, "sets n_clusters=1, and a model has two clusters or more"),
    **dict.fromkeys(
        ("check_estimator_sparse_array", "check_estimator_sparse_matrix"),
        "asks whatever has predict_proba for the tags of a classifier, which a clusterer has not",
    ),
}
# A game of 120 steps, which the many checks have time for, finds no clusters yet.
TOO_SHORT = {"check_clustering": "asks for clusters after 120 steps; it takes about 800"}
QUICK = SelfLabelingClusterer(units=(16,), num_heads=1, max_iter=5)
ALL = (
    QUICK,
    PseudoLabelEnsembleClusterer(num_members=2, hidden_units=(16,), max_iter=16),
    AdversarialMixtureClusterer(hidden_units=(32,), max_iter=30),
)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


class TwoAtLeast(SelfLabelingClusterer):
    """Takes one cluster for two, so that checks that ask for one can look at all the rest."""

    def _make_model(self, *args):
        asked, self.n_clusters = self.n_clusters, max(2, self.n_clusters)
        model = super()._make_model(*args)
        self.n_clusters = asked
        return model

    def _check_settings(self, num_rows):
        """Lets one cluster pass."""


@parametrize_with_checks(
    [QUICK], legacy=False, expected_failed_checks=lambda _: EXPECTED, xfail_strict=True
)
def test_the_interface(estimator, check):
    check(estimator)


@pytest.mark.parametrize("name", OF_ONE_CLUSTER)
def test_what_is_expected_to_fail_does_so_for_want_of_a_cluster_alone(name):
    getattr(estimator_checks, name)("TwoAtLeast", TwoAtLeast(**QUICK.get_params()))


@pytest.mark.parametrize(
    "estimator",
    [
        pytest.param(each, marks=pytest.mark.slow if each is ALL[0] else pytest.mark.long)
        for each in ALL
    ],
    ids=lambda each: type(each).__name__,
)
def test_everything(estimator):
    is_game = isinstance(estimator, AdversarialMixtureClusterer)
    expected = EXPECTED | TOO_SHORT if is_game else EXPECTED
    check_estimator(estimator, expected_failed_checks=expected, on_skip=None)
