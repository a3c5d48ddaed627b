"""Searches of experiments: which of a project's a filter holds for, and in which order they are told."""

from __future__ import annotations

from collections.abc import Iterable

from mainspring.domain.conditions import Condition, Order, holds
from mainspring.domain.experiments import Experiment


def select_experiments(
    found: Iterable[Experiment], conditions: Iterable[Condition], orders: Iterable[Order]
) -> list[Experiment]:
    """Return the experiments for which all conditions hold, in order; those made last come first where it is left open.

    Parameters
    ----------
    found : iterable of Experiment
        Those of a project: a person makes them, so there are few.
    conditions : iterable of Condition
        Of `mainspring.domain.grammars.EXPERIMENTS`.
    orders : iterable of Order
        The first one counts most.

    Examples
    --------
    >>> made = [Experiment(1, "one", created_at=1.0), Experiment(2, "two", created_at=2.0)]
    >>> [each.name for each in select_experiments(made, [], [])]
    ['two', 'one']
    >>> [each.name for each in select_experiments(made, [Condition("attribute", "name", "LIKE", "o%")], [])]
    ['one']
    """
    chosen = [each for each in found if all(holds(condition, _read(each, condition)) for condition in conditions)]
    given = list(orders)
    if not given:
        return sorted(chosen, key=lambda each: (-_milliseconds(each.created_at), each.number))
    chosen.sort(key=lambda each: each.number, reverse=True)
    for order in reversed(given):
        chosen.sort(key=lambda each, key=order.key: _rank(each, key), reverse=order.descending)  # type: ignore[misc]
    return chosen


def _read(each: Experiment, condition: Condition) -> str | int | None:
    if condition.kind == "tag":
        return each.tags.get(condition.key)
    value = _rank(each, condition.key)
    return str(value) if condition.key == "experiment_id" else value


def _rank(each: Experiment, key: str) -> str | int:
    if key == "name":
        return each.name
    if key == "experiment_id":
        return each.number
    return _milliseconds(each.created_at if key == "creation_time" else each.changed_at)


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
