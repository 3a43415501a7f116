import os
import threading
from typing import Self

from tfbind._validation import check_number
from tfbind.serving._front_ends import Address, FrontEnds
from tfbind.serving._layout import HOST, check_certificate, check_ports, reached_at
from tfbind.serving._limits import Limits
from tfbind.serving._models import Models
from tfbind.serving._service import Service


class ReferenceServer:
    """Stands in for TF Serving on one machine, over its REST and gRPC interfaces.

    It is what `tfbind serve` runs where there is no `tensorflow_model_server`: clients see the
    same URLs, messages and status codes. Requests of several clients to a model that `tfbind`
    exported run as one batch, new versions replace old ones without a pause, and a version that
    cannot be loaded leaves the one before it in place. It is one process: for more machines, or
    for the open internet, use TF Serving itself. It runs in threads of this process from
    construction to `close`; use it in a `with` block.

    REST also answers `/healthz` (alive), `/readyz` (not shutting down) and
    `/monitoring/prometheus/metrics`; gRPC has the health service, with Check and Watch.

    Differs from TF Serving: if the latest version on disk cannot be loaded, the one before it is
    loaded, at the start too; a last version goes on being served when its folder is gone; only
    `Predict` signatures; numbers that a dtype cannot hold are refused, not rounded; an input that
    the signature does not have is refused in column format too; an unknown signature is
    INVALID_ARGUMENT over gRPC, as over REST. URLs that are not known are 404 and wrong methods
    405, where TF Serving answers 400 to both under /v1/; a slash at the end is not known to either.
    Bodies may be gzip or chunked, as there; any other Content-Encoding is 415. A body over the
    limit is 413 and RESOURCE_EXHAUSTED, a full server 503 and UNAVAILABLE. Over REST there is TLS
    too. The counter of requests ends in `_total`, as Prometheus' own library has it. The sentences
    of errors are our own.

    Args:
        directory: Folder with version folders, `directory/<integer>/saved_model.pb`, of which the
            latest is served; or a `models.config` in TF Serving's text format, for several models,
            chosen versions, and labels. Paths in it count from its own folder.
        port: Port for gRPC; 0 takes a free one.
        rest_port: Port for REST; 0 takes a free one.
        name: Name of the model; None takes the folder's.
        host: Address to listen on; "0.0.0.0" is every one of this machine.
        limits: A `Limits`: what clients may have. None takes the defaults.
        certificate: File with the server's certificate (PEM), for TLS on both ports.
        key: File with its private key (PEM).
        poll: Seconds > 0 between two looks for new versions.
        request_log: Whether each request is told on standard error, as one line of JSON.

    Attributes:
        url: Address for REST, such as "http://127.0.0.1:8501".
        target: Address for gRPC, such as "127.0.0.1:8500".
        name: Name of the model, the first of several.

    Raises:
        ValueError: If a model has no version that can be loaded, or a port is not free.

    Example:

    >>> import tempfile
    >>> from tfbind import export, serving
    >>> model = tfbind.DenoisingAutoencoder((8, 8, 1), hidden_units=16)
    >>> reconstruction = model(np.ones((1, 8, 8, 1), "float32"))
    >>> directory = tempfile.mkdtemp()
    >>> path = export.export_saved_model(model, directory)
    >>> with serving.ReferenceServer(directory, name="shapes") as server:
    ...     with serving.RestClient(server.url, "shapes") as client:
    ...         client.status()
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
        *,
        host: str = HOST,
        limits: Limits | None = None,
        certificate: str | os.PathLike | None = None,
        key: str | os.PathLike | None = None,
        poll: float = 1.0,
        request_log: bool = False,
    ) -> None:
        check_ports(port, rest_port, host)
        check_certificate(certificate, key)
        check_number("poll", poll, 0, open_low=True)
        self._models = Models(directory, name)
        service = Service(self._models, limits or Limits(), request_log)
        address = Address(host, port, rest_port, certificate, key)
        self._front_ends = FrontEnds(service, address, poll)
        self._closed = threading.Event()
        port, rest_port = self._front_ends.ports
        self.name = self._models.names[0]
        self.target = reached_at(host, port)
        self.url = f"{'http' if certificate is None else 'https'}://{reached_at(host, rest_port)}"

    @property
    def models(self) -> dict[str, tuple[int, ...]]:
        """The versions that answer now, lowest first, by the name of their model."""
        return {name: self._models[name].versions for name in self._models.names}

    def wait(self) -> None:
        """Blocks until `close` is called in another thread, or an interrupt comes."""
        self._closed.wait()

    def close(self) -> None:
        """Refuses what comes, lets what runs finish within the limits, then stops."""
        self._front_ends.close()
        self._closed.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
