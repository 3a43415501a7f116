"""Serving: version directories, the server, and clients of its REST and gRPC interfaces.

The clients load no TensorFlow. Everything here reads artefacts on disk, never a model class.
"""

if __name__ != "tfbind.serving":
    raise ImportError(f"Import this package as `tfbind.serving`. Received: {__name__!r}.")

import importlib
from typing import Any

__all__ = [
    "GrpcClient",
    "Limits",
    "ReferenceServer",
    "RestClient",
    "ServingError",
    "Signature",
    "TensorInfo",
    "serve",
    "server_command",
    "write_deployment",
    "write_page",
]

_MODULES = {
    "GrpcClient": "grpc_client",
    "Limits": "_limits",
    "ReferenceServer": "reference_server",
    "RestClient": "rest_client",
    "ServingError": "_tensors",
    "Signature": "_tensors",
    "TensorInfo": "_tensors",
    "serve": "launch",
    "server_command": "launch",
    "write_deployment": "deployment",
    "write_page": "page",
}
_CLIENT = "grpcio orjson protobuf urllib3"
_SERVER = "grpcio-health-checking httptools prometheus-client starlette uvicorn"
_EXTRA = (
    *("google", "grpc", "grpc_health", "httptools", "orjson", "prometheus_client", "starlette"),
    *("tensorflow_serving", "urllib3", "uvicorn"),
)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'tfbind.serving' has no attribute {name!r}")
    try:
        module = importlib.import_module(f"tfbind.serving.{_MODULES[name]}")
    except ModuleNotFoundError as error:
        if str(error.name).split(".")[0] not in _EXTRA:
            raise
        server = f"'tensorflow-serving-api==2.21.*' {_SERVER} {_CLIENT}"
        packages = _CLIENT if name.endswith("Client") else server
        raise ImportError(
            f"`tfbind.serving.{name}` needs {error.name}. Run: pip install {packages}"
        ) from error
    return getattr(module, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
