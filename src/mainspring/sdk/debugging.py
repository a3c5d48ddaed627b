"""A recorded call, made once more in this process under the debugger."""

from __future__ import annotations

import bdb
import contextlib
import os
import pdb  # noqa: T100 - this is what the verb is for
import sys
import traceback
from collections.abc import Callable
from typing import Any

from mainspring.domain.errors import Denied
from mainspring.domain.messages import GetRun, ListRuns
from mainspring.domain.records import Call, Run
from mainspring.domain.retries import GetCall
from mainspring.sdk.client import Client
from mainspring.sdk.inline import begin_run, carry_out


def find_call(client: Client, run_id: str) -> tuple[Run, Call]:
    """Return a run and its call; of a pipeline, and of one that has none, the newest that failed below it.

    Parameters
    ----------
    client : Client
        Of the home that recorded it.
    run_id : str
        An id, or a unique prefix or suffix.

    Raises
    ------
    NotFound
        RUN-001 when there is no such run, RUN-020 when neither it nor what failed below it keeps a call.
    """
    run: Run = client.ask(GetRun(run_id))
    failed = client.ask(ListRuns(parent_id=run.id, state="failed", limit=1)) if run.kind == "pipeline" else []
    return find_call(client, failed[0].id) if failed else (run, client.ask(GetCall(run.id)))


def debug_call(client: Client, run: Run, call: Call, *, from_start: bool) -> Any:
    """Make a call again here, and stop where it raises.

    Parameters
    ----------
    client : Client
        Of the home.
    run : Run
        The run that made the call; the new run carries its id in the tag ``debugs``.
    call : Call
        What it executed.
    from_start : bool
        Stop at the first line instead.

    Returns
    -------
    object
        What the function returned; it is not stored.

    Raises
    ------
    Conflict
        STEP-007 when the code of the project has changed since.
    KeyboardInterrupt
        The debugger was quit.
    BaseException
        What the function raised, after the debugger was left.

    Notes
    -----
    The working folder and the import paths of this process become those of the call.
    """
    from mainspring.pipelines.calls import unpack_call

    if call.foreign:
        raise Denied("HOME-012", f"run {run.id[-6:]} is code of {call.foreign} from another machine, not run here")
    sys.path[:0] = call.paths
    if call.folder:
        os.chdir(call.folder)
    function, args, kwargs = unpack_call(call, client.blobs, client.home_seal)
    begun = begin_run(client, "step", run.name, params=run.params, tags={"debugs": run.id}).run
    act = _stop_at_first_line if from_start else _stop_where_it_raises
    result, _ = carry_out(begun, client, lambda: act(lambda: function(*args, **kwargs)), lambda _: None)
    return result


def _stop_at_first_line(call: Callable[[], Any]) -> Any:
    returned: list[Any] = []
    with contextlib.suppress(bdb.BdbQuit):
        pdb.Pdb(skip=[__name__, "contextlib"]).runcall(lambda: returned.append(call()))
    if not returned:
        raise KeyboardInterrupt
    return returned[0]


def _stop_where_it_raises(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as fault:  # whatever the user's code raises is what is looked at
        own, inner = fault.__traceback__, fault.__traceback__
        while inner is not None and inner.tb_frame.f_code.co_filename == __file__:
            inner = inner.tb_next
        traceback.print_exception(fault.with_traceback(inner))
        pdb.post_mortem(inner or own)
        raise
