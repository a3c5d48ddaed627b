"""The queue: runs are submitted, placed on the engine, leased by workers, and settled when those end."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from mainspring.compute.engine import Spec
from mainspring.compute.scheduling import fitting
from mainspring.compute.scheduling.bursting import explain_rents
from mainspring.compute.scheduling.deciding import Begin, decide
from mainspring.compute.scheduling.fitting import make_machine
from mainspring.compute.scheduling.line import list_in_line
from mainspring.compute.scheduling.state import State
from mainspring.control import gangs, placement
from mainspring.control.backlog import Backlog, find_state, make_backlog, read_backlog
from mainspring.control.costs import charge
from mainspring.control.finishing import tell_run
from mainspring.control.leases import LEASE_S
from mainspring.control.preemption import order_way
from mainspring.control.processes import this_host
from mainspring.control.results import make_run
from mainspring.control.sessions import check_sessions
from mainspring.control.sites import SAID, find_label
from mainspring.control.turn import Turn
from mainspring.control.usecases import Later, handles, loop
from mainspring.domain import messages
from mainspring.domain.errors import Denied
from mainspring.domain.pools import join_places, split_place
from mainspring.domain.principals import DEFAULT_PROJECT
from mainspring.domain.quotas import name_tenant
from mainspring.domain.records import Run
from mainspring.domain.states import TERMINAL
from mainspring.security.tokens import digest_token, is_token, worker_token
from mainspring.store import calls, runs

_MOST_TOLD = 16
"""So many of the first in line are told in the record what they wait for."""

_MOST_TRIES = 8
"""So often it is decided again in one turn because what was to start waits no longer."""


@handles(messages.SubmitRuns, action="runs.start")
def submit_runs(turn: Turn, command: messages.SubmitRuns) -> list[Run]:
    """Queue runs; all or none.

    Raises
    ------
    Invalid
        RUN-009 when no node can ever hold one of them, POOL-008 or POOL-009 when one could that may not.
    Conflict
        RUN-002 when the run above one of them has ended.
    """
    submitted = [_submit(turn, spec) for spec in command.runs]
    turn.notify("queue")
    return submitted


@handles(messages.LeaseRun, action="runs.lease", durable=False)
def lease_run(turn: Turn, command: messages.LeaseRun) -> messages.Lease | Later:
    """Answer a worker with the run that its token stands for; asked again, with the same.

    The member of a gang whose rank is 0 leases for all; the others get the run once it has.

    Raises
    ------
    Denied
        AUTH-010 when a worker that was let in by the token of one attempt asks for another.
    """
    if turn.actor.kind == "worker" and command.token.rpartition("-")[0] != turn.actor.name:
        raise Denied("AUTH-010", f"{turn.actor} asks for the lease of another attempt")
    run_id = command.token.partition("-")[0]
    placed = calls.find_placed(turn.connection, run_id)
    if placed is None or not is_token(command.token, placed.token or ""):
        return messages.Lease()
    run = runs.get_run(turn.connection, run_id)
    if command.rank:
        return _join_gang(turn, run, placed, command)
    again = run.state == "running" and placed.worker_id == command.worker_id
    if run.state != "starting" and not again:
        return messages.Lease()
    if not again:
        calls.take(turn.connection, run_id, command.worker_id)
        runs.change_run(
            turn.connection,
            run,
            state="running",
            reason=placed.reason or "",
            pid=command.pid,
            host=command.host or this_host(),
            started_at=max(turn.now(), run.created_at),
            lease_until=turn.clock.monotonic() + LEASE_S,
        )
        turn.notify(run_id)
        run = runs.get_run(turn.connection, run_id)
        if run.parent_id is None:
            tell_run(turn, run)
    port = gangs.meet(turn, run, 0, command.port) if run.resources.nodes > 1 else 0
    return messages.Lease(run, placed.call, placed.study, LEASE_S, port=port)


def _join_gang(turn: Turn, run: Run, placed: calls.Placed, command: messages.LeaseRun) -> messages.Lease | Later:
    """Answer a member of a gang that is not its first: with the same run, once the first has leased it."""
    if run.state not in {"starting", "running"} or command.rank >= run.resources.nodes:
        return messages.Lease()
    port = gangs.meet(turn, run, command.rank, 0)
    if run.state == "running" and port:
        return messages.Lease(run, placed.call, placed.study, LEASE_S, command.rank, port)
    if not turn.expired:
        return Later((run.id,), command.wait_s)
    # What the first has offered to an owner that is no more, nobody knows: the attempt is lost.
    return messages.Lease(rank=command.rank if run.state == "starting" else 0)


@loop(every_s=0.2, topics=("queue",), durable=False, joins=True)
def dispatch(turn: Turn) -> None:
    """Start what fits."""
    nodes, delegated = placement.list_machines(turn), placement.list_delegated(turn)
    machines = [make_machine(node, pool, delegated=pool.name in delegated) for pool, node in nodes]
    backlog = read_backlog(turn, machines)
    specs: list[tuple[str, Spec]] = []
    for tries in range(_MOST_TRIES):
        decisions = decide(backlog.state, turn.now())
        for running in decisions.preempted:
            order_way(turn, running.job.run_id, running.gives_way)
        refused = _start(turn, backlog.state, decisions.begun, specs)
        if not refused:
            break
        if not tries:  # one that was cancelled is seldom alone
            backlog = make_backlog(turn, machines)
            backlog.follow(turn)
    placement.submit(turn, specs)
    backlog.keep_usages(turn)
    _tell(turn, backlog)


def explain_wait(turn: Turn, run: Run) -> str:
    """Say what a queued run waits for and its place in line.

    Parameters
    ----------
    turn : Turn
        The turn.
    run : Run
        In the state ``queued``.

    Returns
    -------
    str
        ``waiting for 1 of 2 cpus on local, 3rd in line``.
    """
    state = find_state(turn.home)
    if state is None or run.id not in state.backlog:
        return run.reason
    line = list_in_line(state, turn.now())
    rank, job = next((rank, job) for rank, job in enumerate(line, 1) if job.run_id == run.id)
    # Why an attempt was lost or failed says more than what the next one waits for.
    reason = fitting.explain_wait(state, job) if run.reason.startswith("waiting") else run.reason
    going = ", ".join(each.job.run_id[-6:] for each in state.running.values() if each.gives_way == run.id)
    told = [f"{going} gives way to it"] if going else []
    return "; ".join([f"{reason}, {_ordinal(rank)} in line", *told, *explain_rents(state, job, turn.now())])


def _submit(turn: Turn, spec: messages.RunSpec) -> Run:
    dedupe = _name_dedupe(turn.project, spec.dedupe) if spec.dedupe is not None else None
    known = calls.find_duplicate(turn.connection, dedupe) if dedupe is not None else None
    if known is not None:
        return runs.get_runs(turn.connection, [known])[0]
    run = make_run(turn, spec)
    label = find_label(turn, spec.call, run.parent_id) or (SAID if run.resources.sensitive else "")
    run.resources = replace(run.resources, sensitive=bool(label))
    check_sessions(turn, run)
    placement.check_fit(turn, run, name_tenant(run.project, run.principal), label)
    why = run.reason
    run.retries, run.backoff_s, run.timeout_s = spec.retries, spec.backoff_s, spec.timeout_s
    if not run.cached_from:
        run.state, run.reason = "queued", "waiting for a place"
    runs.add_run(turn.connection, run, node=turn.node)
    calls.add_call(turn.connection, run.id, spec, dedupe, why)
    return run


def _name_dedupe(project: str, text: str) -> str:
    """Return what a submission is known by: no project finds or blocks the runs of another."""
    if project == DEFAULT_PROJECT and not text.startswith("project:"):
        return text
    return f"project:{project}:{text}"


def _start(turn: Turn, state: State, begun: Sequence[Begin], specs: list[tuple[str, Spec]]) -> bool:
    """Bring into the record what starts; tell whether some of it waits no longer."""
    refused = False
    pools = placement.open_pools(turn) if begun else {}
    for start in begun:
        run = runs.get_run(turn.connection, start.run_id)
        placed = calls.find_placed(turn.connection, run.id)
        above = runs.read_state(turn.connection, run.parent_id) if run.parent_id is not None else ""
        if run.state != "queued" or placed is None or above in TERMINAL:
            state.stop(run.id, turn.now())  # it was cancelled, or is about to be
            refused = True
            continue
        token = worker_token(turn.home, run.id, run.attempt)
        place = join_places(sorted(spot.machine for spot in start.spots))
        start_s = placement.START_S + pools[split_place(place)[0]].told.start_s
        lease_until = turn.clock.monotonic() + start_s
        reason = f"starting on {place}"
        runs.change_run(turn.connection, run, state="starting", reason=reason, place=place, lease_until=lease_until)
        calls.place(turn.connection, run.id, digest_token(token), turn.now())
        charge(turn, run, state.running[run.id].job, [state.machines[spot.machine] for spot in start.spots])
        run.place = place
        priority = state.shares.rank(name_tenant(run.project, run.principal))
        made = placement.make_specs(turn, run, placed.call, token)
        specs += [(pool, replace(spec, priority=priority)) for pool, spec in made]
    return refused


def _tell(turn: Turn, backlog: Backlog) -> None:
    """Bring into the record what the first in line wait for."""
    if not backlog.is_to_tell(turn.clock.monotonic()):
        return
    known, backlog.told = backlog.told, {}
    for job in list_in_line(backlog.state, turn.now(), _MOST_TOLD):
        reason = backlog.told[job.run_id] = fitting.explain_wait(backlog.state, job)
        if known.get(job.run_id) == reason:
            continue
        run = runs.get_run(turn.connection, job.run_id)
        # Why an attempt was lost or failed says more than what the next one waits for.
        if run.state == "queued" and run.reason.startswith("waiting") and run.reason != reason:
            runs.change_run(turn.connection, run, reason=reason)


def _ordinal(number: int) -> str:
    if number % 100 in {11, 12, 13}:
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"
