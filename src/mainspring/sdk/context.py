"""The run that the running code belongs to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from mainspring.tracking.journal import Journal, journal_path

if TYPE_CHECKING:
    from types import CodeType

    from mainspring.domain.records import Run
    from mainspring.sdk.client import Client


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
    parent : ActiveRun or None
        The run whose code called this one, in the same process.
    steps : dict of int
        Next position of each metric that is logged without `step`.
    names : dict of str to code
        The function behind each step name, over the tree of calls.
    children : list of str
        Ids of runs that were submitted and not waited for yet.
    """

    def __init__(self, run: Run, client: Client, journal: Journal, parent: ActiveRun | None = None) -> None:
        self.run = run
        self.client = client
        self.journal = journal
        self.order = "keep"
        self.parent = parent
        self.steps: dict[str, int] = {}
        self.names: dict[str, CodeType] = parent.names if parent is not None else {}
        self.children: list[str] = []
        self.lock = threading.Lock()


_active: ContextVar[ActiveRun | None] = ContextVar("mainspring_run", default=None)


def active_run() -> ActiveRun | None:
    """Return the innermost run of this thread or task, None outside of runs.

    Notes
    -----
    A thread started within a run sees it only when it runs in `contextvars.copy_context()`.
    """
    return _active.get()


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
        yield active
    finally:
        _active.reset(token)
        if own:
            journal.close()
