"""From a preset to a trained, scored and drawn run."""

import functools
import json
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from matplotlib.figure import Figure

from tfbind._catalogue import is_boxed
from tfbind._stored import SCORED, Stored
from tfbind._validation import check_array, check_integer
from tfbind.models._calibration import Calibration
from tfbind.models._relabeling import Relabeling, RelabelingModel
from tfbind.reading import OwnData
from tfbind.training.callbacks import ProgressLine
from tfbind.training.checkpoint import Checkpoint, ResumableEarlyStopping
from tfbind.training.diagnosis import diagnose
from tfbind.training.folder import Path, Run
from tfbind.training.own import own_data
from tfbind.training.preset import Preset
from tfbind.training.processes import side_by_side
from tfbind.training.source import Source
from tfbind.training.starts import best_place
from tfbind.training.tasks import TrainingData
from tfbind.training.tasks.base import Examples
from tfbind.training.workers import Team, one_sentence, team_of

# One XLA call runs this many steps at most, so that the progress bar still moves.
_MAX_STEPS_PER_EXECUTION = 100
_DIAGNOSED = 5000  # examples
_SCORE_BATCH = 500  # of examples, when starts are compared


def train(
    preset: Preset,
    run: Path,
    data_dir: str | None = None,
    *,
    images: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    data: OwnData | Path | None = None,
    checkpoint_interval: float = 20.0,
    processes: int = 1,
    workers: Sequence[str] | None = None,
    index: int | None = None,
    verbose: int = 1,
) -> keras.Model:
    """Trains `preset` into a run folder; resumes what a killed run left there.

    A preset with `starts` trains from each of them into a folder `starts/seed-SEED` in that one,
    which then gets the model of the highest `unsupervised_score` on the training images.

    Args:
        preset: A `Preset`.
        run: A `Run`, or the path of one; made if missing.
        data_dir: Where TFDS keeps its data, or None for TFDS' default.
        images: Images to train on instead of the preset's, `[n, *event_shape]`, bytes or floats
            in the range of the model.
        labels: What the preset's task calls the labels of those, or None where it needs none. The
            first of them are followed during training.
        data: Files to train on instead: what `own_data` returns, or a path that it takes.
        checkpoint_interval: Seconds between checkpoints at least.
        processes: Integer >= 1, starts that are trained at once; see `processes.side_by_side`.
        workers: The addresses HOST:PORT of all processes that train together, the same call in
            each; or None. Only the first of them writes to `run`, and the batch of the preset is
            that of all. See `docs/distribution.md`.
        index: Integer, the place of this process among `workers`, from 0 on.
        verbose: 0 for silence, 1 for a progress bar, 2 for a line an epoch.

    Returns:
        The trained model, with the weights of the best validation loss if the preset has a
        `patience`, else those of the last epoch.

    Raises:
        ValueError: If the folder holds another run, data is missing, or the training diverged.
    """
    team = team_of(workers, index)
    run, source = Run(run), _source(preset, data_dir, images, labels, data)
    if team is not None:
        return _train_together(preset, run, source, team, checkpoint_interval, verbose)
    if preset.starts == 1:
        return _train_one(preset, run, source, checkpoint_interval, verbose)
    given = source.described()
    run.check(preset, given)
    if run.is_finished:
        return run.load()
    settings = (data_dir, images, labels, source.own, checkpoint_interval)
    with run.claimed(preset, given):
        return _train_starts(preset, run, settings, processes, verbose)


def _train_together(
    preset: Preset, run: Run, source: Source, team: Team, checkpoint_interval: float, verbose: int
) -> keras.Model:
    """Trains as one of several workers."""
    if preset.starts > 1:
        raise ValueError(
            f"`starts` must be 1 with several workers. Received: starts={preset.starts}."
        )
    with one_sentence():
        team.check_alike("preset", json.dumps(preset.to_json()))
        team.check_alike("data", json.dumps(source.described()))
        with team.folder_of(run) as own, team.strategy.scope():
            shown = verbose if team.is_chief else 0
            return _train_one(preset, own, source, checkpoint_interval, shown)


def _train_one(
    preset: Preset, run: Run, source: Source, checkpoint_interval: float, verbose: int
) -> keras.Model:
    """Trains from one start, or loads what has been trained."""
    given = source.described()
    run.check(preset, given)
    if run.is_finished:
        return run.load()
    examples = source.training()
    training_data = preset.task.training_data(examples, preset.batch_size, preset.seed)
    model = preset.build(training_data.event_shape)
    if given is not None and not isinstance(examples.image, Stored):  # else batch by batch
        check_array("images", examples.floats().image, model.event_shape, *model.value_range)
    stopping = _stopping(preset, training_data)
    own = preset.task.callbacks(model, source.watched(), preset.seed)
    with run.claimed(preset, given):
        checkpoint = Checkpoint(run.path, stopping, checkpoint_interval)
        _fit(preset, model, training_data, own, checkpoint, verbose)
        model.end_training()
        notes = _notes(preset, checkpoint.history) | _diagnosis(model, examples, source)
        run.finish(model, checkpoint.history, notes)
    return model


def _train_starts(
    preset: Preset, run: Run, settings: tuple, processes: int, verbose: int
) -> keras.Model:
    """Trains every start and makes the best one's folder the run's; `settings` as `_train_start`.

    What is data_dir's is prepared once, before several processes ask for it.
    """
    _source(preset, *settings[:4]).training()
    starts = preset.each_start()
    folders = [Run(run.path / "starts" / f"seed-{start.seed}") for start in starts]
    shown = verbose if processes == 1 else 0  # else lines of several would mix
    jobs = [(*each, *settings, shown) for each in zip(starts, folders, strict=True)]
    scores = side_by_side(_train_start, jobs, processes, verbose=verbose)
    best = best_place(scores)
    notes = {
        "chosen_seed": starts[best].seed,
        "unsupervised_scores": {f"seed {s.seed}": x for s, x in zip(starts, scores, strict=True)},
        "seconds": sum(folder.metrics["seconds"] for folder in folders),
    }
    run.adopt(folders[best], notes)
    return run.load()


def _train_start(
    preset: Preset,
    run: Run,
    data_dir: str | None,
    images: np.ndarray | None,
    labels: np.ndarray | None,
    own: OwnData | None,
    checkpoint_interval: float,
    verbose: int,
) -> float:
    """Trains one start and returns its score without labels."""
    model = train(
        preset,
        run,
        data_dir,
        images=images,
        labels=labels,
        data=own,
        checkpoint_interval=checkpoint_interval,
        verbose=verbose,
    )
    examples = _source(preset, data_dir, images, labels, own).training()
    if isinstance(examples.image, Stored):
        examples = examples.take(slice(SCORED))
    return model.unsupervised_score(examples.floats().image, _SCORE_BATCH)


def evaluate(
    run: Path,
    data_dir: str | None = None,
    num_starts: int = 5,
    verbose: int = 0,
    *,
    split: str | None = None,
    images: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    num_groups: int | None = None,
    num_iterations: int | None = None,
) -> dict[str, float]:
    """Scores a finished run on its preset's test data and notes the scores in `metrics.json`.

    With other data, groups or iterations, and of a preset in the box, it notes nothing.

    Args:
        run: A `Run`, or the path of one.
        data_dir: Where TFDS keeps its data, or None for TFDS' default.
        num_starts: Integer >= 1, runs from fresh starts to average over, for models that start
            from noise.
        verbose: 0 for silence, 1 for a progress bar.
        split: TFDS split to score on, or None for the preset's.
        images: Images to score on instead, as `train` takes them.
        labels: Their labels, likewise.
        num_groups: Integer >= 2, or None for the run's; for models that group.
        num_iterations: Integer >= 1, or None for the run's, likewise.

    Returns:
        A dict of scores; see the `score` of the preset's task.

    Raises:
        ValueError: As `Run.load` does, or if data is missing, or `num_starts` is out of its range.
    """
    run = Run(run)
    num_starts = check_integer("num_starts", num_starts, 1)
    changes = {"num_groups": num_groups, "num_iterations": num_iterations}
    model = run.load(data_dir, images=images, **changes)
    data, preset = run.source(data_dir, images, labels), run.preset
    scores = preset.task.score(
        model, data.test(split), seed=preset.seed, num_starts=num_starts, verbose=verbose
    )
    unchanged = all(value is None for value in (split, images, *changes.values()))
    if unchanged and not is_boxed(run.path):
        _note(run, scores)
    return scores


def _note(run: Run, scores: dict[str, float]) -> None:
    """Notes scores in the run, or says that it could not: they are worth more than the note."""
    try:
        run.note_scores(scores)
    except OSError as error:
        warnings.warn(f"The scores were not noted in {str(run.path)!r}: {error}.", stacklevel=3)


def figures(
    run: Path,
    data_dir: str | None = None,
    *,
    images: np.ndarray | None = None,
    labels: np.ndarray | None = None,
) -> dict[str, Figure]:
    """Draws the pictures of a finished run, of its test data or of other images.

    Args:
        run: A `Run`, or the path of one.
        data_dir: Where TFDS keeps its data, or None for TFDS' default.
        images: Images instead of the preset's, as `train` takes them.
        labels: Their labels, likewise.

    Returns:
        A dict of file name to matplotlib figure.
    """
    run = Run(run)
    model, data = run.load(), run.source(data_dir, images, labels)
    return run.preset.task.figures(model, data.test(), run.preset.seed)


def _source(
    preset: Preset,
    data_dir: str | None,
    images: np.ndarray | None,
    labels: np.ndarray | None,
    data: OwnData | Path | None,
) -> Source:
    if data is None:
        return Source.of(preset.task, data_dir, images, labels)
    if images is not None:
        raise ValueError("`data` must be None where `images` are given. Received: both.")
    own = data if isinstance(data, OwnData) else own_data(preset, data)
    return Source(preset.task, data_dir, None, own)


def _stopping(preset: Preset, training_data: TrainingData) -> ResumableEarlyStopping | None:
    if preset.patience is None:
        return None
    if training_data.validation is None:
        raise ValueError(
            "`patience` must be None where no images validate. Received: "
            f"patience={preset.patience}."
        )
    return ResumableEarlyStopping(
        monitor="val_loss", patience=preset.patience, restore_best_weights=True
    )


def _fit(
    preset: Preset,
    model: keras.Model,
    training_data: TrainingData,
    own: tuple[keras.callbacks.Callback, ...],
    checkpoint: Checkpoint,
    verbose: int,
) -> None:
    """Trains to the end, from the newest checkpoint if there is one."""
    initial_epoch = checkpoint.restore(model)
    stream, relabeling = _labelled_by(model, training_data)
    dataset, steps = stream(initial_epoch)
    # Those of the task come before the checkpoint, so that what they log is recorded.
    callbacks = [keras.callbacks.LearningRateScheduler(preset.learning_rate), *relabeling, *own]
    callbacks += [] if checkpoint.stopping is None else [checkpoint.stopping]
    callbacks += [checkpoint]
    callbacks += [ProgressLine()] if verbose == 1 else []  # Keras' own bar takes two lines an epoch
    if model.needs_calibration:
        # On the batches of the first epoch, whichever epoch a resumed run begins with
        callbacks.append(Calibration(stream(0)[0].take(steps)))
    most = _MAX_STEPS_PER_EXECUTION if model.num_replicas == 1 else 1  # all that Keras can
    model.steps_per_execution = _largest_divisor(steps, most)
    with checkpoint.stoppable():
        model.fit(
            dataset,
            epochs=preset.max_epochs,
            steps_per_epoch=steps,
            initial_epoch=initial_epoch,
            validation_data=training_data.validation,
            validation_batch_size=500,
            callbacks=callbacks,
            shuffle=False,  # the pipeline does
            verbose=2 if verbose == 2 else 0,
        )


def _diagnosis(model: keras.Model, examples: Examples, source: Source) -> dict[str, Any]:
    """Returns what `metrics.json` says of what seems to have gone wrong.

    A task with a data set is judged by its test images: some train on simpler ones, of one thing.
    """
    is_given = source.own is not None or source.examples is not None
    judged = examples if is_given else source.test()
    some = judged.take(slice(_DIAGNOSED)).floats().image
    unseen = None if source.own is None else source.test().image
    return {"diagnosis": [finding._asdict() for finding in diagnose(model, some, unseen)]}


def _labelled_by(
    model: keras.Model, training_data: TrainingData
) -> tuple[Callable, tuple[Relabeling, ...]]:
    """Returns the stream for the model and, for one that labels its examples, the callback."""
    if not isinstance(model, RelabelingModel):
        return training_data.stream, ()
    if training_data.images is None:
        raise ValueError(
            "`task` must be one of clustering for a model that labels its own examples. Received: "
            f"a task without row numbers, and a {type(model).__name__}."
        )
    stream = functools.partial(training_data.stream, with_index=True)
    images = Examples(training_data.images).floats().image
    return stream, (Relabeling(images, training_data.labels),)


def _notes(preset: Preset, history: list[dict]) -> dict[str, Any]:
    """Returns what `metrics.json` says of the loss; raises if the training diverged."""
    stops_early = preset.patience is not None
    monitor = "val_loss" if stops_early else "loss"
    kept = min(history, key=lambda row: row[monitor]) if stops_early else history[-1]
    if not np.isfinite(kept[monitor]):
        raise ValueError(
            f"The training of preset {preset.name!r} must have a finite {monitor}. Received: "
            f"{history[-1][monitor]} after epoch {len(history)}; train into a new folder with a "
            "smaller learning_rate."
        )
    best = {"best_epoch": kept["epoch"]} if stops_early else {}
    return {"epochs": len(history), monitor: kept[monitor], **best}


def _largest_divisor(number: int, limit: int) -> int:
    return max(size for size in range(1, limit + 1) if number % size == 0)
