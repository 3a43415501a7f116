"""Operations that touch files or the network are found without running the graph."""

import pathlib

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tfbind import export
from tfbind.export import _operations


def writing(path):
    def function(x):
        with tf.control_dependencies([tf.io.write_file(str(path), "written")]):
            return {"code": tf.identity(x)}

    return function


def reading(path):
    return lambda x: {"code": x + tf.cast(tf.strings.length(tf.io.read_file(str(path))), x.dtype)}


def matching(path):
    return lambda x: {"code": x + tf.cast(tf.size(tf.io.matching_files(str(path))), x.dtype)}


def calling_python(_):
    return lambda x: {
        "code": tf.ensure_shape(tf.numpy_function(lambda y: y, [x], x.dtype), x.shape)
    }


def printing(path):
    def function(x):
        with tf.control_dependencies([tf.print("written", output_stream=f"file://{path}")]):
            return {"code": tf.identity(x)}

    return function


def in_a_branch(path):
    def function(x):
        def write():
            with tf.control_dependencies([tf.io.write_file(str(path), "written")]):
                return tf.constant(1.0)

        return {"code": x + tf.cond(tf.size(x) > 10**9, write, lambda: tf.constant(0.0))}

    return function


def in_a_dataset(path):
    def function(x):
        rows = (
            tf.data.TextLineDataset(str(path)).take(0).concatenate(tf.data.Dataset.from_tensors(""))
        )
        length = tf.strings.length(rows.get_single_element())
        return {"code": x + tf.cast(length, x.dtype)}

    return function


@pytest.mark.parametrize(
    "make, operation",
    [
        (writing, "WriteFile"),
        (reading, "ReadFile"),
        (matching, "MatchingFiles"),
        (calling_python, "PyFunc"),
        (printing, "PrintV2"),
        (in_a_branch, "WriteFile"),
        (in_a_dataset, "TextLineDataset"),
    ],
)
def test_what_a_signature_would_do(model_with, tmp_path, make, operation):
    file = tmp_path / "file"
    file.write_text("")
    path = export.export_saved_model(model_with(make(file)), tmp_path / "model")
    file.write_text("")
    sentence = f"touch no files and no network when it runs. Received: {operation} in signature"
    with pytest.raises(ValueError, match=sentence):
        export.check_artifact(path)
    assert file.read_text() == ""


def changed(path, change):
    """Writes a SavedModel's graph anew, and checks its operations alone."""
    file = pathlib.Path(path) / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    change(model.meta_graphs[0])
    file.write_bytes(model.SerializeToString())
    _operations.check_operations(pathlib.Path(path))


def test_an_initialiser_and_the_saver_that_write(tiny_model, tmp_path):
    path = export.export_saved_model(tiny_model, tmp_path)

    def initialiser(meta_graph):
        meta_graph.graph_def.node.add(name="write", op="WriteFile", input=["name", "content"])
        name = meta_graph.collection_def["saved_model_main_op"].node_list.value[0]
        next(x for x in meta_graph.graph_def.node if x.name == name).input.append("^write")

    def restoring(meta_graph):
        for function in meta_graph.graph_def.library.function:
            if "traced_restore" in function.signature.name:
                function.node_def.add(name="save", op="SaveV2")

    changed(path, lambda _: None)
    with pytest.raises(ValueError, match="Received: SaveV2 in what loading runs; it was not run"):
        changed(path, restoring)
    export.export_saved_model(tiny_model, tmp_path)
    with pytest.raises(ValueError, match="WriteFile in what loading runs"):
        changed(tmp_path / "2", initialiser)


def test_a_signature_that_calls_the_saver(tiny_model, tmp_path):
    path = export.export_saved_model(tiny_model, tmp_path)

    def change(meta_graph):
        name = meta_graph.signature_def["gated"].outputs["code"].name.split(":")[0]
        saver = meta_graph.saver_def.save_tensor_name.split(":")[0]
        next(x for x in meta_graph.graph_def.node if x.name == name).input.append(f"^{saver}")

    with pytest.raises(ValueError, match="SaveV2 in signature 'gated'"):
        changed(path, change)


def test_an_unknown_operation(tiny_model, tmp_path):
    path = export.export_saved_model(tiny_model, tmp_path)
    with pytest.raises(ValueError, match="Received: Backdoor in the rest of it"):
        changed(path, lambda graph: graph.graph_def.node.add(name="x", op="Backdoor"))
