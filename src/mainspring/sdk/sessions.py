"""Sessions: runs that hold what they asked for while somebody works in them, at a terminal or in a notebook."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mainspring.domain.errors import Invalid
from mainspring.domain.messages import RunSpec, SubmitRuns
from mainspring.domain.pools import LOCAL_POOL, GetPool
from mainspring.domain.records import Run
from mainspring.domain.states import SESSION
from mainspring.domain.units import parse_duration
from mainspring.sdk.calls import pack_call
from mainspring.sdk.environments import find_env, prepare
from mainspring.sdk.lineage import current_client
from mainspring.sdk.notebooks import find_jupyter, name_door, run_notebook
from mainspring.sdk.options import make_options
from mainspring.sdk.provenance import provenance_of
from mainspring.sdk.shells import name_socket, run_shell

IDLE = "30min"

_PROGRAMS = {"shell": run_shell, "notebook": run_notebook}
_ENTRANCES = {"shell": name_socket, "notebook": name_door}


def start_session(name: str, *, idle: str | float = IDLE, **options: Any) -> Run:
    """Queue a session.

    Parameters
    ----------
    name : str
        ``shell`` or ``notebook``.
    idle : str or float, default "30min"
        It ends after so long without anybody, or anything, that works in it.
    **options
        Those of `step` that say where and with what: cpus, memory, gpus, gpu_type, pool, env, timeout.

    Returns
    -------
    Run
        Of kind ``session``, as it was queued.

    Raises
    ------
    Invalid
        SESSION-003 for a pool of another machine, or at a server; STEP-008, RUN-003 or RUN-004 for a wrong option;
        RUN-009 for what no machine can hold.
    NotFound
        SESSION-001 for a notebook without Jupyter.
    Conflict
        QUOTA-006 when its user has as many as were agreed.
    """
    client, idle_s = current_client(), parse_duration(idle)
    settings = make_options(**options)
    if client.remote:
        raise Invalid("SESSION-003", f"a {name} cannot be reached through a server")
    pool = settings.resources.pool or LOCAL_POOL
    if not client.ask(GetPool(pool)).url.startswith("local://"):
        raise Invalid("SESSION-003", f"the pool {pool} is on another machine: a {name} there cannot be reached")
    env = prepare(find_env(settings.env), client)
    if name == "notebook" and not env.lock:
        find_jupyter()  # the worker has the same interpreter
    spec = RunSpec(
        kind=SESSION,
        name=name,
        call=pack_call(client, _PROGRAMS[name], (idle_s,), {}, env),
        params={"idle_s": idle_s},
        resources=settings.resources,
        timeout_s=settings.timeout_s,
        provenance=provenance_of(client),
    )
    (run,) = client.ask(SubmitRuns(runs=[spec]))
    assert isinstance(run, Run)
    return run


def find_entrance(run: Run) -> Path:
    """Return where the worker of a session lets in, once it is there."""
    return _ENTRANCES[run.name](current_client().home, run.id)
