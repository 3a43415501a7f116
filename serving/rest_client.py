import functools
import os
import urllib.parse
from typing import Any, Self

import numpy as np
import urllib3

from tfbind._validation import check_choice, check_number
from tfbind.serving._json import decode, dumps, encode, loads
from tfbind.serving._tensors import (
    ServingError,
    Signature,
    as_arrays,
    check_version,
    late,
    parse_signatures,
    unreachable,
)

_MOST_CONNECTIONS = 64
_REFUSED = urllib3.exceptions.NewConnectionError  # to urllib3 a timeout, too


class RestClient:
    """Asks a model behind the REST interface of TF Serving.

    Needs NumPy, orjson and urllib3, no TensorFlow. JSON carries no dtypes, so they are read from
    the server's metadata, once. `GrpcClient` is faster on large arrays. Connections are kept and
    shared among threads; close it, or use it in a `with` block.

    Args:
        url: The server, such as "http://127.0.0.1:8501".
        model: The name the model is served under.
        timeout: Seconds > 0 that the server may stay silent.
        version: Integer >= 0, a version's label, or None for the version the server prefers: the
            latest.
        certificate: File of the authority (PEM) that vouches for an https server, or its own
            certificate; None trusts those that the system trusts.

    Raises:
        ValueError: If an argument is out of its range.
        ServingError: A ValueError with the server's own sentence, if it refuses a request, or
            with ours, if it does not answer.

    Example:

    >>> from tfbind import serving
    >>> client = serving.RestClient("http://127.0.0.1:8501", "shapes", timeout=5.0)
    >>> client.url
    'http://127.0.0.1:8501/v1/models/shapes'

    With a server there, `client.predict({"image": images})` returns a dict of arrays.

    References:
        TensorFlow Serving. RESTful API. https://www.tensorflow.org/tfx/serving/api_rest
    """

    def __init__(
        self,
        url: str,
        model: str,
        timeout: float = 10.0,
        *,
        version: int | str | None = None,
        certificate: str | os.PathLike | None = None,
    ) -> None:
        if not str(url).startswith(("http://", "https://")):
            raise ValueError(f"`url` must begin with http:// or https://. Received: url={url!r}.")
        self.timeout = check_number("timeout", timeout, 0, open_low=True)
        self.url = f"{url.rstrip('/')}/v1/models/{_quote(model)}{_version_path(version)}"
        self._signatures: dict[str, Signature] | None = None
        self._pool = urllib3.PoolManager(
            maxsize=_MOST_CONNECTIONS,
            retries=False,
            timeout=self.timeout,
            ca_certs=None if certificate is None else os.fspath(certificate),
        )

    def predict(
        self, inputs: dict[str, Any], signature: str = "serving_default"
    ) -> dict[str, np.ndarray]:
        """Returns the outputs of a signature, a dict from name to array.

        Args:
            inputs: Dict from input name to array, all with the batch as first axis.
            signature: Name of the signature.
        """
        if self._signatures is None:
            self._signatures = self.metadata()
        check_choice("signature", signature, tuple(self._signatures))
        arrays = as_arrays(inputs)
        body = {
            "signature_name": signature,
            "inputs": {name: encode(name, array) for name, array in arrays.items()},
        }
        infos = self._signatures[signature].outputs
        outputs = self._field(self._call(":predict", body), "outputs")
        if len(infos) == 1:  # the only output comes without its name
            outputs = dict.fromkeys(infos, outputs)
        return {
            name: decode(name, self._field(outputs, name), info.dtype)
            for name, info in infos.items()
        }

    def metadata(self) -> dict[str, Signature]:
        """Returns the signatures the server names, a dict from name to `Signature`."""
        metadata = self._field(self._call("/metadata"), "metadata")
        return parse_signatures(self._field(metadata, "signature_def"))

    def status(self) -> dict[int, str]:
        """Returns the state of each version, such as `{1: "AVAILABLE"}`."""
        versions = self._field(self._call(""), "model_version_status")
        return {int(version["version"]): version["state"] for version in versions}

    def close(self) -> None:
        """Closes the connections."""
        self._pool.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(self, path, body=None):
        try:
            response = self._response(path, None if body is None else dumps(body))
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ServingError(self._silence(error)) from error
        if response.status >= 400:
            raise ServingError(_server_message(self.url + path, response))
        return self._parse(response.data)

    def _response(self, path, data):
        method, headers = "GET" if data is None else "POST", {"Content-Type": "application/json"}
        ask = functools.partial(
            self._pool.request, method, self.url + path, body=data, headers=headers
        )
        try:
            return ask()
        except urllib3.exceptions.ProtocolError:
            # A server may close a kept connection just as it is used. To ask twice does no harm.
            return ask()

    def _parse(self, body):
        try:
            return loads(body)
        except ValueError as error:
            raise ServingError(
                f"{self.url} answered with something other than JSON: {body[:80]!r}."
            ) from error

    def _field(self, document, name):
        if not isinstance(document, dict) or name not in document:
            raise ServingError(f"{self.url} answered without {name!r}; is it TF Serving's API?")
        return document[name]

    def _silence(self, error):
        timeout = urllib3.exceptions.TimeoutError
        if isinstance(error, timeout) and not isinstance(error, _REFUSED):
            return late(self.url, self.timeout)
        return unreachable(self.url, error)


def _quote(text):
    return urllib.parse.quote(text, safe="")


def _version_path(version):
    spec = check_version(version)
    if "version_label" in spec:
        return f"/labels/{_quote(version)}"
    return f"/versions/{version}" if spec else ""


def _server_message(url, response):
    try:
        return str(loads(response.data)["error"])
    except (ValueError, KeyError, TypeError):
        reason = f"HTTP {response.status} {response.reason}"
        return f"{url} answered {reason}: {response.data[:80]!r}."
