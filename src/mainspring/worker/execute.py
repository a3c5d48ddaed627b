"""Executes one leased run: calls the user's function or a job, stores the result, ends the run."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from mainspring.domain.crashpoints import crash_point
from mainspring.domain.errors import Failed, Invalid, MainspringError, Pruned, Unavailable, make_error
from mainspring.domain.messages import FinishRun, Lease
from mainspring.domain.records import Call, Problem, Run, Value
from mainspring.domain.wire import describe
from mainspring.sdk.context import wait_for_children
from mainspring.sdk.faults import explain_fault, tell_fault
from mainspring.sdk.results import store_result
from mainspring.worker.capture import Usage
from mainspring.worker.jobs import JOBS

if TYPE_CHECKING:
    from mainspring.sdk.client import Client

_MOST_TEXT = 4_000
# How long a result waits for an owner that has no room.
_PATIENCE_S = 120.0
# How long an answer may take that waits for the other members of a gang; then it is asked again.
_GATHER_S = 20.0


class Outcome:
    """How the code of a run ended, on its way into the record.

    Attributes
    ----------
    state : str
        A terminal state.
    value : object
        What a function returned, not yet stored.
    details : JSON
        What a job returned.
    problem : Problem or None
        Why it failed.
    """

    def __init__(self, state: str, *, value: Any = None, details: Any = None, problem: Problem | None = None) -> None:
        self.state = state
        self.value = value
        self.details = details
        self.problem = problem


def call(lease: Lease, client: Client) -> Outcome:
    """Run the code of a lease; whatever it raises becomes an outcome.

    Parameters
    ----------
    lease : Lease
        With run and call.
    client : Client
        Gives blobs and seal, and is handed to jobs.

    Raises
    ------
    Interrupted
        The run was told to end.
    """
    run, what = lease.run, lease.call
    assert run is not None
    assert what is not None
    try:
        if what.job:
            outcome = Outcome("succeeded", details=_call_job(what, client))
        else:
            outcome = Outcome("succeeded", value=_call_function(what, client))
        wait_for_children()
        return outcome
    except Pruned:
        return Outcome("pruned")
    except KeyboardInterrupt as error:
        return Outcome("cancelled", problem=_explain(run, error))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - user code may raise anything
        return Outcome("failed", problem=_explain(run, error))


def finish(lease: Lease, client: Client, outcome: Outcome, usage: Usage, ready: Callable[[], None]) -> None:
    """Store the result and end the run in the record.

    Parameters
    ----------
    lease : Lease
        With run and call.
    client : Client
        Asked to end the run.
    outcome : Outcome
        Of `call`.
    usage : Usage
        Begun with the run.
    ready : callable
        Called when only the owner's word is missing.
    """
    run = lease.run
    assert run is not None
    outputs: Value | None = None
    if outcome.state == "succeeded" and not (lease.call and lease.call.job) and not lease.rank:
        outputs = _store(run, client, outcome)
    if lease.rank and outcome.problem is not None:
        outcome.problem = replace(outcome.problem, what=f"rank {lease.rank}: {outcome.problem.what}")
    crash_point("worker.stored")
    command = FinishRun(
        run_id=run.id,
        attempt=run.attempt,
        fence=run.fence,
        state=outcome.state,  # type: ignore[arg-type]
        outputs=outputs,
        details=outcome.details,
        problem=outcome.problem,
        cpu_s=usage.cpu_s(),
        memory_bytes=usage.memory_bytes(),
        rank=lease.rank,
        wait_s=_GATHER_S if run.resources.nodes > 1 else 0.0,
    )
    ready()
    _end(client, command)
    crash_point("worker.finished")


def refuse(code: str, what: str) -> Outcome:
    """Return the outcome of a run whose code could not begin."""
    return Outcome("failed", problem=describe(make_error(code, what)))


def _call_function(what: Call, client: Client) -> Any:
    from mainspring.pipelines.calls import unpack_call

    if what.foreign:
        from mainspring.pipelines.environments import check_needs

        check_needs(what.needs)
    function, args, kwargs = unpack_call(what, client.blobs, client.seal)
    return function(*args, **kwargs)


def _call_job(what: Call, client: Client) -> Any:
    place = JOBS.get(what.job)
    if place is None:
        known = ", ".join(sorted(JOBS))
        raise Invalid("WORK-003", f"no job is called {what.job!r}", why=f"jobs of this version: {known}")
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)(what.arguments, client)


def _store(run: Run, client: Client, outcome: Outcome) -> Value | None:
    try:
        return store_result(outcome.value, client)
    except MainspringError as error:
        outcome.problem = _explain(run, error)
    except Exception as fault:  # noqa: BLE001 - a value's own code runs while it is stored
        problem = _explain(run, fault)
        what = f"the result of {run.name} cannot be stored: {tell_fault(fault)}"
        outcome.problem = describe(Failed("WORK-004", what[:_MOST_TEXT]), problem.traceback)
    outcome.state = "failed"
    return None


def _end(client: Client, command: FinishRun) -> None:
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            told: Run = client.ask(command)
            if told.state != "running" or told.attempt != command.attempt:
                return
            until = time.monotonic() + _PATIENCE_S  # others of the gang go on
        except Unavailable:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)
        except MainspringError as error:
            if error.code == "RUN-005":
                sys.stderr.write(f"{error}\n")
                return
            if command.problem is not None and command.details is None:
                raise
            # The owner refuses the content: then that is the outcome.
            command.state, command.outputs, command.details = "failed", None, None
            command.problem = describe(error)


def _explain(run: Run, fault: BaseException) -> Problem:
    problem = explain_fault(run.name, fault)
    if problem.code != "RUN-024":  # a command has said itself what there is to say
        sys.stderr.write(problem.traceback)
    return problem
