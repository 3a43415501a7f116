"""One training on several workers: who they are, what they know of each other, and who is lost."""

import contextlib
import dataclasses
import functools
import io
import pathlib
import re
import tempfile
import zipfile
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from tfbind._validation import check_integer
from tfbind.training.folder import Run

# Of an operation that all workers take part in. A lost one is noticed at once as a rule.
_LONGEST_WAIT = 600.0
_LOST = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
    tf.errors.UnavailableError,
    tf.errors.UnknownError,
)


@dataclasses.dataclass(frozen=True)
class Team:
    """The workers of a training, as one of them sees it; the first is the chief."""

    strategy: tf.distribute.Strategy
    index: int

    @property
    def is_chief(self) -> bool:
        return self.index == 0

    @contextlib.contextmanager
    def folder_of(self, run: Run) -> Iterator[Run]:
        """Gives the chief its run folder, and the others a temporary one that begins as a copy."""
        held = self.from_chief(_packed(run.path))
        if self.is_chief:
            yield run
            return
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder) / run.path.name
            _unpack(held, copy)
            yield Run(copy)

    def check_alike(self, name: str, value: str) -> None:
        """Raises on a worker where `value` is not what it is at the chief's."""
        if self.from_chief(value.encode()) != value.encode():
            raise ValueError(
                f"`{name}` must be the same on every worker. Received: another one on worker "
                f"{self.index} than on worker 0."
            )

    def from_chief(self, data: bytes) -> bytes:
        """Returns the chief's `data` on every worker."""
        own = np.frombuffer(data, np.uint8) if self.is_chief else np.zeros(0, np.uint8)
        size = int(self._sum(np.array(own.size)))
        held = np.zeros(size, "int32")
        held[: own.size] = own
        return self._sum(held).astype(np.uint8).tobytes()

    def _sum(self, array: np.ndarray) -> np.ndarray:
        def add(own: tf.Tensor) -> tf.Tensor:
            replica = tf.distribute.get_replica_context()
            first = tf.cast(replica.replica_id_in_sync_group % self._replicas_here == 0, own.dtype)
            return replica.all_reduce(tf.distribute.ReduceOp.SUM, own * first)

        def run(own: tf.Tensor) -> tf.Tensor:
            return self.strategy.run(add, args=(own,))

        total = tf.function(run, autograph=False)(tf.constant(array, tf.int32))
        return self.strategy.experimental_local_results(total)[0].numpy()

    @property
    def _replicas_here(self) -> int:
        return len(self.strategy.extended.worker_devices)


def team_of(workers: Sequence[str] | None, index: int | None) -> Team | None:
    """Returns the team of `train`'s arguments, which this process joins; None where there is none.

    Raises:
        ValueError: As `join` does, or if there is an index without workers.
    """
    if workers is not None:
        return join(tuple(workers), index)
    if index is not None:
        raise ValueError(f"`index` must be given with `workers`. Received: index={index} alone.")
    return None


@functools.cache  # a process is one worker of one team
def join(workers: tuple[str, ...], index: int | None) -> Team:
    """Makes this process one of several workers, and waits for the others.

    Call it before anything else is done with TensorFlow.

    Args:
        workers: The addresses of all, HOST:PORT, in an order that is the same for all.
        index: Integer, which of them this is, from 0 on.

    Raises:
        ValueError: If an argument is out of its range, or TensorFlow is at work already.
    """
    index = check_addresses(workers, index)
    cluster = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(workers)}),
        task_type="worker",
        task_id=index,
        rpc_layer="grpc",
    )
    options = tf.distribute.experimental.CommunicationOptions(timeout_seconds=_LONGEST_WAIT)
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy(cluster, options)
    except RuntimeError as error:
        raise ValueError(
            "`workers` must be named before anything else is done with TensorFlow. Received: them "
            "in a process where it is at work; begin the script with `tfbind.training.train`."
        ) from error
    return Team(strategy, index)


def check_addresses(workers: Sequence[str], index: int | None) -> int:
    """Returns `index`; raises unless it is the place of one of two addresses or more."""
    fitting = [re.fullmatch(r"\S+:\d+", each) is not None for each in workers]
    if len(workers) < 2 or len(set(workers)) < len(workers) or not all(fitting):
        raise ValueError(
            "`workers` must be two different addresses HOST:PORT or more. "
            f"Received: workers={','.join(workers)}."
        )
    if index is None or check_integer("index", index, 0) >= len(workers):
        raise ValueError(
            f"`index` must be an integer from 0 to {len(workers) - 1}, the place of this worker "
            f"among {','.join(workers)}. Received: index={index}."
        )
    return index


@contextlib.contextmanager
def one_sentence() -> Iterator[None]:
    """Turns what TensorFlow says of a lost worker into a ValueError of one sentence."""
    try:
        yield
    except _LOST as error:
        raise ValueError(
            "`workers` must all be at work until the end. Received: one that was lost or cannot "
            "be reached; start each again by its own command, and the training goes on from its "
            "last checkpoint."
        ) from error


def _packed(folder: pathlib.Path) -> bytes:
    """Returns the files of a run folder, those of later times left out, as one zip."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and ".partial" not in str(path) and path.name != ".lock":
                file.write(path, path.relative_to(folder))
    return held.getvalue()


def _unpack(held: bytes, folder: pathlib.Path) -> None:
    with zipfile.ZipFile(io.BytesIO(held)) as file:
        file.extractall(folder)
