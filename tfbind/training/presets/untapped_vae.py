"""The untapped VAE: the paper's task on MNIST and on small digits, M2, and our own."""

from typing import Any

from tfbind.training.preset import Optimizer, Paper, Part, Preset
from tfbind.training.tasks import UnseenClasses

_PAPER = "Inverting VAEs, all-umass/untapped"

# The authors' code weighs the bounds by 0.1 and the cross-entropy by 1, a tenth of the paper's
# equation 8. Adam does not mind, but for what it adds to the root and for the clipping, which are
# therefore ten times the code's 1e-4 and 5. The code also clips each element at 1, which then
# hardly ever happens. Epochs are the paper's; the code has 1000, its rate falls from the 500th on.
_UNTAPPED = Preset(
    name="untapped-mnist",
    summary="Untapped VAE on MNIST, digits 5-9 without labels: the paper's",
    model=Part(
        "UntappedVAE",
        latent_dim=2,
        classifier_units=(50, 50),
        encoder_units=(10, 10),
        decoder_units=(250, 500),
        activation="tanh",
        marginalize=False,
        reverse="bound",
        reverse_weight=1.0,
    ),
    task=UnseenClasses(dataset="mnist", binary_images=True),
    optimizer=Optimizer(
        method=Part("Adam", epsilon=1e-3, global_clipnorm=50.0), learning_rate=0.01
    ),
    batch_size=10_000,
    max_epochs=150,
    paper=Paper(score=2.07, source=f"{_PAPER}, section 4 and its MNIST demo"),
)
_M2 = _UNTAPPED.changed(
    name="m2-mnist",
    summary="M2 on MNIST, digits 5-9 without labels: the paper's baseline",
    reverse=False,
    paper=Paper(score=2.30, source=_UNTAPPED.paper.source),
)

# With q(x) the data, the likelihood of a label without an image is the mean of q(y|x) over images:
# no bound, and no image that the decoder has to imagine first. It asks for as many images of each
# class as there are labels of it, and the sum over classes says exactly which class explains
# an image best.
_OURS = Preset(
    name="untapped-mnist-marginal",
    summary="Untapped VAE on MNIST, exact sums over classes and images: ours",
    model=Part(
        "UntappedVAE",
        latent_dim=8,
        classifier_units=(256, 256),
        encoder_units=(128,),
        decoder_units=(128, 256),
        activation="relu",
        corruption=Part("RandomAffine", rotation=10.0, scale=0.1, shear=0.1, shift=2.0, seed=0),
        marginalize=True,
        reverse="marginal",
        reverse_weight=30.0,
    ),
    task=_UNTAPPED.task,
    optimizer=Optimizer(learning_rate=0.001),
    batch_size=250,
    max_epochs=30,
    paper=Paper(source="ours"),
)


def _digits(preset: Preset, name: str, **changes: Any) -> Preset:
    """Returns the same task on the bundled digits of 8x8 pixels."""
    return preset.changed(
        name=name,
        summary=preset.summary.replace("MNIST", "8x8 digits"),
        dataset="digits",
        num_unlabeled=1797,
        paper=Paper(source=f"as {preset.name}, on bundled data"),
        **changes,
    )


PRESETS = (
    _UNTAPPED,
    _M2,
    _OURS,
    _digits(_UNTAPPED, "untapped-digits", batch_size=1797, max_epochs=500),
    _digits(_M2, "m2-digits", batch_size=1797, max_epochs=500),
    _digits(
        _OURS,
        "untapped-digits-marginal",
        batch_size=100,
        max_epochs=100,
        latent_dim=4,
        reverse_weight=10.0,
        corruption=Part("RandomAffine", rotation=5.0, scale=0.05, shear=0.05, shift=0.5, seed=0),
    ),
    _digits(
        _OURS,
        "untapped-tiny",
        batch_size=100,
        max_epochs=5,
        model=Part(
            "UntappedVAE",
            latent_dim=2,
            classifier_units=(50,),
            encoder_units=(20,),
            decoder_units=(50,),
            activation="relu",
            marginalize=True,
            reverse="marginal",
            reverse_weight=10.0,
        ),
    ),
)
