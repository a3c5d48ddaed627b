"""How runs end or go back to the queue, and what follows from it."""

from __future__ import annotations

from typing import Any

from mainspring.control.blobs import use_value
from mainspring.control.reports import sweep_journal
from mainspring.control.turn import Turn
from mainspring.control.usecases import FINISHED, loop
from mainspring.domain.backoff import KEPT
from mainspring.domain.errors import Conflict, Failed
from mainspring.domain.pools import split_place
from mainspring.domain.quotas import name_tenant
from mainspring.domain.records import Attempt, Problem, Run
from mainspring.domain.states import STOPPED, check_run_transition
from mainspring.domain.wire import describe
from mainspring.store import calls, quotas, runs
from mainspring.store.pools import list_pools

SLICE = 200
"""So many runs are cancelled in one turn, because of the one above them or by one command."""

MOST_LOSSES = 3
"""So many workers of one run may be lost; the next loss fails it."""


MOST_TAKEN = 50
"""As many attempts of one run may end because a spot machine was taken away; what follows counts as a loss."""


def end_run(turn: Turn, run: Run, state: str, *, problem: Problem | None = None, **result: Any) -> Run:
    """Bring a run into a state that it never leaves, in one transaction with all that follows.

    What goes on below it is cancelled: the first `SLICE` at once, the rest in turns of their own, so that
    whoever asks something meanwhile is answered.

    Parameters
    ----------
    turn : Turn
        The turn.
    run : Run
        As the record has it; compare and set.
    state : str
        A terminal run state.
    problem : Problem, optional
        Why it failed; its fix is told for this run.
    **result
        Columns of the run: outputs, details, cpu_s, memory_bytes, reason, or of `Hold`.

    Returns
    -------
    Run
        As the record has it now.

    Raises
    ------
    Conflict
        RUN-002 when the run cannot go there, RUN-005 when somebody was first.
    """
    _end(turn, run, state, problem, **result)
    _cancel_below(turn, run)
    return run


def _end(turn: Turn, run: Run, state: str, problem: Problem | None, **result: Any) -> None:
    check_run_transition(run.state, state, run=run.id)
    result["problem"] = problem.about(run=run.id) if problem is not None else None
    now = max(turn.now(), run.started_at or run.created_at)  # the clock may have been put back
    if not runs.change_run(
        turn.connection, run, state=state, ended_at=now, lease_until=None, process_start=None, **result
    ):
        raise Conflict("RUN-005", f"run {run.id} was changed by another", run=run.id)
    for name, value in {"state": state, "ended_at": now, **result}.items():
        if name in Run.__struct_fields__:
            setattr(run, name, value)
    if state == "succeeded" and run.key is not None and run.outputs is not None and STOPPED not in run.tags:
        runs.keep_result(turn.connection, run, now)
    if state == "failed":
        what = run.problem.what if run.problem else ""
        with turn.within(run.project):
            turn.emit("run.failed", run.id, {"kind": run.kind, "name": run.name, "what": what})
    elif run.parent_id is None:
        tell_run(turn, run)
    runs.with_metrics(turn.connection, [run])
    turn.notify(run.id)
    if calls.has_call(turn.connection, run.id):
        turn.notify("queue")  # what it held is free
        if state == "cancelled":
            turn.notify("unwanted")  # what it does is to be stopped
    with turn.within(run.project):
        for hook in (*FINISHED.get(run.kind, ()), *FINISHED.get("*", ())):
            hook(turn, run)


def _cancel_below(turn: Turn, run: Run) -> None:
    above, room = [run], SLICE
    while above and room > 0:
        parent = above.pop(0)
        for child in runs.live_children(turn.connection, parent.id, room):
            _cancel_child(turn, child, parent.state)
            above.append(child)
            room -= 1
    if room <= 0:
        turn.notify("orphans")


def _cancel_child(turn: Turn, run: Run, above: str) -> None:
    reason = f"its parent {(run.parent_id or '')[-6:]} {above}"
    _end(turn, run, "cancelled", _describe_cancel(run, reason), reason=reason)


@loop(every_s=30.0, topics=("orphans",))
def cancel_orphans(turn: Turn) -> None:
    """Cancel the next of what goes on below runs that have ended."""
    for run, above in runs.find_orphans(turn.connection, SLICE):
        _cancel_child(turn, run, above)
        turn.notify("orphans")


def tell_run(turn: Turn, run: Run) -> None:
    """Append to the events that a topmost run has begun or come to its end; those below it are told by it."""
    kind = "run.started" if run.state == "running" else f"run.{run.state}"
    with turn.within(run.project):
        turn.emit(kind, run.id, {"kind": run.kind, "name": run.name})


def find_parent(turn: Turn, parent_id: str | None) -> Run | None:
    """Return the run above a new one; refuse one that has ended, for nobody would wait or cancel.

    Raises
    ------
    Conflict
        RUN-002 when the parent has ended.
    NotFound
        RUN-001 when there is no such parent.
    """
    if parent_id is None:
        return None
    parent = runs.get_run(turn.connection, parent_id)
    if runs.is_ended(parent):
        what = f"a run cannot begin below {parent.name} {parent.id[-6:]}, which has {parent.state}"
        raise Conflict("RUN-002", what, run=parent.id, state=parent.state)
    return parent


def cancel_run(turn: Turn, run: Run, reason: str, code: str = "RUN-010") -> None:
    """Cancel a run with everything below it; its worker learns it with the next heartbeat."""
    if runs.is_ended(run):
        return
    end_run(turn, run, "cancelled", reason=reason, problem=_describe_cancel(run, reason, code))


def _describe_cancel(run: Run, reason: str, code: str = "RUN-010") -> Problem:
    return describe(Failed(code, f"{run.name} was cancelled: {reason}", run=run.id))


def lose_run(turn: Turn, run: Run, why: str) -> Run:
    """Queue a run again whose worker was lost, or fail it when it cannot run again.

    Parameters
    ----------
    turn : Turn
        The turn.
    run : Run
        Not ended.
    why : str
        How the loss was noticed.

    Returns
    -------
    Run
        Queued with the next attempt, or failed with RUN-008; pruned when it was given up before
        it was lost; as it is when it has ended meanwhile, for example with its parent. What was to
        give way has done so, and its worker is not counted as lost.
    """
    told = sweep_journal(turn, run)
    run, hold = runs.get_held(turn.connection, run.id)
    if runs.is_ended(run):
        return run
    if hold.order == "prune":
        return end_run(turn, run, "pruned")
    if told is not None:  # it ended while nobody listened
        if hold.gives_way and told.state == "failed":
            return give_back(turn, run, hold)
        outputs = use_value(turn, run, told.outputs) if told.outputs is not None else None
        return end_run(turn, run, told.state, outputs=outputs, problem=told.problem, cpu_s=told.cpu_s)
    if hold.gives_way:
        return give_back(turn, run, hold)
    # Who speaks for a run that is queued and falls silent is no worker of it: it waits on.
    queued = run.state == "queued" or calls.was_placed(turn.connection, run.id)
    pool = split_place(run.place)[0]
    if (
        queued
        and run.attempt < MOST_TAKEN
        and any(each.spot for each in list_pools(turn.connection) if each.name == pool)
    ):
        return requeue(turn, run, f"attempt {run.attempt} was taken away: {why}", f"taken away: {why}")
    if queued and hold.losses < MOST_LOSSES:
        return requeue(turn, run, f"attempt {run.attempt} was lost: {why}", f"lost: {why}", losses=hold.losses + 1)
    problem = describe(Failed("RUN-008", f"{run.name}: {why}", run=run.id))
    return end_run(turn, run, "failed", problem=problem, reason=why, losses=hold.losses + 1)


def give_back(turn: Turn, run: Run, hold: runs.Hold) -> Run:
    """Queue a run again that was told to give way and has ended; it counts as no failure.

    What it did since its last checkpoint is lost: that is told by the attempt, and summed up for its tenants.
    """
    why = f"preempted for {tell_whom(turn, hold.gives_way)}"
    since = max(run.started_at, hold.saved_at or 0.0) if run.started_at is not None else turn.now()
    lost_s = max(0.0, turn.now() - since)
    project, _, user = name_tenant(run.project, run.principal).partition("/")
    for tenant in (project, f"{project}/{user}"):
        quotas.count_loss(turn.connection, tenant, lost_s * run.resources.gpus * run.resources.nodes)
    return requeue(turn, run, why, why, lost_s=lost_s)


def tell_whom(turn: Turn, whom: str) -> str:
    """Say to whom a run gives way: ``step fit 3f2a1b of air/ben``, or by whose word."""
    if runs.read_state(turn.connection, whom) is None:
        return whom
    run = runs.get_run(turn.connection, whom)
    return f"{run.kind} {run.name} {run.id[-6:]} of {name_tenant(run.project, run.principal)}"


def requeue(
    turn: Turn, run: Run, reason: str, end: str, wait_s: float = 0.0, *, lost_s: float = 0.0, **held: int
) -> Run:
    """Queue a run again with the next attempt; results of the old attempt are refused from now on.

    Parameters
    ----------
    turn : Turn
        The turn.
    run : Run
        A live run with a call.
    reason : str
        Why; a queued run always carries one.
    end : str
        How the attempt ended.
    wait_s : float, default 0
        How long the next one must wait.
    lost_s : float, default 0
        How long it had worked since its last checkpoint.
    **held
        Counters of `Hold` to set: ``losses`` or ``failures``.
    """
    attempt, fence = run.attempt + 1, run.fence + 1
    ended = Attempt(run.attempt, end, run.started_at, turn.now(), wait_s, run.place, lost_s=lost_s)
    values = {"state": "queued", "attempt": attempt, "fence": fence, "reason": reason, "pid": 0, "started_at": None}
    values |= {
        "place": "",
        "gives_way": "",
        "attempts": [*run.attempts, ended][-KEPT:],
        "due_at": ended.ended_at + wait_s if wait_s else None,
    }
    runs.change_run(
        turn.connection, run, **values, lease_until=None, process_start=None, journal_offset=0, order="keep", **held
    )
    calls.unplace(turn.connection, run.id)
    turn.notify(run.id)
    turn.notify("queue")
    return runs.get_run(turn.connection, run.id)
