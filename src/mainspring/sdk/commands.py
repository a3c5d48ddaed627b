"""Plain commands as runs: queued, placed and logged as steps are."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mainspring.domain.errors import Failed, Interrupted, Invalid, NotFound
from mainspring.domain.gangs import list_variables
from mainspring.domain.messages import RunSpec, SubmitRuns
from mainspring.domain.records import Run
from mainspring.sdk.calls import pack_call
from mainspring.sdk.context import RUN, active_run, tell_process
from mainspring.sdk.environments import find_env, prepare
from mainspring.sdk.lineage import current_client
from mainspring.sdk.options import make_options
from mainspring.sdk.provenance import provenance_of
from mainspring.security.masks import mask_all

_SIGNALLED = 128


def start_command(command: Sequence[str], *, name: str = "", **options: Any) -> Run:
    """Queue a command as a run of kind ``command``.

    Parameters
    ----------
    command : sequence of str
        The program and its arguments; no shell reads them.
    name : str, default ""
        What the run is called; empty: the program's name.
    **options
        Those of `step` that say where and how long: cpus, memory, gpus, gpu_type, nodes, pool, sensitive, env, timeout.

    Returns
    -------
    Run
        As it was queued, below the active run if any.

    Raises
    ------
    Invalid
        STEP-004 for no command; STEP-008, RUN-003 or RUN-004 for a wrong option; RUN-009 for what no machines
        can hold.
    """
    words = list(command)
    if not words or not words[0] or any("\0" in word for word in words):
        raise Invalid("STEP-004", f"{words!r:.200} is no command", fix='ms.run(["PROGRAM", "ARGUMENT"])')
    client, above = current_client(), active_run()
    settings = make_options(**options)
    env = prepare(find_env(settings.env), client)
    spec = RunSpec(
        kind="command",
        name=name or Path(words[0]).name,
        call=pack_call(client, run_command, (words,), {}, env),
        parent_id=above.run.id if above is not None else None,
        params=mask_all({"command": words}),
        resources=settings.resources,
        timeout_s=settings.timeout_s,
        provenance=provenance_of(client),
    )
    (run,) = client.ask(SubmitRuns(runs=[spec]))
    assert isinstance(run, Run)
    return run


def run_command(command: list[str]) -> int:
    """Run a command in the worker of its run; what it prints is the run's log.

    Raises
    ------
    Failed
        RUN-024 with the exit status, unless it is 0.
    NotFound
        RUN-012 when there is no such program.

    Notes
    -----
    Guarantees: the word to end reaches the command and all that it has started, as it reaches the worker; the worker
    waits for it, and the engine kills both after the grace.
    """
    told = tell_process()
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=_make_variables() | told)
    except (FileNotFoundError, PermissionError, NotADirectoryError) as fault:
        raise NotFound("RUN-012", f"{command[0]!r} cannot be started: {fault.strerror}") from None
    try:
        status = process.wait()
    except Interrupted:
        process.wait()
        raise
    if status:
        how = f"status {status}" if status > 0 else f"signal {-status}"
        code = status if status > 0 else _SIGNALLED - status
        raise Failed("RUN-024", f"{command[0]} ended with {how}", status=code, run=told[RUN])
    return status


def find_port() -> int:
    """Return a port that nothing on this machine listens at now."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def _make_variables() -> dict[str, str]:
    """Return the variables of a command: its worker's, and its place among the processes of a gang, or one of one."""
    beside, active = str(Path(sys.executable).parent), active_run()
    path = os.pathsep.join(filter(None, [beside, os.environ.get("PATH", "")]))
    # The worker that is the member of a gang has its place in its own variables.
    alone = active is None or active.run.resources.nodes == 1
    return {**os.environ, "PATH": path, **(list_variables(0, 1, "127.0.0.1", find_port()) if alone else {})}
