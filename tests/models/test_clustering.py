"""What all clustering models share: a score without labels, and numbers of clusters that stay."""

import keras
import numpy as np
import pytest

import tfbind
from tfbind.models import _renumbering

MIDDLES = 3.0 * np.eye(4, 6)
RANDOM = np.random.default_rng(0)


def made(num_images, seed=0):
    random = np.random.default_rng(seed)
    labels = np.arange(num_images) % 4
    images = MIDDLES[labels] + 0.5 * random.standard_normal((num_images, 6))
    return images.astype("float32"), labels


X, TRUTH = made(160)


def self_labeling(**settings):
    keras.utils.set_random_seed(1)
    given = {"num_heads": 3, "units": (16, 8), "strength": 10.0, "seed": 2, **settings}
    model = tfbind.SelfLabeling((6,), 4, **given)
    model.compile(keras.optimizers.Adam(0.01), jit_compile=False)
    return model


def ensemble(**settings):
    keras.utils.set_random_seed(3)
    given = {"num_members": 3, "hidden_units": (16,), "denoising_weights": (1.0, 0.1, 0.1)}
    given |= {"information_weight": 1.0, "first_epochs": 20, "round_epochs": 3, "seed": 2}
    given |= {"noise": 0.3}
    model = tfbind.PseudoLabelEnsemble((6,), 4, **{**given, **settings})
    model.compile(keras.optimizers.Adam(0.01), jit_compile=False)
    return model


MAKERS = {
    "heads": self_labeling,
    "marginal": lambda: self_labeling(marginal=(0.4, 0.3, 0.2, 0.1)),
    "learned": lambda: self_labeling(marginal="learned"),
    "common": ensemble,
    "member": lambda: ensemble(mapping="member"),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A function from a kind to a model that has been trained, a new copy every time."""
    folder = tmp_path_factory.mktemp("trained")

    def copy_of(kind):
        path = folder / f"{kind}.keras"
        if not path.exists():
            model = MAKERS[kind]()
            model.fit(X, batch_size=32, epochs=24, shuffle=False, verbose=0)
            model.save(path)
        return keras.saving.load_model(path)

    return copy_of


def slow(case):
    return pytest.param(case, marks=pytest.mark.slow)


DEFAULT = ("common", "heads")  # one of each model; the others are among the slow tests


@pytest.fixture(
    params=[
        *DEFAULT,
        *(slow(kind) for kind in MAKERS if kind not in DEFAULT),
    ],
    scope="module",
)
def kind(request):
    return request.param


def answers(model):
    return {name: value for name, value in model.predict(X, verbose=0).items()}


def test_the_score_is_the_mutual_information_in_nats():
    model = self_labeling()
    for p, expected in (
        (np.eye(4)[TRUTH], np.log(4)),
        (np.eye(4)[TRUTH // 2], np.log(2)),  # two pairs are merged
        (np.eye(4)[0 * TRUTH], 0.0),
        (np.full((160, 4), 0.25), 0.0),
    ):
        model.predict = lambda *given, p=p, **named: {"probabilities": p}
        assert model.unsupervised_score(X) == pytest.approx(expected, abs=1e-9)


def test_a_merged_pair_scores_less_in_every_kind_of_model():
    vae = tfbind.UntappedVAE((6,), 4, likelihood="gaussian", seed=0)
    mixture = tfbind.AdversarialMixture((6,), 4, 2, output_activation="linear", seed=0)
    ladder = tfbind.LadderNetwork((6,), 4, hidden_units=(8,), denoising_weights=(1.0, 0.1, 0.1))
    for model in (vae, mixture, ladder, self_labeling(), ensemble()):
        scores = []
        for names in (np.arange(4), np.array([0, 0, 2, 3])):
            p = np.eye(4, dtype="float32")[names[TRUTH]]
            model.predict = lambda *given, p=p, **named: {"probabilities": p}
            scores.append(model.unsupervised_score(X))
        assert scores[0] == pytest.approx(np.log(4)) and scores[1] < scores[0] - 0.1


def test_any_other_model_scores_by_its_loss():
    model = tfbind.DenoisingAutoencoder((6,), hidden_units=3, likelihood="gaussian")
    model.compile()
    loss = model.evaluate(X, verbose=0, return_dict=True)["loss"]
    assert model.unsupervised_score(X) == pytest.approx(-loss)


# Renumbering.


def test_the_matching_and_what_is_left():
    order = _renumbering.matched_order([0, 0, 1, 1, 1, 3], np.array([3, 3, 0, 0, 3, 1]), 4)
    assert order.tolist() == [3, 0, 2, 1]
    assert _renumbering.matched_order([2, 2], np.array([2, 2]), 4).tolist() == [0, 1, 2, 3]


def test_renumbering_labels():
    orders = np.array([[2, 0, 1], [0, 1, 2]])
    found = _renumbering.renumbered(np.array([[0, 1, 2, -1], [0, 1, 2, -1]]), orders)
    assert found.tolist() == [[1, 2, 0, -1], [0, 1, 2, -1]]


def test_aligning_is_a_permutation_of_the_outputs(trained, kind):
    model = trained(kind)
    before, labels = answers(model), model.row_labels.labels.numpy()
    shares = model.shares.numpy() if kind == "learned" else None
    wanted = np.array([2, 0, 3, 1])  # the new number of each old one
    order = model.align_clusters(wanted[model.cluster(X)], X)
    np.testing.assert_array_equal(order, np.argsort(wanted))
    after = answers(model)
    np.testing.assert_allclose(
        after["probabilities"], before["probabilities"][:, order], rtol=1e-5, atol=1e-7
    )
    if kind in ("common", "marginal"):  # one order for all
        rows = labels[:-1] if kind == "common" else labels
        expected = np.where(rows < 0, -1, wanted[rows])
        np.testing.assert_array_equal(model.row_labels.labels.numpy()[: len(rows)], expected)
    if kind == "marginal":
        np.testing.assert_allclose(model.marginal, np.array([0.4, 0.3, 0.2, 0.1])[order])
        np.testing.assert_allclose(model.trackers["cluster_usage"].prior, model.marginal)
    if kind == "learned":
        assert model.marginal == "learned"
        best = model.best_head
        np.testing.assert_array_equal(model.shares.numpy()[best], shares[best][order])
    if kind == "common":
        members = before["member_probabilities"][..., order]
        np.testing.assert_allclose(after["member_probabilities"], members, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("kind", ["heads", *(slow(kind) for kind in ("learned", "member"))])
def test_each_clustering_inside_is_matched_by_itself(trained, kind):
    model = trained(kind)
    model.align_clusters(TRUTH, X)
    clean = [tfbind.metrics.clustering_accuracy(TRUTH, each) for each in model.clusterings(X)]
    assert max(clean) > 0.7  # above chance; a kind may be missed
    for each, accuracy in zip(model.clusterings(X), clean, strict=True):
        assert np.mean(each == TRUTH) == pytest.approx(accuracy)


@pytest.mark.parametrize("kind", ["common", slow("marginal")])
def test_a_training_goes_on_as_if_nothing_had_been_renumbered(trained, kind):
    def after_more(model):
        model.fit(X, batch_size=32, epochs=28, initial_epoch=24, shuffle=False, verbose=0)
        return answers(model)["probabilities"]

    plain, renumbered = trained(kind), trained(kind)
    wanted = np.array([2, 0, 3, 1])
    order = renumbered.align_clusters(wanted[plain.cluster(X)], X)
    if kind == "common":  # what is drawn for the top layer is drawn in the order of its units
        for model in (plain, renumbered):
            model.ladder.noise = (0.3, 0.3, 0.0)
            model.make_train_function(force=True)
    expected = after_more(plain)[:, order]
    np.testing.assert_allclose(after_more(renumbered), expected, rtol=1e-2, atol=1e-3)


def test_what_was_aligned_is_saved_so(trained, kind, tmp_path):
    model = trained(kind)
    model.align_clusters((model.cluster(X) + 1) % 4, X)
    model.end_training()
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.cluster(X), model.cluster(X))
    assert again.get_config() == model.get_config()


def test_a_fresh_training_on_other_examples_gets_the_former_numbers(trained):
    former, fresh = trained("heads"), self_labeling(seed=9)
    others, truth = made(240, seed=5)
    fresh.fit(others, batch_size=32, epochs=24, verbose=0)
    fresh.align_clusters(former, X)
    assert tfbind.metrics.clustering_accuracy(truth, fresh.cluster(others)) > 0.95
    assert np.mean(fresh.cluster(others) == former.cluster(others)) > 0.95


@pytest.mark.parametrize("kind", ["heads", "common", "member"])
@pytest.mark.parametrize("num_images", [slow(160), 200])
def test_a_second_fit_keeps_the_numbers(trained, kind, num_images):
    model = trained(kind)
    model.end_training()
    images, _ = made(num_images, seed=7)
    images = images[::-1].copy()  # as many rows perhaps, but others
    before = model.cluster(images)
    model.fit(images, batch_size=32, epochs=22, initial_epoch=20, verbose=0)
    assert np.mean(model.cluster(images) == before) > 0.97
    model.fit(images[::-1].copy(), batch_size=32, epochs=2, verbose=0)
    assert np.mean(model.cluster(images) == before) > 0.97


def test_rows_that_are_new_are_labelled_at_once():
    model = self_labeling(num_label_steps=8, num_label_epochs=20)
    model.fit(X, batch_size=32, epochs=22, verbose=0)
    others, _ = made(200, seed=7)
    before = model.cluster(others)
    model.fit(others, batch_size=32, epochs=23, initial_epoch=22, verbose=0)
    labels = model.row_labels.labels.numpy()[model.best_head]
    assert np.mean(labels == before) > 0.9


def test_what_is_refused():
    model = self_labeling()
    for reference, message in (
        (TRUTH[:9], r"`reference` must have shape \(160,\)"),
        (TRUTH + 1, r"`reference` must have clusters from 0 to 3, .* Received: int64 from 1 to 4"),
        (TRUTH / 2, "`reference` must have clusters from 0 to 3"),
    ):
        with pytest.raises(ValueError, match=message):
            model.align_clusters(reference, X)
    with pytest.raises(ValueError, match=r"`images` must have shape \(n, 6\)"):
        model.align_clusters(model, X[:, :3])
    mixture = tfbind.AdversarialMixture((6,), 4, 2, output_activation="linear", seed=0)
    with pytest.raises(ValueError, match="`align_clusters` must be asked of a `PseudoLabelEns"):
        mixture.align_clusters(TRUTH, X)
