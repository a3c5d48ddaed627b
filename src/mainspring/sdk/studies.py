"""Studies: what a search has tried, and what it found best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mainspring.domain.errors import Failed, Invalid
from mainspring.domain.html import render_pairs, render_table, render_text
from mainspring.sdk.runs import Run
from mainspring.tuning.space import Range, make_range
from mainspring.tuning.trials import Trial, find_best, find_front, rank


def between(low: float, high: float, *, log: bool = False, step: float | None = None) -> Range:
    """Make a range for a search; two ints make a range of ints.

    Parameters
    ----------
    low, high : int or float
        Both included, `low` below `high`.
    log : bool, default False
        Draw evenly in the logarithm.
    step : int or float, optional
        Distance between allowed values; None allows all.

    Returns
    -------
    Range
        For the space of `tune`.

    Raises
    ------
    Invalid
        TUNE-001 when the bounds are no range.

    Examples
    --------
    >>> between(1, 9).whole
    True
    """
    return make_range(low, high, log=log, step=step)


class Study:
    """A finished search.

    Attributes
    ----------
    run : Run
        The run of the whole search.
    metrics, modes : tuple of str
        What was searched for, and whether ``max`` or ``min`` of it.
    trials : tuple of Trial
        In order of their numbers, with parameters, state and curve.
    importances : dict of str to float
        Share of each parameter in the variance of the metric; empty when it cannot be told, as
        with several metrics.
    remark : str
        Whether the best were run again on fresh seeds, and if not, why.
    """

    def __init__(
        self,
        run: Run,
        metrics: Sequence[str],
        modes: Sequence[str],
        trials: Sequence[Trial],
        importances: dict[str, float],
        remark: str = "",
    ) -> None:
        self.run = run
        self.metrics = tuple(metrics)
        self.modes = tuple(modes)
        self.trials = tuple(trials)
        self.importances = importances
        self.remark = remark

    @property
    def best(self) -> Run:
        """The run of the best trial; its `result()` is what the step returned.

        Raises
        ------
        Failed
            TUNE-004 when no trial succeeded.
        Invalid
            TUNE-009 with several metrics: `front` has the best.
        """
        return Run(self._find_best().run_id)

    @property
    def params(self) -> dict[str, Any]:
        """The parameters of the best trial; raises as `best`."""
        return self._find_best().params

    @property
    def value(self) -> float:
        """The metric of the best trial, on its fresh seeds if it has any; raises as `best`."""
        best = self._find_best()
        return (best.value if best.confirmed is None else best.confirmed) or 0.0

    @property
    def front(self) -> tuple[Trial, ...]:
        """The trials that no other one beats in one metric without losing in another: the Pareto front."""
        if len(self.metrics) == 1:
            return (self._find_best(),)
        return tuple(find_front(self.trials, self.modes))

    def list_best(self, count: int) -> list[dict[str, Any]]:
        """Return the parameters of the best trials, or of the front, at most so many."""
        if len(self.metrics) > 1:
            return [trial.params for trial in self.front[:count]]
        ranked = rank(self.trials, self.modes[0])
        best = find_best(self.trials, self.modes[0])
        return [trial.params for trial in sorted(ranked, key=lambda each: each is not best)[:count]]

    def rows(self) -> list[dict[str, Any]]:
        """Return a dict for each trial, all with the same keys: number, state, metrics, parameters, run."""
        names = dict.fromkeys(name for trial in self.trials for name in trial.params)
        found = []
        for trial in self.trials:
            values = trial.values or (trial.value,)
            row: dict[str, Any] = {"trial": trial.number, "state": trial.state}
            row |= dict(zip(self.metrics, values, strict=False))
            if any(each.repeats for each in self.trials):
                row["fresh_seeds"] = trial.confirmed
            row |= {f"params.{name}": trial.params.get(name) for name in names}
            found.append(row | {"reports": len(trial.curve), "run": trial.run_id})
        return found

    def polars(self) -> Any:
        """Return `rows` as a Polars frame."""
        import polars as pl

        return pl.DataFrame(self.rows(), infer_schema_length=None)

    def plot_curves(self) -> Any:
        """Return a figure: the reports of each trial, and the best value so far.

        Raises
        ------
        Unavailable
            TUNE-010 when Matplotlib is not installed.
        """
        from mainspring.tuning.adapters.matplotlib import draw_curves

        return draw_curves(self.trials, self.metrics[0], self.modes[0])

    def plot_importances(self) -> Any:
        """Return a figure: the share of each parameter in the variance of the metric.

        Raises
        ------
        Unavailable
            TUNE-010 when Matplotlib is not installed.
        """
        from mainspring.tuning.adapters.matplotlib import draw_importances

        return draw_importances(self.importances, self.metrics[0])

    def _find_best(self) -> Trial:
        if len(self.metrics) > 1:
            what = f"one best trial by {' and '.join(self.metrics)} there is not"
            raise Invalid("TUNE-009", what)
        best = find_best(self.trials, self.modes[0])
        if best is None:
            what = f"none of {len(self.trials)} trials has a finite {self.metrics[0]}"
            raise Failed("TUNE-004", what, run=self.trials[-1].run_id if self.trials else self.run.id)
        return best

    def __repr__(self) -> str:
        states = [trial.state for trial in self.trials]
        counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        if len(self.metrics) > 1:
            return f"Study({counts}; {len(self.front)} on the front of {', '.join(self.metrics)})"
        return f"Study({counts}; best {self.metrics[0]} {self.value:.4g} with {self.params})"

    def _repr_html_(self) -> str:
        rows = [
            (trial.number, trial.state, render_pairs(trial.params), trial.run_id[-6:])
            for trial in sorted(self.trials, key=lambda each: each.state != "succeeded")
        ]
        told = f"importances: {render_pairs(self.importances)}" if self.importances else ""
        remark = f"<p>{render_text('; '.join(each for each in (self.remark, told) if each))}</p>"
        return (
            f"<p><b>{render_text(repr(self))}</b></p>{remark}{render_table(('trial', 'state', 'params', 'run'), rows)}"
        )
