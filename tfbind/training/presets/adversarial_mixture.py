"""The adversarial mixture: MNIST and SVHN as in the paper, and digits of 8x8 pixels."""

from typing import Any

from tfbind.training.preset import Optimizer, Paper, Part, Preset
from tfbind.training.tasks import Clustering, FewLabels

_PAPER = "Jesson et al., Adversarially Learned Mixture Model, arXiv:1807.05344"
_ADAM = Part("Adam", beta_1=0.5)

# The paper says neither batch size nor epochs.
_MNIST = Preset(
    name="amm-mnist",
    summary="Adversarial mixture on MNIST, without labels: the paper's",
    model=Part(
        "AdversarialMixture",
        num_clusters=10,
        latent_dim=64,
        factorization="latent_first",
        gradient_penalty=10.0,
        networks=Part("mnist_networks", dropout=0.2, discriminator_initializer=None),
    ),
    task=Clustering(dataset="mnist", train_split="train[:55000]", watched_split="train[55000:]"),
    optimizer=Optimizer(method=_ADAM, learning_rate=2e-4),
    max_epochs=100,
    paper=Paper(score=0.0286, source=_PAPER),
)
_MNIST_CPU = _MNIST.changed(
    name="amm-mnist-cpu",
    summary="Adversarial mixture on MNIST, without labels, small enough for a core",
    latent_dim=16,
    networks=Part(
        "convolutional_networks",
        convolutions=((16, 4, 2), (32, 3, 2), (128, 6, 1)),
        dropout=0.0,
        discriminator_initializer=None,
    ),
    learning_rate=5e-4,
    schedule="cosine",
    max_epochs=60,
    paper=Paper(score=0.0286, source="ours"),
)
# Views within which a digit keeps its kind.
_VIEWS = Part("RandomAffine", rotation=15.0, scale=0.15, shear=0.3, shift=2.0, seed=0)
_INVARIANT: dict[str, Any] = {
    "factorization": "class_first",
    "corruption": _VIEWS,
    "invariance_weight": 50.0,  # at 10 classes form an epoch later
    "cycle_weight": 1.0,
    "cycle_steps": 1100,  # five epochs
}
# Averaged over the last four to five epochs.
_AVERAGED = Part("Adam", beta_1=0.5, use_ema=True, ema_momentum=0.999)
_MNIST_INVARIANT = _MNIST_CPU.changed(
    name="amm-mnist-invariant",
    summary="Adversarial mixture on MNIST that compares distorted views: ours",
    model=Part("InvariantAdversarialMixture", **{**_MNIST_CPU.model.settings, **_INVARIANT}),
    discriminator_initializer="he_normal",  # as y is soon worth listening to
    method=_AVERAGED,
    batch_size=250,
    max_epochs=25,
    paper=Paper(score=0.0286, source="ours"),
)
_SVHN = Preset(
    name="amm-svhn",
    summary="Adversarial mixture on SVHN, without labels, 18 components on a grid",
    model=Part(
        "AdversarialMixture",
        num_clusters=18,
        latent_dim=32,
        factorization="latent_first",
        gradient_penalty=0.01,
        networks=Part("svhn_networks", dropout=0.0, discriminator_initializer=None),
        prior=Part("grid_means"),
    ),
    task=Clustering(dataset="svhn", train_split="train[:-10000]", watched_split="train[-10000:]"),
    optimizer=Optimizer(method=_ADAM, learning_rate=2e-4),
    max_epochs=100,
    paper=Paper(source=_PAPER),
)


def _with_labels(
    preset: Preset, name: str, summary: str, num_labels: int, *, label_weight: float, **more: Any
) -> Preset:
    """Returns `preset` as one with labels, in which z depends on y."""
    task = preset.task
    settings = {**preset.model.settings, "factorization": "class_first"}
    return preset.changed(
        name=name,
        summary=summary,
        model=Part(
            "SemiSupervisedAdversarialMixture", **settings, label_weight=label_weight, **more
        ),
        task=FewLabels(
            dataset=task.dataset,
            train_split=task.train_split,
            watched_split=task.watched_split,
            num_labels=num_labels,
        ),
        paper=Paper(source=preset.paper.source),
    )


# What the game alone makes of a hundred labels: docs/results.md.
_FEW_LABELS: dict[str, Any] = {
    "label_weight": 10.0,
    "corruption": Part("RandomAffine", rotation=10.0, scale=0.1, shear=0.1, shift=2.0, seed=0),
}
_SAMM_SVHN = _with_labels(
    _SVHN.changed(num_clusters=10, latent_dim=64, prior=Part("corner_means")),
    "samm-svhn",
    "Adversarial mixture on SVHN with 1000 labels, fixed means",
    1000,
    label_weight=0.0,
    class_probabilities=(4948, 13861, 10585, 8497, 7458, 6882, 5727, 5595, 5045, 4659),
).changed(paper=Paper(score=0.0702, source=_PAPER))
# In [0, 1] small digits are too near each other for a gradient that is held at 1 to tell them
# apart; a weak penalty lets it grow.
_DIGITS = Preset(
    name="amm-digits",
    summary="Adversarial mixture on 8x8 digits, without labels: ours",
    model=Part(
        "AdversarialMixture",
        num_clusters=10,
        latent_dim=4,
        hidden_units=(256, 256),
        factorization="class_first",
        gradient_penalty=0.1,
    ),
    task=Clustering(dataset="digits", watched_split="test"),
    optimizer=Optimizer(method=_ADAM, learning_rate=1e-3, schedule="cosine"),
    max_epochs=400,
    paper=Paper(source="ours"),
)
_TINY = _DIGITS.changed(
    name="amm-tiny",
    summary="Adversarial mixture in seconds, for tests and notebooks",
    hidden_units=(64,),
    max_epochs=10,
    paper=Paper(source="made for tests"),
)

PRESETS = (
    _MNIST,
    _MNIST_CPU,
    _MNIST_INVARIANT,
    _SVHN,
    _SAMM_SVHN,
    _SAMM_SVHN.changed(
        name="samm-svhn-learned",
        summary="Adversarial mixture on SVHN with 1000 labels, learned means",
        model=Part(
            _SAMM_SVHN.model.name,
            **{name: x for name, x in _SAMM_SVHN.model.settings.items() if name != "prior"},
        ),
        paper=Paper(score=0.0643, source=_PAPER),
    ),
    _with_labels(
        _MNIST.changed(discriminator_initializer="he_normal"),
        "samm-mnist-100",
        "Adversarial mixture on MNIST with 100 labels",
        100,
        **_FEW_LABELS,
    ).changed(paper=Paper(source="ours")),
    _with_labels(
        _MNIST_CPU.changed(discriminator_initializer="he_normal", max_epochs=30),
        "samm-mnist-100-cpu",
        "Adversarial mixture on MNIST with 100 labels, small enough for a core",
        100,
        **_FEW_LABELS,
    ),
    _with_labels(
        _MNIST_INVARIANT,
        "samm-mnist-100-invariant",
        "Adversarial mixture on MNIST with 100 labels that compares distorted views: ours",
        100,
        label_weight=10.0,
    ).changed(paper=Paper(source="ours")),
    _DIGITS,
    _TINY,
    _with_labels(
        _TINY,
        "samm-tiny",
        "Adversarial mixture with labels in seconds, for tests",
        100,
        label_weight=0.0,
    ),
)
