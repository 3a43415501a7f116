"""Simple Superposition: two of sixteen fixed patterns, on top of each other."""

import dataclasses
import itertools
import os
from typing import ClassVar

import numpy as np
import tensorflow_datasets as tfds

from tfbind.data import _builder, _scenes

_SIZE = 8

# Sixteen patterns, four in a row.
_ART = """
........  #####...  ........  #......#
.######.  #...#...  ...#....  .#....#.
.#....#.  #...#...  ...#....  ..#..#..
.#....#.  #...#...  ...#....  ...##...
.#....#.  #####...  #######.  ...##...
.#....#.  ........  ...#....  ..#..#..
.######.  ........  ...#....  .#....#.
........  ........  ...#....  #......#

...##...  ........  ........  ......#.
..#..#..  ........  ........  ......#.
.#....#.  .....#..  ########  ......#.
#......#  ....#.#.  ........  ......#.
#......#  ...#...#  ........  ......#.
.#....#.  ....#.#.  ........  ......#.
..#..#..  .....#..  ........  ......#.
...##...  ........  ........  ......#.

........  .##.....  ..#.....  .....#..
........  .##.....  ...#....  ....#...
........  .##.....  ....#...  ...#....
........  .##.....  .....#..  ..#.....
........  .##.....  ......#.  .#......
########  .##.....  .......#  #.......
########  .##.....  ........  ........
........  .##.....  ........  ........

........  ..######  ........  ........
#.......  .......#  ........  ........
#.......  .......#  ........  ........
#.......  .......#  ..#...#.  ..#..#..
#.......  .......#  .#.#.#.#  ..#..#..
#.......  .......#  #...#...  ..#..#..
#.......  ........  ........  ..#..#..
######..  ........  ........  ..####..
"""


def _default_patterns():
    """Returns the sixteen patterns, uint8 `[16, 8, 8]`."""
    lines = np.array(_ART.split()).reshape(-1, _SIZE, 4)  # [row of patterns, line, pattern]
    return np.array([_scenes.parse_art(" ".join(art)) for art in np.hstack(list(lines)).T])


@dataclasses.dataclass(eq=False)
class PatternsConfig(tfds.core.BuilderConfig):
    """Patterns of your own for `TfbindSimpleSuperposition`, in place of the built-in sixteen.

    Give each file its own `name`: TFDS stores the images under it, and reads them back by it.

    Args:
        name: name of this set of patterns.
        patterns: path of an `.npy` file, `[P, 8, 8]` in {0, 1}, P >= 2.

    Example:

    >>> import tensorflow_datasets as tfds
    >>> from tfbind.data import PatternsConfig
    >>> config = PatternsConfig(name="letters", patterns="letters.npy")
    >>> tfds.builder("tfbind_simple_superposition", config=config).info.full_name
    'tfbind_simple_superposition/letters/1.0.0'
    """

    patterns: str | os.PathLike | None = None

    def load(self) -> np.ndarray:
        """Returns the patterns, uint8 `[P, 8, 8]`; `ValueError` if the file holds none."""
        if self.patterns is None:
            return _default_patterns()
        with tfds.core.Path(self.patterns).open("rb") as file:
            patterns = np.load(file, allow_pickle=False)
        if patterns.ndim != 3 or patterns.shape[1:] != (_SIZE, _SIZE) or len(patterns) < 2:
            raise ValueError(
                f"`patterns` must be a file with an array of shape (P, {_SIZE}, {_SIZE}), P >= 2. "
                f"Received: shape {patterns.shape} in {self.patterns}."
            )
        if not np.isin(patterns, (0, 1)).all():
            raise ValueError(
                "`patterns` must be a file with an array of zeros and ones. "
                f"Received: other values in {self.patterns}."
            )
        return patterns.astype(np.uint8)


class TfbindSimpleSuperposition(_builder.GroupedImagesBuilder):
    """Binary 8x8 images of two out of sixteen fixed line drawings.

    The smallest set, for first steps: nothing moves. Load it with
    `tfbind.data.load("simple_superposition", split)` or `tfds.load("tfbind_simple_superposition")`;
    `PatternsConfig` takes other patterns. The built-in patterns are our own (frames, crosses,
    diamonds, bars, diagonals, hooks of 6 to 20 pixels each), so scores differ a little from the
    paper's.

    Two different patterns are laid on top of each other (groups 1 and 2). The image is their
    union; background and overlap are group 0.

    Splits: `test` 120 (every pair once), `train_single` 16 (every pattern once, group 1); with P
    patterns of your own P * (P - 1) / 2 and P. There is no `train_multi`.
    Features: `image` uint8 `[8, 8, 1]` in {0, 1}; `groups` uint8 `[8, 8]` in 0..2.

    Raises:
        ValueError: on `download_and_prepare`, if the file of `PatternsConfig` holds no patterns.

    Example:

    >>> import tensorflow_datasets as tfds
    >>> import tfbind.data
    >>> tfds.builder("tfbind_simple_superposition").info.features["image"].shape
    (8, 8, 1)

    References:
        Greff, Srivastava, Schmidhuber, "Binding via Reconstruction Clustering", ICLR workshop
        2016, https://arxiv.org/abs/1511.06418, section 4. First used in Rao, Cecchi, Peck,
        Kozloski, "Unsupervised segmentation with dynamical units", IEEE Transactions on Neural
        Networks 19, 2008.
    """

    BUILDER_CONFIGS: ClassVar = [
        PatternsConfig(name="default", description="Sixteen built-in patterns.")
    ]
    CANVAS = (_SIZE, _SIZE)
    SEED = 5163871
    NUM_EXAMPLES: ClassVar = {"train_single": 16, "test": 120}  # of the built-in patterns

    def _objects(self, split, rng):
        del rng  # nothing is random
        patterns = self.builder_config.load()
        if split == "train_single":
            kinds = np.arange(len(patterns))[:, None]
        else:
            kinds = np.array(list(itertools.combinations(range(len(patterns)), 2)))
        return _scenes.pad_bitmaps(patterns), kinds
