"""Figures of a study, drawn by Matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mainspring.domain.errors import Unavailable
from mainspring.tuning.trials import Trial, rank, sign_of

_COLORS = {"succeeded": "tab:blue", "pruned": "tab:orange", "failed": "tab:red", "cancelled": "tab:gray"}


def draw_curves(trials: Sequence[Trial], metric: str, mode: str) -> Any:
    """Draw the reports of each trial by how it ended, and beside them the best value so far."""
    figure, (left, right) = _open(2)
    for trial in trials:
        steps, reports = [step for step, _ in trial.curve], [value for _, value in trial.curve]
        marker = "." if len(steps) == 1 else None
        left.plot(steps, reports, color=_COLORS[trial.state], alpha=0.4, linewidth=1, marker=marker)
    for state in dict.fromkeys(trial.state for trial in trials):
        left.plot([], [], color=_COLORS[state], label=state)
    left.set(xlabel="step", ylabel=metric, title="reports")
    left.legend()
    finished = sorted(rank(trials, mode), key=lambda trial: trial.number)
    numbers, values = [trial.number for trial in finished], [trial.value or 0.0 for trial in finished]
    best = [max(values[: at + 1], key=lambda value: sign_of(mode) * value) for at in range(len(values))]
    right.scatter(numbers, values, s=10, color=_COLORS["succeeded"], alpha=0.6)
    right.step(numbers, best, where="post", color="black", linewidth=1)
    right.set(xlabel="trial", ylabel=metric, title="best so far")
    return figure


def draw_importances(importances: Mapping[str, float], metric: str) -> Any:
    """Draw the share of each parameter in the variance of the metric, largest at the top."""
    figure, axes = _open(1)
    names = list(importances)[::-1]
    axes.barh(names, [importances[name] for name in names], color=_COLORS["succeeded"])
    axes.set(xlabel=f"share in the variance of {metric}", xlim=(0, 1))
    return figure


def _open(columns: int) -> tuple[Any, Any]:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise Unavailable("TUNE-010", "figures are drawn by matplotlib, which is not installed") from None
    figure = Figure(figsize=(6 * columns, 4), layout="constrained")  # no window, no global state
    return figure, figure.subplots(1, columns)
