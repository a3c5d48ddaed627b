"""One revision that answers: its queue, its batches, its statistics."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from math import sqrt
from typing import Any

import msgspec
import numpy as np

from mainspring.domain.errors import Failed, MainspringError
from mainspring.models.columns import Array
from mainspring.models.signature import Column
from mainspring.serving.files import Limits, Moments, RevisionStatus
from mainspring.serving.latency import Latencies
from mainspring.serving.loading import Loaded, check_outputs
from mainspring.serving.protocol import encode_reply, slice_outputs
from mainspring.serving.schema import Schema, join_columns

# Batches whose outputs wait to be summed; a status is asked for ten times a second while there are any.
_UNSUMMED = 4096

# Larger outputs count as no number: JSON has no infinity, which is what their squares add up to.
_LARGEST = 1e150


class Waiting(msgspec.Struct, eq=False, gc=False):
    """A checked request in a queue.

    Attributes
    ----------
    id : str
        Request id, the caller's or a new one.
    body : bytes
        The request as it came.
    columns : dict of str to list
        The values of every input.
    rows : int
        At least 1.
    outputs : sequence of Column
        The outputs that the caller wants.
    arrived : float
        Seconds of `time.perf_counter`.
    future : asyncio.Future
        Receives the reply or the error.
    """

    id: str
    body: bytes
    columns: dict[str, list[Any]]
    rows: int
    outputs: Sequence[Column]
    arrived: float
    future: asyncio.Future[bytes | MainspringError]


Outcome = tuple[Waiting, bytes | MainspringError]


class Lane:
    """A loaded revision with the requests that wait for it.

    Parameters
    ----------
    service : str
        Name in the replies.
    loaded : Loaded
        The revision.
    schema : Schema
        What it takes; lanes that take the same share one.

    Notes
    -----
    There is no timer: what arrives while a batch runs is the next batch. Requests are checked
    before they are queued; when a batch fails all the same it is halved until only the guilty
    ones fail, at the cost of at most 2 log2(n) + 1 runs for one guilty among n.
    """

    def __init__(self, service: str, loaded: Loaded, schema: Schema) -> None:
        self.service = service
        self.revision = loaded.revision
        self.number = loaded.revision.number
        self.inputs = loaded.predictor.signature.inputs
        self.predictor = loaded.predictor
        self.slow = loaded.slow
        self.schema = schema
        self.queue: deque[Waiting] = deque()
        self.queued_rows = 0
        self.running = False
        self.errors = 0
        self.batches = 0
        self.compute_us = 0.0
        self.latencies = Latencies()
        self._sums: dict[str, tuple[int, float, float, int]] = {}
        self._unsummed: deque[dict[str, Array]] = deque(maxlen=_UNSUMMED)

    @property
    def idle(self) -> bool:
        """Whether nothing waits or runs."""
        return not self.queue and not self.running

    def is_full(self, rows: int, limits: Limits, now: float) -> bool:
        """Tell whether `rows` more may not wait; an empty queue takes any number."""
        if not self.queue:
            return False
        return self.queued_rows + rows > limits.queue_rows or now - self.queue[0].arrived > limits.queue_age_s

    def put(self, waiting: Waiting) -> None:
        """Let a request wait for the next batch."""
        self.queue.append(waiting)
        self.queued_rows += waiting.rows

    def take(self, batch_rows: int) -> list[Waiting]:
        """Return the next batch: the oldest requests, at least one, up to `batch_rows` rows."""
        rows = 0
        batch: list[Waiting] = []
        while self.queue and (not batch or rows + self.queue[0].rows <= batch_rows):
            batch.append(self.queue.popleft())
            rows += batch[-1].rows
        self.queued_rows -= rows
        return batch

    def run(self, batch: list[Waiting]) -> list[Outcome]:
        """Predict a batch; every request gets its own rows or its own error."""
        start = time.perf_counter()
        outcomes = self._halve(batch)
        self.compute_us += (time.perf_counter() - start) * 1e6
        return outcomes

    def describe(self, status: RevisionStatus) -> None:
        """Fill in what the status of a loaded revision shows."""
        status.state, status.model = "ready", self.revision.model
        status.errors = self.errors
        status.latency_us_p50 = self.latencies.quantile(0.5)
        status.latency_us_p99 = self.latencies.quantile(0.99)
        self._sum()
        for name, (count, total, squares, unknown) in self._sums.items():
            mean = total / max(count, 1)
            sd = sqrt(max(0.0, squares / max(count, 1) - mean * mean))
            status.outputs[name] = Moments(count, mean, sd, unknown)

    def _halve(self, batch: list[Waiting]) -> list[Outcome]:
        try:
            return self._predict(batch)
        except Exception as fault:  # noqa: BLE001 - a model's library raises what it likes
            if len(batch) == 1:
                return [(batch[0], _blame(fault))]
        middle = len(batch) // 2
        return self._halve(batch[:middle]) + self._halve(batch[middle:])

    def _predict(self, batch: list[Waiting]) -> list[Outcome]:
        self.batches += 1
        rows = sum(waiting.rows for waiting in batch)
        columns = join_columns(self.inputs, [waiting.columns for waiting in batch])
        outputs = self.predictor.predict(columns)
        check_outputs(self.predictor, outputs, rows)
        revision, model = str(self.revision.number), self.revision.model
        outcomes: list[Outcome] = []
        start = 0
        for waiting in batch:
            stop = start + waiting.rows
            tensors = slice_outputs(waiting.outputs, outputs, start, stop)
            outcomes.append((waiting, encode_reply(self.service, revision, model, waiting.id, tensors)))
            start = stop
        self._unsummed.append(outputs)
        return outcomes

    def _sum(self) -> None:
        """Add what was predicted since the last time to the moments; on the loop only."""
        recent = [self._unsummed.popleft() for _ in range(len(self._unsummed))]
        for column in self.predictor.signature.outputs:
            if column.datatype == "BYTES" or not recent:
                continue
            given = np.concatenate([outputs[column.name].ravel() for outputs in recent]).astype(np.float64)
            values = given[np.abs(given) < _LARGEST]
            count, total, squares, unknown = self._sums.get(column.name, (0, 0.0, 0.0, 0))
            self._sums[column.name] = (
                count + values.size,
                total + float(values.sum()),
                squares + float(values.dot(values)),
                unknown + given.size - values.size,
            )


def _blame(fault: Exception) -> MainspringError:
    if isinstance(fault, MainspringError):
        return fault
    text = str(fault).partition("\n")[0]
    return Failed("SERVE-010", f"the model failed on this request: {type(fault).__name__}: {text[:200]}")
