"""The one check of a request, which SavedModels, TFLite files and the server share."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbind import export
from tfbind.export import _runner

SIGNATURES = {
    "tagged": {
        "inputs": {
            "tag": {"shape": None, "dtype": "string"},
            "x": {"shape": [None, 2], "dtype": "float32"},
        }
    }
}


def test_lists_become_arrays_and_an_unknown_rank_takes_any():
    x = np.zeros((3, 2), "float32")
    for tag in ("a", ["a", "b"], [[b"a"]]):
        arrays = _runner.check_inputs(SIGNATURES, "tagged", {"tag": tag, "x": x})
        assert arrays["x"] is x
        assert arrays["tag"].shape == np.shape(tag)


def test_names_are_compared_before_values():
    with pytest.raises(ValueError) as caught:
        _runner.check_inputs(SIGNATURES, "tagged", {"x": object(), "y": None})
    assert str(caught.value) == (
        "The inputs of signature 'tagged' must be 'tag', 'x'. "
        "Received: 'x', 'y'; missing 'tag', unknown 'y'."
    )


def test_dtype_names():
    assert _runner.dtype_name(np.array(["a"])) == "string"
    assert _runner.dtype_name(np.array([b"a"], object)) == "string"
    assert _runner.dtype_name(np.zeros(1, "float16")) == "float16"


def test_strings_and_unknown_ranks_run_in_a_session(tmp_path):
    archive = keras.export.ExportArchive()
    spec = tf.TensorSpec(None, tf.string, name="text")
    archive.add_endpoint("upper", lambda text: {"upper": tf.strings.upper(text)}, [spec])
    archive.write_out(str(tmp_path / "1"), verbose=False)
    runner = export.SavedModelRunner(tmp_path)
    assert runner.signatures["upper"]["inputs"] == {"text": {"shape": None, "dtype": "string"}}
    for text in (["a", "b"], [[b"a"]]):
        upper = runner("upper", {"text": text})["upper"]
        np.testing.assert_array_equal(upper, np.char.upper(np.array(text, "S")).astype(object))
    runner.close()
