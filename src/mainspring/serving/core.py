"""The core of a plane, without HTTP: route, queue, run, capture, answer."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from zlib import crc32

from mainspring.domain.crashpoints import crash_point
from mainspring.domain.errors import Conflict, MainspringError, NotFound, Unavailable
from mainspring.domain.records import Problem
from mainspring.domain.wire import describe
from mainspring.models.signature import Column
from mainspring.serving.captures import Captures, Count, Record
from mainspring.serving.files import ContextColumn, Desired, DesiredRevision, RevisionStatus
from mainspring.serving.lane import Lane, Outcome, Waiting
from mainspring.serving.loading import Loaded
from mainspring.serving.protocol import choose_outputs
from mainspring.serving.redaction import redact
from mainspring.serving.schema import Asked, Schema, identify

# How long a request waits for the first revisions to load.
_START_S = 10.0

# After that long a turn lets others have the loop.
_TURN_S = 0.005


class Core:
    """Answers the requests of one service, each id once.

    Parameters
    ----------
    captures : Captures
        Where answered requests are recorded before their answers go out.
    desired : Desired
        Name, context, limits; its revisions come with `adopt`.
    on_change : callable
        Called after anything that a status shows has changed.

    Attributes
    ----------
    lanes : dict of int to Lane
        Loaded revisions by number.
    shed : int
        Requests that were refused because a queue was full.

    Notes
    -----
    Lives on one event loop. What arrives while the first revisions load waits for them. A fast
    model runs on the loop; a slow one in a thread, and what arrives meanwhile is its next batch.

    Guarantees: an answer that was given is captured; what is captured was counted; a repeated
    id gets the bytes of the first answer and is not counted again, also after a kill.
    """

    def __init__(self, captures: Captures, desired: Desired, on_change: Callable[[], None] = lambda: None) -> None:
        self.captures = captures
        self.desired = desired
        self.shed = 0
        self._on_change = on_change
        self.lanes: dict[int, Lane] = {}
        self._routes: list[tuple[int, Lane]] = []
        self._main: Lane | None = None
        self._leaving: list[Lane] = []
        self._problems: dict[int, Problem] = {}
        self._pending: dict[str, Waiting] = {}
        self._started = asyncio.Event()
        self._schemas: dict[Hashable, Schema] = {}
        self._scheduled = False
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="revision")

    # --- requests -------------------------------------------------------------------------

    async def infer(self, body: bytes, revision: int | None = None) -> bytes:
        """Answer an inference request.

        Parameters
        ----------
        body : bytes
            The request, JSON.
        revision : int, optional
            A loaded revision that must answer; default: by the weights and the request's id.

        Returns
        -------
        bytes
            The reply, JSON.

        Raises
        ------
        MainspringError
            SERVE-002 to SERVE-007 for a bad request, SERVE-003 when nothing is loaded,
            SERVE-009 when the queue is full, SERVE-010 when the model fails, SERVE-013 when the
            id was used for other bytes, SERVE-014 when the request cannot be captured.
        """
        if not self._started.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._started.wait(), _START_S)
        arrived = time.perf_counter()
        asked = self.find_lane(revision).schema.read(body)
        kept = redact(body, self.desired.sensitive)
        if asked.id is None:
            asked.id = os.urandom(16).hex()
        else:
            first = self._pending.get(asked.id)
            if first is not None:
                _check_same(asked.id, first.body, kept)
                return _raise_or_return(await asyncio.shield(first.future))
            record = self.captures.find(asked.id)
            if record is not None:
                _check_same(asked.id, record.body, kept)
                return record.reply
        lane = self._route(asked) if revision is None else self.find_lane(revision)
        if lane.is_full(asked.rows, self.desired.limits, arrived):
            self.shed += 1
            self._on_change()
            raise Unavailable("SERVE-009", f"{lane.queued_rows:,} rows wait for revision {lane.revision.number}")
        outputs = choose_outputs(lane.predictor.signature.outputs, asked.outputs)
        future: asyncio.Future[bytes | MainspringError] = asyncio.get_running_loop().create_future()
        waiting = Waiting(asked.id, kept, asked.columns, asked.rows, outputs, arrived, future)
        self._pending[asked.id] = waiting
        lane.put(waiting)
        self._schedule()
        return _raise_or_return(await future)

    def find_lane(self, revision: int | None = None) -> Lane:
        """Return a loaded revision, the main one by default.

        Raises
        ------
        Unavailable
            SERVE-003 when nothing is loaded.
        NotFound
            SERVE-015 when others are loaded.
        """
        lane = self._main if revision is None else self.lanes.get(revision)
        if lane is not None:
            return lane
        if revision is not None and self.lanes:
            raise NotFound("SERVE-015", f"revision {revision} is not loaded", loaded=sorted(self.lanes))
        problem = next(reversed(self._problems.values()), None)
        why = f": {problem.what}" if problem else ""
        raise Unavailable("SERVE-003", f"service {self.desired.service!r} has no loaded revision{why}")

    def _route(self, asked: Asked) -> Lane:
        point = crc32((asked.key or asked.id or "").encode()) % 100
        for bound, lane in self._routes:
            if point < bound:
                return lane
        return self.find_lane(None)

    # --- batches --------------------------------------------------------------------------

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        """Run what waits, then record all of it with one write, then answer."""
        self._scheduled = False
        done: list[tuple[Lane, Outcome]] = []
        end = time.perf_counter() + _TURN_S
        for lane in [*self.lanes.values(), *self._leaving]:
            if lane.slow:
                if lane.queue and not lane.running:
                    self._run_apart(lane, lane.take(self.desired.limits.batch_rows))
                continue
            while lane.queue and (not done or time.perf_counter() < end):
                done += [(lane, outcome) for outcome in lane.run(lane.take(self.desired.limits.batch_rows))]
            if lane.queue:
                self._schedule()
        if done:
            self._settle(done)
        if self._leaving:
            self._leaving = [lane for lane in self._leaving if not lane.idle]

    def _run_apart(self, lane: Lane, batch: list[Waiting]) -> None:
        lane.running = True
        loop = asyncio.get_running_loop()

        def finish(run: asyncio.Future[list[Outcome]]) -> None:
            lane.running = False
            self._settle([(lane, outcome) for outcome in run.result()])
            self._schedule()

        loop.run_in_executor(self._threads, lane.run, batch).add_done_callback(finish)

    def _settle(self, done: Sequence[tuple[Lane, Outcome]]) -> None:
        """Capture the answers of a turn with one write, then give them."""
        moment = time.time()
        answered = [
            Record(waiting.id, moment, lane.revision.number, lane.revision.model, waiting.rows, waiting.body, reply)
            for lane, (waiting, reply) in done
            if isinstance(reply, bytes)
        ]
        crash_point("plane.before_capture")
        kept = self.captures.append(answered) if answered else 0
        crash_point("plane.after_capture")
        now = time.perf_counter()
        for lane, (waiting, reply) in done:
            if isinstance(reply, bytes):
                kept -= 1
                if kept < 0:
                    reply = Unavailable("SERVE-014", "the request could not be captured; it was not answered")  # noqa: PLW2901
                else:
                    lane.latencies.add((now - waiting.arrived) * 1e6)
            else:
                lane.errors += 1
            del self._pending[waiting.id]
            if not waiting.future.done():
                waiting.future.set_result(reply)
        self._on_change()

    # --- revisions ------------------------------------------------------------------------

    def adopt(self, desired: Desired, loaded: Mapping[int, Loaded | Problem]) -> None:
        """Take over a desired state whose new revisions were loaded.

        Parameters
        ----------
        desired : Desired
            Its weights take effect at once.
        loaded : mapping of int to Loaded or Problem
            Each newly loaded revision, or why it could not be; those that serve already are
            kept as they are.

        Notes
        -----
        Guarantees: when no revision with a weight could be loaded, those that serve go on; a
        request that waits is answered by the revision that it was queued for.
        """
        self._problems = {number: each for number, each in loaded.items() if isinstance(each, Problem)}
        for number, each in loaded.items():
            if isinstance(each, Loaded):
                inputs = each.predictor.signature.inputs
                self._leave(number)
                self.lanes[number] = Lane(desired.service, each, self._find_schema(inputs, desired.context))
        for lane in self.lanes.values():
            lane.schema = self._find_schema(lane.inputs, desired.context)
        self.desired = desired
        self._started.set()
        self._set_routes([each for each in desired.revisions if each.held and each.weight > 0])
        kept = {each.number for each in desired.revisions if each.held} | {lane.number for _, lane in self._routes}
        for number in [number for number in self.lanes if number not in kept]:
            self._leave(number)
        self._on_change()

    def holds(self, revision: DesiredRevision) -> bool:
        """Tell whether a revision is loaded with these very files."""
        lane = self.lanes.get(revision.number)
        return lane is not None and lane.revision.digest == revision.digest

    @property
    def ready(self) -> bool:
        """Whether a request would be answered."""
        return self._main is not None

    def report(self) -> dict[int, RevisionStatus]:
        """Return what a status shows of each revision."""
        weights = _read_weights(self._routes)
        wanted = {each.number: each for each in self.desired.revisions}
        found = {}
        for number in sorted({*wanted, *self.lanes, *self.captures.counts}):
            count = self.captures.counts.get(number, Count())
            status = RevisionStatus("retired", requests=count.requests, rows=count.rows)
            if number in wanted:
                status.model = wanted[number].model
                status.state = "loading" if wanted[number].held else status.state
            lane = self.lanes.get(number)
            if lane is not None:
                lane.describe(status)
                status.weight = weights.get(number, 0)
            if number in self._problems:
                status.state = "failed"
                status.problem = self._problems[number].about(name=self.desired.service)
            found[number] = status
        return found

    def close(self) -> None:
        """Let threads and captures go; nothing may wait any more."""
        self._threads.shutdown()
        self.captures.close()

    def _leave(self, number: int) -> None:
        """Take a revision out; what waits for it is still answered."""
        lane = self.lanes.pop(number, None)
        if lane is not None and not lane.idle:
            self._leaving.append(lane)

    def _find_schema(self, inputs: Sequence[Column], context: Sequence[ContextColumn]) -> Schema:
        """Return one schema for all revisions that accept the same requests, so that a body is read once."""
        key = identify(inputs, context)
        if key not in self._schemas:
            self._schemas[key] = Schema(inputs, context)
        return self._schemas[key]

    def _set_routes(self, weighted: Sequence[DesiredRevision]) -> None:
        loaded = [each for each in weighted if each.number in self.lanes]
        if weighted and not loaded:
            return
        if not loaded:
            self._main, self._routes = None, []
            return
        main = max(loaded, key=lambda each: (each.state == "live", each.weight, -each.number))
        self._main = self.lanes[main.number]
        self._routes, bound = [], 0
        for each in sorted(loaded, key=lambda each: -each.number):
            lane = self.lanes[each.number]
            if each is main:
                continue
            if lane.schema is not self._main.schema:
                what = f"{each.model} takes other inputs than {main.model}, which is live"
                self._problems[each.number] = describe(Conflict("SERVE-019", what))
                continue
            bound += each.weight
            self._routes.append((bound, lane))
        self._routes.append((100, self._main))


def _read_weights(routes: Sequence[tuple[int, Lane]]) -> dict[int, int]:
    weights, below = {}, 0
    for bound, lane in routes:
        weights[lane.number] = max(0, bound - below)
        below = bound
    return weights


def _check_same(id: str, first: bytes, body: bytes) -> None:  # noqa: A002 - the protocol's word
    if first != body:
        raise Conflict("SERVE-013", f"request id {id!r} was used for another request", id=id)


def _raise_or_return(reply: bytes | MainspringError) -> bytes:
    if isinstance(reply, MainspringError):
        raise reply
    return reply
