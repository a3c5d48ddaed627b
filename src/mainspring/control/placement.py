"""The engines of a home, one for each pool: what they hold, against what the record says."""

from __future__ import annotations

import contextlib
import logging
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from mainspring.compute.engine import Engine, Gang, Handle, Node, Rejection, Spec, Status, find_engine
from mainspring.compute.scheduling import fitting
from mainspring.control import gangs, sites
from mainspring.control.finishing import cancel_run, end_run, lose_run
from mainspring.control.reports import sweep_journal
from mainspring.control.settings import read_grace_s
from mainspring.control.turn import Turn
from mainspring.control.usecases import HANDLERS, adopts, ends, loop
from mainspring.domain.crashpoints import crash_point
from mainspring.domain.errors import Denied, Failed, Invalid, MainspringError
from mainspring.domain.gangs import name_member, split_member
from mainspring.domain.home import Home
from mainspring.domain.messages import FinishRun
from mainspring.domain.pools import Pool as Told
from mainspring.domain.pools import join_places, list_places, name_place, split_place
from mainspring.domain.records import Call, Resources, Run
from mainspring.domain.wire import describe
from mainspring.security.tokens import worker_token
from mainspring.store import calls, runs
from mainspring.store import pools as store

START_S = 30.0
"""Seconds in which a worker must ask for a run that was placed on it."""

GRACE_S = 3.0
"""Seconds that a cancelled run has to clean up."""

_log = logging.getLogger(__name__)
_FAILURES = {"timeout": "RUN-007", "memory": "WORK-006"}
_NOT_BEGUN = {"unstartable": "WORK-002", "unbuildable": "ENV-003"}


class Ending(NamedTuple):
    """What an attempt still uses that was told to end."""

    kind: str
    resources: Resources
    place: str


class Pool:
    """A pool of a home, while an owner lives.

    Parameters
    ----------
    name, url : str
        The pool's.
    home : Home
        Whose runs it executes.

    Attributes
    ----------
    told : domain.pools.Pool
        What the record knows of it.
    faults : dict of str to str
        What the engine raised when it was last asked so: ``capacity``, ``submit``, ``settle``.
    machines : list of Node or None
        Those that it told of last; None: it has never told.
    ending : dict of Handle to Ending
        Attempts that were told to end and still use what they were given.
    """

    def __init__(self, name: str, url: str, home: Home) -> None:
        self.name = name
        self.url = url
        self.told = Told(name, url)
        self.faults: dict[str, str] = {}
        self.machines: list[Node] | None = None
        self.ending: dict[Handle, Ending] = {}
        self._home = home
        self._engine: Engine | None = None
        self._answers = True
        self._rejected: list[Rejection] = []
        self._due: dict[Handle, float] = {}
        self._going: set[Handle] = set()

    @property
    def owns_queue(self) -> bool:
        """Its engine says itself what starts and what gives way; False while nobody has asked it anything."""
        return self._engine is not None and self._engine.describe().owns_queue

    @property
    def engine(self) -> Engine:
        """The engine, made when it is first asked for.

        Raises
        ------
        MainspringError
            WORK-001 when it is not installed, or what the engine itself says.
        """
        if self._engine is None:
            self._engine = find_engine(self.url, self._home)
        return self._engine

    @property
    def takes_gangs(self) -> bool:
        """Whether its engine starts all members of a gang itself; what cannot be asked does not."""
        with self.asking("gang"):
            return self.engine.describe().gang
        return False

    @property
    def problem(self) -> str:
        """Why its engine cannot be used now; empty: it can."""
        return next(iter(self.faults.values()), "" if self._answers else f"{self.url} does not answer")

    def list_nodes(self) -> list[Node]:
        """Return the machines that can be used now, named by their places."""
        with self.asking("capacity"):
            found = [replace(node, name=name_place(self.name, node.name)) for node in self.engine.capacity()]
            self._answers = bool(found)
            self.machines = found or self.machines
            return found
        return []

    @contextlib.contextmanager
    def asking(self, what: str) -> Iterator[None]:
        """Keep what the engine raises inside as a fault of this pool alone; said in the log when it is news."""
        try:
            yield
        except Exception as fault:  # noqa: BLE001 - an engine of somebody else must hinder neither owner nor pools
            known = isinstance(fault, MainspringError)
            told = fault.what if isinstance(fault, MainspringError) else f"{type(fault).__name__}: {fault}"
            if self.faults.get(what) != told:
                _log.error("pool %s: %s", self.name, told, exc_info=not known)
            self.faults[what] = told
        else:
            self.faults.pop(what, None)

    def submit(self, specs: Sequence[Spec]) -> None:
        """Hand attempts to the engine; what it refuses is settled in the next turn."""
        self._rejected += [each for each in self.engine.submit(specs) if isinstance(each, Rejection)]

    def is_due(self, handle: Handle, now: float) -> bool:
        """Tell whether an attempt that has good reason not to have begun is to be given more time; not each look."""
        if now < self._due.get(handle, 0.0):
            return False
        self._due = {each: at for each, at in self._due.items() if at >= now} | {handle: now + START_S / 3}
        return True

    def tell_going(self, going: set[Handle]) -> None:
        """Send the word to end to attempts that are to give way, and did not get it from this owner."""
        new = [*going - self._going]
        if new:
            crash_point("preempt.ordered")
            self.engine.cancel(new, read_grace_s(), signal.SIGTERM)
            crash_point("preempt.told")
        self._going = going

    def take_rejected(self) -> dict[Handle, str]:
        """Return, once, what the engine has refused, and why."""
        rejected, self._rejected = self._rejected, []
        return {Handle(each.run_id, each.attempt): each.reason for each in rejected}

    def close(self) -> None:
        """Let the engine go; what runs goes on."""
        if self._engine is not None:
            self._engine.close()


_pools: dict[Path, dict[str, Pool]] = {}
_retired: dict[Path, list[Pool]] = {}
"""Pools that are no more, until nothing runs there."""


def open_pools(turn: Turn) -> dict[str, Pool]:
    """Return the pools of the record by name, the local one first; a removed one is let go once it is empty."""
    known = _pools.setdefault(turn.home.root, {})
    told = sites.read_pools(turn)
    for name, pool in list(known.items()):
        if name not in told or told[name].url != pool.url:
            _retired.setdefault(turn.home.root, []).append(known.pop(name))
    for name, each in told.items():
        if name not in known:
            known[name] = Pool(name, each.url, turn.home)
        known[name].told = each
    return known


def list_machines(turn: Turn) -> list[tuple[Told, Node]]:
    """Return pool and node of the machines on which runs may start now; nodes are named by their places."""
    drained = store.read_drains(turn.connection)
    return [
        (pool.told, node)
        for pool in open_pools(turn).values()
        for node in pool.list_nodes()
        if node.name not in drained
    ]


def list_delegated(turn: Turn) -> set[str]:
    """Return the pools whose engines have queues of their own."""
    return {pool.name for pool in open_pools(turn).values() if pool.owns_queue}


def list_ending(turn: Turn) -> dict[Handle, Ending]:
    """Return what was told to end and still uses what it was given."""
    pools = [*open_pools(turn).values(), *_retired.get(turn.home.root, ())]
    return {handle: ending for pool in pools for handle, ending in pool.ending.items()}


def submit(turn: Turn, specs: Iterable[tuple[str, Spec]]) -> None:
    """Hand attempts to the engines of their pools, after the commit.

    Not before it: a worker that asks early would find no run for its token. An engine that fails to take
    them is asked again by nobody; the owner takes back what no worker asks for.
    """
    known = open_pools(turn)
    for name in dict.fromkeys(pool for pool, _ in specs):
        pool, mine = known[name], [spec for of, spec in specs if of == name]
        turn.after_commit(partial(_hand_over, pool, mine))


def _hand_over(pool: Pool, specs: list[Spec]) -> None:
    with pool.asking("submit"):
        pool.submit(specs)


@adopts
def adopt_attempts(turn: Turn) -> None:
    """Find what a dead owner had started, and start what it had only decided to."""
    known = open_pools(turn)
    for pool in known.values():
        with pool.asking("settle"):
            pool.engine.adopt(0.0)
    submit(
        turn,
        [
            spec
            for held in calls.list_held(turn.connection, turn.node)
            if held.state == "starting" and split_place(held.place)[0] in known
            for run in [runs.get_run(turn.connection, held.id)]
            for spec in make_specs(turn, run, held.call, worker_token(turn.home, held.id, held.attempt))
        ],
    )


@ends
def close_pools(home: Home) -> None:
    """Let the engines go; what runs goes on."""
    for pool in [*_pools.pop(home.root, {}).values(), *_retired.pop(home.root, [])]:
        pool.close()


def make_specs(turn: Turn, run: Run, call: Call, token: str) -> list[tuple[str, Spec]]:
    """Return for an attempt its pool and what the engine there is told: of a gang, about each member."""
    name = split_place(run.place)[0]
    whole = _make_spec(run, call, token)
    if run.resources.nodes == 1:
        return [(name, whole)]
    pool, places = open_pools(turn)[name], list_places(run.place)
    if pool.takes_gangs:
        return [(name, replace(whole, gang=Gang(len(places))))]
    address = next((node.address for node in pool.machines or () if node.name == places[0]), "")
    return [
        (
            name,
            replace(
                whole,
                resources=replace(run.resources, nodes=1),
                run_id=name_member(run.id, rank),
                node=split_place(place)[1],
                gang=Gang(len(places), rank, address),
            ),
        )
        for rank, place in enumerate(places)
    ]


def list_handles(pool: Pool, run_id: str, attempt: int, nodes: int) -> list[Handle]:
    """Return by what the engine of a pool knows an attempt: of a gang, its members."""
    if nodes == 1 or pool.takes_gangs:
        return [Handle(run_id, attempt)]
    return [Handle(name_member(run_id, rank), attempt) for rank in range(nodes)]


def _make_spec(run: Run, call: Call, token: str) -> Spec:
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
        node=split_place(run.place)[1],
    )


def check_fit(turn: Turn, run: Run, tenant: str, label: str) -> None:
    """Refuse a run that could never start here; one of which nobody knows may wait.

    Parameters
    ----------
    turn : Turn
        The turn.
    run : Run
        Not yet in the record.
    tenant : str
        Whose it is.
    label : str
        What of it is sensitive, in a few words; empty: nothing.

    Raises
    ------
    Invalid
        RUN-009 when no machine could hold it.
    Denied
        POOL-008 or POOL-009 when one could that may not.
    """
    known, asked = open_pools(turn), run.resources
    never = f"{run.kind} {run.name} can never start"
    if asked.pool is not None and asked.pool not in known:
        what = f"{never}: there is no pool {asked.pool!r}; there are {', '.join(known)}"
        raise Invalid("RUN-009", what, name=run.name)
    wanted = fitting.find_pool(run.kind, asked)
    usable = [pool for pool in known.values() if wanted in {"", pool.name}]
    refusals = {pool.name: sites.find_refusal(pool.told, run, tenant) for pool in usable}
    for pool in usable:
        pool.list_nodes()
    may = [pool for pool in usable if not refusals[pool.name][0]]
    if any(pool.machines is None for pool in may):
        return  # what has never answered may have what it asks for
    misfit = fitting.find_misfit([node for pool in may for node in pool.machines or ()], run.kind, asked)
    if not misfit:
        return
    for pool in usable:
        why, fix = refusals[pool.name]
        if why and (pool.machines is None or not fitting.find_misfit(pool.machines, run.kind, asked)):
            leaves = bool(label) and not pool.told.may_hold_sensitive
            where = f"{misfit}; the pool {pool.name}" if may else f"the pool {pool.name}"
            what = f"{never}: {where} {why}{f', and {label}' if leaves else ''}"
            raise Denied("POOL-008" if leaves else "POOL-009", what, fix=fix, name=run.name)
    raise Invalid("RUN-009", f"{never}: {misfit}", name=run.name)


@loop(every_s=0.2, topics=("unwanted",))
def settle(turn: Turn) -> None:
    """Bring into the record how attempts have ended, and end those that nobody wants."""
    known = open_pools(turn)
    live: dict[str, set[Handle]] = {name: set() for name in known}
    held_ids: set[str] = set()
    going: set[Handle] = set()
    for held in calls.list_held(turn.connection, turn.node):
        name = split_place(held.place)[0]
        held_ids.add(held.id)
        if name in known:
            handles = list_handles(known[name], held.id, held.attempt, held.resources.nodes)
            live[name].update(handles)
            going.update(handles if held.gives_way else ())
        else:
            _settle(turn, Handle(held.id, held.attempt), partial(leave_pool, pool=name))
    gangs.forget_others(turn, held_ids)
    for pool in known.values():
        _settle_pool(turn, pool, live[pool.name], going)
    for pool in list(_retired.get(turn.home.root, ())):
        if not _settle_pool(turn, pool, set(), set()):
            _retired[turn.home.root].remove(pool)
            turn.after_commit(pool.close)


def leave_pool(turn: Turn, run: Run, pool: str) -> None:
    """Take a run from a pool that is no more: it may go elsewhere, unless it asks for that pool."""
    if run.resources.pool == pool:
        _fail(turn, run, "POOL-005", f"the pool {pool} was removed")
    elif run.state != "queued":
        lose_run(turn, run, f"the pool {pool} was removed")


def _settle_pool(turn: Turn, pool: Pool, live: set[Handle], going: set[Handle]) -> bool:
    """Settle what a pool holds; False when it holds nothing."""
    for handle, reason in pool.take_rejected().items():
        if handle in live:
            _settle(turn, handle, partial(_fail, code="RUN-009", what=f"the engine refused it: {reason}"))
    holds = bool(live)
    with pool.asking("settle"):
        held = set(pool.engine.adopt(0.0))
        holds = bool(held)
        pool.tell_going(held & live & going)
        settled: list[Handle] = []
        found = pool.engine.poll(list(live))
        alive = {split_member(status.run_id)[0] for status in found if status.state != "ended"}
        for status in found:
            handle = Handle(status.run_id, status.attempt)
            if (status.building or status.queued) and pool.is_due(handle, turn.clock.monotonic()):
                waits = "its environment is being built" if status.building else status.detail
                _settle(turn, handle, partial(_await_start, waits=f"starting: {waits}"))
            if handle in going and split_member(status.run_id)[0] in alive:
                continue  # a gang gives way when all of it has ended
            if status.state == "ended" and _settle(turn, handle, partial(_end, status=status)):
                settled.append(handle)
        _end_unwanted(turn, pool, held - live)
        if settled:
            turn.after_commit(lambda: pool.engine.release(settled))
    return holds


def _settle(turn: Turn, handle: Handle, end: Callable[[Turn, Run], object]) -> bool:
    """End an attempt, unless what was settled before it has ended it already; False when that cannot be done."""
    try:
        with turn.part():
            run = runs.get_run(turn.connection, split_member(handle.run_id)[0])
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
    elif status.cause == "cancelled" and not runs.get_held(turn.connection, run.id)[1].gives_way:
        cancel_run(turn, run, status.detail)
    else:
        lose_run(turn, run, status.detail or "its worker gave it back")


def _await_start(turn: Turn, run: Run, waits: str) -> None:
    """Leave a run its place while its environment is built, or the engine's own queue holds it, however long."""
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
        run_id, rank = split_member(handle.run_id)
        run = runs.find_held(turn.connection, run_id)
        if run is not None and run[0].attempt == handle.attempt and _is_ending(run[0]):
            continue
        resources, kind = (run[0].resources, run[0].kind) if run else (Resources(), "")
        places = list_places(_find_place(run[0], handle.attempt) if run is not None else "")
        if resources.nodes > 1 and not pool.takes_gangs:
            places = places[rank : rank + 1]
        pool.ending[handle] = Ending(kind, resources, join_places(places or [pool.name]))
        pool.engine.cancel([handle], GRACE_S, signal.SIGTERM)


def _is_ending(run: Run) -> bool:
    """Tell whether what runs of it is about to end by itself: it has told its result; not so all of a failed gang."""
    return run.state == "succeeded" if run.resources.nodes > 1 else run.state != "cancelled"


def _find_place(run: Run, attempt: int) -> str:
    return next((each.place for each in run.attempts if each.number == attempt), run.place)
