"""What a SavedModel's graph would do besides computing, found without running it."""

import pathlib
from collections.abc import Iterable, Iterator
from typing import Any

from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.framework import op_def_registry

from tfbind.export import _layout

# TensorFlow calls an operation stateful if it does more than compute. Of these, what touches
# neither files nor the network; whatever is not here is refused, for new ones keep coming.
_HARMLESS = frozenset(
    "Assert AssignVariableOp Case DatasetToSingleElement If ReadVariableOp StatefulPartitionedCall "
    "TensorDataset TensorSliceDataset VarHandleOp VarIsInitializedOp While".split()
)
# What touches files, or runs code of Python's, though TensorFlow calls it stateless.
_NOT_HARMLESS = frozenset(
    "DebugIdentity DebugIdentityV2 DebugIdentityV3 GenerateVocabRemapping "
    "InitializeTableFromTextFile MatchingFiles PyFuncStateless ReadFile RegisterDataset "
    "RegisterDatasetV2 SnapshotDataset SnapshotDatasetV2".split()
)
_LOADING = "what loading runs"
_RESTORING = frozenset(["RestoreV2"])


def check_operations(folder: pathlib.Path) -> None:
    """Raises ValueError if the graph of a SavedModel could touch files or the network.

    Loading runs its initialisers, and a call the operations of its signature, of whoever wrote it.
    """
    content = (folder / _layout.SAVED_MODEL).read_bytes()
    found: dict[str, str] = {}  # operation -> where it was seen first
    for meta_graph in saved_model_pb2.SavedModel.FromString(content).meta_graphs:
        for place, operations in _places(meta_graph):
            found = {**dict.fromkeys(filter(_is_refused, operations), place), **found}
    if found:
        listed = ", ".join(f"{name} in {place}" for name, place in sorted(found.items()))
        raise ValueError(
            "The graph must touch no files and no network when it runs. "
            f"Received: {listed}; it was not run."
        )


def _places(meta_graph: Any) -> Iterator[tuple[str, set[str]]]:
    """Yields a place in a graph and the operations there; of loading, without what it needs."""
    graph = _Graph(meta_graph.graph_def)
    saver = meta_graph.saver_def
    saving = {_node(saver.save_tensor_name), _node(saver.restore_op_name)}
    for name, signature in sorted(meta_graph.signature_def.items()):
        nodes = graph.behind(_node(tensor.name) for tensor in signature.outputs.values())
        place = _LOADING if name.startswith("__") else f"signature {name!r}"
        yield place, graph.operations(nodes)
    yield _LOADING, graph.operations(graph.behind([_node(saver.restore_op_name)])) - _RESTORING
    # Functions that Python finds by name, and nodes that an initialiser may name.
    functions = meta_graph.object_graph_def.concrete_functions.keys()
    yield "the rest of it", graph.operations(graph.nodes.keys() - saving, functions)


def _is_refused(operation: str) -> bool:
    known = op_def_registry.get(operation)
    if known is None or operation in _NOT_HARMLESS:
        return True
    return known.is_stateful and operation not in _HARMLESS


class _Graph:
    """The nodes of a graph and of its functions, by name."""

    def __init__(self, graph_def: Any) -> None:
        self.nodes = {node.name: node for node in graph_def.node}
        self.functions = {x.signature.name: x.node_def for x in graph_def.library.function}

    def behind(self, names: Iterable[str]) -> set[str]:
        """Returns the nodes that must run for some of them, these included."""
        left, seen = list(names), set()
        while left:
            name = left.pop()
            if name in self.nodes and name not in seen:
                seen.add(name)
                left += map(_node, self.nodes[name].input)
        return seen

    def operations(self, nodes: Iterable[str], functions: Iterable[str] = ()) -> set[str]:
        """Returns the operations of some nodes, and of functions with all that they call."""
        operations = {self.nodes[name].op for name in nodes}
        left = [*functions, *operations]
        for name in nodes:
            left += _called(self.nodes[name])
        seen = set()
        while left:
            name = left.pop()
            if name in self.functions and name not in seen:
                seen.add(name)
                for node in self.functions[name]:
                    operations.add(node.op)
                    left += [node.op, *_called(node)]
        return operations - self.functions.keys()


def _node(tensor: str) -> str:
    return tensor.removeprefix("^").split(":")[0]


def _called(node: Any) -> Iterator[str]:
    for value in node.attr.values():
        if value.HasField("func"):
            yield value.func.name
        for function in value.list.func:
            yield function.name
