"""Trainings in 16 bits against the same in float32: what they are worth, and what a step takes."""

import json
import pathlib
import tempfile

from benchmarks._small import SMALL
from tfbind import training
from tfbind.training import Preset, Run
from tfbind.training.preset import PRECISIONS

# Long enough for the scores to mean something: other epochs than those of SMALL.
EPOCHS = {"rc": 300, "ladder": 30, "untapped": 20, "kingdra": 80, "sela": 30, "samm": 60}
_GOAL = 0.01  # of a score in [0, 1], an error or an AMI


def run(epochs=None, seeds=(1,)):
    """Returns two rows for each system and policy: how much its score differs, and the step time.

    Args:
        epochs: Dict from system to epochs, or None for `EPOCHS`.
        seeds: Of the trainings, whose scores are averaged.
    """
    rows = []
    for system, num_epochs in (epochs or EPOCHS).items():
        preset = SMALL[system].changed(max_epochs=num_epochs)
        float32, *others = (_tried(preset, precision, seeds) for precision in PRECISIONS)
        for name, other in zip(PRECISIONS[1:], others, strict=True):
            rows += _rows(f"precision_{system}_{name}", preset.task.METRIC, float32, other)
    return rows


def _tried(preset: Preset, precision: str, seeds: tuple) -> dict:
    """Returns the mean score of trainings in one precision, and the seconds of the best epoch."""
    scores, seconds = [], []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as scratch:
            folder = pathlib.Path(scratch) / "run"
            changed = preset.changed(precision=precision, seed=seed)
            training.train(changed, folder, checkpoint_interval=float("inf"), verbose=0)
            scores.append(training.evaluate(folder)[preset.task.METRIC])
            seconds += [row["seconds"] for row in Run(folder).history]
    return {"score": sum(scores) / len(scores), "seconds": min(seconds)}


def _rows(name: str, metric: str, float32: dict, other: dict) -> list[dict]:
    difference = {
        "name": f"{name}_score",
        "unit": f"{metric} apart from float32",
        "value": abs(other["score"] - float32["score"]),
        "goal": _GOAL,
        "at_most": True,
        "score": other["score"],
        "float32_score": float32["score"],
    }
    time = {
        "name": f"{name}_epoch",
        "unit": "ratio",
        "value": other["seconds"] / float32["seconds"],
        "goal": None,
        "half_seconds": other["seconds"],
        "float32_seconds": float32["seconds"],
    }
    return [difference, time]


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
