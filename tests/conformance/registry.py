"""One entry a public model: what the shared tests of this folder need to know about it.

To add one, append an `Entry` to `REGISTRY` that makes a model of a few hundred weights, with data
on which 12 epochs of 32 examples in batches of 8 bring the loss down by a fifth. What `call` takes
is one array or a dict of arrays. `fit` and `evaluate` get keyword arguments, whose `x` may be a
dict: `_semi_supervised` makes that of a semi-supervised classifier (`image`, `label` and, as long
as the number of rows says, `unlabeled_image`), and `_semi_supervised_stream` its endless dataset. A
model whose keys depend on its settings gets an entry for each, with a `variant` to tell them apart.
"""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np

from tfbind import layers, models
from tfbind.data import pipelines
from tfbind.models.untapped_vae import UntappedVAE

from .toy import SoftMeans


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Entry:
    """A public model as the conformance tests see it.

    Attributes:
        model: Its class.
        make: Event shape -> a small model, not compiled, whose seeds all come from
            `keras.utils.set_random_seed`.
        compile: Model, `jit_compile` -> None; compiles the model.
        variant: Tells several entries of one model apart.
        event_shapes: Shapes of an example to try. All tests try the first, cheap tests all.
        inputs: Event shape, number of rows -> what `call` takes, one array or a dict of arrays.
        fit_arguments: Event shape, number of rows, which make the steps -> arguments of `fit`, as
            a dict.
        evaluate_arguments: The same for `evaluate`.
        stream: Event shape, initial epoch -> endless `tf.data.Dataset` for `fit`, and the number
            of steps in an epoch.
        output_keys: What `call` returns.
        fit_keys: What `fit` logs.
        loss_falls: Whether training brings the loss down, as it does not in a game.
        evaluate_keys: What `evaluate` returns.
        num_weights: Number of scalars in the weights, for the first event shape.
        repeats_without_xla: Whether two trainings agree to the bit without XLA too; see `seeds`.
        make_with: Event shape, layer -> such a model with a network of the user's own that the
            layer is in, between 8 units and the output; None if it takes no networks.
    """

    model: type
    make: Callable
    compile: Callable
    event_shapes: tuple
    inputs: Callable
    fit_arguments: Callable
    evaluate_arguments: Callable
    stream: Callable
    output_keys: set
    evaluate_keys: set
    num_weights: int
    repeats_without_xla: bool = True
    fit_keys: frozenset = frozenset({"loss"})
    loss_falls: bool = True
    variant: str = ""
    make_with: Callable | None = None

    @property
    def name(self):
        """What the tests are called after."""
        return "-".join(filter(None, (self.model.__name__, self.variant)))


def missing(names, entries):
    """Returns the names of the models that no entry is about."""
    return sorted(set(names) - {entry.model.__name__ for entry in entries})


def first_entries():
    """Returns one entry a public model, the first that is in the registry."""
    public = [entry for entry in REGISTRY if entry.model.__name__ in models.__all__]
    return list({entry.model: entry for entry in reversed(public)}.values())[::-1]


def _network(event_shape, layer, *outputs):
    """Returns a network of the user's own with a given layer in it."""
    first = [keras.layers.Input(event_shape), keras.layers.Flatten(), keras.layers.Dense(8)]
    return keras.Sequential([*first, layer, *map(keras.layers.Dense, outputs)])


def _images(event_shape, num_rows, seed=0):
    """Returns binary examples with a structure that can be learned: bars over a few pixels."""
    random = np.random.default_rng(seed)
    size = int(np.prod(event_shape))
    patterns = np.arange(size) // 3 % 4 == np.arange(4)[:, None]  # [4, N]
    chosen = random.random((num_rows, 4)) < 0.4
    return (chosen @ patterns).astype("float32").reshape(num_rows, *event_shape)


def _groups(event_shape, num_rows):
    spatial_shape = event_shape[:-1] if len(event_shape) > 2 else event_shape
    return np.random.default_rng(1).integers(0, 3, (num_rows, *spatial_shape))


def _stream(event_shape, initial_epoch):
    return pipelines.epochs(_images(event_shape, 32), 8, seed=3, initial_epoch=initial_epoch)


def _indexed(event_shape, num_rows):
    index = np.arange(num_rows, dtype="int32")
    return {"image": _images(event_shape, num_rows), "index": index}


def _indexed_stream(event_shape, initial_epoch, num_rows=32):
    images = _images(event_shape, num_rows)
    return pipelines.shuffled_epochs(images, 8, 3, initial_epoch, with_index=True)


def _semi_supervised(event_shape, num_rows, num_classes=2):
    """Returns a dict batch: fewer labelled images than unlabelled, whose class is one of bars."""
    patterns = _images(event_shape, num_classes, seed=2)
    labels = np.random.default_rng(3).integers(0, num_classes, num_rows).astype("int32")
    flips = np.random.default_rng(4).random((num_rows, *event_shape)) < 0.1
    images = np.where(flips, 1 - patterns[labels], patterns[labels])
    num_labeled = max(2, num_rows // 2)
    return {
        "image": images[:num_labeled],
        "label": labels[:num_labeled],
        "unlabeled_image": images,
    }


def _semi_supervised_stream(event_shape, initial_epoch):
    x = _semi_supervised(event_shape, 32)
    arrays = (x["image"], x["label"], x["unlabeled_image"])
    return pipelines.semi_supervised_epochs(*arrays, 8, seed=3, initial_epoch=initial_epoch)


def _self_labeling(event_shape, **settings):
    return models.SelfLabeling(event_shape, 3, num_heads=2, num_rows=16, **settings)


def _autoencoder(event_shape):
    return models.DenoisingAutoencoder(
        event_shape,
        hidden_units=12,
        activation="tanh",
        corruption=layers.SaltAndPepperNoise(0.2),
    )


def _autoencoder_with(event_shape, layer):
    encoder = _network(event_shape, layer)
    corruption = layers.SaltAndPepperNoise(0.2)
    return models.DenoisingAutoencoder(event_shape, encoder=encoder, corruption=corruption)


def _compile_with_adam(model, jit_compile):
    model.compile(keras.optimizers.Adam(0.02), jit_compile=jit_compile)


_EVENT_SHAPES = ((8, 8, 1), (5, 6, 3), (12,), (6, 4))
_ONE_SHAPE = _EVENT_SHAPES[:1]  # for what differs from another entry in other things than shapes

_GROUPED = {"assignments", "reconstructions", "log_likelihood", "confidence"}


def _labelled(event_shape, num_rows):
    x = _semi_supervised(event_shape, 2 * num_rows)
    return {key: x[key] for key in ("image", "label")}


def _tagger(event_shape, units=(12, 8), **settings):
    return models.Tagger(event_shape, 3, 2, inference_iterations=3, units=units, **settings)


def _tagger_weights(*upper, first=12, pixels=64):
    """Returns the number of weights of a layer-normalised binary `_tagger` on 64 pixels."""
    units = (first, *upper)
    pairs = list(zip(units[:-1], units[1:], strict=True))
    ladder = 2 * sum(a * b for a, b in pairs) + sum(upper) + 10 * sum(units) + units[-1]
    return (4 * pixels * first + first) + 2 * first * pixels + 2 * pixels + 1 + ladder


def _tagger_entry(variant, event_shapes=_EVENT_SHAPES, **settings):
    batch = settings["normalization"] == "batch"
    # mean, variance and a counter for each of three passes, and the learned variance
    widths = [12, 64, 64, 8, 12, 8]
    return Entry(
        model=models.Tagger,
        variant=variant,
        make=lambda event_shape: _tagger(event_shape, **settings),
        compile=_compile_with_adam,
        event_shapes=event_shapes,
        inputs=_images,
        fit_arguments=lambda *size: {"x": _images(*size)},
        evaluate_arguments=lambda *size: {"x": _images(*size), "y": _groups(*size)},
        stream=_stream,
        output_keys=_GROUPED,
        fit_keys={"loss", "denoising_cost", "cost_1", "cost_2"},
        evaluate_keys={
            *("loss", "denoising_cost", "cost_1", "cost_2", "cost_3"),
            *("ami", "ari", "confidence", "log_likelihood"),
        },
        num_weights=_tagger_weights(8) + batch * (3 * (2 * sum(widths) + len(widths)) + 1),
    )


_UNTAPPED_TERMS = ("labeled_bound", "cross_entropy", "reconstruction_distance")


def _untapped(event_shape, num_rows):
    labels = np.arange(4, dtype="int32") % 2
    return {**_semi_supervised(event_shape, num_rows), "unfeatured_label": labels}


def _untapped_stream(event_shape, initial_epoch):
    x = _untapped(event_shape, 32)
    arrays = (x["image"], x["label"], x["unlabeled_image"])
    return pipelines.semi_supervised_epochs(
        *arrays, 8, seed=3, initial_epoch=initial_epoch, unfeatured_labels=x["unfeatured_label"]
    )


def _untapped_entry(variant, event_shapes=_EVENT_SHAPES, repeats_without_xla=True, **settings):
    return Entry(
        model=UntappedVAE,
        variant=variant,
        make=lambda event_shape: UntappedVAE(
            event_shape,
            num_classes=2,
            classifier_units=(6,),
            encoder_units=(5,),
            decoder_units=(7,),
            **settings,
        ),
        compile=_compile_with_adam,
        event_shapes=event_shapes,
        inputs=_images,
        fit_arguments=lambda *size: {"x": _untapped(*size)},
        evaluate_arguments=lambda *size: {"x": _labelled(*size)},
        stream=_untapped_stream,
        output_keys={"probabilities", "latent", "reconstruction"},
        fit_keys={"loss", "accuracy", *_UNTAPPED_TERMS, "unlabeled_bound", "reverse_bound"},
        evaluate_keys={"loss", "accuracy", *_UNTAPPED_TERMS},
        num_weights=(65 * 6 + 7 * 2) + (67 * 5 + 6 * 4) + (5 * 7 + 8 * 64),
        repeats_without_xla=repeats_without_xla,
        make_with=lambda event_shape, layer: UntappedVAE(
            event_shape,
            num_classes=2,
            classifier=_network(event_shape, layer, 2),
            encoder_units=(5,),
            decoder_units=(7,),
            **settings,
        ),
    )


_GAME = {
    *("loss", "discriminator_loss", "generator_loss", "inferred_accuracy", "generated_accuracy"),
    *("gradient_penalty", "gradient_norm", "marginal_entropy", "used_clusters"),
}


def _adversarial_entry(model, options=dict, **settings):
    """The entry of a mixture of two components in three dimensions."""
    return Entry(
        make=lambda event_shape: model(event_shape, 2, 3, hidden_units=(5,), **options()),
        model=model,
        compile=_compile_with_adam,
        inputs=_images,
        output_keys={"probabilities", "latent", "reconstruction"},
        loss_falls=False,
        make_with=lambda event_shape, layer: model(
            event_shape,
            2,
            3,
            hidden_units=(5,),
            class_encoder=_network(event_shape, layer, 4),
            **options(),
        ),
        # encoders of y and z, decoder, discriminator, and means; four numbers a normalised unit
        num_weights=(64 * 5 + 20 + 6 * 4)
        + (66 * 5 + 20 + 6 * 6)
        + (5 * 5 + 20 + 6 * 64)
        + (70 * 5 + 6)
        + (2 * 3 + 3),
        **settings,
    )


REGISTRY = (
    _adversarial_entry(
        models.AdversarialMixture,
        event_shapes=_EVENT_SHAPES,
        fit_arguments=lambda *size: {"x": _images(*size)},
        fit_keys=_GAME,
        evaluate_arguments=lambda *size: {"x": _images(*size), "y": np.arange(size[1]) % 3},
        stream=_stream,
        evaluate_keys={*_GAME, "accuracy", "majority_accuracy"},
    ),
    _adversarial_entry(
        models.InvariantAdversarialMixture,
        lambda: {"corruption": layers.AdditiveGaussianNoise(0.1, seed=1), "cycle_steps": 3},
        event_shapes=_ONE_SHAPE,
        fit_arguments=lambda *size: {"x": _images(*size)},
        fit_keys={*_GAME, "invariance_cost", "cycle_cost"},
        evaluate_arguments=lambda *size: {"x": _images(*size), "y": np.arange(size[1]) % 3},
        stream=_stream,
        evaluate_keys={*_GAME, "cycle_cost", "accuracy", "majority_accuracy"},
    ),
    _adversarial_entry(
        models.SemiSupervisedAdversarialMixture,
        lambda: {"label_weight": 1.0, "corruption": layers.AdditiveGaussianNoise(0.1, seed=1)},
        event_shapes=_ONE_SHAPE,
        fit_arguments=lambda *size: {"x": _semi_supervised(*size)},
        fit_keys={*_GAME, "cross_entropy"},
        evaluate_arguments=lambda *size: {"x": _labelled(*size)},
        stream=_semi_supervised_stream,
        evaluate_keys={*_GAME, "cross_entropy", "accuracy"},
    ),
    Entry(
        model=models.DenoisingAutoencoder,
        make=_autoencoder,
        compile=_compile_with_adam,
        event_shapes=_EVENT_SHAPES,
        inputs=_images,
        fit_arguments=lambda *size: {"x": _images(*size)},
        evaluate_arguments=lambda *size: {"x": _images(*size)},
        stream=_stream,
        output_keys={"code", "reconstruction"},
        fit_keys={"loss", "denoising_loss"},
        evaluate_keys={"loss", "denoising_loss"},
        make_with=_autoencoder_with,
        num_weights=(64 * 12 + 12) + (12 * 64 + 64),
    ),
    Entry(
        model=models.ReconstructionClustering,
        make=lambda event_shape: models.ReconstructionClustering(
            _autoencoder(event_shape), num_groups=3, num_iterations=3
        ),
        compile=_compile_with_adam,
        event_shapes=_EVENT_SHAPES,
        inputs=_images,
        fit_arguments=lambda *size: {"x": _images(*size)},
        evaluate_arguments=lambda *size: {"x": _images(*size), "y": _groups(*size)},
        stream=_stream,
        output_keys={"assignments", "reconstructions", "log_likelihood", "confidence"},
        fit_keys={"loss", "denoising_loss"},
        evaluate_keys={"loss", "denoising_loss", "ami", "ari", "confidence", "log_likelihood"},
        make_with=lambda event_shape, layer: models.ReconstructionClustering(
            _autoencoder_with(event_shape, layer), num_groups=3, num_iterations=3
        ),
        num_weights=(64 * 12 + 12) + (12 * 64 + 64),
    ),
    Entry(
        model=models.LadderNetwork,
        make=lambda event_shape: models.LadderNetwork(
            event_shape, 2, hidden_units=(12, 8), denoising_weights=(10.0, 1.0, 0.1, 0.1)
        ),
        compile=_compile_with_adam,
        event_shapes=_EVENT_SHAPES,
        inputs=_images,
        fit_arguments=lambda *size: {"x": _semi_supervised(*size)},
        evaluate_arguments=lambda *size: {"x": _labelled(*size)},
        stream=_semi_supervised_stream,
        output_keys={"probabilities", "latent"},
        fit_keys={"loss", "accuracy", "classification_cost", "denoising_cost"},
        evaluate_keys={"loss", "accuracy", "classification_cost"},
        # kernels both ways, biases, combinators, the gain, and the statistics of every layer
        num_weights=2 * (64 * 12 + 12 * 8 + 8 * 2)
        + (12 + 8 + 2)
        + 10 * (64 + 12 + 8 + 2)
        + 2
        + (2 * (12 + 8 + 2) + 3)
        + (2 * (64 + 12 + 8 + 2) + 4),
    ),
    Entry(
        model=models.PseudoLabelEnsemble,
        make=lambda event_shape: models.PseudoLabelEnsemble(
            event_shape,
            num_clusters=3,
            num_members=2,
            hidden_units=(8,),
            denoising_weights=(10.0, 1.0, 0.1),
            first_epochs=100,  # of agreement there is too little here
        ),
        compile=_compile_with_adam,
        event_shapes=_EVENT_SHAPES,
        inputs=_images,
        fit_arguments=lambda *size: {"x": _indexed(*size)},
        evaluate_arguments=lambda *size: {"x": _images(*size), "y": np.arange(size[1]) % 3},
        stream=_indexed_stream,
        output_keys={"probabilities", "member_probabilities"},
        fit_keys={
            *("loss", "denoising_cost", "information_cost", "noise_divergence"),
            *("pseudo_cost", "pseudo_labelled", "marginal_entropy", "used_clusters"),
        },
        evaluate_keys={
            *("loss", "information_cost", "marginal_entropy", "used_clusters"),
            *("accuracy", "majority_accuracy"),
        },
        # of each member kernels both ways, biases, combinators, and statistics; then the members'
        # shares, the weights of the pseudo-classes and that of the information
        num_weights=2 * (2 * (64 * 8 + 8 * 3) + (8 + 3) + 10 * (64 + 8 + 3))
        + 2 * ((2 * 8 + 1) + (2 * (64 + 8 + 3) + 3))
        + 2
        + 3
        + 1,
    ),
    Entry(
        model=models.SelfLabeling,
        make=lambda event_shape: _self_labeling(event_shape, units=(4, 6)),
        compile=_compile_with_adam,
        event_shapes=_EVENT_SHAPES,
        inputs=_images,
        fit_arguments=lambda *size: {"x": _indexed(*size)},
        evaluate_arguments=lambda *size: {"x": _images(*size), "y": np.arange(size[1]) % 3},
        stream=lambda *size: _indexed_stream(*size, num_rows=16),
        output_keys={"probabilities", "features"},
        fit_keys={
            *("loss", "cross_entropy", "marginal_entropy", "used_clusters"),
            *("changed_labels", "cluster_error"),
        },
        evaluate_keys={
            *("loss", "cross_entropy", "marginal_entropy", "used_clusters"),
            *("accuracy", "majority_accuracy"),
        },
        make_with=lambda event_shape, layer: _self_labeling(
            event_shape, backbone=_network(event_shape, layer)
        ),
        # a convolution, a dense layer and their normalisation, heads, labels, and notes of them
        num_weights=(9 * 4 + 4 * 4) + (64 * 6 + 4 * 6) + 6 * (6 + 1) + 2 * 16 + (6 + 2 + 2 + 1 + 1),
    ),
    _tagger_entry("binary", normalization="layer"),
    _tagger_entry(
        "batch", _ONE_SHAPE, normalization="batch", equations="paper", likelihood="gaussian"
    ),
    Entry(
        model=models.Tagger,
        variant="classes",
        make=lambda event_shape: _tagger(
            event_shape, normalization="layer", units=(12, 8, 3), num_classes=2
        ),
        compile=_compile_with_adam,
        event_shapes=_ONE_SHAPE,
        inputs=_images,
        fit_arguments=lambda *size: {"x": _semi_supervised(*size)},
        evaluate_arguments=lambda *size: {"x": _labelled(*size)},
        stream=_semi_supervised_stream,
        output_keys={*_GROUPED, "probabilities"},
        fit_keys={"loss", "denoising_cost", "classification_cost", "cost_1", "cost_2"},
        evaluate_keys={"loss", "denoising_cost", "cost_1", "cost_2", "cost_3", "error"},
        num_weights=_tagger_weights(8, 3),
    ),
    _untapped_entry("relaxed", repeats_without_xla=False),
    _untapped_entry("marginal", _ONE_SHAPE, marginalize=True, reverse="marginal"),
    Entry(
        model=SoftMeans,
        make=SoftMeans,
        compile=_compile_with_adam,
        event_shapes=_ONE_SHAPE,
        inputs=_images,
        fit_arguments=lambda *size: {"x": _images(*size)},
        evaluate_arguments=lambda *size: {"x": _images(*size), "y": np.arange(size[1]) % 3},
        stream=_stream,
        output_keys={"probabilities"},
        fit_keys={"loss", "distance", "marginal_entropy", "used_clusters"},
        evaluate_keys={
            *("loss", "distance", "marginal_entropy", "used_clusters"),
            *("accuracy", "majority_accuracy"),
        },
        num_weights=3 * 64,
    ),
)
