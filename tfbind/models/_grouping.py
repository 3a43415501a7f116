"""What the models that group the elements of an example share."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfbind import metrics, seeds
from tfbind._validation import check_integer, check_shape
from tfbind.models._base import BaseModel, means
from tfbind.models._batch import Field, as_dict, holds_arrays, images_of
from tfbind.models._endpoints import Endpoint, image_spec

# True groups of an image that `evaluate` is ready for; images with more, or with larger ids, make
# its AMI NaN, unless it sees them beforehand, in an array.
_MAX_TRUE_GROUPS = 16


class GroupingModel(BaseModel):
    """A model that starts from random assignments of elements to groups and improves them.

    Subclasses implement `_draw_start`, `_states`, `_answer` and `call`, whose images and start
    come from `_unpack`.
    An example with channels shares one assignment among the channels of a pixel. `fit` takes no
    groups; `evaluate` takes them as `y`, integer `[n, *spatial_shape]`, the true group of each
    pixel, of which 0 (background or overlap) is not scored, and then returns besides the loss
    `ami` (normaliser "max"), `ari` and `confidence`, over scored pixels, and `log_likelihood`,
    nats per example.

    Attributes:
        ITERATIONS: The argument of the class that counts the iterations of inference.
    """

    ITERATIONS = "num_iterations"
    scored_by: tuple[str, ...] = ("groups",)

    def __init__(
        self, event_shape: Sequence[int], num_groups: int, seed: int | None, **kwargs: Any
    ) -> None:
        num_groups = check_integer("num_groups", num_groups, 2)
        super().__init__(event_shape, **kwargs)
        self.num_groups = num_groups
        self.seed = seeds.base_seed(seed)
        has_channels = len(self.event_shape) > 2
        self.spatial_shape = self.event_shape[:-1] if has_channels else self.event_shape
        self.num_channels = self.event_shape[-1] if has_channels else 1
        self.num_pixels = int(np.prod(self.spatial_shape))
        self.ami = metrics.AdjustedMutualInformation(_MAX_TRUE_GROUPS)
        self.ari = metrics.AdjustedRandIndex(_MAX_TRUE_GROUPS)
        self.trackers |= {
            "ami": self.ami,
            "ari": self.ari,
            "confidence": metrics.Confidence(),
            **means("log_likelihood"),
        }

    def fields(self, training: bool) -> dict[str, Field]:
        fields = super().fields(training)
        if training:
            return fields
        start_shape = (self.num_groups, *self.spatial_shape)
        return {
            **fields,
            "groups": Field("groups", self.spatial_shape, True, 0),
            "initial_assignments": Field("initial_assignments", start_shape, False, 0.0, 1.0),
        }

    def scores(self, batch: Mapping, outputs: Mapping) -> dict[str, Any]:
        found = (batch["groups"], outputs["assignments"])
        return {
            **dict.fromkeys(("ami", "ari", "confidence"), found),
            "log_likelihood": outputs["log_likelihood"],
        }

    def _draw_start(self, random: np.random.Generator, shape: tuple) -> np.ndarray:
        """Returns float `shape`, drawn by NumPy's generator `random`; sums to 1 over axis 1."""
        raise NotImplementedError

    def initial_assignments(self, num_examples: int, seed: int | None = None) -> np.ndarray:
        """Draws a start for every example, NumPy float32 `[num_examples, K, *spatial_shape]`."""
        random = np.random.default_rng(seeds.base_seed(seed))
        start = self._draw_start(random, self._start_shape(num_examples))
        return np.asarray(start, "float32")

    def _start_shape(self, num_examples: int | None) -> tuple:
        return (num_examples, self.num_groups, *self.spatial_shape)

    def _pixels(self, inputs: Any) -> tf.Tensor:
        """Returns the images of what `call` takes as float32 `[B, P, C]`."""
        images = images_of(inputs, self.event_shape)
        return tf.reshape(images, [-1, self.num_pixels, self.num_channels])

    def _unpack(self, inputs: Any) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Returns pixels `[B, P, C]` and the start, None unless the caller gave one."""
        given = as_dict(inputs)
        start = given.get("initial_assignments")
        if start is not None:
            start = tf.cast(start, tf.float32)
            expected = self._start_shape(given["image"].shape[0])
            check_shape("initial_assignments", tuple(start.shape), expected)
        return self._pixels(inputs), start

    def _states(self, images: tf.Tensor, start: tf.Tensor) -> list:
        """Returns the state before the first iteration and after each, of `[B, P, C]`."""
        raise NotImplementedError

    def _answer(self, images: tf.Tensor, state: Any) -> dict[str, tf.Tensor]:
        """Returns what `call` returns, of one state."""
        raise NotImplementedError

    def _traced(self, image: tf.Tensor, start: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns what `call` returns, with an axis of T + 1 states after that of the batch."""
        images, start = self._unpack({"image": image, "initial_assignments": start})
        answers = [self._answer(images, state) for state in self._states(images, start)]
        return {key: tf.stack([answer[key] for answer in answers], axis=1) for key in answers[0]}

    def _outputs(
        self,
        images: tf.Tensor,
        assignments: tf.Tensor,
        reconstructions: tf.Tensor,
        log_likelihood: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        """Returns what `call` returns, of `[B, P, C]`, `[B, K, P]`, `[B, K, P, C]` and `[B]`."""
        on = tf.cast(tf.reduce_any(images != 0, axis=-1), tf.float32)  # [B, P]
        certainty = tf.reduce_max(assignments, axis=1)  # [B, P]
        leading = [tf.shape(images)[0], self.num_groups]
        return {
            "assignments": tf.reshape(assignments, [*leading, *self.spatial_shape]),
            "reconstructions": tf.reshape(reconstructions, [*leading, *self.event_shape]),
            "log_likelihood": log_likelihood,
            "confidence": tf.math.divide_no_nan(
                tf.reduce_sum(on * certainty, axis=1), tf.reduce_sum(on, axis=1)
            ),
        }

    def _checked(self, x: Any, y: Any = None, sample_weight: Any = None, *, training: bool) -> Any:
        data = super()._checked(x, y, sample_weight, training=training)
        if holds_arrays(data) and "groups" in data:
            groups = np.asarray(data["groups"])
            if groups.max() > _MAX_TRUE_GROUPS:
                data = {**data, "groups": np.stack([*map(_renumbered, groups)])}
            num_true = max(_MAX_TRUE_GROUPS, int(np.max(data["groups"])))
            if num_true != self.ami.num_true:
                self.ami.num_true = self.ari.num_true = num_true
                self.test_function = None  # the number is baked into the compiled step
        return data

    def serving_endpoints(self) -> dict[str, Endpoint]:
        image = image_spec(self.event_shape)
        start = tf.TensorSpec(
            [None, self.num_groups, *self.spatial_shape], tf.float32, name="initial_assignments"
        )
        grouped = {
            "assignments": "share of each group in each pixel, in [0, 1]",
            "reconstructions": "what each group predicts, in the range of the input",
            "log_likelihood": "nats per example",
            "confidence": "mean over non-zero pixels of the largest assignment, in [0, 1]",
        }
        ranges = {"image": self.value_range, "initial_assignments": (0.0, 1.0)}
        return {
            "serving_default": Endpoint(self.call, (image,), grouped, ranges),
            "group_from": Endpoint(
                lambda image, start: self.call({"image": image, "initial_assignments": start}),
                (image, start),
                grouped,
                ranges,
            ),
            "trace": Endpoint(
                self._traced,
                (image, start),
                {
                    key: f"{text}; at the start and after each iteration"
                    for key, text in grouped.items()
                },
                ranges,
            ),
        }

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_groups": self.num_groups, "seed": self.seed}


def _renumbered(groups: np.ndarray) -> np.ndarray:
    """Returns the groups of one image with ids from 1 on; 0 stays what is not scored."""
    ids, places = np.unique(groups, return_inverse=True)
    return (places.reshape(groups.shape) + (ids[0] != 0)).astype("int32")
