"""Use cases of calls that are made again: what a run executed, and the same once more."""

from __future__ import annotations

from mainspring.control.foreign import check_allowed
from mainspring.control.turn import Turn
from mainspring.control.usecases import handles, submit
from mainspring.domain.errors import Conflict, Invalid, NotFound
from mainspring.domain.messages import RunSpec
from mainspring.domain.records import Call, Run
from mainspring.domain.retries import ANEW_FROM, ANEW_RUN, GetCall, RetryRuns
from mainspring.domain.states import STOPPED
from mainspring.store import calls, runs

_AGAIN = frozenset({"step", "pipeline", "command"})
"""Kinds that stay what they are, with their keys; a trial that is tried again is a step, for its study has gone on
without it, and so is what goes on with a search: the search itself is below it and has the key."""


@handles(GetCall, action="runs.read", reads=True)
def get_call(turn: Turn, command: GetCall) -> Call:
    """Answer with what a run executed.

    Raises
    ------
    NotFound
        RUN-020 when nothing was kept, or a job of the platform ran.
    """
    run = runs.find_run(turn.connection, turn.project, command.id)
    placed = calls.find_placed(turn.connection, run.id)
    if placed is None or placed.call.job:
        raise NotFound("RUN-020", f"{run.kind} {run.name} {run.id[-6:]} keeps no call", run=run.id)
    return placed.call


@handles(RetryRuns, action="runs.start", rehearsed=True)
def retry_runs(turn: Turn, command: RetryRuns) -> list[Run]:
    """Queue again what ended runs executed; all or none.

    Raises
    ------
    NotFound
        RUN-020 when one keeps no call.
    Conflict
        RUN-021 when one has not ended.
    Invalid
        RUN-023 when one that is to run anew from a step on has no such step below it.
    """
    return [_retry(turn, runs.find_run(turn.connection, turn.project, each), command.anew) for each in command.ids]


def _retry(turn: Turn, run: Run, anew: str) -> Run:
    if not runs.is_ended(run):
        raise Conflict("RUN-021", f"{run.kind} {run.name} {run.id[-6:]} is {run.state}", run=run.id)
    if anew:
        below = runs.list_names_below(turn.connection, run.id)
        if anew not in below:
            what = f"nothing called {anew!r} ran below {run.kind} {run.name} {run.id[-6:]}"
            why = f"it has {', '.join(below)}" if below else "nothing ran below it"
            raise Invalid("RUN-023", what, why=why, run=run.id)
    call = get_call(turn, GetCall(run.id))
    if call.foreign:
        check_allowed(turn)
    tags = {name: text for name, text in run.tags.items() if name not in {ANEW_FROM, ANEW_RUN, STOPPED}}
    tags |= {"retries": run.id} | ({ANEW_FROM: anew} if anew else {})
    same = run.kind in _AGAIN
    spec = RunSpec(
        kind=run.kind if same else "step",
        name=run.name,
        call=call,
        params=run.params,
        tags=tags,
        key=run.key if same else None,
        fingerprint=run.fingerprint if same else None,
        resources=run.resources,
        retries=run.retries,
        timeout_s=run.timeout_s,
        backoff_s=run.backoff_s,
    )
    return submit(turn, spec)
