"""The run that the running code belongs to."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mainspring.domain.errors import Invalid, NotFound
from mainspring.sdk.exposures import Exposure, begin_exposure
from mainspring.sdk.progress import Progress
from mainspring.tracking.journal import Journal, journal_path

if TYPE_CHECKING:
    from types import CodeType

    from mainspring.domain.records import Attempt, Run
    from mainspring.sdk.client import Client
    from mainspring.sdk.futures import Future


class ActiveRun:
    """A run while its code runs.

    Attributes
    ----------
    run : Run
        As the owner answered when it began.
    client : Client
        The connection that recorded it.
    journal : Journal
        Where `log` appends.
    order : str
        The owner's last order: ``keep``, ``cancel``, ``prune`` or ``lost``.
    ended : bool
        Its code has returned or raised.
    began_at : float
        Monotonic seconds of this process.
    exposure : Exposure
        What sensitive things it has seen.
    progress : Progress or None
        Where steps tell how they went, within a pipeline.
    positions : dict of int
        Next position of each metric that is logged without `step`.
    names : dict of str to code
        The function behind each step name, over the tree of calls of this process.
    children : dict of Future to None
        What was submitted from here, to wait for at the end.
    attempts : list of Attempt
        Tries of its code that raised, in this process.
    """

    def __init__(self, run: Run, client: Client, journal: Journal, parent: ActiveRun | None = None) -> None:
        self.run = run
        self.client = client
        self.journal = journal
        self.order = "keep"
        self.ended = False
        self.began_at = time.monotonic()
        self.exposure = Exposure()
        self.progress: Progress | None = parent.progress if parent is not None else None
        if run.kind == "pipeline":
            self.progress = Progress(run.name, run.id)
        self.positions: dict[str, int] = {}
        self.names: dict[str, CodeType] = parent.names if parent is not None else {}
        self.children: dict[Future[Any], None] = {}
        self.attempts: list[Attempt] = []

    def claim_name(self, name: str, code: CodeType) -> None:
        """Note which function a step's name stands for.

        Raises
        ------
        Invalid
            STEP-003 when another function of this pipeline has it already.
        """
        known = self.names.setdefault(name, code)
        if known is not code and known != code:
            places = [f"{each.co_filename}:{each.co_firstlineno}" for each in (known, code)]
            raise Invalid("STEP-003", f"two functions are called {name!r}: {places[0]} and {places[1]}", name=name)


RUN = "MAINSPRING_RUN"
"""The variable that names a run to the processes of its command."""

_TOKEN, _JOURNAL = "MAINSPRING_RUN_TOKEN", "MAINSPRING_RUN_JOURNAL"
_around: dict[int, ActiveRun] = {}
"""Process -> the run that it belongs to."""

_anew: ContextVar[str] = ContextVar("mainspring_anew", default="")
_active: ContextVar[ActiveRun | None] = ContextVar("mainspring_run", default=None)


def active_run() -> ActiveRun | None:
    """Return the innermost run of this thread or task, None outside of runs.

    Notes
    -----
    A thread started within a run sees it only when it runs in `contextvars.copy_context()`. In a process that a
    command's run has started, that run is around all others.
    """
    active = _active.get()
    return _find_around() if active is None and RUN in os.environ else active


def tell_process() -> dict[str, str]:
    """Return the variables by which a process that the active run starts finds it; what it logs is shipped from here.

    Raises
    ------
    LookupError
        Nothing runs here (a mistake of the programmer).
    """
    active = _active.get()
    if active is None:
        raise LookupError("no run is active")
    active.journal.used = True  # the other process appends, this one ships
    return {RUN: active.run.id, _TOKEN: active.client.authority, _JOURNAL: str(active.journal.path)}


def _find_around() -> ActiveRun | None:
    """Return the run that this process belongs to; None when it has ended, or is of another record."""
    known = _around.get(os.getpid())
    if known is None:
        from mainspring.domain.messages import GetRun
        from mainspring.sdk.client import get_client

        client = get_client()
        try:
            run: Run = client.ask(GetRun(id=os.environ[RUN]))
        except NotFound:
            return None
        if run.state != "running":
            return None
        client.work_for(os.environ.get(_TOKEN, ""))
        known = _around[os.getpid()] = ActiveRun(run, client, Journal(Path(os.environ[_JOURNAL])))
    return known


@contextmanager
def enter_run(run: Run, client: Client, journal: Journal | None = None) -> Iterator[ActiveRun]:
    """Make a run the active one.

    Parameters
    ----------
    run : Run
        A run that this process holds.
    client : Client
        What its code asks the owner with.
    journal : Journal, optional
        Default: the run's journal in the client's home.

    Yields
    ------
    ActiveRun
        Its `order` may be set by whoever hears from the owner.
    """
    own = journal is None
    journal = journal or Journal(journal_path(client.home.journals, run.id, run.attempt))
    active = ActiveRun(run, client, journal, _active.get())
    token = _active.set(active)
    try:
        with begin_exposure() as active.exposure, _take_in(run, client):
            yield active
    finally:
        active.ended = True
        _active.reset(token)
        if own:
            journal.close()


def _take_in(run: Run, client: Client) -> AbstractContextManager[None]:
    """Have what the code inside logs with other means go to its run."""
    if not _has_mlflow():
        return nullcontext()
    from mainspring.sdk.adapters.mlflow import log_to

    return log_to(run, client)


@cache
def _has_mlflow() -> bool:
    return find_spec("mlflow") is not None


@contextmanager
def ask_anew(step: str) -> Iterator[None]:
    """Let the topmost pipelines that are called inside run a step, and what follows it, whatever is kept."""
    token = _anew.set(step)
    try:
        yield
    finally:
        _anew.reset(token)


def asked_anew() -> str:
    """Return the step from which on topmost pipelines run anew; empty: none."""
    return _anew.get()


def wait_for_children() -> None:
    """Wait for everything that the active run submitted; the end of a run comes after theirs.

    Raises
    ------
    Failed
        RUN-006 for the first child that failed and that nobody asked for its result.
    """
    active = _active.get()
    while active is not None and active.children:
        child = next(iter(active.children))
        del active.children[child]
        child.join()
