import concurrent.futures
import os
import threading
from typing import Self

import grpc

from tfbind.serving._grpc_services import add_services
from tfbind.serving._layout import HOST, check_ports
from tfbind.serving._rest_api import RestServer
from tfbind.serving._served_model import ServedModel
from tfbind.serving._wire import UNLIMITED

_NUM_WORKERS = 16
_SECONDS_TO_FINISH = 1.0
_OPTIONS = (
    *UNLIMITED,
    ("grpc.so_reuseport", 0),  # a second server on the port is an error, not a partner
)


class ReferenceServer:
    """Serves a SavedModel over TF Serving's REST and gRPC interfaces, for tests and local use.

    Not for production: one model, no batching, no monitoring, no TLS. It stands in for
    `tensorflow_model_server` where there is none: models load and run through a TF1 Session, as
    there, on the CPU, and clients see the same URLs, messages and status codes. It listens on
    127.0.0.1 and runs in threads of this process from construction to `close`; use it in a `with`
    block.

    Differs from TF Serving: every version that is on disk at the start is served (the latest by
    default) and later ones are not noticed; no version labels; only `Predict` signatures; an
    input that the signature does not have is refused in column format too; an unknown signature
    is INVALID_ARGUMENT over gRPC, as over REST. The sentences of errors are our own.

    Args:
        directory: Folder with version folders: `directory/<integer>/saved_model.pb`.
        port: Port for gRPC; 0 takes a free one.
        rest_port: Port for REST; 0 takes a free one.
        name: Name of the model; None takes the folder's.

    Attributes:
        url: Address for REST, such as "http://127.0.0.1:8501".
        target: Address for gRPC, such as "127.0.0.1:8500".
        name: Name of the model.
        versions: Tuple of integers, lowest first.

    Raises:
        ValueError: If the folder has no complete version, a version cannot be loaded, or a port
            is not free.

    Example:

    >>> import tempfile
    >>> from tfbind import export, serving
    >>> model = tfbind.DenoisingAutoencoder((8, 8, 1), hidden_units=16)
    >>> reconstruction = model(np.ones((1, 8, 8, 1), "float32"))
    >>> directory = tempfile.mkdtemp()
    >>> path = export.export_saved_model(model, directory)
    >>> with serving.ReferenceServer(directory, name="shapes") as server:
    ...     client = serving.RestClient(server.url, "shapes")
    ...     client.status()
    {1: 'AVAILABLE'}

    References:
        TensorFlow Serving. https://www.tensorflow.org/tfx/guide/serving
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        port: int = 0,
        rest_port: int = 0,
        name: str | None = None,
    ) -> None:
        check_ports(port, rest_port)
        self._served = ServedModel(directory, name)
        self._rest = RestServer((HOST, rest_port), self._served)
        workers = concurrent.futures.ThreadPoolExecutor(_NUM_WORKERS)
        self._grpc = grpc.server(workers, options=_OPTIONS)
        add_services(self._grpc, self._served)
        self.name = self._served.name
        self.versions = tuple(self._served.versions)
        self.target = f"{HOST}:{self._grpc.add_insecure_port(f'{HOST}:{port}')}"
        self.url = f"http://{HOST}:{self._rest.server_port}"
        self._grpc.start()
        threading.Thread(target=self._rest.serve_forever, args=(0.05,), daemon=True).start()

    def wait(self) -> None:
        """Blocks until `close` is called in another thread, or an interrupt comes."""
        self._grpc.wait_for_termination()

    def close(self) -> None:
        """Lets running requests finish for a second, then stops."""
        self._rest.shutdown()
        self._rest.server_close()
        self._grpc.stop(_SECONDS_TO_FINISH).wait()
        self._served.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
