"""The ladder network: MNIST with 100, 1000 and all labels, as in the paper's tables."""

from tfbind.training.preset import Optimizer, Paper, Part, Preset
from tfbind.training.tasks import FewLabels

_PAPER = "Rasmus et al., Semi-Supervised Learning with Ladder Networks, arXiv:1507.02672"

_FULL = Preset(
    name="ladder-mnist-100",
    summary="Ladder network on MNIST with 100 labels",
    model=Part(
        "LadderNetwork",
        hidden_units=(1000, 500, 250, 250, 250),
        denoising_weights=(1000.0, 10.0, 0.1, 0.1, 0.1, 0.1, 0.1),
        noise=(0.3,) * 7,
    ),
    # As in the paper nothing is chosen by the test images; they show how the error falls.
    task=FewLabels(dataset="mnist", watched_split="test", num_labels=100),
    optimizer=Optimizer(learning_rate=0.002, schedule="linear", decay_start=0.67),
    max_epochs=150,
    paper=Paper(score=0.0106, source=_PAPER),
)

PRESETS = (
    _FULL,
    # Half the epochs, the last half of them at a falling rate, and weights averaged over about ten
    # epochs, in the place of the paper's long run.
    _FULL.changed(
        name="ladder-mnist-100-cpu",
        summary="Ladder network on MNIST with 100 labels, in an hour on a core: ours",
        method=Part("Adam", use_ema=True, ema_momentum=0.999),
        decay_start=0.5,
        max_epochs=80,
        paper=Paper(score=0.0106, source=f"ours, after {_PAPER}"),
    ),
    _FULL.changed(
        name="ladder-mnist-1000",
        summary="Ladder network on MNIST with 1000 labels",
        num_labels=1000,
        denoising_weights=(2000.0, 20.0, 0.1, 0.1, 0.1, 0.1, 0.1),
        noise=(0.3, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2),
        paper=Paper(score=0.0084, source=_PAPER),
    ),
    _FULL.changed(
        name="ladder-mnist-all",
        summary="Ladder network on MNIST with all labels",
        num_labels=None,
        denoising_weights=(1000.0, 1.0, 0.01, 0.01, 0.01, 0.01, 0.01),
        paper=Paper(score=0.0057, source=_PAPER),
    ),
    _FULL.changed(
        name="gamma-mnist-100",
        summary="Gamma model, a ladder with the top's cost only, on MNIST with 100 labels",
        denoising_weights=(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5),
        paper=Paper(score=0.0306, source=_PAPER),
    ),
)
