"""The adversarial mixture: MNIST and SVHN as in the paper, and digits of 8x8 pixels."""

import dataclasses
import functools

import keras
import numpy as np
from sklearn import manifold

from tfbind import data, distributions, plots, seeds
from tfbind._validation import check_choice, check_integer
from tfbind.data import pipelines
from tfbind.models import adversarial_networks
from tfbind.models._component_usage import ComponentUsage
from tfbind.models.adversarial_mixture import AdversarialMixture
from tfbind.models.semi_supervised_adversarial_mixture import SemiSupervisedAdversarialMixture
from tfbind.training.callbacks import (
    ClusteringErrors,
    CollapseWarning,
    LearningRates,
    clustering_errors,
)
from tfbind.training.presets._base import (
    SCHEDULES,
    Preset,
    TrainingData,
    check_distortion,
    distortion_layer,
    scheduled,
)

_PAPER = "Jesson et al., Adversarially Learned Mixture Model, arXiv:1807.05344"
_MEANS = {
    "learned": lambda latent_dim: None,
    "grid": distributions.grid_means,
    "corners": distributions.corner_means,
}
_BATCH = 500  # of examples in inference
_EMBEDDED = 1000  # test examples in the picture of the latent space
_PICTURED = 10  # test examples in the others


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdversarialMixturePreset(Preset):
    """Settings of the adversarial mixture without labels.

    Attributes:
        num_clusters: K.
        latent_dim: Dimensions of z.
        networks: "mnist", "svhn", "convolutional" or "dense", as in
            `tfbind.models.adversarial_networks`.
        convolutions: Channels, width and stride of each, of "convolutional" networks.
        hidden_units: Widths of the hidden layers of dense networks.
        dropout: Of all but dense networks.
        discriminator_initializer: Name of the Keras initializer of all but dense networks' kernels
            in the discriminator; None for the paper's.
        factorization: "class_first", "latent_first" or "independent".
        means: "learned", "grid" or "corners", as in `tfbind.distributions`.
        gradient_penalty: Its weight.
        schedule: "constant", or "cosine" from the learning rate to zero, epoch by epoch.
        watched_split: Labelled examples whose errors are followed during training.
    """

    num_clusters: int = 10
    latent_dim: int = 64
    networks: str = "mnist"
    convolutions: tuple = ()
    hidden_units: tuple = ()
    dropout: float = 0.0
    discriminator_initializer: str | None = None
    factorization: str = "latent_first"
    means: str = "learned"
    gradient_penalty: float = 10.0
    schedule: str = "constant"
    watched_split: str
    learning_rate: float = 2e-4
    metric: str = "error_percent"
    source: str = _PAPER

    def __post_init__(self):
        super().__post_init__()
        check_choice("networks", self.networks, ("mnist", "svhn", "convolutional", "dense"))
        check_choice("means", self.means, tuple(_MEANS))
        check_choice("schedule", self.schedule, SCHEDULES)

    def _load(self, split, data_dir):
        """Returns images, as bytes, and labels."""
        images, labels = data.load(self.dataset, split, data_dir, keys=("image", "label"))
        return (images * 255.0).round().astype("uint8"), labels

    def training_data(self, data_dir=None):
        images, _ = self._load(self.train_split, data_dir)
        return TrainingData(
            event_shape=images.shape[1:],
            stream=functools.partial(pipelines.shuffled_epochs, images, self.batch_size, self.seed),
        )

    def build(self, event_shape):
        keras.utils.set_random_seed(self.seed)
        model = self._model(event_shape, **self._networks(event_shape))
        optimizer = keras.optimizers.Adam(self.learning_rate, beta_1=0.5)
        model.compile(optimizer, jit_compile=True)
        return model

    def _model(self, event_shape, **networks):
        return AdversarialMixture(
            event_shape, self.num_clusters, self.latent_dim, seed=seeds.base_seed(), **networks
        )

    def _networks(self, event_shape):
        """Returns what the model and its networks share, and the networks."""
        settings = {
            "factorization": self.factorization,
            "gradient_penalty": self.gradient_penalty,
        }
        if self.networks == "dense":
            settings["hidden_units"] = self.hidden_units
        elif self.networks == "convolutional":
            settings |= adversarial_networks.convolutional_networks(
                event_shape,
                self.num_clusters,
                self.latent_dim,
                self.convolutions,
                self.factorization,
                self.dropout,
                discriminator_initializer=self.discriminator_initializer,
            )
        else:
            make = getattr(adversarial_networks, f"{self.networks}_networks")
            settings |= make(
                self.num_clusters,
                self.latent_dim,
                self.factorization,
                self.dropout,
                discriminator_initializer=self.discriminator_initializer,
            )
        means = _MEANS[self.means](self.latent_dim)
        return settings if means is None else {**settings, "prior": means}

    def callbacks(self, model, data_dir=None):
        watched = data.load(self.dataset, self.watched_split, data_dir, keys=("image", "label"))
        return (
            LearningRates(functools.partial(scheduled, self)),
            ClusteringErrors(*watched),
            CollapseWarning(),
        )

    def evaluate(self, model, data_dir=None, num_starts=5, verbose=0):
        """Scores the clusters of test data; `num_starts` does nothing here.

        Returns:
            A dict: `error_percent`, of the test examples, each component being one class and each
            class one component; `majority_error_percent`, where a component stands for its most
            frequent class; `latent_error_percent`, as the first, for clusters by p(y|z);
            `used_clusters` and `marginal_entropy`; and `num_images`.
        """
        images, labels = data.load(self.dataset, self.test_split, data_dir, keys=("image", "label"))
        found = model.predict(images, batch_size=_BATCH, verbose=verbose)
        usage = ComponentUsage(model.class_probabilities)
        usage.update_state(found["probabilities"])
        return {
            **self._errors(model, found, labels),
            **{name: float(value) for name, value in usage.result().items()},
            "num_images": len(images),
        }

    def _errors(self, model, found, labels):
        clusters, by_latent = _clusters(model, found)
        return {
            **clustering_errors(labels, clusters),
            "latent_error_percent": clustering_errors(labels, by_latent)["error_percent"],
        }

    def figures(self, model, data_dir=None):
        images, labels = data.load(self.dataset, self.test_split, data_dir, keys=("image", "label"))
        found = model.predict(images, batch_size=_BATCH, verbose=0)
        shown = images[:_PICTURED]
        size = (self.num_clusters, _PICTURED, self.latent_dim)
        noise = np.random.default_rng(self.seed).standard_normal(size).astype("float32")
        samples = [model.generate([k] * _PICTURED, noise[k]) for k in range(self.num_clusters)]
        some = slice(_EMBEDDED)
        points = manifold.TSNE(random_state=self.seed).fit_transform(found["latent"][some])
        return {
            "components.png": plots.components_figure(np.stack(samples)),
            "clusters.png": plots.cluster_matrix_figure(
                labels, found["probabilities"].argmax(axis=1), self.num_clusters
            ),
            "reconstructions.png": plots.reconstructions_figure(
                shown, found["reconstruction"][:_PICTURED]
            ),
            "interpolations.png": plots.interpolations_figure(
                model.interpolate(shown[:-1], shown[1:])
            ),
            "embedding.png": plots.embedding_figure(points, labels[some]),
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class SemiSupervisedAdversarialMixturePreset(AdversarialMixturePreset):
    """Settings of the adversarial mixture with labels for some of the examples.

    All training examples are unlabelled ones, those with labels among them.

    Attributes:
        num_labels: Examples whose labels are kept, the same number of each class.
        class_counts: How many examples of each class the training set has, where that is to be
            p(y); None for equal probabilities.
        label_weight: Of the cross-entropy of labelled examples.
        distortion: Largest rotation, scale, shear and shift of those, as in
            `tfbind.layers.RandomAffine`.
    """

    num_labels: int
    class_counts: tuple | None = None
    label_weight: float = 0.0
    distortion: tuple = (0.0, 0.0, 0.0, 0.0)
    factorization: str = "class_first"

    def __post_init__(self):
        super().__post_init__()
        check_integer("num_labels", self.num_labels, 1)
        check_distortion(self.distortion)

    def training_data(self, data_dir=None):
        images, labels = self._load(self.train_split, data_dir)
        kept = pipelines.balanced_subset(labels, self.num_labels, self.seed)
        return TrainingData(
            event_shape=images.shape[1:],
            stream=functools.partial(
                pipelines.semi_supervised_epochs,
                images[kept],
                labels[kept],
                images,
                self.batch_size,
                self.seed,
            ),
        )

    def _model(self, event_shape, **networks):
        return SemiSupervisedAdversarialMixture(
            event_shape,
            self.num_clusters,
            self.latent_dim,
            class_probabilities=self.class_counts,
            label_weight=self.label_weight,
            corruption=distortion_layer(self),
            seed=seeds.base_seed(),
            **networks,
        )

    def _errors(self, model, found, labels):
        names = ("error_percent", "latent_error_percent")
        wrong = (100.0 * np.mean(clusters != labels) for clusters in _clusters(model, found))
        return dict(zip(names, map(float, wrong), strict=True))


def _clusters(model, found):
    """Returns the clusters by q(y|x) and by p(y|z), of what `predict` gives."""
    by_latent = model.component_probabilities(found["latent"])
    return found["probabilities"].argmax(axis=1), np.argmax(by_latent, axis=1)


# The paper says neither batch size nor epochs.
_MNIST = AdversarialMixturePreset(
    name="amm-mnist",
    summary="Adversarial mixture on MNIST, without labels: the paper's",
    dataset="mnist",
    train_split="train[:55000]",
    watched_split="train[55000:]",
    dropout=0.2,
    max_epochs=100,
    paper_score=2.86,
)
_MNIST_CPU = dataclasses.replace(
    _MNIST,
    name="amm-mnist-cpu",
    summary="Adversarial mixture on MNIST, without labels, small enough for a core",
    latent_dim=16,
    networks="convolutional",
    convolutions=((16, 4, 2), (32, 3, 2), (128, 6, 1)),
    dropout=0.0,
    learning_rate=5e-4,
    schedule="cosine",
    max_epochs=60,
    paper_score=2.86,
    source="ours",
)
_SVHN = AdversarialMixturePreset(
    name="amm-svhn",
    summary="Adversarial mixture on SVHN, without labels, 18 components on a grid",
    dataset="svhn",
    train_split="train[:-10000]",
    watched_split="train[-10000:]",
    num_clusters=18,
    latent_dim=32,
    networks="svhn",
    means="grid",
    gradient_penalty=0.01,
    max_epochs=100,
)


def _with_labels(preset, name, summary, num_labels, **changes):
    """Returns `preset` as one with labels, in which z depends on y if nothing else is said."""
    settings = {field.name: getattr(preset, field.name) for field in dataclasses.fields(preset)}
    settings |= {"name": name, "summary": summary, "num_labels": num_labels}
    settings |= {"factorization": "class_first", "paper_score": None, **changes}
    return SemiSupervisedAdversarialMixturePreset(**settings)


# What the game alone makes of a hundred labels: docs/results.md.
_FEW_LABELS = {
    "discriminator_initializer": "he_normal",
    "label_weight": 10.0,
    "distortion": (10.0, 0.1, 0.1, 2.0),
}
_SAMM_SVHN = _with_labels(
    _SVHN,
    "samm-svhn",
    "Adversarial mixture on SVHN with 1000 labels, fixed means",
    1000,
    num_clusters=10,
    latent_dim=64,
    means="corners",
    class_counts=(4948, 13861, 10585, 8497, 7458, 6882, 5727, 5595, 5045, 4659),
    paper_score=7.02,
)
# In [0, 1] small digits are too near each other for a gradient that is held at 1 to tell them
# apart; a weak penalty lets it grow.
_DIGITS = AdversarialMixturePreset(
    name="amm-digits",
    summary="Adversarial mixture on 8x8 digits, without labels: ours",
    dataset="digits",
    train_split="train",
    watched_split="test",
    latent_dim=4,
    networks="dense",
    hidden_units=(256, 256),
    factorization="class_first",
    gradient_penalty=0.1,
    learning_rate=1e-3,
    schedule="cosine",
    max_epochs=400,
    source="ours",
)
_TINY = dataclasses.replace(
    _DIGITS,
    name="amm-tiny",
    summary="Adversarial mixture in seconds, for tests and notebooks",
    hidden_units=(64,),
    max_epochs=10,
    source="made for tests",
)

PRESETS = (
    _MNIST,
    _MNIST_CPU,
    _SVHN,
    _SAMM_SVHN,
    dataclasses.replace(
        _SAMM_SVHN,
        name="samm-svhn-learned",
        summary="Adversarial mixture on SVHN with 1000 labels, learned means",
        means="learned",
        paper_score=6.43,
    ),
    _with_labels(
        _MNIST,
        "samm-mnist-100",
        "Adversarial mixture on MNIST with 100 labels",
        100,
        **_FEW_LABELS,
        source="ours",
    ),
    _with_labels(
        _MNIST_CPU,
        "samm-mnist-100-cpu",
        "Adversarial mixture on MNIST with 100 labels, small enough for a core",
        100,
        **_FEW_LABELS,
        max_epochs=30,
    ),
    _DIGITS,
    _TINY,
    _with_labels(_TINY, "samm-tiny", "Adversarial mixture with labels in seconds, for tests", 100),
)
