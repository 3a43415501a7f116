"""What the models that group the elements of an example share."""

import numpy as np
import tensorflow as tf

from tfbind import metrics, seeds
from tfbind._validation import check_array, check_integer, check_shape
from tfbind.models._base import Endpoint, EventModel

# True groups of an image that `evaluate` is ready for; images with more make its AMI NaN, unless
# it sees them beforehand, in an array.
_MAX_TRUE_GROUPS = 16


class GroupingModel(EventModel):
    """A model that starts from random assignments of elements to groups and improves them.

    Subclasses implement `_draw_start` and `call`, whose images and start come from `_unpack`.
    An example with channels shares one assignment among the channels of a pixel.
    """

    def __init__(self, event_shape, num_groups, seed, **kwargs):
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
        self.confidence = metrics.Confidence()

    def _draw_start(self, random, shape):
        """Returns float `shape`, drawn by NumPy's generator `random`; sums to 1 over axis 1."""
        raise NotImplementedError

    def initial_assignments(self, num_examples, seed=None):
        """Draws a start for every example, NumPy float32 `[num_examples, K, *spatial_shape]`."""
        random = np.random.default_rng(seeds.base_seed(seed))
        start = self._draw_start(random, self._start_shape(num_examples))
        return np.asarray(start, "float32")

    def check_inputs(self, x):
        """Returns `x` with its images, and its start if it has one, checked and in float32."""
        x = super().check_inputs(x)
        if isinstance(x, dict) and hasattr(x.get("initial_assignments"), "__array__"):
            expected = self._start_shape(len(x["image"]))
            start = check_array("initial_assignments", x["initial_assignments"], expected[1:], 0, 1)
            check_shape("initial_assignments", start.shape, expected)
            x = {**x, "initial_assignments": start}
        return x

    def _start_shape(self, num_examples):
        return (num_examples, self.num_groups, *self.spatial_shape)

    def _pixels(self, images):
        """Returns `images` as float32 `[B, P, C]`."""
        images = tf.cast(images, tf.float32)
        check_shape("images", tuple(images.shape), (None, *self.event_shape))
        return tf.reshape(images, [-1, self.num_pixels, self.num_channels])

    def _unpack(self, inputs):
        """Returns pixels `[B, P, C]` and the start, None unless the caller gave one."""
        if not isinstance(inputs, dict):
            inputs = {"image": inputs}
        start = inputs.get("initial_assignments")
        if start is not None:
            start = tf.cast(start, tf.float32)
            expected = self._start_shape(inputs["image"].shape[0])
            check_shape("initial_assignments", tuple(start.shape), expected)
        return self._pixels(inputs["image"]), start

    def _outputs(self, images, assignments, reconstructions, log_likelihood):
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

    def evaluate(self, x=None, y=None, **kwargs):
        """Scores the grouping of `x` against the true groups `y`, as Keras' `evaluate` does.

        Args:
            x: Images or a dict, as `call` takes them, or a `tf.data.Dataset`.
            y: Integer `[n, *spatial_shape]`, the true group of each pixel; 0 (background or
                overlap) is not scored. Without it only the loss is computed.
            **kwargs: As in `keras.Model.evaluate`.

        Returns:
            As in Keras a list, or with `return_dict=True` a dict: `loss`, nats per example;
            `ami` (normaliser "max"), `ari` and `confidence`, over scored pixels;
            `log_likelihood`, nats per example.
        """
        if hasattr(y, "__array__"):
            check_shape("groups", tuple(y.shape), (None, *self.spatial_shape))
            num_true = max(_MAX_TRUE_GROUPS, int(np.max(y, initial=0)))
            if num_true != self.ami.num_true:
                self.ami.num_true = self.ari.num_true = num_true
                self.test_function = None  # the number is baked into the compiled step
        return super().evaluate(x, y, **kwargs)

    def serving_endpoints(self):
        image = tf.TensorSpec([None, *self.event_shape], tf.float32, name="image")
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
        }

    def get_config(self):
        return {**super().get_config(), "num_groups": self.num_groups, "seed": self.seed}
