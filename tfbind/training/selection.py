"""How many groups there are: the number that explains the images best."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import keras
import numpy as np

from tfbind._validation import check_array, check_integer
from tfbind.models import ReconstructionClustering, Tagger

_BATCH = 250


class NumGroupsSelection(NamedTuple):
    """What `select_num_groups` finds.

    `candidates` is a tuple of the K that were tried, `log_likelihoods` of the mean over the
    images, nats per image, and `best` the K with the highest.
    """

    candidates: tuple[int, ...]
    log_likelihoods: tuple[float, ...]
    best: int


def regroup(
    model: keras.Model, calibration_images: np.ndarray | None = None, **changes: Any
) -> keras.Model:
    """Returns a model with the same trained weights and some settings changed.

    It is ready for `evaluate` if `model` is compiled.

    Args:
        model: A `ReconstructionClustering` or a `Tagger`.
        calibration_images: Images, as `Tagger.calibrate` takes them; a batch-normalised Tagger
            needs them, and only that.
        **changes: Arguments of its class, such as `num_groups`.

    Raises:
        ValueError: If the model is of another kind, a setting is out of its range, or there are no
            images to calibrate with where they are needed.

    Example:

    >>> autoencoder = tfbind.DenoisingAutoencoder((8, 8, 1), hidden_units=10)
    >>> model = tfbind.ReconstructionClustering(autoencoder, num_groups=2)
    >>> tfbind.training.regroup(model, num_groups=5).num_groups
    5
    """
    _check_kind(model)
    settings = model.get_config() | changes
    if isinstance(model, Tagger):
        changed = _regrouped_tagger(model, settings, calibration_images)
    else:
        del settings["autoencoder"]  # the same one, not a copy with fresh weights
        changed = ReconstructionClustering(model.autoencoder, **settings)
    if model.compiled:
        changed.compile(jit_compile=model.jit_compile)
    return changed


def _regrouped_tagger(model, settings, calibration_images):
    changed = Tagger.from_config(settings)
    for new, old in zip(changed.trainable_variables, model.trainable_variables, strict=True):
        new.assign(old)
    if changed.needs_calibration:
        if calibration_images is None:
            raise ValueError(
                "`calibration_images` must be images for a batch-normalised `Tagger`, whose "
                "statistics depend on its groups and iterations. Received: "
                "calibration_images=None."
            )
        changed.calibrate(calibration_images)
    return changed


def select_num_groups(
    model: keras.Model,
    images: np.ndarray,
    candidates: Iterable[int] = range(2, 9),
    verbose: int = 0,
) -> NumGroupsSelection:
    """Picks the number of groups K by the paper's rule: the highest log-likelihood.

    The weights stay as they are, since they know nothing of K.

    Args:
        model: A trained `ReconstructionClustering` or layer-normalised `Tagger`, all settings of
            which but K are used.
        images: float32 `[n, *event_shape]`.
        candidates: Integers >= 2, the K to try.
        verbose: 1 for a progress bar, 0 for none.

    Returns:
        A `NumGroupsSelection`.

    Raises:
        ValueError: If the model is of another kind, there is no candidate, one is not an integer
            >= 2, or the images do not fit the model.

    References:
        Greff, Srivastava, Schmidhuber. Binding via Reconstruction Clustering. ICLR workshop,
        2016. https://arxiv.org/abs/1511.06418, section 4.3, "number of clusters".
    """
    _check_kind(model)
    candidates = tuple(check_integer("candidates", k, 2) for k in candidates)
    if not candidates:
        raise ValueError("`candidates` must hold at least one number of groups. Received: none.")
    images = check_array("images", images, model.event_shape, *model.value_range)
    bar = keras.utils.Progbar(len(candidates), unit_name="K", verbose=verbose)
    bar.update(0)
    log_likelihoods = []
    for count, num_groups in enumerate(candidates):
        log_likelihoods.append(_mean_log_likelihood(regroup(model, num_groups=num_groups), images))
        bar.update(count + 1)
    best = candidates[int(np.argmax(log_likelihoods))]
    return NumGroupsSelection(candidates, tuple(log_likelihoods), best)


def _check_kind(model):
    if not isinstance(model, (ReconstructionClustering, Tagger)):
        raise ValueError(
            "`model` must be a `ReconstructionClustering` or a `Tagger`, whose groups can be more "
            f"or fewer than in training. Received: a `{type(model).__name__}`."
        )


def _mean_log_likelihood(model, images):
    # Called rather than `predict`, which would spend longer on a new graph for each K.
    batches = (images[i : i + _BATCH] for i in range(0, len(images), _BATCH))
    values = [model(batch)["log_likelihood"].numpy() for batch in batches]
    return float(np.mean(np.concatenate(values)))
