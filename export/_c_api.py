"""SavedModels under TensorFlow's C API, whose C++ loader is the one that TF Serving uses."""

import ctypes
import os
import pathlib
from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf

from tfbind.export import _layout, _runner

_STRING_SIZE = 24  # bytes of a TF_TString
_POINTERS = (
    "TF_AllocateTensor TF_GraphOperationByName TF_LoadSessionFromSavedModel TF_Message "
    "TF_NewBuffer TF_NewGraph TF_NewSessionOptions TF_NewStatus TF_TensorData"
).split()
_SIZES = ("TF_Dim", "TF_TensorByteSize")


class _Output(ctypes.Structure):
    _fields_ = (("operation", ctypes.c_void_p), ("index", ctypes.c_int))


class _Buffer(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("length", ctypes.c_size_t),
        ("data_deallocator", ctypes.c_void_p),
    )


def library_path() -> pathlib.Path | None:
    """Returns where TensorFlow's shared library lies, or None if this one has none."""
    return min(pathlib.Path(tf.sysconfig.get_lib()).glob("libtensorflow_cc.*"), default=None)


class CAPIRunner:
    """Runs the signatures of a SavedModel without the Python of TensorFlow; called as the others.

    Args:
        path: The folder of one version, or one with versions, of which the latest is taken.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self._c = _library()
        self._status = ctypes.c_void_p(self._c.TF_NewStatus())
        self._graph = ctypes.c_void_p(self._c.TF_NewGraph())
        meta_graph = tf.compat.v1.MetaGraphDef.FromString(
            self._load(_layout.find_saved_model(path))
        )
        self.signature_defs = dict(meta_graph.signature_def)

    def _load(self, folder: pathlib.Path) -> bytes:
        """Opens a session, and returns the meta graph."""
        options = ctypes.c_void_p(self._c.TF_NewSessionOptions())
        config = tf.compat.v1.ConfigProto(device_count={"GPU": 0}).SerializeToString()
        self._c.TF_SetConfig(options, config, ctypes.c_size_t(len(config)), self._status)
        buffer = ctypes.cast(self._c.TF_NewBuffer(), ctypes.POINTER(_Buffer))
        tags = (ctypes.c_char_p * 1)(b"serve")
        with _layout.without_patterns(folder) as path:
            session = self._c.TF_LoadSessionFromSavedModel(
                options, None, os.fsencode(path), tags, 1, self._graph, buffer, self._status
            )
        self._session = ctypes.c_void_p(session)
        self._check()
        content = ctypes.string_at(buffer.contents.data, buffer.contents.length)
        self._c.TF_DeleteBuffer(buffer)
        self._c.TF_DeleteSessionOptions(options)
        return content

    def __call__(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        definition = self.signature_defs[signature]
        places = [self._place(definition.inputs[name].name) for name in inputs]
        names = list(definition.outputs)
        wanted = [self._place(definition.outputs[name].name) for name in names]
        given = [self._tensor(np.asarray(array)) for array in inputs.values()]
        results = (ctypes.c_void_p * len(names))()
        self._c.TF_SessionRun(
            self._session,
            *(None, (_Output * len(places))(*places), (ctypes.c_void_p * len(given))(*given)),
            *(len(given), (_Output * len(names))(*wanted), results, len(names)),
            *(None, 0, None, self._status),
        )
        for tensor in given:
            self._c.TF_DeleteTensor(ctypes.c_void_p(tensor))
        self._check()
        return dict(zip(names, self._arrays(results), strict=True))

    def close(self) -> None:
        """Frees the memory that the weights take."""
        self._c.TF_DeleteSession(self._session, self._status)
        self._c.TF_DeleteGraph(self._graph)
        self._c.TF_DeleteStatus(self._status)

    def _check(self) -> None:
        if self._c.TF_GetCode(self._status):
            sentence = ctypes.string_at(self._c.TF_Message(self._status)).decode()
            raise ValueError(
                "The model must load and run under TensorFlow's C API. "
                f"Received: {_runner.first_line(ValueError(sentence))}."
            )

    def _place(self, tensor: str) -> _Output:
        name, _, index = tensor.partition(":")
        operation = self._c.TF_GraphOperationByName(self._graph, name.encode())
        return _Output(operation, int(index or 0))

    def _tensor(self, array: np.ndarray) -> int:
        """Returns a new tensor with the values of an array."""
        kind = tf.as_dtype(_runner.dtype_name(array)).as_datatype_enum
        size = array.size * _STRING_SIZE if kind == tf.string.as_datatype_enum else array.nbytes
        shape = (ctypes.c_int64 * array.ndim)(*array.shape)
        tensor = self._c.TF_AllocateTensor(kind, shape, array.ndim, ctypes.c_size_t(size))
        data = self._c.TF_TensorData(ctypes.c_void_p(tensor))
        if kind != tf.string.as_datatype_enum:
            ctypes.memmove(data, np.ascontiguousarray(array).ctypes.data, size)
            return tensor
        for place, text in enumerate(array.flat):
            content = text.encode() if isinstance(text, str) else text
            string = ctypes.c_void_p(data + place * _STRING_SIZE)
            self._c.TF_StringInit(string)
            self._c.TF_StringCopy(string, content, ctypes.c_size_t(len(content)))
        return tensor

    def _arrays(self, tensors: ctypes.Array) -> Iterator[np.ndarray]:
        """Yields the values of numeric tensors, which are deleted."""
        for tensor in map(ctypes.c_void_p, tensors):
            axes = range(self._c.TF_NumDims(tensor))
            shape = [self._c.TF_Dim(tensor, axis) for axis in axes]
            dtype = tf.as_dtype(self._c.TF_TensorType(tensor)).as_numpy_dtype
            size = self._c.TF_TensorByteSize(tensor)
            content = ctypes.string_at(self._c.TF_TensorData(tensor), size) if size else b""
            self._c.TF_DeleteTensor(tensor)
            yield np.frombuffer(content, dtype).reshape(shape)


def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(str(library_path()))
    for names, kind in ((_POINTERS, ctypes.c_void_p), (_SIZES, ctypes.c_int64)):
        for name in names:
            getattr(library, name).restype = kind
    return library
