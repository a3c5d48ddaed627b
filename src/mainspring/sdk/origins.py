"""Which run made an object of this process."""

from __future__ import annotations

import weakref
from typing import Any

from mainspring.domain.records import Run

_makers: dict[int, tuple[weakref.ref[Any], Run]] = {}


def remember_maker(value: Any, run: Run) -> None:
    """Keep that a run returned an object; objects that take no weak reference are left out."""
    number = id(value)
    try:
        reference = weakref.ref(value, lambda _: _makers.pop(number, None))
    except TypeError:
        return
    _makers[number] = (reference, run)


def find_maker(value: Any) -> Run | None:
    """Return the run that returned this very object to this process, if one did."""
    reference, run = _makers.get(id(value), (None, None))
    return run if reference is not None and reference() is value else None
