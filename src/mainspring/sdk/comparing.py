"""Two versions of a model on the same rows: what each is worth, and how sure the difference is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from mainspring.domain.errors import Invalid
from mainspring.domain.html import render_table
from mainspring.sdk.datasets import Dataset
from mainspring.sdk.models import Model

if TYPE_CHECKING:
    from mainspring.evaluation.comparisons import Rows


class Compared(msgspec.Struct, frozen=True):
    """One metric of two models on the same rows.

    Attributes
    ----------
    first, second : float
        Its value for each.
    change : float
        By how much the first is above the second, in the metric's own sign.
    low, high : float
        The ends of the paired interval of the change.
    better : str
        ``first``, ``second``, or empty where the interval holds zero.
    """

    metric: str
    first: float
    second: float
    change: float
    low: float
    high: float
    better: str


class ModelComparison(msgspec.Struct, frozen=True):
    """Two versions of a model on a dataset.

    Attributes
    ----------
    rows : int
        With a label.
    level : float
        Of the intervals.
    """

    first: str
    second: str
    data: str
    rows: int
    level: float
    metrics: list[Compared]

    def table(self) -> list[tuple[str, str, str, str, str]]:
        """Return a row for each metric, as people read it."""
        return [
            (
                each.metric,
                f"{each.first:.4f}",
                f"{each.second:.4f}",
                f"{each.change:+.4f} [{each.low:+.4f}, {each.high:+.4f}]",
                {"first": self.first, "second": self.second}.get(each.better, "not told apart"),
            )
            for each in self.metrics
        ]

    def _repr_html_(self) -> str:
        return render_table(("metric", self.first, self.second, "change", "better"), self.table())


def compare_models(first: str, second: str, data: str, target: str, *, alpha: float = 0.05) -> ModelComparison:
    """Compare two versions of a model on labelled rows.

    Parameters
    ----------
    first, second : str
        References.
    data : str
        Reference of a dataset with the inputs of both and the target.
    target : str
        The column of the truth.
    alpha : float, default 0.05
        Each end of an interval errs with this probability.

    Raises
    ------
    Invalid
        GATE-002 when a column is missing; GATE-006 for labels or answers that cannot be compared; MODEL-005 to
        MODEL-009 for rows that a signature refuses.
    NotFound
        MODEL-001 or DATA-002 when a reference names nothing.

    Notes
    -----
    Paired throughout, as gates compare; nothing is recorded but that the rows were read.
    """
    import numpy as np

    from mainspring.evaluation.comparisons import Rows
    from mainspring.evaluation.rules import CLASSIFICATION, REGRESSION
    from mainspring.evaluation.scores import read_answers, read_truth

    models, given = (Model(first), Model(second)), Dataset(data)
    rows = given.polars()
    truth, told = read_truth(rows, target), [model.predict(rows) for model in models]
    answers = [
        read_answers({column.name: column.to_numpy() for column in each.iter_columns()}, model.reference)
        for model, each in zip(models, told, strict=True)
    ]
    kinds = {"probability" in each.columns for each in told}
    if len(kinds) > 1:
        raise Invalid(
            "GATE-006",
            f"{models[0].reference} and {models[1].reference} answer different questions",
            why="one gives probabilities of two labels, the other values, which no metric measures alike",
            fix="compare models of one task: mainspring models show MODEL tells what it gives",
        )
    known = ~np.isnan(truth)
    pairs = Rows(truth[known], answers[0][known], answers[1][known])
    if len(pairs) < 2 or (kinds == {True} and len(set(pairs.truth.tolist())) < 2):
        raise Invalid("GATE-006", f"{len(pairs):,} rows of {given.reference} have a label, of one kind or none")
    found = _measure(pairs, CLASSIFICATION if kinds == {True} else REGRESSION, alpha)
    return ModelComparison(
        models[0].reference, models[1].reference, given.reference, len(pairs), 1.0 - 2.0 * alpha, found
    )


def _measure(pairs: Rows, metrics: Iterable[str], alpha: float) -> list[Compared]:
    from mainspring.evaluation.comparisons import compare, describe

    found = []
    for metric in metrics:
        gain = compare(metric, pairs, alpha=alpha)
        seen = describe(metric, pairs, gain)
        better = "first" if gain.low > 0 else "second" if gain.high < 0 else ""
        values = (seen["challenger"], seen["champion"], seen["change"], seen["low"], seen["high"])
        found.append(Compared(metric, *values, better))
    return found


def draw_comparison(comparison: ModelComparison) -> str:
    """Return a picture of the intervals as SVG: each on its own scale, zero in the middle."""
    from html import escape

    height, middle, half = 34, 330.0, 180.0
    parts = []
    for number, each in enumerate(comparison.metrics):
        y = 60 + number * height
        most = max(abs(each.low), abs(each.high)) or 1.0
        low, high, at = (middle + half * value / most for value in (each.low, each.high, each.change))
        ink = "#666" if not each.better else "#1a7f37" if each.better == "first" else "#b35900"
        parts += [
            f'<text x="10" y="{y + 4}">{escape(each.metric)}</text>',
            f'<line x1="{low:.1f}" y1="{y}" x2="{high:.1f}" y2="{y}" stroke="{ink}" stroke-width="3"/>',
            f'<circle cx="{at:.1f}" cy="{y}" r="5" fill="{ink}"/>',
            f'<text x="530" y="{y + 4}">{each.change:+.4f} [{each.low:+.4f}, {each.high:+.4f}]</text>',
        ]
    bottom = 60 + len(comparison.metrics) * height
    title = f"{comparison.first} against {comparison.second} on {comparison.data}, {comparison.rows:,} rows"
    size = f'width="760" height="{bottom}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="13">'
        f'<rect {size} fill="#fff"/><text x="10" y="24">{escape(title)}</text>'
        f'<line x1="{middle}" y1="40" x2="{middle}" y2="{bottom - 10}" stroke="#bbb"/>{"".join(parts)}</svg>\n'
    )
