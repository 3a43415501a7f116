"""What runs a model: one function a runtime, from a `Subject` to a function that answers.

To add one, write such a function and put it into `RUNTIMES` or `REDUCED`. It gets a `Subject`,
whose files are written when they are first asked for, and returns a function of an endpoint's name
and a dict of arrays, which returns a dict of arrays. What has to be closed goes onto
`subject.stack`. Of a cell that cannot be, it raises a ValueError or ImportError, whose sentence
becomes a footnote; `endpoints` says which endpoints it is asked for, where it is not all.
"""

import contextlib
import functools
import pathlib
import shutil
import sys
import tempfile
from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf

from tfbind import export, serving
from tfbind.export._c_api import CAPIRunner
from tfbind.export._endpoints import trace_endpoints
from tfbind.export._runner import one_by_one
from tfbind.export._saved_model_check import EagerRunner
from tfbind.models._endpoints import guarded


class Subject:
    """A model, its files, and what is asked of it.

    Args:
        model: A built model.
        inputs: Function of an endpoint's card and name to a dict of arrays.
        calibration: What `export_tflite` takes.
    """

    def __init__(self, model: keras.Model, inputs: Callable, calibration: dict) -> None:
        self.model = model
        self.traced = trace_endpoints(model)
        served = model.serving_endpoints()
        self.endpoints = {name: guarded(endpoint) for name, endpoint in served.items()}
        card = export.build_card(model)["endpoints"]
        self.inputs = {name: inputs(card[name]) for name in self.endpoints}
        self.calibration = calibration
        self.stack = contextlib.ExitStack()
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.stack.callback(shutil.rmtree, self.folder)

    @functools.cached_property
    def saved_model(self) -> pathlib.Path:
        """The folder of one version; its parent is what a server watches."""
        return pathlib.Path(export.export_saved_model(self.model, self.folder / "model"))

    @functools.cached_property
    def server(self) -> serving.ReferenceServer:
        directory = self.saved_model.parent
        return self.stack.enter_context(serving.ReferenceServer(directory, port=0, rest_port=0))

    def tflite(self, quantize: str) -> pathlib.Path:
        path = self.folder / f"{quantize}.tflite"
        export.export_tflite(self.model, path, quantize, calibration=self.calibration)
        return path

    @functools.cached_property
    def onnx(self) -> dict[str, pathlib.Path]:
        """Endpoint -> file."""
        files = {name: self.folder / f"{name}.onnx" for name in self.endpoints}
        for name, file in files.items():
            export.export_onnx(self.model, file, name)
        return files

    @functools.cached_property
    def stablehlo(self) -> str:
        return export.export_stablehlo(self.model, self.folder / "stablehlo")


class Runtime(NamedTuple):
    """`make` is as above; `endpoints` names those it has, None for all."""

    make: Callable[[Subject], Callable]
    endpoints: tuple[str, ...] | None = None


def graph_mode(subject: Subject) -> Callable:
    """The truth that all others are compared with."""
    return lambda name, inputs: _called(subject.traced[name].function, subject, name, inputs)


def _eager(subject):
    def answer(name, inputs):
        tf.config.run_functions_eagerly(True)
        try:
            return _called(subject.endpoints[name].function, subject, name, inputs)
        finally:
            tf.config.run_functions_eagerly(False)

    return answer


def _xla(subject):
    functions = {
        name: tf.function(endpoint.function, jit_compile=True, autograph=False)
        for name, endpoint in subject.endpoints.items()
    }
    return lambda name, inputs: _called(functions[name], subject, name, inputs)


def _called(function, subject, name, inputs):
    specs = subject.endpoints[name].inputs
    outputs = function(*(tf.constant(inputs[spec.name]) for spec in specs))
    return {key: value.numpy() for key, value in outputs.items()}


def _python_loader(subject):
    return EagerRunner(subject.saved_model)


def _session(subject):
    return export.SavedModelRunner(subject.saved_model)


def _c_api(subject):
    return CAPIRunner(subject.saved_model)


def _rest(subject):
    client = serving.RestClient(subject.server.url, "model")
    return lambda name, inputs: client.predict(inputs, signature=name)


def _grpc(subject):
    client = serving.GrpcClient(subject.server.target, "model")
    return lambda name, inputs: client.predict(inputs, signature=name)


def _litert(quantize):
    return lambda subject: _row_by_row(export.TFLiteRunner(subject.tflite(quantize)))


def _onnx_runtime(subject):
    runners = {name: export.OnnxRunner(file) for name, file in subject.onnx.items()}
    return lambda name, inputs: runners[name](name, inputs)


def _openvino(source):
    """OpenVINO by its own reader of SavedModels or of ONNX."""

    def make(subject):
        # Without it OpenVINO tells its makers nothing, and forks no process to do so
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
        import openvino

        path = subject.saved_model if source == "saved_model" else subject.onnx["serving_default"]
        core = openvino.Core()
        settings = {"INFERENCE_PRECISION_HINT": "f32"}  # it would round to bfloat16 where it can
        compiled = core.compile_model(core.read_model(str(path)), "CPU", settings)
        outputs = tuple(subject.traced["serving_default"].outputs)

        def answer(_, inputs):
            found = compiled(inputs)
            return {name: found[name] for name in outputs}

        return answer

    return make


def _jax(subject):
    from tfbind.export import StableHLORunner

    return _row_by_row(StableHLORunner(subject.stablehlo, "cpu"))


def _row_by_row(runner):
    """For files with a batch size of one."""
    return functools.partial(one_by_one, runner)


_DEFAULT = ("serving_default",)
RUNTIMES = {
    "Keras eager": Runtime(_eager),
    "Keras XLA": Runtime(_xla),
    "SavedModel, Python": Runtime(_python_loader),
    "SavedModel, TF1 session": Runtime(_session),
    "SavedModel, C API": Runtime(_c_api),
    "served, REST": Runtime(_rest),
    "served, gRPC": Runtime(_grpc),
    "LiteRT": Runtime(_litert("none")),
    "ONNX Runtime": Runtime(_onnx_runtime),
    "OpenVINO, SavedModel": Runtime(_openvino("saved_model"), _DEFAULT),
    "OpenVINO, ONNX": Runtime(_openvino("onnx"), _DEFAULT),
    "StableHLO, JAX": Runtime(_jax),
}
REDUCED = {
    f"LiteRT {quantize}": Runtime(_litert(quantize))
    for quantize in ("float16", "dynamic", "weight_only", "int8")
}
