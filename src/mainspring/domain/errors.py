"""Errors that a user meets: each has a code of the catalogue, what, why and the fix.

::

    MainspringError
    +-- Invalid      (ValueError)        what was given is wrong
    +-- NotFound     (KeyError)          there is no such thing
    +-- Conflict     (RuntimeError)      the thing is in another state, or somebody was first
    +-- Denied       (PermissionError)   the actor may not
    +-- Unavailable  (ConnectionError)   something outside does not answer or is full
    +-- Failed       (RuntimeError)      user code or a job failed
    Interrupted (BaseException)
    +-- Pruned                           the search gave this trial up
    +-- Preempted                        the run must make room
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

_PLACE = re.compile(r"\b(?:ALIAS|MODEL|NAME|RUN|SERVICE)\b")


class MainspringError(Exception):
    """An error with a code that `mainspring why CODE` explains offline.

    Parameters
    ----------
    code : str
        A code of the catalogue, such as ``DATA-003``.
    what : str
        What happened, with the offending value.
    why, fix : str, optional
        Replace the catalogue's texts where the place knows better.
    **context
        JSON values for machines. ``alias``, ``model``, ``name``, ``run`` and ``service`` also take
        their places in the catalogue's fix: with ``run`` it says which run's logs to read.

    Raises
    ------
    KeyError
        The code is not in the catalogue (a mistake of the programmer).
    """

    kind: ClassVar[str] = "error"

    def __init__(self, code: str, what: str, *, why: str = "", fix: str = "", **context: Any) -> None:
        from mainspring.domain.catalogue import find_entry

        entry = find_entry(code)
        self.code = code
        self.what = what
        self.why = why or entry.why
        self.fix = fix or fill_places(entry.fix, context)
        self.context = context
        super().__init__(f"{code}: {what}")

    def __str__(self) -> str:
        return f"{self.code}: {self.what}\n  why: {self.why}\n  fix: {self.fix}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.code, self.what, self.why, self.fix, self.context)


class Invalid(MainspringError, ValueError):
    """What was given is wrong."""

    kind = "invalid"


class NotFound(MainspringError, KeyError):
    """There is no such thing."""

    kind = "not_found"
    __str__ = MainspringError.__str__


class Conflict(MainspringError, RuntimeError):
    """The thing is in another state, or somebody was first."""

    kind = "conflict"


class Denied(MainspringError, PermissionError):
    """The actor may not do that."""

    kind = "denied"
    __str__ = MainspringError.__str__


class Unavailable(MainspringError, ConnectionError):
    """Something outside does not answer, or is full."""

    kind = "unavailable"
    __str__ = MainspringError.__str__


class Failed(MainspringError, RuntimeError):
    """User code or a job failed."""

    kind = "failed"


class Interrupted(BaseException):
    """Ends a run from outside; `except Exception` in a user's loop does not swallow it."""


class Pruned(Interrupted):
    """The search gave this trial up; raised by `log`."""


class Preempted(Interrupted):
    """The run must make room; raised by `checkpoint.save`."""


def fill_places(text: str, known: Mapping[str, Any]) -> str:
    """Put what is known into a text of the catalogue, where it stands in capitals.

    Parameters
    ----------
    text : str
        A fix.
    known : mapping
        What ALIAS, MODEL, NAME, RUN and SERVICE are, by their names in small letters; other
        names and values that are no text are left alone.

    Examples
    --------
    >>> fill_places("mainspring logs RUN", {"run": "c07e12"})
    'mainspring logs c07e12'
    """

    def find(place: re.Match[str]) -> str:
        value = known.get(place[0].lower())
        return value if isinstance(value, str) and value else place[0]

    return _PLACE.sub(find, text)


KINDS: dict[str, type[MainspringError]] = {
    each.kind: each for each in (Invalid, NotFound, Conflict, Denied, Unavailable, Failed)
}


def make_error(code: str, what: str, why: str = "", fix: str = "", **context: Any) -> MainspringError:
    """Rebuild the error of a code in its class, as after a trip over the wire."""
    from mainspring.domain.catalogue import find_entry

    kind = KINDS.get(find_entry(code).kind, MainspringError)
    return kind(code, what, why=why, fix=fix, **context)


def _rebuild(code: str, what: str, why: str, fix: str, context: dict[str, Any]) -> MainspringError:
    return make_error(code, what, why, fix, **context)
