"""How the models that are in use stand to the goals that they were registered with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mainspring.control.turn import Turn
from mainspring.domain.glance import Aim
from mainspring.domain.messages import ListVersions
from mainspring.domain.records import Verdict, Version
from mainspring.domain.references import Reference
from mainspring.evaluation.rules import METRICS
from mainspring.store import rows, tables
from mainspring.store.versions import find_version, list_versions

_MOST = 100
_ALIAS = "champion"


def list_goals(turn: Turn) -> list[Aim]:
    """Return the goals of the champions of the project, by the newest model first."""
    newest = list_versions(turn.connection, turn.project, ListVersions("model", limit=_MOST))
    found = (
        find_version(turn.connection, "model", turn.project, Reference(each.name, alias=_ALIAS)) for each in newest
    )
    return [aim for version in found if version is not None for aim in _read_goal(turn, version)]


def decide_met(metric: str, value: float | None, target: float | None) -> bool | None:
    """Tell whether a value reaches a target; None where it cannot be told.

    Examples
    --------
    >>> decide_met("auc", 0.73, 0.7), decide_met("log_loss", 0.31, 0.3), decide_met("auc", None, 0.7)
    (True, False, None)
    """
    if value is None or target is None or metric not in METRICS:
        return None
    return value >= target if METRICS[metric] else value <= target


def _read_goal(turn: Turn, version: Version) -> Iterator[Aim]:
    goal = (version.details if isinstance(version.details, dict) else {}).get("goal")
    if goal:
        value = _find_value(turn, version.reference, goal["metric"])
        met = decide_met(goal["metric"], value, goal.get("target"))
        yield Aim(version.reference, goal["text"], goal["metric"], goal.get("target"), value, met)


def _find_value(turn: Turn, reference: str, metric: str) -> float | None:
    """Return what the newest gate measured of a model on unseen data."""
    found = rows.find(turn.connection, tables.verdicts, Verdict, limit=1, project=turn.project, model=reference)
    evidence: dict[str, Any] = found[0].evidence or {} if found else {}
    measured = [*evidence.get("better", ()), *evidence.get("not_worse", ())]
    return next((float(each["challenger"]) for each in measured if each["metric"] == metric), None)
