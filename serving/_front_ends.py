"""Both interfaces of one server, in one event loop in a thread of its own."""

import asyncio
import concurrent.futures
import contextlib
import os
import pathlib
import socket
import threading
from typing import NamedTuple

import grpc
import uvicorn

from tfbind.serving._grpc_services import add_services, set_healthy
from tfbind.serving._http import most_connections, protocol_for
from tfbind.serving._rest_api import make_app
from tfbind.serving._service import Service

_SECONDS_TO_WRITE = 1  # the answers that are ready when the server ends
_SECONDS_IDLE = 75  # that a kept connection may stay without a request
_SECONDS_TO_START = 60
_BACKLOG = 1024  # connections that wait to be accepted
# asyncio accepts as many at once before one can be sent away: fewer than the files kept to spare
_AT_ONCE = 32


class Address(NamedTuple):
    """Where a server listens, and with which certificate and key, of which None is no TLS."""

    host: str
    port: int
    rest_port: int
    certificate: str | os.PathLike | None
    key: str | os.PathLike | None


class FrontEnds:
    """Starts both at once; `ports` then has those of gRPC and of REST."""

    def __init__(self, service: Service, address: Address, poll: float) -> None:
        self._service = service
        self._address = address
        self._poll = poll
        self._closing = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._most = most_connections()
        self._loop.set_exception_handler(_only_what_matters)
        started: concurrent.futures.Future = concurrent.futures.Future()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        self.ports: tuple[int, int] = started.result(_SECONDS_TO_START)

    def close(self) -> None:
        """Drains, stops, and waits until the ports are free again."""
        with contextlib.suppress(RuntimeError):  # closed before
            self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()

    def _run(self, started):
        try:
            self._loop.run_until_complete(self._serve(started))
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)
        finally:
            self._loop.close()
            self._service.close()

    async def _serve(self, started):
        with _listen(self._address.host, self._address.rest_port) as listener:
            rest = uvicorn.Server(self._rest_config())
            grpc_server, port = self._make_grpc()
            health = add_services(grpc_server, self._service)
            await set_healthy(health)
            await grpc_server.start()
            serving = asyncio.create_task(rest.serve([listener]))
            while not rest.started and not serving.done():
                await asyncio.sleep(0.01)
            listener.listen(_BACKLOG)  # asyncio has made it as short as what it accepts at once
            polling = asyncio.create_task(self._follow())
            started.set_result((port, listener.getsockname()[1]))
            await self._closing.wait()
            polling.cancel()
            await health.enter_graceful_shutdown()
            await self._service.drain()
            rest.should_exit = True
            await asyncio.gather(serving, grpc_server.stop(_SECONDS_TO_WRITE))

    async def _follow(self):
        """Looks for new versions for ever, without holding up the loop."""
        while True:
            await asyncio.sleep(self._poll)
            await asyncio.to_thread(self._service.models.poll)

    def _rest_config(self):
        certificate, key = self._address.certificate, self._address.key
        return uvicorn.Config(
            make_app(self._service),
            http=protocol_for(self._most),
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            backlog=_AT_ONCE,
            timeout_keep_alive=_SECONDS_IDLE,
            timeout_graceful_shutdown=_SECONDS_TO_WRITE,
            ssl_certfile=certificate,
            ssl_keyfile=key,
        )

    def _make_grpc(self):
        options = (
            ("grpc.max_receive_message_length", self._service.limits.body),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),  # a second server on the port is an error, not a partner
            ("grpc.server_handshake_timeout_ms", 10_000),
            ("grpc.max_allowed_incoming_connections", self._most),
        )
        server = grpc.aio.server(options=options)
        host = f"[{self._address.host}]" if ":" in self._address.host else self._address.host
        target = f"{host}:{self._address.port}"
        if self._address.certificate is None:
            return server, server.add_insecure_port(target)
        return server, server.add_secure_port(target, self._credentials())

    def _credentials(self):
        pair = (self._address.key, self._address.certificate)
        return grpc.ssl_server_credentials([tuple(pathlib.Path(p).read_bytes() for p in pair if p)])


def _listen(host, port):
    """Returns a socket that listens; asyncio sends at once only where the protocol is named."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(_BACKLOG)
    return listener


def _only_what_matters(loop, context):
    """Keeps quiet about clients that go, and about a lack of file descriptors, which passes."""
    if not isinstance(context.get("exception"), OSError):
        loop.default_exception_handler(context)
