"""Runs whose code is executed right here, in the caller's process."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from mainspring.domain.errors import MainspringError, Pruned
from mainspring.domain.messages import BeginRun, Begun, FinishRun
from mainspring.domain.records import Call, Problem, Run, Value
from mainspring.domain.wire import describe
from mainspring.sdk.client import Client
from mainspring.sdk.companion import companion_of
from mainspring.sdk.context import ActiveRun, active_run, enter_run, wait_for_children
from mainspring.sdk.faults import explain_fault
from mainspring.sdk.provenance import host_name, provenance_of
from mainspring.sdk.results import hide_params, holds_no_cells
from mainspring.tracking.journal import End
from mainspring.tracking.plain import is_json

R = TypeVar("R")

_MOST_PARAM = 500
_AWAY = frozenset({"HOME-001", "API-014"})
"""Nobody answers; a run that is over is not failed by that."""


def begin_run(client: Client, kind: str, name: str, **facts: Any) -> Begun:
    """Record that a run of this process begins, below the active run.

    Parameters
    ----------
    client : Client
        Of the home that records it.
    kind, name : str
        What it is.
    **facts
        Further fields of `BeginRun`.

    Returns
    -------
    Begun
        A hit when an earlier result of the key serves.
    """
    above = active_run()
    parent_id = above.run.id if above is not None else None
    facts |= {"parent_id": parent_id, "provenance": provenance_of(client)}
    begun: Begun = client.ask(BeginRun(kind=kind, name=name, **this_process(), **facts))
    return begun


def this_process() -> dict[str, Any]:
    """Return the fields of a command that tell the process which runs the code."""
    return {"host": host_name(), "pid": os.getpid()}


def carry_out(
    run: Run,
    client: Client,
    call: Callable[[], R],
    store: Callable[[R], Value | None],
    pack: Callable[[], Call] | None = None,
) -> tuple[R, float]:
    """Run code as a run that has begun, and record how it ended.

    Parameters
    ----------
    run : Run
        From `begin_run`.
    client : Client
        Of the same home.
    call : callable
        The user's code.
    store : callable
        Stores its result.
    pack : callable, optional
        Makes of a call that failed what can be called again.

    Returns
    -------
    tuple of object and float
        The result and the wall seconds of the call.

    Raises
    ------
    BaseException
        What the code raised, as it was raised, after the run was recorded as failed.
    """
    began = time.perf_counter()
    with carry(run, client) as carried:
        carried.pack = pack
        result = call()
        wait_for_children()
        wall_s = time.perf_counter() - began
        carried.outputs = store(result)
        carried.harmless = holds_no_cells(result)
    return result, wall_s


class Carried:
    """A run while its code runs here.

    Attributes
    ----------
    active : ActiveRun
        What its code logs to.
    outputs : Value or None
        What it is recorded with when it succeeds.
    harmless : bool
        What comes out of it holds nothing that its code has read.
    pack : callable or None
        Makes of a call that failed what can be called again.
    """

    __slots__ = ("active", "harmless", "outputs", "pack")

    def __init__(self, active: ActiveRun) -> None:
        self.active = active
        self.outputs: Value | None = None
        self.harmless = False
        self.pack: Callable[[], Call] | None = None


@contextmanager
def carry(run: Run, client: Client) -> Iterator[Carried]:
    """Make a run that has begun the active one, and record how the code inside ended.

    Parameters
    ----------
    run : Run
        From `begin_run`.
    client : Client
        Of the same home.

    Raises
    ------
    BaseException
        What the code raised, as it was raised, after the run was recorded as failed or cancelled.
    """
    cpu_began = time.process_time()
    with enter_run(run, client) as active:
        carried = Carried(active)
        companion_of(client).hold(active)
        try:
            yield carried
            wait_for_children()
        except BaseException as fault:
            state = _state_of(run, fault)
            problem = None if state == "succeeded" else explain_fault(run.name, fault)
            cpu_s = time.process_time() - cpu_began
            kept = carried.pack if state == "failed" and not client.remote else None
            call = _pack(kept) if kept is not None else None
            _record(active, state, cpu_s, None, problem, fault, call)
            raise
        finally:
            if not carried.harmless:
                active.exposure.tell_above()
        _record(active, "succeeded", time.process_time() - cpu_began, carried.outputs)


def select_params(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments that are short JSON values, as params of a run; NumPy's scalars count as numbers."""
    params = {}
    for name, value in arguments.items():
        plain = value.item() if type(value).__module__ == "numpy" and getattr(value, "shape", None) == () else value
        if is_json(plain) and len(repr(plain)) <= _MOST_PARAM and _fits(plain):
            params[name] = plain
    return hide_params(params)


def _fits(value: Any) -> bool:
    """Tell whether the wire and the record have room for each number of a JSON value."""
    if type(value) is int:
        return -(2**63) <= value < 2**64
    return all(map(_fits, value if type(value) is list else value.values() if type(value) is dict else ()))


def _record(
    active: ActiveRun,
    state: Any,
    cpu_s: float,
    outputs: Value | None,
    problem: Problem | None = None,
    fault: BaseException | None = None,
    call: Call | None = None,
) -> None:
    """End the run in the record; a fault of the user's code is never hidden by one of ours."""
    run, client = active.run, active.client
    command = FinishRun(
        run_id=run.id,
        attempt=run.attempt,
        fence=run.fence,
        state=state,
        outputs=outputs,
        problem=problem,
        cpu_s=cpu_s,
        call=call,
        attempts=active.attempts,
    )
    try:
        companion_of(client).release(active)
        client.ask(command)
    except MainspringError as error:
        if error.code in _AWAY and run.fence == run.attempt and _tell_later(active, command):
            warn(f"{error.code}: {error.what}; that {run.name} {run.id[-6:]} {state} is told when it is back")
            return
        if fault is None:
            if error.code == "KEEP-005":  # the run is over all the same
                _record(active, "failed", cpu_s, None, describe(error), error)
            raise
        fault.add_note(f"the run {run.id} could not be recorded as {state}: {error.code}: {error.what}")
        return
    if active.journal.used:
        active.journal.remove()


def _tell_later(active: ActiveRun, command: FinishRun) -> bool:
    """Leave the end of a run in its journal; False when not even that can be written."""
    try:
        active.journal.append(End(command))
    except OSError:
        return False
    active.journal.close()
    companion_of(active.client).leave(active.journal.path)
    return True


def _pack(pack: Callable[[], Call]) -> Call | None:
    try:
        return pack()
    except Exception:  # noqa: BLE001 - arguments that cannot be sent, and their own code: what failed is told, not this
        return None


def _state_of(run: Run, fault: BaseException) -> str:
    if isinstance(fault, Pruned):
        return "pruned"
    if run.kind == "script" and isinstance(fault, SystemExit) and fault.code in {None, 0}:
        return "succeeded"  # a script ends by it; a step would have no result
    return "cancelled" if isinstance(fault, KeyboardInterrupt) else "failed"


def warn(text: str) -> None:
    """Tell the user something that is no error."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - for the user of a script
