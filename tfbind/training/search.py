"""The random search by which the paper chose its settings, on keras-tuner."""

import os
import pathlib

import keras_tuner

from tfbind.training import run
from tfbind.training.preset import Preset

HIDDEN_UNITS = (100, 250, 500, 1000)
ACTIVATIONS = ("relu", "tanh", "sigmoid")
NOISE = tuple(step / 10 for step in range(10))
LEARNING_RATE = (1e-3, 1.0)
SETTINGS = ("learning_rate", "hidden_units", "activation", "probability")  # of the noise


class _Search(keras_tuner.RandomSearch):
    """Trains the base preset with every trial's settings and scores the clustering."""

    def __init__(self, base, examples, data_dir, verbose, **kwargs):
        super().__init__(objective=keras_tuner.Objective("ami", "max"), **kwargs)
        self.base = base
        self.examples = examples
        self.data_dir = data_dir
        self.train_verbose = verbose

    def run_trial(self, trial):
        hp = trial.hyperparameters
        preset = self.base.changed(
            learning_rate=hp.Float("learning_rate", *LEARNING_RATE, sampling="log"),
            probability=hp.Choice("probability", NOISE),
            hidden_units=hp.Choice("hidden_units", HIDDEN_UNITS),
            activation=hp.Choice("activation", ACTIVATIONS),
        )
        folder = pathlib.Path(self.project_dir) / "runs" / trial.trial_id
        try:
            model = run.train(preset, folder, self.data_dir, verbose=self.train_verbose)
        except ValueError as error:  # it diverged, as a learning rate of 1 may
            raise keras_tuner.errors.FailedTrialError(str(error)) from error
        scores = preset.task.score(model, self.examples, seed=preset.seed, num_starts=1)
        return {name: scores[name] for name in ("ami", "confidence")}


def search(
    base: Preset,
    directory: str | os.PathLike,
    num_trials: int = 100,
    data_dir: str | None = None,
    select_split: str | None = None,
    seed: int = 0,
    verbose: int = 0,
) -> list[tuple[Preset, float]]:
    """Tries random settings of a preset and ranks them by the AMI of their clustering.

    The learning rate is drawn log-uniformly from [0.001, 1], the noise from 0, 0.1, ..., 0.9, the
    width from 100, 250, 500, 1000, the activation from ReLU, tanh, logistic. A search that was
    stopped goes on where it was when called again with the same directory.

    Differs from the paper: the paper picks the run with the highest AMI on the test images; here
    the images that pick are not those that `tfbind evaluate` scores.

    Args:
        base: A preset of `ReconstructionClustering`, whose data, K and E-step are kept.
        directory: Path of a folder for the trials, made if missing.
        num_trials: Integer >= 1; the paper has 100.
        data_dir: Where TFDS keeps its data, or None for TFDS' default.
        select_split: TFDS split of images with groups that pick the winner; by default the last
            1000 test images, or all of them where there are fewer than 2000.
        seed: Integer seed of the draws.
        verbose: As in `run.train`.

    Returns:
        A list of (preset, ami) pairs, the best first.

    Raises:
        ValueError: If the preset is of another system, or the data is missing.

    References:
        Greff, Srivastava, Schmidhuber. Binding via Reconstruction Clustering. ICLR workshop,
        2016. https://arxiv.org/abs/1511.06418, section 4.2.
    """
    if base.model.name != "ReconstructionClustering":
        raise ValueError(
            "`preset` must be one of Reconstruction Clustering, whose settings the search knows. "
            f"Received: {base.name!r}, of a `{base.model.name}`."
        )
    examples = base.task.load(select_split or "test", data_dir)
    if select_split is None and len(examples.image) >= 2000:
        examples = examples.take(slice(-1000, None))
    tuner = _Search(
        base,
        examples,
        data_dir,
        verbose,
        max_trials=num_trials,
        directory=str(pathlib.Path(directory)),
        project_name=base.name,
        seed=seed,
        overwrite=False,
        max_consecutive_failed_trials=num_trials,
    )
    tuner.search()
    trials = tuner.oracle.get_best_trials(num_trials)
    return [(base.changed(**trial.hyperparameters.values), trial.score) for trial in trials]
