"""What both interfaces share: who may run, for how long, and what is counted and logged of it."""

import asyncio
import concurrent.futures
import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import prometheus_client

from tfbind.serving._limits import Limits, Refusal, refusal_of
from tfbind.serving._models import Models

_BUCKETS = tuple(1000.0 * 2**n for n in range(-1, 16)) + (float("inf"),)  # microseconds


class Record(dict):
    """What the log will say of one request; whoever answers it fills it in."""


class Service:
    """Runs requests in threads while the loop goes on; its methods are the loop's own.

    Args:
        models: What answers.
        limits: What is allowed.
        request_log: Whether each request is told on standard error, as one line of JSON.
    """

    def __init__(self, models: Models, limits: Limits, request_log: bool) -> None:
        self.models = models
        self.limits = limits
        self.draining = False
        self.running = 0
        self.registry = prometheus_client.CollectorRegistry()
        self._request_log = request_log
        self._threads = concurrent.futures.ThreadPoolExecutor(limits.requests, "model")
        self._add_metrics()

    async def run(self, function: Callable[[], Any], seconds: float | None = None) -> Any:
        """Returns `function()`, run in a thread, or raises `Refusal`.

        What is late goes on to its end, for TensorFlow cannot be stopped, and keeps its place.
        """
        self._check_free()
        self.running += 1
        loop = asyncio.get_running_loop()
        future = self._threads.submit(function)
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._leave))
        seconds = min(self.limits.deadline, self.limits.deadline if seconds is None else seconds)
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.wrap_future(future)
        except TimeoutError as error:
            sentence = f"The request must be answered within {seconds:.3g} seconds, and was not."
            raise Refusal("DEADLINE_EXCEEDED", sentence) from error

    @contextlib.contextmanager
    def observed(self, api: str, method: str) -> Iterator[Record]:
        """Counts, times and logs what is done in the block; errors come out as `Refusal`."""
        record = Record(api=api, method=method)
        began = time.perf_counter()
        try:
            yield record
            record.setdefault("status", "OK")
        except Exception as error:  # a client should see a sentence, whatever went wrong
            refusal = refusal_of(error)
            record |= {"status": refusal.code, "error": refusal.sentence}
            raise refusal from error
        except BaseException:
            record["status"] = "CANCELLED"
            raise
        finally:
            self._tell(record, time.perf_counter() - began)

    async def drain(self) -> None:
        """Refuses what comes, and waits for what runs, no longer than the limits say."""
        self.draining = True
        end = time.monotonic() + self.limits.drain
        while self.running and time.monotonic() < end:
            await asyncio.sleep(0.02)

    def close(self) -> None:
        """Lets the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _check_free(self):
        if self.draining:
            raise Refusal("UNAVAILABLE", "The server is shutting down; ask another.")
        if self.running >= self.limits.requests:
            raise Refusal(
                "UNAVAILABLE",
                f"The server runs at most {self.limits.requests} requests at a time; come again.",
            )

    def _leave(self):
        self.running -= 1

    def _add_metrics(self):
        registry, prefix = self.registry, ":tensorflow:serving:"
        self._count = prometheus_client.Counter(
            f"{prefix}request_count", "Requests.", ("model_name", "status"), registry=registry
        )
        self._latency = prometheus_client.Histogram(
            f"{prefix}request_latency",
            "Microseconds from the request to the answer.",
            ("model_name", "API", "entrypoint"),
            buckets=_BUCKETS,
            registry=registry,
        )
        running = prometheus_client.Gauge(
            f"{prefix}requests_running", "Requests that run now.", registry=registry
        )
        running.set_function(lambda: self.running)

    def _tell(self, record, seconds):
        model = record.get("model", "")
        model = model if model in self.models.names else ""  # clients make up names without end
        self._count.labels(model, record["status"]).inc()
        self._latency.labels(model, record["method"], record["api"]).observe(1e6 * seconds)
        if self._request_log:
            line = {"time": round(time.time(), 3), "ms": round(1e3 * seconds, 3), **record}
            print(orjson.dumps(line).decode(), file=sys.stderr, flush=True)
