"""Exposure: what has seen sensitive cells or values, so that what it leaves is sealed likewise.

It is a property of a run, which hands it to the runs below it and gets it from the results that
it is given; outside of runs it is the process's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Exposure:
    """What a run, or a process outside of runs, has seen.

    Parameters
    ----------
    above : Exposure, optional
        Of the run above; what that has seen counts as seen.

    Attributes
    ----------
    exposed : bool
        It has seen something that is sensitive.
    columns : set of str
        Names of the sensitive columns among it.
    sources : set of str
        References of the dataset versions that were read on the way, those without sensitive columns too.
    """

    def __init__(self, above: Exposure | None = None) -> None:
        self.exposed: bool = above is not None and above.exposed
        self.columns: set[str] = set(above.columns) if above is not None else set()
        self.sources: set[str] = set(above.sources) if above is not None else set()
        self._above = above

    def tell_above(self) -> None:
        """Have what is around it count as having seen the same: it was given a result, or an error."""
        if self.exposed and self._above is not None:
            self._above.exposed = True
            self._above.columns.update(self.columns)
            self._above.sources.update(self.sources)


_outside = Exposure()
_current: ContextVar[Exposure] = ContextVar("mainspring_exposure", default=_outside)


def expose(columns: Iterable[str] = (), sources: Iterable[str] = ()) -> None:
    """Note that the active run, or this process outside of runs, has seen something sensitive.

    Parameters
    ----------
    columns : iterable of str
        Names of sensitive columns among it.
    sources : iterable of str
        References of the dataset versions that it was made of.
    """
    current = _current.get()
    current.exposed = True
    current.columns.update(columns)
    current.sources.update(sources)


def note_source(reference: str) -> None:
    """Note that a dataset version is read: what it holds plainly needs no seal, whatever else is seen."""
    _current.get().sources.add(reference)


def is_exposed() -> bool:
    """Tell whether what is stored now must be sealed.

    Notes
    -----
    A thread that was started without the run's context counts as outside of it, so what was seen
    there counts for every run of the process.
    """
    return _current.get().exposed or _outside.exposed


def seen_columns() -> set[str]:
    """Return the names of the sensitive columns that were seen."""
    return _current.get().columns | _outside.columns


def seen_sources() -> set[str]:
    """Return the references of the dataset versions that were read."""
    return _current.get().sources | _outside.sources


@contextmanager
def begin_exposure() -> Iterator[Exposure]:
    """Count what is seen inside by itself, on top of what is around it."""
    made = Exposure(_current.get())
    token = _current.set(made)
    try:
        yield made
    finally:
        _current.reset(token)


def forget_exposure() -> None:
    """Begin anew outside of runs, as a worker does that goes on to another run."""
    _outside.exposed = False
    _outside.columns.clear()
    _outside.sources.clear()
