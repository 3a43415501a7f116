"""The line that says how far a training is."""

import io
import sys

import keras
import numpy as np
import pytest

from tfbind.training.callbacks import ProgressLine


class Terminal(io.StringIO):
    def isatty(self):
        return True


def fit(monkeypatch, screen):
    monkeypatch.setattr(sys, "stdout", screen)
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.set_weights([np.zeros((1, 1))])
    model.compile(keras.optimizers.SGD(1.0), "mse")  # 0 -> 2 -> 0: losses 1, 1, 1
    ones = np.ones((4, 1))
    callbacks = [ProgressLine(), keras.callbacks.EarlyStopping(patience=2)]
    model.fit(ones, ones, epochs=6, validation_data=(ones, ones), callbacks=callbacks, verbose=0)
    return screen.getvalue()


def test_a_terminal_sees_one_line_that_is_rewritten(monkeypatch):
    text = fit(monkeypatch, Terminal())
    start, *lines = text.split("\r")
    assert start == "" and len(lines) == 3 and text.count("\n") == 1
    for epoch, line in enumerate(lines, 1):
        assert line.startswith(f"epoch {epoch} of at most 6 [{'#' * 5 * epoch}.")
        assert "val_loss 1, best 1" in line


@pytest.mark.parametrize(("interval", "num_lines"), [(0.0, 4), (1e9, 1)])
def test_a_log_gets_a_line_now_and_then_and_one_at_the_end(monkeypatch, interval, num_lines):
    monkeypatch.setattr(ProgressLine, "_LOG_INTERVAL", interval)
    lines = fit(monkeypatch, io.StringIO()).splitlines()
    assert len(lines) == num_lines
    assert lines[-1].startswith("epoch 3 of at most 6")
