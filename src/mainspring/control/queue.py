"""The queue: runs are submitted, placed on the engine, leased by workers, and settled when those end."""

from __future__ import annotations

from collections.abc import Sequence

from mainspring.compute import decide
from mainspring.compute.engine import Spec
from mainspring.control import placement
from mainspring.control.finishing import tell_run
from mainspring.control.leases import LEASE_S
from mainspring.control.processes import this_host
from mainspring.control.results import make_run
from mainspring.control.turn import Turn
from mainspring.control.usecases import handles, loop
from mainspring.domain import messages
from mainspring.domain.errors import Denied, Invalid
from mainspring.domain.pools import split_place
from mainspring.domain.principals import DEFAULT_PROJECT
from mainspring.domain.records import Run
from mainspring.domain.states import TERMINAL
from mainspring.security.tokens import digest_token, is_token, worker_token
from mainspring.store import calls, runs

_LOOK_AHEAD = (16, 10_000)
"""How far down the line is looked for what fits: first a little, then all."""


@handles(messages.SubmitRuns, action="runs.start")
def submit_runs(turn: Turn, command: messages.SubmitRuns) -> list[Run]:
    """Queue runs; all or none.

    Raises
    ------
    Invalid
        RUN-009 when no node can ever hold one of them.
    Conflict
        RUN-002 when the run above one of them has ended.
    """
    submitted = [_submit(turn, spec) for spec in command.runs]
    turn.notify("queue")
    return submitted


@handles(messages.LeaseRun, action="runs.lease", durable=False)
def lease_run(turn: Turn, command: messages.LeaseRun) -> messages.Lease:
    """Answer a worker with the run that its token stands for; asked again, with the same.

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
    return messages.Lease(run, placed.call, placed.study, LEASE_S)


@loop(every_s=0.2, topics=("queue",), durable=False, joins=True)
def dispatch(turn: Turn) -> None:
    """Start what fits."""
    nodes = tuple(node for _, node in placement.list_machines(turn))
    held = calls.list_held(turn.connection, turn.node)
    placed = [decide.Placed(run.id, run.kind, run.resources, run.place, run.waits) for run in held]
    placed += placement.list_ending(turn)
    for limit in _LOOK_AHEAD:
        waiting = calls.list_waiting(turn.connection, turn.node, limit, turn.now())
        if not waiting:
            return
        queued = tuple(decide.Queued(each.id, each.kind, each.resources, each.created_at) for each in waiting)
        state = decide.State(nodes, queued, tuple(placed))
        decisions = decide.decide(state, turn.now())
        if decisions.starts or len(waiting) < limit or not decide.has_room(state):
            break
    _start(turn, decisions)
    _tell(turn, waiting[: _LOOK_AHEAD[0]], decisions.waits[: _LOOK_AHEAD[0]])


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
    waiting = calls.list_waiting(turn.connection, turn.node, _LOOK_AHEAD[-1], turn.now())
    rank = next((rank for rank, each in enumerate(waiting, 1) if each.id == run.id), 0)
    return f"{run.reason}, {_ordinal(rank)} in line" if rank else run.reason


def _submit(turn: Turn, spec: messages.RunSpec) -> Run:
    dedupe = _name_dedupe(turn.project, spec.dedupe) if spec.dedupe is not None else None
    known = calls.find_duplicate(turn.connection, dedupe) if dedupe is not None else None
    if known is not None:
        return runs.get_runs(turn.connection, [known])[0]
    misfit = placement.find_misfit(turn, spec.kind, spec.resources)
    if misfit:
        raise Invalid("RUN-009", f"{spec.kind} {spec.name} can never start: {misfit}", name=spec.name)
    run = make_run(turn, spec)
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


def _start(turn: Turn, decisions: decide.Decisions) -> None:
    specs: list[tuple[str, Spec]] = []
    for start in decisions.starts:
        run = runs.get_run(turn.connection, start.run_id)
        if run.parent_id is not None and runs.read_state(turn.connection, run.parent_id) in TERMINAL:
            continue  # it is about to be cancelled
        token = worker_token(turn.home, run.id, run.attempt)
        lease_until = turn.clock.monotonic() + placement.START_S
        changed = runs.change_run(
            turn.connection,
            run,
            state="starting",
            reason=f"starting on {start.node}",
            place=start.node,
            lease_until=lease_until,
        )
        placed = calls.find_placed(turn.connection, run.id)
        if changed and placed is not None:
            calls.place(turn.connection, run.id, digest_token(token), turn.now())
            run.place = start.node
            specs.append((split_place(start.node)[0], placement.make_spec(run, placed.call, token)))
    placement.submit(turn, specs)


def _tell(turn: Turn, waiting: Sequence[calls.Waiting], waits: Sequence[decide.Wait]) -> None:
    before = {each.id: each.reason for each in waiting}
    for wait in waits:
        known = before.get(wait.run_id, "")
        # Why an attempt was lost or failed says more than what the next one waits for.
        if known.startswith("waiting") and known != wait.reason:
            runs.change_run(turn.connection, runs.get_run(turn.connection, wait.run_id), reason=wait.reason)


def _ordinal(number: int) -> str:
    if number % 100 in {11, 12, 13}:
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"
