"""Kingdra's ensemble: MNIST and newsgroups as in the authors' code, and digits of 8x8 pixels."""

from tfbind.training.preset import Optimizer, Paper, Part, Preset
from tfbind.training.tasks import Clustering

_PAPER = "Gupta et al., Unsupervised Clustering using Pseudo-semi-supervised Learning, ICLR 2020"

_MNIST = Preset(
    name="kingdra-mnist",
    summary="Pseudo-label ensemble on MNIST: the paper's, for an accelerator",
    model=Part(
        "PseudoLabelEnsemble",
        num_clusters=10,
        num_members=10,
        hidden_units=(1200, 1200),
        noise=0.3,
        denoising_weights=(1000.0, 10.0, 0.1, 0.1),
        information_weight=0.1,
        confidence_threshold=0.9,
        first_epochs=5,
        round_epochs=5,
    ),
    task=Clustering(dataset="mnist", watched_split="test"),
    optimizer=Optimizer(learning_rate=2e-3),
    batch_size=64,
    max_epochs=250,
    paper=Paper(score=0.015, source=_PAPER),
)
# What an hour of two cores has of it. In sketches on one core, ten members of width 400 with ten
# epochs before the first pseudo-labels agreed on 28 % of the images, 92 % of which were right, and
# rose by 1.5 points a round of two epochs, 2.5 minutes, from .74 to .85 after seven; six members
# with four epochs agreed on 31 %, 84 % right, and stayed at .77 for ever.
_CPU = _MNIST.changed(
    name="kingdra-mnist-cpu",
    summary="Pseudo-label ensemble on MNIST, smaller than the paper's: for two cores",
    hidden_units=(400, 400),
    first_epochs=10,
    round_epochs=2,
    batch_size=100,
    max_epochs=60,
    paper=Paper(source=f"ours, after {_PAPER}"),
)
# The members withstand distortions and the worst small noise instead of undoing noise: one start
# of four tells all digits apart, the others have one pair in one cluster or two digits split by
# their slant, seldom the same. So those that use their clusters unevenly are not asked, and what
# the others agree on is right: 98.6 to 98.9 % of it after ten epochs of three trainings.
# Without rounds: --set first_epochs=30. Without views: --set rotation=0 --set scale=0
# --set shear=0 --set shift=0.
_INVARIANT = _MNIST.changed(
    name="kingdra-mnist-invariant",
    summary="Pseudo-label ensemble on MNIST that compares distorted views: ours",
    model=Part(
        "PseudoLabelEnsemble",
        num_clusters=10,
        num_members=8,
        hidden_units=(512, 512),
        noise=0.0,
        denoising_weights=(0.0, 0.0, 0.0, 0.0),
        information_weight=0.1,
        augmentation=Part("RandomAffine", rotation=15.0, scale=0.15, shear=0.3, shift=2.0, seed=0),
        adversarial_weight=1.0,
        adversarial_radius=1.6,
        top_kernel_scale=1e-4,
        confidence_threshold=0.0,
        leave_out_merged=True,
        first_epochs=10,
        round_epochs=5,
        batched=False,  # quicker on a CPU; --set batched=True on an accelerator
    ),
    optimizer=Optimizer(learning_rate=2e-3, schedule="linear", decay_start=0.6),
    batch_size=250,
    max_epochs=30,
    paper=Paper(source="ours"),
)
# Scored on what it is trained on, as in the paper. The mean square of a post is 1 in our data set;
# of tf-idf rows of norm 1 a noise of .3 on 2000 features would leave nothing.
_NEWSGROUPS = _MNIST.changed(
    name="kingdra-newsgroups",
    summary="Pseudo-label ensemble on 20 newsgroups: the paper's, for an accelerator",
    num_clusters=20,
    information_weight=0.2,
    confidence_threshold=0.0,
    dataset="newsgroups",
    test_split="train",
    watched_split=None,
    max_epochs=50,
    paper=Paper(score=0.561, source=_PAPER),
)
# A denoising cost as high as for MNIST leaves little of the information of so few pixels, and ten
# networks are seldom all sure of one of so few images.
_DIGITS = _MNIST.changed(
    name="kingdra-digits",
    summary="Pseudo-label ensemble on 8x8 digits: ours",
    num_members=6,
    hidden_units=(100, 100),
    denoising_weights=(10.0, 1.0, 0.1, 0.1),
    information_weight=0.4,
    confidence_threshold=0.0,
    first_epochs=30,
    round_epochs=10,
    dataset="digits",
    max_epochs=80,
    paper=Paper(source="ours"),
)
_TINY = _DIGITS.changed(
    name="kingdra-tiny",
    summary="Pseudo-label ensemble in seconds, for tests and notebooks",
    num_members=2,
    hidden_units=(32,),
    denoising_weights=(10.0, 0.1, 0.1),
    first_epochs=4,
    round_epochs=3,
    max_epochs=10,
    paper=Paper(source="made for tests"),
)

PRESETS = (_MNIST, _CPU, _INVARIANT, _NEWSGROUPS, _DIGITS, _TINY)
