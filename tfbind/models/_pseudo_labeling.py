"""Ensembles that learn from what their members agree on: the rounds, and what is noted of them."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfbind._validation import check_choice, check_integer, check_number
from tfbind.labeling.consensus import check_agreement
from tfbind.models._calibration import CalibratedModel
from tfbind.models._clustering import ClusteringModel
from tfbind.models._pseudo_classes import (
    PseudoClasses,
    Rules,
    describe_round,
    precision,
    pseudo_classes,
    unmerged_members,
)
from tfbind.models._relabeling import RelabelingModel
from tfbind.models._renumbering import renumbered

_BATCH = 500  # of examples, when they are labelled


class PseudoLabelingModel(ClusteringModel, CalibratedModel, RelabelingModel):
    """An ensemble whose members learn, round by round, what they agree on.

    Subclasses call `build_pseudo_classes` in `build`, and return `member_probabilities` from
    `call`. See `PseudoLabelEnsemble` for the arguments.

    Attributes:
        rounds: What was found before each round, a list of dicts; see `describe_round`. Where the
            truth is known, `precision` is the share of pseudo-labels that are right.
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        num_clusters: int,
        num_members: int,
        *,
        strong_agreement: int | None,
        weak_agreement: int,
        confidence_threshold: float,
        leave_out_merged: bool,
        mapping: str,
        first_epochs: int,
        round_epochs: int,
        rounds: Sequence[Mapping[str, Any]] = (),
        **kwargs: Any,
    ) -> None:
        num_members = check_integer("num_members", num_members, 2)
        check_choice("mapping", mapping, ("common", "member"))
        # For every member, or for all, its pseudo-classes; and last, the best buckets so far
        num_heads = 1 + (1 if mapping == "common" else num_members)
        super().__init__(event_shape, num_clusters, num_heads=num_heads, **kwargs)
        self.num_members = num_members
        self.strong_agreement = num_members - 1 if strong_agreement is None else strong_agreement
        self.weak_agreement = weak_agreement
        check_agreement(num_members, self.strong_agreement, weak_agreement)
        self.confidence_threshold = _check_confidence(confidence_threshold)
        self.leave_out_merged = bool(leave_out_merged)
        self.mapping = mapping
        self.first_epochs = check_integer("first_epochs", first_epochs, 1)
        self.round_epochs = check_integer("round_epochs", round_epochs, 1)
        self.rounds = [dict(each) for each in rounds]

    def build_pseudo_classes(self) -> None:
        """Adds what a step needs to know of the pseudo-classes."""
        # How much an example of each pseudo-class weighs; nothing while there are none
        languages = 1 if self.mapping == "common" else self.num_members
        self.class_weights = self.add_state("class_weights", (languages, self.num_clusters))
        # Of each member in the answer: one of them until they have a language in common
        self.shares = self.add_state("shares", (self.num_members,))
        self.forget_pseudo_classes()

    def add_state(self, name: str, shape: tuple[int, ...]) -> keras.Variable:
        return self.add_weight(
            shape=shape, initializer="zeros", trainable=False, autocast=False, name=name
        )

    def forget_pseudo_classes(self) -> None:
        """Goes back to where there are none."""
        speaker = self.num_members - 1 if self.mapping == "common" else 0
        self.shares.assign(tf.one_hot(speaker, self.num_members))
        self.class_weights.assign(tf.zeros_like(self.class_weights))

    @property
    def has_labeled(self) -> bool:
        return bool(np.any(self.class_weights.numpy()))

    def clusterings(self, images: np.ndarray) -> np.ndarray:
        """The one that the members have in common, or each member's own."""
        if self.mapping == "common":
            return super().clusterings(images)
        p = self.predict(images, batch_size=_BATCH, verbose=0)["member_probabilities"]
        return p.argmax(axis=-1).T

    def reorder_clusters(self, orders: np.ndarray) -> None:
        self._reorder(self.class_weights, orders)
        if self.row_labels.num_rows is not None:
            *labels, best = self.row_labels.labels.numpy()
            self.row_labels.assign([*renumbered(np.stack(labels), orders), best])

    def relabels_before(self, epoch: int) -> bool:
        later = epoch - self.first_epochs
        return later >= 0 and later % self.round_epochs == 0

    def prepare_labels(self, num_rows: int) -> None:
        if num_rows < self.num_clusters:
            raise ValueError(
                f"`images` must hold {self.num_clusters} examples or more, one for each cluster. "
                f"Received: {num_rows}."
            )
        are_new = num_rows != self.row_labels.num_rows
        super().prepare_labels(num_rows)
        if are_new:
            self.row_labels.assign(np.full(self.row_labels.shape, -1))
            self.rounds = []

    def relabel(self, images: np.ndarray) -> None:
        """Gives the examples that the members agree on pseudo-labels.

        Where they find fewer pseudo-classes than clusters, the fullest ones of an earlier round
        are taken again, or none.

        Args:
            images: float32 `[N, *event_shape]`, the training set.
        """
        self.calibrate(images)
        p = self.predict(images, batch_size=_BATCH, verbose=0)["member_probabilities"]
        best = self.row_labels.labels.numpy()[-1]
        asked = unmerged_members(p) if self.leave_out_merged else None
        found = pseudo_classes(p.argmax(-1), p.max(-1), best, self.rules, asked)
        self.rounds.append(describe_round(p, found))
        self._warn(found)
        self.take(found)

    @property
    def rules(self) -> Rules:
        return Rules(
            self.num_clusters,
            self.strong_agreement,
            self.weak_agreement,
            self.confidence_threshold,
            self.mapping,
        )

    def take(self, found: PseudoClasses) -> None:
        """Makes pseudo-classes those that are learned."""
        self.row_labels.assign([*found.labels, found.best])
        self.class_weights.assign(found.weights)
        if self.mapping == "common" and found.weights.any():
            self.shares.assign(tf.fill([self.num_members], 1.0 / self.num_members))

    def score_labels(self, labels: np.ndarray) -> None:
        found = self.row_labels.labels.numpy()[0]
        self.rounds[-1]["precision"] = precision(found, labels)

    def _warn(self, found: PseudoClasses) -> None:
        merged = np.flatnonzero(self.rounds[-1]["merged"])
        if merged.size:
            warnings.warn(_of_merged(merged, self.leave_out_merged), stacklevel=3)
        if found.num_found < self.num_clusters:
            warnings.warn(_of_few(found, self.num_clusters), stacklevel=3)

    def restore_from(self, other: keras.Model) -> None:
        super().restore_from(other)
        self.rounds = [dict(each) for each in other.rounds]

    def get_config(self) -> dict[str, Any]:
        names = (
            *("num_members", "strong_agreement", "weak_agreement"),
            *("confidence_threshold", "leave_out_merged", "mapping", "first_epochs"),
            *("round_epochs", "rounds"),
        )
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _check_confidence(threshold: float) -> float:
    if check_number("confidence_threshold", threshold, 0, 1) == 1:
        raise ValueError(
            "`confidence_threshold` must be less than 1, since no probability is greater. "
            f"Received: confidence_threshold={threshold!r}."
        )
    return float(threshold)


def _of_merged(merged: np.ndarray, left_out: bool) -> str:
    then = "are not asked" if left_out else "are asked all the same; leave_out_merged=True does not"
    return (
        f"Members {', '.join(map(str, merged))} use their clusters so much less evenly than the "
        f"most even one that each seems to have two kinds of examples in one cluster; they {then}."
    )


def _of_few(found: PseudoClasses, num_clusters: int) -> str:
    instead = "those of an earlier round stay" if found.weights.any() else "there are none yet"
    return (
        f"The members agree on {found.num_found} of {num_clusters} pseudo-classes, so that "
        f"{instead}; try a longer first round (first_epochs), a lower confidence_threshold, "
        "fewer clusters, or more data."
    )
