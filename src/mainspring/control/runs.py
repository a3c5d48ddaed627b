"""Use cases of runs: begin, wait, list, cancel, report, finish."""

from __future__ import annotations

from mainspring.control import gangs
from mainspring.control.blobs import use_value
from mainspring.control.costs import add_costs
from mainspring.control.finishing import SLICE, cancel_run, end_run, give_back, requeue, tell_run
from mainspring.control.leases import lease_of, length_of
from mainspring.control.reports import find_order
from mainspring.control.results import make_run
from mainspring.control.turn import Turn
from mainspring.control.usecases import Later, handles
from mainspring.domain import messages
from mainspring.domain.backoff import KEPT, find_wait
from mainspring.domain.errors import Conflict
from mainspring.domain.gangs import split_member
from mainspring.domain.records import Run
from mainspring.store import calls, runs, search

_CANCEL_S = 60.0
"""Seconds after which a cancel is answered though more is left below it; that goes on."""


@handles(messages.BeginRun, action="runs.start")
def begin_run(turn: Turn, command: messages.BeginRun) -> messages.Begun:
    """Start a run in the caller's process, or answer with an earlier result of its key.

    A run whose process is on this machine is watched by the owner and needs no heartbeats; any
    other needs one every few seconds.

    Raises
    ------
    Conflict
        RUN-002 when the run above it has ended.
    """
    run = make_run(turn, command)
    run.host, run.pid = command.host, command.pid
    if run.cached_from:
        runs.add_run(turn.connection, run, node=turn.node)
        return messages.Begun(run, True, run.reason)
    run.started_at, run.details = run.created_at, command.details
    if command.call is not None:
        calls.keep_call(turn.connection, run.id, command.call)
    start, lease = lease_of(turn, command.kind, command.host, command.pid)
    runs.add_run(turn.connection, run, process_start=start, lease_until=lease, node=turn.node)
    if run.parent_id is None:
        tell_run(turn, run)
    return messages.Begun(run, False, run.reason)


@handles(messages.FinishRun, action="runs.report")
def finish_run(turn: Turn, command: messages.FinishRun) -> Run | Later:
    """End a run with its result; the same end told twice is one end.

    Members of a gang that have succeeded wait for each other; one that has not ends them all.

    Raises
    ------
    Conflict
        RUN-005 when another attempt holds the run or it was ended otherwise.
    """
    run, hold = runs.get_held(turn.connection, command.run_id)
    if (run.attempt, run.fence) != (command.attempt, command.fence):
        raise Conflict(
            "RUN-005", f"run {run.id} is at attempt {run.attempt}, the result is of {command.attempt}", run=run.id
        )
    # A trial that ended before it heard that it was given up is given up all the same, so that
    # a search does not depend on how fast the word came.
    state = "pruned" if hold.order == "prune" and command.state in {"succeeded", "failed"} else command.state
    if run.state == state:
        return runs.with_metrics(turn.connection, [run])[0]
    if runs.is_ended(run):
        raise Conflict("RUN-005", f"run {run.id} has ended as {run.state}", run=run.id, state=run.state)
    if run.state == "starting" and state not in {"failed", "cancelled"}:
        # Its lease, which nobody waited for, went away with the database: the result is of who had it.
        runs.change_run(turn.connection, run, state="running", started_at=max(turn.now(), run.created_at))
        run = runs.get_run(turn.connection, run.id)
    if run.resources.nodes > 1 and state == "succeeded":
        whole = gangs.gather(turn, run, command.rank)
        if not whole or command.rank:
            return run if turn.expired else Later((run.id,), command.wait_s)
    if state == "failed" and hold.gives_way:
        return give_back(turn, run, hold)  # it was told to end, and did so in its own way
    if state == "failed" and hold.failures < run.retries and calls.has_call(turn.connection, run.id):
        what = command.problem.what if command.problem else "no reason given"
        failures = hold.failures + 1
        wait_s = find_wait(run.backoff_s, failures, turn.randomness.bits(32) / 2**32)
        later = f" in {wait_s:.1f} s" if wait_s else ""
        reason = f"retry {failures} of {run.retries}{later}: attempt {run.attempt} failed, {what}"
        return requeue(turn, run, reason, f"failed, {what}", wait_s, failures=failures)
    outputs = use_value(turn, run, command.outputs) if command.outputs is not None else None
    if state == "failed" and command.call is not None:
        calls.keep_call(turn.connection, run.id, command.call)
    return end_run(
        turn,
        run,
        state,
        outputs=outputs,
        details=run.details if command.details is None else command.details,
        problem=command.problem,
        cpu_s=command.cpu_s,
        memory_bytes=command.memory_bytes,
        attempts=command.attempts[-KEPT:] or run.attempts,
    )


@handles(messages.Heartbeat, action="runs.report", durable=False)
def heartbeat(turn: Turn, command: messages.Heartbeat) -> messages.Beats:
    """Keep runs with their workers, and tell the workers what to do with them."""
    now = turn.clock.monotonic()
    orders: dict[str, str] = {}
    for name, attempt, fence in command.leases:
        run_id, rank = split_member(name)
        held = runs.find_held(turn.connection, run_id)
        orders[name] = order = find_order(*held, attempt, fence) if held else "lost"
        until = now + (length_of(held[0].kind) if held else 0.0)
        if held and held[0].resources.nodes > 1:
            until = gangs.hear(turn, held[0], rank) if held[0].attempt == attempt else now
            # Who is of a gang that has failed, or begins anew, has a grace all the same: it may not be at fault.
            orders[name] = "cancel" if order == "lost" else order
        runs.extend_lease(turn.connection, run_id, attempt, fence, until)
    return messages.Beats(orders)


@handles(messages.GetRun, action="runs.read", reads=True)
def get_run(turn: Turn, command: messages.GetRun) -> Run:
    """Answer with a run by its id, a unique prefix or suffix."""
    return add_costs(turn, runs.find_run(turn.connection, turn.project, command.id))


@handles(messages.ListRuns, action="runs.read", reads=True)
def list_runs(turn: Turn, command: messages.ListRuns) -> list[Run]:
    """Answer with a page of runs, newest first."""
    return search.list_runs(turn.connection, turn.project, command)


@handles(messages.SearchRuns, action="runs.read", reads=True)
def search_runs(turn: Turn, command: messages.SearchRuns) -> messages.RunPage:
    """Answer with a page of the runs that a filter holds for."""
    return search.search_runs(turn.connection, turn.project, command)


@handles(messages.WaitRuns, action="runs.read", reads=True)
def wait_runs(turn: Turn, command: messages.WaitRuns) -> list[Run] | Later:
    """Answer when every run has ended."""
    if not turn.expired:
        unfinished = runs.find_open(turn.connection, command.ids)
        if unfinished:
            return Later(tuple(unfinished), command.wait_s)
    return runs.get_runs(turn.connection, command.ids)


@handles(messages.CancelRuns, action="runs.cancel", rehearsed=True)
def cancel_runs(turn: Turn, command: messages.CancelRuns) -> list[Run] | Later:
    """Cancel runs with everything below them, and answer when all of it is; one that has ended stays as it is."""
    ids = runs.find_ids_of(turn.connection, turn.project, command.ids)
    for run_id in runs.find_open(turn.connection, ids, len(ids) if turn.expired else SLICE):
        cancel_run(turn, runs.get_run(turn.connection, run_id), command.reason)
    more = runs.find_open(turn.connection, ids)
    if more:
        turn.notify("orphans")
    if not turn.expired and (more or runs.find_orphans(turn.connection, 1)):
        return Later(("orphans",), _CANCEL_S)
    return runs.get_runs(turn.connection, ids)
