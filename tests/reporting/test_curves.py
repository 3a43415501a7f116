"""Learning curves as paths."""

import numpy as np

from tfbind.reporting import curves


def points(line):
    return np.array([pair.split() for pair in line.path[1:].split(" L")], float)


def test_a_panel_has_training_and_validation():
    history = [
        {"epoch": 1.0, "accuracy": 0.1, "loss": 4.0, "val_loss": None, "seconds": 1.0},
        {"epoch": 2.0, "accuracy": 0.3, "loss": 2.0, "val_loss": 3.0, "seconds": 1.0},
        {"epoch": 3.0, "accuracy": 0.2, "loss": 1.0, "val_loss": 2.0, "seconds": 1.0},
    ]
    loss, accuracy = curves.panels_of(history)
    assert (loss.name, loss.low, loss.high) == ("loss", 1.0, 4.0)
    assert [line.name for line in loss.lines] == ["loss", "val_loss"]
    np.testing.assert_allclose(points(loss.lines[0]), [[4, 4], [150, 65.3], [296, 96]], atol=0.1)
    assert points(loss.lines[1])[:, 0].tolist() == [150.0, 296.0]
    assert accuracy.lines[0].first == 0.1 and accuracy.lines[0].last == 0.2


def test_equal_curves_are_shown_once():
    history = [{"epoch": i, "loss": 1 / i, "cost": 1 / i} for i in (1, 2, 3)]
    assert [panel.name for panel in curves.panels_of(history)] == ["loss"]


def test_long_histories_are_thinned():
    history = [{"epoch": i, "loss": float(i)} for i in range(1, 2001)]
    (panel,) = curves.panels_of(history)
    assert len(points(panel.lines[0])) == 200 and panel.lines[0].last == 2000
