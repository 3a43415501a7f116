"""What the verbs share: settings as texts."""

import re

import pytest

from tfbind import _console, training


@pytest.mark.parametrize(
    ("text", "kinds", "expected"),
    [
        ("1", (float,), 1.0),
        ("1e-3", (float,), 0.001),
        ("-4", (int,), -4),
        ("7", (int, type(None)), 7),
        ("None", (int, type(None)), None),
        ("False", (bool,), False),
        ("100,50", (tuple,), (100, 50)),
        ("1", (str,), "1"),
        ("b=c", (str,), "b=c"),
        ("False", (str,), False),  # for settings such as `reverse`; the model judges
        ("he_normal", (type(None),), "he_normal"),
        ("0.5", (type(None),), 0.5),
    ],
)
def test_settings_are_read_by_their_type(text, kinds, expected):
    found = _console.read_value("name", text, kinds)
    assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize(
    ("text", "kinds", "what"),
    [
        ("1.5", (int,), "an integer"),
        ("None", (int,), "an integer"),
        ("x", (float,), "a number"),
        ("soon", (int, type(None)), "an integer or None"),
        ("0", (bool,), "True or False"),
        ("100", (tuple,), "values with commas between them"),
        ("x", (training.Part,), "made in Python"),
    ],
)
def test_settings_of_another_type(text, kinds, what):
    sentence = f"`--set name` must be {what}. Received: name={text!r}."
    with pytest.raises(ValueError, match=re.escape(sentence)):
        _console.read_value("name", text, kinds)


def test_settings_are_changed_at_any_depth():
    changes = ["probability=0.5", "learning_rate=1", "batch_size=7", "test_split=test[:5]"]
    preset = _console.with_changes(training.presets.get("rc-tiny"), changes)
    found = [preset.setting(change.partition("=")[0]).value for change in changes]
    assert found == [0.5, 1.0, 7, "test[:5]"]
    tagger = training.presets.get("untapped-mnist")
    assert _console.with_changes(tagger, ["reverse=False"]).setting("reverse").value is False
    assert _console.with_changes(tagger, ["epsilon=1"]).setting("epsilon").value == 1.0
