"""A preset trains, resumes, scores and exports in 16 bits, and takes and gives float32."""

import json

import keras
import numpy as np
import pytest

from tfbind import _console, export, training
from tfbind.training import Run, checkpoint, presets

HALF = ("mixed_bfloat16", "mixed_float16")
# The cheapest to compile.
FAST = presets.get("rc-tiny").changed(hidden_units=12, num_iterations=1, batch_size=2)
LONG = ("tagger-tiny", "amm-tiny", "samm-tiny", "untapped-tiny", "kingdra-tiny", "sela-tiny")
CASES = [FAST, *(pytest.param(presets.get(name), marks=pytest.mark.long) for name in LONG)]


class Killed(BaseException):
    """Stands in for a signal."""


def killed_in_epoch_2(preset, folder, data_dir, monkeypatch):
    def save(self, epoch, whole=checkpoint.Checkpoint.save):
        if epoch == 2:
            raise Killed
        whole(self, epoch)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(checkpoint.Checkpoint, "save", save)
        training.train(preset, folder, data_dir, checkpoint_interval=0.0, verbose=0)


def dtypes_of(endpoints):
    tensors = [
        tensor
        for endpoint in endpoints.values()
        for side in ("inputs", "outputs")
        for tensor in endpoint[side].values()
    ]
    return {tensor["dtype"] for tensor in tensors}


@pytest.mark.slow
@pytest.mark.parametrize("policy", [HALF[0], pytest.param(HALF[1], marks=pytest.mark.long)])
@pytest.mark.parametrize("preset", CASES, ids=lambda preset: preset.name)
def test_a_run_in_16_bits(preset, policy, data_dir, tmp_path, monkeypatch):
    directory = data_dir if preset is FAST else None
    preset = preset.changed(max_epochs=3, precision=policy)
    training.train(preset, tmp_path / "whole", directory, verbose=0)
    killed_in_epoch_2(preset, tmp_path / "killed", directory, monkeypatch)
    training.train(preset, tmp_path / "killed", directory, checkpoint_interval=0.0, verbose=0)
    model, again = Run(tmp_path / "whole").load(), Run(tmp_path / "killed").load()
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert {weight.dtype for weight in model.trainable_weights} == {"float32"}
    assert {layer.dtype_policy.name for layer in model.layers} == {policy}
    assert keras.config.dtype_policy().name == "float32"  # nobody else's is changed
    assert json.loads((tmp_path / "whole" / "preset.json").read_text())["precision"] == policy
    scores = training.evaluate(tmp_path / "whole", directory, num_starts=1)
    assert all(np.isfinite(score) for score in scores.values())
    images = Run(tmp_path / "whole").source(directory).test().floats().image[:2]
    found = model.predict(images, verbose=0)
    assert {value.dtype.name for value in found.values()} == {"float32"}
    assert dtypes_of(export.build_card(model)["endpoints"]) <= {"float32", "int32"}


def test_it_is_a_setting():
    preset = _console.with_changes(presets.get("rc-tiny"), ["precision=mixed_bfloat16"])
    assert preset.precision == "mixed_bfloat16"
    assert training.Preset.from_json(preset.to_json()) == preset
    with pytest.raises(ValueError, match="`precision` must be one of 'float32', 'mixed_bfloat16'"):
        _console.with_changes(preset, ["precision=float64"])
