"""Budgets that only ever fall: what was promised, and what has been reached since."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from bench.figures import Figure

PATH = Path(__file__).with_name("budgets.json")

_ROOM = 1.3
"""So much more than the measured median a tightened budget allows: another day, another machine."""

Budgets = dict[str, dict[str, float]]
"""Table -> figure -> the most that it may be."""


def read_budgets(path: Path = PATH) -> Budgets:
    """Return the committed budgets."""
    found: Budgets = json.loads(path.read_text("utf-8"))
    return found


def write_budgets(budgets: Budgets, path: Path = PATH) -> None:
    """Write the budgets, sorted."""
    path.write_text(json.dumps(budgets, indent=1, sort_keys=True) + "\n", "utf-8")


def find_breaches(tables: Mapping[str, list[Figure]], budgets: Budgets) -> list[str]:
    """Return what is over a budget, and what has one but was not measured.

    Parameters
    ----------
    tables : mapping of str to list of Figure
        What was measured; only budgets of these tables count.
    budgets : Budgets
        The committed ones.
    """
    found = []
    for title, figures in tables.items():
        medians = {figure.name: figure.median for figure in figures}
        for name, most in budgets.get(title, {}).items():
            if name not in medians:
                found.append(f"{title}: {name} has a budget of {most:g} and was not measured")
            elif medians[name] > most:
                found.append(f"{title}: {name} is {medians[name]:.4g}, over its budget of {most:g}")
        found += [
            f"{title}: {figure.name} is promised to be {figure.budget:g} and has no committed budget"
            for figure in figures
            if figure.budget is not None and figure.name not in budgets.get(title, {})
        ]
    return found


def tighten(budgets: Budgets, tables: Mapping[str, list[Figure]]) -> Budgets:
    """Return the budgets with those lowered that were beaten with room to spare; none is ever raised.

    A figure with a promise and no budget yet gets one, at most the promise.
    """
    tightened = {title: dict(each) for title, each in budgets.items()}
    for title, figures in tables.items():
        for figure in figures:
            known = tightened.get(title, {}).get(figure.name, figure.budget)
            if known is not None:
                reached = float(f"{figure.median * _ROOM:.3g}")
                tightened.setdefault(title, {})[figure.name] = min(known, figure.budget or known, reached)
    return tightened
