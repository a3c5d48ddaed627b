"""Differences between declarations, as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from mainspring.domain.messages import Difference
from mainspring.domain.triggers import Trigger
from mainspring.domain.units import format_duration

_MOST_LETTERS = 120
_MOST_FILES = 5


def compare(kind: str, name: str, old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> list[Difference]:
    """Return the fields in which a declaration differs from the one before it.

    Parameters
    ----------
    kind, name : str
        Of the declaration.
    old : mapping or None
        The body in force; None: there is none, and everything that says something is new.
    new : mapping
        The body that is to be.

    Returns
    -------
    list of Difference
        By field; empty when they are equal.

    Examples
    --------
    >>> [(each.field, each.before, each.after) for each in compare("gate", "a->b", {"alpha": 0.05}, {"alpha": 0.1})]
    [('alpha', '0.05', '0.1')]
    """
    before, after = _flatten(old or {}), _flatten(new)
    found: list[Difference] = []
    for field in sorted({*before, *after}):
        was, is_now = before.get(field), after.get(field)
        if was == is_now or (old is None and is_now in (None, "", [], {})):
            continue
        if field == "snapshot.files":
            told = "", _tell_files(was or {}, is_now or {})
        else:
            told = "" if old is None else _tell(field, was), _tell(field, is_now)
        found.append(Difference(kind, name, _NAMES.get(field, field), *told))
    return found


_NAMES = {"snapshot.files": "code"} | {f"snapshot.{name}": name for name in ("entry", "python", "preload", "lock")}
_SHORT = 12


def _flatten(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a body; those of the snapshot, and of other mappings, each by itself."""
    found: dict[str, Any] = {}
    for name, value in body.items():
        if isinstance(value, dict) and value and all(isinstance(key, str) for key in value):
            found.update({f"{name}.{key}": inner for key, inner in value.items()})
        else:
            found[name] = value
    return found


def _tell(field: str, value: Any) -> str:
    if field == "triggers" and isinstance(value, list):
        return ", ".join(map(_tell_trigger, value)) or "none"
    if isinstance(value, str):
        text = value[:_SHORT] if field == "snapshot.lock" else value
    elif value is None:
        text = "none"
    else:
        text = msgspec.json.encode(value, order="sorted").decode()
    return text if len(text) <= _MOST_LETTERS else f"{text[: _MOST_LETTERS - 1]}…"


def _tell_trigger(body: Any) -> str:
    trigger = msgspec.convert(body, Trigger)
    cooldown = f" cooldown {format_duration(trigger.cooldown_s)}" if trigger.cooldown_s else ""
    return f"{trigger}{cooldown}"


def _tell_files(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    if not old:
        return f"{len(new)} file{'s' if len(new) != 1 else ''}"
    kinds = {
        "changed": [name for name in new if name in old and old[name] != new[name]],
        "new": [name for name in new if name not in old],
        "gone": [name for name in old if name not in new],
    }
    told = []
    for kind, names in kinds.items():
        if names:
            shown = ", ".join(sorted(names)[:_MOST_FILES])
            more = f" and {len(names) - _MOST_FILES} more" if len(names) > _MOST_FILES else ""
            told.append(f"{len(names)} {kind} file{'s' if len(names) > 1 else ''} ({shown}{more})")
    return ", ".join(told)
