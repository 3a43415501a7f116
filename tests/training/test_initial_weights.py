"""Every preset starts from the weights and seeds that its published results started from."""

import dataclasses
import random

import numpy as np
import pytest

from tfbind.training import presets

SHAPES = {"simple_superposition": (8, 8, 1), "bars": (20, 20, 1), "shapes20": (20, 20, 1)}
SHAPES |= {"digits": (8, 8, 1), "svhn": (32, 32, 3)}
# The sum of all sizes of weights, the model's seed, and what is drawn next, as of November 2026.
STARTS = {
    "rc-tiny": (678.01468, 271041745, 1095513148),
    "rc-bars": (4029.5494, 726208580, 1323436024),
    "rc-shapes-multi": (14365.839, 271041745, 1095513148),
    "tagger-tiny": (2600.0248, 577090037, 2127877499),
    "tagger-shapes-cpu": (56563.319, 577090037, 2127877499),
    "tagger-textured-mnist-2-cpu-labels-1000": (184146.9, 577090037, 1930549411),
    "ladder-mnist-100": (108151.07, 577090037, 1630434966),
    "gamma-mnist-100": (48179.532, 577090037, 506456969),
    "untapped-mnist": (30631.49, 577090037, 1930549411),
    "untapped-digits-marginal": (12875.361, 577090037, 1930549411),
    "amm-mnist": (20220.128, 148287319, 2062559164),
    "amm-mnist-cpu": (15959.653, 1143881027, 982526257),
    "samm-mnist-100": (34771.971, 148287319, 2062559164),
    "samm-svhn": (311659.45, 1637259727, 930287327),
    "amm-digits": (22946.721, 577090037, 901749037),
    "kingdra-mnist": (1301948.43, 577090037, 1973981844),
    "kingdra-mnist-invariant": (187921.005, 577090037, 9045414),
    "samm-tiny": (2660.9774, 577090037, 1930549411),
}


@pytest.mark.parametrize("name", STARTS)
def test_it_starts_where_it_always_did(name):
    preset = dataclasses.replace(presets.get(name), initial_run=None)
    model = preset.build(SHAPES.get(preset.task.dataset, (28, 28, 1)))
    drawn_next = random.randrange(2**31)
    size = sum(np.abs(weight.astype("float64")).sum() for weight in model.get_weights())
    assert (model.seed, drawn_next) == STARTS[name][1:]
    assert size == pytest.approx(STARTS[name][0], rel=1e-6)
