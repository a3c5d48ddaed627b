"""A figure, its budget, and the table they are printed in."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One measured number.

    Attributes
    ----------
    name : str
        What was measured.
    values : sequence of float
        One for each repetition.
    unit : str
        Unit of the values and the budget.
    budget : float or None
        The most it may be; None: told for information.
    note : str
        How it was measured.
    """

    name: str
    values: Sequence[float]
    unit: str
    budget: float | None = None
    note: str = ""

    @property
    def median(self) -> float:
        """The middle of the repetitions."""
        return statistics.median(self.values)

    @property
    def verdict(self) -> str:
        """``pass``, ``FAIL``, or a dash without a budget."""
        if self.budget is None:
            return "-"
        return "pass" if self.median <= self.budget else "FAIL"


def print_figures(title: str, figures: Sequence[Figure]) -> None:
    """Print a table: median, spread, budget, verdict."""
    rows = [("", "median", "min..max", "budget", "", "how")]
    for figure in figures:
        spread = f"{min(figure.values):.4g}..{max(figure.values):.4g}" if len(figure.values) > 1 else ""
        budget = "" if figure.budget is None else f"{figure.budget:.4g}"
        note = f"{len(figure.values)}x, {figure.note}" if len(figure.values) > 1 else figure.note
        rows.append((figure.name, f"{figure.median:.4g} {figure.unit}", spread, budget, figure.verdict, note))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    print(f"\n{title}")
    for row in rows:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
