"""The engine of a home: what it holds, against what the record says."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from mainspring.compute import decide
from mainspring.compute.engine import Engine, Handle, Rejection, Spec, Status, find_engine
from mainspring.control.finishing import cancel_run, end_run, lose_run
from mainspring.control.reports import sweep_journal
from mainspring.control.turn import Turn
from mainspring.control.usecases import HANDLERS, adopts, ends, loop
from mainspring.domain.errors import Failed
from mainspring.domain.home import Home
from mainspring.domain.messages import FinishRun
from mainspring.domain.records import Call, Resources, Run
from mainspring.domain.wire import describe
from mainspring.security.tokens import worker_token
from mainspring.store import calls, runs

NODE = "local"
URL = "local://"

START_S = 30.0
"""Seconds in which a worker must ask for a run that was placed on it."""

GRACE_S = 3.0
"""Seconds that a cancelled run has to clean up."""

_log = logging.getLogger(__name__)
_FAILURES = {"timeout": "RUN-007", "memory": "WORK-006"}
_NOT_BEGUN = {"unstartable": "WORK-002", "unbuildable": "ENV-003"}


class Pool:
    """The engine of a home, while an owner lives.

    Parameters
    ----------
    engine : Engine
        Holds the runs.

    Attributes
    ----------
    ending : dict of Handle to Placed
        Attempts that were told to end and still use what they were given.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.ending: dict[Handle, decide.Placed] = {}
        self._rejected: list[Rejection] = []
        self._due: dict[Handle, float] = {}

    def submit(self, specs: Sequence[Spec]) -> None:
        """Hand attempts to the engine; what it refuses is settled in the next turn."""
        self._rejected += [each for each in self.engine.submit(specs) if isinstance(each, Rejection)]

    def is_due(self, handle: Handle, now: float) -> bool:
        """Tell whether an attempt whose environment is being built is to be given more time; not with each look."""
        if now < self._due.get(handle, 0.0):
            return False
        self._due = {each: at for each, at in self._due.items() if at >= now} | {handle: now + START_S / 3}
        return True

    def take_rejected(self) -> dict[Handle, str]:
        """Return, once, what the engine has refused, and why."""
        rejected, self._rejected = self._rejected, []
        return {Handle(each.run_id, each.attempt): each.reason for each in rejected}


_pools: dict[Path, Pool] = {}


def open_pool(home: Home) -> Pool:
    """Return the engine of a home, found when it is first asked for."""
    if home.root not in _pools:
        _pools[home.root] = Pool(find_engine(URL, home))
    return _pools[home.root]


@adopts
def adopt_attempts(turn: Turn) -> None:
    """Find what a dead owner had started, and start what it had only decided to."""
    pool = open_pool(turn.home)
    pool.engine.adopt(0.0)
    specs = [
        make_spec(runs.get_run(turn.connection, held.id), held.call, worker_token(turn.home, held.id, held.attempt))
        for held in calls.list_held(turn.connection, turn.node)
        if held.state == "starting"
    ]
    if specs:
        turn.after_commit(lambda: pool.submit(specs))


@ends
def close_pool(home: Home) -> None:
    """Let the engine go; what runs goes on."""
    pool = _pools.pop(home.root, None)
    if pool is not None:
        pool.engine.close()


def make_spec(run: Run, call: Call, token: str) -> Spec:
    """Return what an engine is told about an attempt."""
    return Spec(
        run.id,
        run.attempt,
        run.fence,
        token,
        run.resources,
        run.timeout_s,
        call.python,
        call.paths,
        call.folder,
        call.code_digest,
        call.preload,
        call.environment,
        call.variables,
        run.project,
    )


def find_misfit(turn: Turn, kind: str, asked: Resources) -> str:
    """Tell why a run could never start here; empty when it could."""
    if asked.pool not in {None, NODE}:
        return f"there is no pool {asked.pool!r}; this home has one, {NODE}"
    return decide.find_misfit(open_pool(turn.home).engine.capacity(), kind, asked)


@loop(every_s=0.2, topics=("unwanted",))
def settle(turn: Turn) -> None:
    """Bring into the record how attempts have ended, and end those that nobody wants."""
    pool = open_pool(turn.home)
    live = {Handle(held.id, held.attempt) for held in calls.list_held(turn.connection, turn.node)}
    held = set(pool.engine.adopt(0.0))
    for handle, reason in pool.take_rejected().items():
        if handle in live:
            _settle(turn, handle, partial(_fail, code="RUN-009", what=f"the engine refused it: {reason}"))
    settled: list[Handle] = []
    for status in pool.engine.poll(list(live)):
        handle = Handle(status.run_id, status.attempt)
        if status.building and pool.is_due(handle, turn.clock.monotonic()):
            _settle(turn, handle, _await_environment)
        if status.state == "ended" and _settle(turn, handle, partial(_end, status=status)):
            settled.append(handle)
    _end_unwanted(turn, pool, held - live)
    if settled:
        turn.after_commit(lambda: pool.engine.release(settled))


def _settle(turn: Turn, handle: Handle, end: Callable[[Turn, Run], object]) -> bool:
    """End an attempt, unless what was settled before it has ended it already; False when that cannot be done."""
    try:
        with turn.part():
            run = runs.get_run(turn.connection, handle.run_id)
            if run.attempt == handle.attempt and not runs.is_ended(run):
                end(turn, run)
    except Exception:  # noqa: BLE001 - one that cannot be settled must not keep the others from it
        _log.exception("attempt %d of run %s cannot be settled", handle.attempt, handle.run_id)
        return False
    return True


def _end(turn: Turn, run: Run, status: Status) -> None:
    sweep_journal(turn, run)
    if status.cause in _FAILURES:
        problem = describe(Failed(_FAILURES[status.cause], f"{run.name}: {status.detail}", run=run.id))
        command = FinishRun(
            run_id=run.id,
            attempt=run.attempt,
            fence=run.fence,
            state="failed",
            problem=problem,
            cpu_s=status.cpu_s,
            memory_bytes=status.memory_bytes,
        )
        HANDLERS[FinishRun](turn, command)
    elif status.cause in _NOT_BEGUN:
        _fail(turn, run, _NOT_BEGUN[status.cause], status.detail)
    elif status.cause == "cancelled":
        cancel_run(turn, run, status.detail)
    else:
        lose_run(turn, run, status.detail or "its worker gave it back")


def _await_environment(turn: Turn, run: Run) -> None:
    """Leave a run its place while its environment is built, however long that takes."""
    waits = "starting: its environment is being built"
    until = turn.clock.monotonic() + START_S
    runs.extend_lease(turn.connection, run.id, run.attempt, run.fence, until)
    if run.state == "starting" and run.reason != waits:
        runs.change_run(turn.connection, run, reason=waits)


def _fail(turn: Turn, run: Run, code: str, what: str) -> None:
    end_run(turn, run, "failed", reason=what, problem=describe(Failed(code, f"{run.name}: {what}", run=run.id)))


def _end_unwanted(turn: Turn, pool: Pool, others: set[Handle]) -> None:
    over = [Handle(each.run_id, each.attempt) for each in pool.engine.poll(list(others)) if each.state == "ended"]
    for handle in over:
        pool.ending.pop(handle, None)
    if over:
        turn.after_commit(lambda: pool.engine.release(over))
    for handle in others - set(over) - set(pool.ending):
        run = runs.find_held(turn.connection, handle.run_id)
        # One that has told its result is about to end by itself.
        if run is not None and run[0].attempt == handle.attempt and run[0].state != "cancelled":
            continue
        resources, kind = (run[0].resources, run[0].kind) if run else (Resources(), "")
        pool.ending[handle] = decide.Placed(handle.run_id, kind, resources, NODE)
        pool.engine.cancel([handle], GRACE_S, signal.SIGTERM)
