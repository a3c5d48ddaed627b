"""What differs between two runs; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from mainspring.domain.records import Run, Version
from mainspring.domain.tracking import Environment, Provenance

Change = tuple[str, Any, Any]
"""(name, value before, value after); None: there is none."""


class Side(NamedTuple):
    """One of two runs with what is known of it."""

    run: Run
    provenance: Provenance | None = None
    reads: Sequence[Version] = ()


def compare(before: Side, after: Side) -> dict[str, list[Change]]:
    """Return what differs, by part; parts that are equal are left out.

    Parameters
    ----------
    before, after : Side
        Two runs.

    Returns
    -------
    dict of str to list
        As `mainspring.domain.tracking.Comparison.changes`. A NaN equals a NaN.
    """
    parts = {part: _differ(*(facts[part] for facts in (_list_facts(before), _list_facts(after)))) for part in _PARTS}
    return {part: changes for part, changes in parts.items() if changes}


_PARTS = ("run", "params", "metrics", "tags", "code", "inputs", "data", "environment", "git", "command")


def _list_facts(side: Side) -> dict[str, dict[str, Any]]:
    run, told = side.run, side.provenance
    printed = run.fingerprint
    git = told.git if told is not None else None
    return {
        "run": {name: getattr(run, name) or None for name in ("kind", "name", "state", "experiment", "principal")}
        | {"host": told.host if told else run.host or None},
        "params": run.params,
        "metrics": run.metrics,
        "tags": run.tags,
        "code": printed.code if printed else {},
        "inputs": printed.inputs if printed else {},
        "data": _name_versions(side.reads),
        "environment": _list_environment(told),
        "git": {name: getattr(git, name) or None for name in git.__struct_fields__} if git else {},
        "command": {"folder": told.folder, "command": " ".join(told.command)} if told else {},
    }


def _list_environment(told: Provenance | None) -> dict[str, Any]:
    if told is None or not isinstance(told.environment, Environment):
        return {}
    found = told.environment
    return {"python": found.python, "platform": found.platform, **found.packages}


def _name_versions(reads: Sequence[Version]) -> dict[str, str]:
    """Return dataset -> its versions that were read."""
    numbers: dict[str, list[int]] = {}
    for version in reads:
        numbers.setdefault(version.name, []).append(version.number)
    return {name: ", ".join(f"{name}@{number}" for number in sorted(found)) for name, found in numbers.items()}


def _differ(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    names = dict.fromkeys([*before, *after])
    pairs = ((name, before.get(name), after.get(name)) for name in names)
    return [(name, old, new) for name, old, new in pairs if not _same(old, new)]


def _same(old: Any, new: Any) -> bool:
    return bool(old == new) or (old != old and new != new)  # noqa: PLR0124 - a NaN is what does not equal itself
