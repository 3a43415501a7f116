import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import numpy as np

from tfbind._validation import check_choice, check_integer, check_number
from tfbind.serving._json import decode, encode
from tfbind.serving._tensors import (
    ServingError,
    Signature,
    as_arrays,
    late,
    parse_signatures,
    unreachable,
)


class RestClient:
    """Asks a model behind the REST interface of TF Serving.

    Needs only NumPy and the standard library. JSON carries no dtypes, so they are read from the
    server's metadata, once. `GrpcClient` is faster on large arrays. Safe to share among threads.

    Args:
        url: The server, such as "http://127.0.0.1:8501".
        model: The name the model is served under.
        timeout: Seconds > 0 that the server may stay silent.
        version: Integer >= 0, or None for the version the server prefers: the latest.

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
        self, url: str, model: str, timeout: float = 10.0, *, version: int | None = None
    ) -> None:
        if not str(url).startswith(("http://", "https://")):
            raise ValueError(f"`url` must begin with http:// or https://. Received: url={url!r}.")
        self.timeout = check_number("timeout", timeout, 0, open_low=True)
        self.url = f"{url.rstrip('/')}/v1/models/{urllib.parse.quote(model, safe='')}"
        if version is not None:
            self.url += f"/versions/{check_integer('version', version, 0)}"
        self._signatures: dict[str, Signature] | None = None

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

    def _call(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.url + path, data, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as response:
                return self._parse(response.read())
        except urllib.error.HTTPError as error:
            with error:
                raise ServingError(_server_message(error)) from error
        except (OSError, http.client.HTTPException) as error:
            raise ServingError(self._silence(error)) from error

    def _parse(self, body):
        try:
            return json.loads(body)
        except ValueError as error:
            raise ServingError(
                f"{self.url} answered with something other than JSON: {body[:80]!r}."
            ) from error

    def _field(self, document, name):
        if not isinstance(document, dict) or name not in document:
            raise ServingError(f"{self.url} answered without {name!r}; is it TF Serving's API?")
        return document[name]

    def _silence(self, error):
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(reason, TimeoutError):
            return late(self.url, self.timeout)
        return unreachable(self.url, reason)


def _server_message(error):
    body = error.read()
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return f"{error.url} answered HTTP {error.code} {error.reason}: {body[:80]!r}."
