"""What cannot be served is refused at export, in one sentence and before anything is written."""

import keras
import pytest
import tensorflow as tf

from tfbind import export


@tf.function(jit_compile=True)
def compiled(x):
    return x * 2.0


def spec(*shape, name="point"):
    return tf.TensorSpec(shape, tf.float32, name=name)


@pytest.mark.parametrize(
    "function, message",
    [
        (lambda x: x, "must return a flat dict of tensors. Received: SymbolicTensor"),
        (lambda x: {"code": {"a": x}}, "flat dict of tensors. Received: 'code' of type dict."),
        (lambda x: {"code": [x, x]}, "flat dict of tensors. Received: 'code' of type list."),
        (lambda x: {"code": 1.0}, "flat dict of tensors. Received: 'code' of type float."),
        (lambda x: {"kode": x}, r"outputs that it describes, \['code'\]. Received: \['kode'\]."),
        (lambda x: {"code": tf.reduce_sum(x)}, r"batch as its first axis.* Received: shape \(\)."),
        (lambda x: {"code": tf.ones([2, 4])}, r"first axis.* Received: shape \(2, 4\)."),
        (lambda x: {"code": compiled(x)}, "must not use `jit_compile=True`"),
    ],
)
def test_a_function_that_cannot_be_served(model_with, tmp_path, function, message):
    with pytest.raises(ValueError, match=message):
        export.export_saved_model(model_with(function), tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    "inputs, message",
    [
        ((tf.TensorSpec([None, 4]),), r"must have names, each its own. Received: \[None\]."),
        ((spec(None), spec(None)), r"each its own. Received: \['point', 'point'\]."),
        ((spec(3, 4),), r"`point` .* must have shape \(None, ...\).* Received: shape \(3, 4\)."),
        ((spec(None, None),), r"only the batch axis is open. Received: shape \(None, None\)."),
        ((spec(),), r"must have shape \(None, ...\).* Received: shape \(\)."),
    ],
)
def test_inputs_that_cannot_be_served(model_with, tmp_path, inputs, message):
    model = model_with(lambda *tensors: {"code": tensors[0]}, inputs=inputs)
    with pytest.raises(ValueError, match=message):
        export.export_saved_model(model, tmp_path / "model")


def test_there_must_be_a_default(model_with, tmp_path):
    model = model_with(lambda x: {"code": x}, name="group")
    with pytest.raises(ValueError, match="an endpoint 'serving_default'. Received: 'group'."):
        export.export_saved_model(model, tmp_path)


def test_the_model_must_have_endpoints(tmp_path):
    with pytest.raises(ValueError, match=r"method `serving_endpoints\(\)`. Received: .* Dense."):
        export.export_saved_model(keras.layers.Dense(3), tmp_path)


def test_the_model_must_be_built(model_with, tmp_path):
    model = model_with(lambda x: {"code": x})
    model.built = False
    with pytest.raises(ValueError, match="`model` must be built; call it on a batch first."):
        export.export_saved_model(model, tmp_path)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_served_as_float32(model_with, dtype):
    card = export.build_card(model_with(lambda x: {"code": tf.cast(x, dtype)}))
    assert card["endpoints"]["serving_default"]["outputs"]["code"]["dtype"] == "float32"
