"""A scene and the trace of its groups."""

import numpy as np
import pytest


@pytest.fixture
def scene():
    """Two images of 4 x 5 pixels, their true groups and a trace of 3 iterations, K = 3."""
    random = np.random.default_rng(0)
    groups = random.integers(0, 4, (2, 4, 5))
    images = (random.uniform(size=groups.shape) < 0.7) | (groups > 0)
    draw = random.uniform(size=(4, 2, 3, 4, 5))
    order = [2, 0, 1]  # found group k is true group order[k] + 1
    draw[-1] = np.stack([groups == g + 1 for g in order], axis=1) + 0.01
    trace = {
        "assignments": draw / draw.sum(axis=2, keepdims=True),
        "reconstructions": random.uniform(size=(3, 2, 3, 4, 5, 1)),
        "log_likelihoods": -random.uniform(1, 9, size=(7, 2)),
    }
    return images[..., None].astype("float32"), groups, trace
