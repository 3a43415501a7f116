"""What a server allows, and how it says that it refuses."""

import dataclasses

from tfbind._validation import check_integer, check_number

# Code of gRPC -> HTTP status, as TF Serving pairs them.
_STATUS = {
    "INVALID_ARGUMENT": 400,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 413,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}

_LONGEST = 1000  # characters of a sentence, which may quote what a client sent


@dataclasses.dataclass(frozen=True)
class Limits:
    """What one server lets its clients have.

    Args:
        body: Bytes >= 1 of one request; a larger one is refused before it is read.
        rows: Rows >= 1 of one request.
        requests: Requests >= 1 that run at a time; the next is told to come again.
        deadline: Seconds > 0 that a request may take, its body included.
        drain: Seconds >= 0 that running requests have to finish when the server is closed.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> tfbind.serving.Limits(rows=64).rows
    64
    """

    body: int = 16 * 2**20
    rows: int = 1024
    requests: int = 64
    deadline: float = 30.0
    drain: float = 10.0

    def __post_init__(self) -> None:
        for name in ("body", "rows", "requests"):
            check_integer(name, getattr(self, name), 1)
        check_number("deadline", self.deadline, 0, open_low=True)
        check_number("drain", self.drain, 0)


class Refusal(Exception):
    """A request that is not answered: a code of gRPC, an HTTP status, and one sentence."""

    def __init__(self, code: str, sentence: str, status: int | None = None) -> None:
        super().__init__(sentence)
        self.code = code
        line = " ".join(sentence.split())
        self.sentence = line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."
        self.status = _STATUS[code] if status is None else status


def refusal_of(error: BaseException) -> Refusal:
    """Returns how a client is told of an error: a `ValueError` is its own mistake."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, ValueError):
        return Refusal("INVALID_ARGUMENT", str(error))
    return Refusal("INTERNAL", f"The server failed: {error!r}.")


def check_rows(limits: Limits, name: str, rows: int) -> None:
    """Raises ValueError if an input of a request has too many rows."""
    if rows > limits.rows:
        raise ValueError(
            f"`{name}` must have at most {limits.rows} rows. Received: {rows} rows; "
            "send them in parts."
        )
