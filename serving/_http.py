"""HTTP below the interface: bodies within limits, and connections that ask for nothing."""

import asyncio
import os
import resource
import zlib
from typing import Any

import orjson
from starlette.requests import Request
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tfbind.serving._limits import Refusal

_SECONDS_TO_ASK = 10.0  # from a connection, or the first byte of a request, to the end of its head
_SECONDS_TO_OWE = 1.0  # before a connection is the first to go, if there are too many
_LONGEST_HEAD = 2**16
_BODIES = 4  # of the largest size, that may be held at a time
_SPARE_FILES = 64
_FEWEST_CONNECTIONS = 8
_GZIP = 16 + zlib.MAX_WBITS


class Bodies:
    """Reads bodies of requests, of which all together hold no more memory than a few may."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._held = 0

    async def read(self, request: Request) -> bytes:
        """Returns the body, unpacked, or raises `Refusal` as soon as it is too large."""
        encoding = request.headers.get("content-encoding", "identity").lower()
        if encoding not in ("identity", "gzip"):
            raise Refusal(
                "INVALID_ARGUMENT",
                f"The Content-Encoding must be gzip or identity. Received: {encoding[:80]!r}.",
                415,
            )
        length = request.headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._most:
            raise self._too_large()
        unpacked = zlib.decompressobj(_GZIP) if encoding == "gzip" else None
        try:
            async with asyncio.timeout(self._seconds):
                return await self._collect(request, unpacked)
        except TimeoutError as error:
            sentence = f"The body must be there within {self._seconds:g} seconds, and was not."
            raise Refusal("DEADLINE_EXCEEDED", sentence, 408) from error

    async def _collect(self, request, unpacked):
        body = bytearray()
        try:
            async for chunk in request.stream():
                room = self._most - len(body) + 1
                part = self._unpack(unpacked, chunk, room) if unpacked else chunk
                body += part
                self._held += len(part)
                self._check(len(body))
        finally:
            self._held -= len(body)
        if unpacked and body and not unpacked.eof:
            raise ValueError("The body must be complete gzip. Received: one that breaks off.")
        return bytes(body)

    def _unpack(self, unpacked, chunk, room):
        try:
            return unpacked.decompress(chunk, room)
        except zlib.error as error:
            raise ValueError(f"The body must be gzip. Received: {error}.") from error

    def _check(self, size):
        if size > self._most:
            raise self._too_large()
        if self._held > _BODIES * self._most:
            raise Refusal("UNAVAILABLE", "The server holds as many bodies as it may; come again.")

    def _too_large(self):
        return Refusal(
            "RESOURCE_EXHAUSTED",
            f"The body must have at most {self._most} bytes. Received: more; send it in parts.",
        )


def most_connections() -> int:
    """Returns how many connections one interface may hold, so that files can still be opened.

    TensorFlow and gRPC end the process where they need a file and there is none.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = len(os.listdir("/dev/fd"))
    return max(_FEWEST_CONNECTIONS, (limit - taken - _SPARE_FILES) // 2)


class PatientProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, which else waits for ever for a head, of any length, and answers text.

    Of more connections than there may be, one is closed that owes the rest of a request, or that
    has been idle for longest.
    """

    most = 0
    _patience: asyncio.TimerHandle | None = None
    _head = 0
    _heard = 0.0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._heard = self.loop.time()
        self._expect_head()
        if len(self.connections) > self.most:
            ours = (each for each in self.connections if isinstance(each, PatientProtocol))
            min(ours, key=PatientProtocol._standing).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._rest()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._heard = self.loop.time()
        super().data_received(data)
        if self._patience is not None:
            self._head += len(data)
            if self._head > _LONGEST_HEAD and not self.transport.is_closing():
                self.send_400_response(f"The head must have at most {_LONGEST_HEAD} bytes.")

    def on_message_begin(self) -> None:
        self._rest()
        self._expect_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._rest()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answers what is no HTTP as all else is answered: in JSON."""
        body = orjson.dumps({"error": msg})
        head = (
            b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n"
        )
        self.transport.write(head + b"content-length: %d\r\n\r\n" % len(body) + body)
        self.transport.close()

    def _standing(self):
        """Orders connections: who owes something for long, who is idle, who has just come."""
        if self._patience is None and self.cycle.response_complete:
            return 1, self._heard
        if self._patience is None and not self.cycle.more_body:
            return 3, self._heard
        owes_long = self.loop.time() - self._heard > _SECONDS_TO_OWE
        return 0 if owes_long else 2, self._heard

    def _expect_head(self):
        self._head = 0
        self._patience = self.loop.call_later(_SECONDS_TO_ASK, self.transport.abort)

    def _rest(self):
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


def protocol_for(connections: int) -> type[PatientProtocol]:
    """Returns the protocol of a server that holds at most so many connections."""

    class Protocol(PatientProtocol):
        most = connections

    return Protocol
