"""The judgement of a challenger: every demand of a gate, with the evidence for its outcome."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mainspring.domain.errors import Invalid
from mainspring.evaluation.comparisons import Array, Rows, compare, describe, measure
from mainspring.evaluation.rules import METRICS, REGRESSION, Rules, parse_test, read_rules
from mainspring.evaluation.slices import judge_slices

# Failures that a summary tells; the evidence has all.
_TOLD = 5


def judge(
    body: Any,
    labels: ArrayLike,
    challenger: ArrayLike,
    champion: ArrayLike,
    slices: Mapping[str, Array],
    measurements: Mapping[str, float],
) -> dict[str, Any]:
    """Judge a challenger against a champion on the same unseen rows.

    Parameters
    ----------
    body : JSON
        The gate's body; see `mainspring.evaluation.rules.Rules`.
    labels : array_like
        The truth: 0 and 1, or values; NaN where it is unknown, and such rows are left out.
    challenger, champion : array_like
        Probabilities of label 1, or values, row by row; where there is no champion, the
        predictions of a simple baseline.
    slices : mapping of str to ndarray
        The slicing columns, row by row.
    measurements : mapping of str to float
        What the limits bound, of the challenger.

    Returns
    -------
    dict
        ``passed``, ``summary`` (a line for people) and ``evidence`` (JSON: every comparison
        with its interval, the slices, the limits, the tests and the failures).

    Raises
    ------
    Invalid
        GATE-001 a gate that makes no sense, GATE-004 predictions that are no numbers, GATE-005
        fewer rows than `min_rows`, GATE-006 labels that the metrics cannot judge.

    Notes
    -----
    Guarantees: a challenger no better than the champion passes a demand of `better` with
    probability `alpha` at most, and with several demands less often. One that is worse than a
    margin passes `not_worse` with probability `alpha` at most. Rows count as independent.
    """
    rules = read_rules(body)
    rows, kept = _clean(rules, labels, challenger, champion)
    evidence: dict[str, Any] = {"rows": len(rows), "without_label": int((~kept).sum()), "alpha": rules.alpha}
    failures: list[str] = []
    evidence["better"] = [_judge_better(rules, metric, rows, failures) for metric in rules.better]
    evidence["not_worse"] = [_judge_not_worse(rules, metric, rows, failures) for metric in rules.not_worse]
    evidence["slices"] = _judge_slices(rules, rows, {name: slices[name][kept] for name in rules.slices}, failures)
    evidence["limits"] = [
        _judge_limit(name, limit, measurements[name], failures) for name, limit in rules.limits.items()
    ]
    evidence["tests"] = [_judge_test(text, rows, failures) for text in rules.tests]
    evidence["failures"] = failures
    shown = list(dict.fromkeys(_tell(each) for each in (*evidence["better"], *evidence["not_worse"])))
    return {
        "passed": not failures,
        "summary": "; ".join(failures or shown or ["nothing compared"]),
        "evidence": evidence,
    }


def _clean(rules: Rules, labels: ArrayLike, challenger: ArrayLike, champion: ArrayLike) -> tuple[Rows, Array]:
    truth = np.asarray(labels, dtype=np.float64)
    kept = ~np.isnan(truth)
    if kept.sum() < rules.min_rows:
        raise Invalid(
            "GATE-005",
            f"{int(kept.sum()):,} rows have a label, the gate asks for {rules.min_rows:,}",
            rows=int(kept.sum()),
            min_rows=rules.min_rows,
        )
    ours, theirs = (np.asarray(each, dtype=np.float64) for each in (challenger, champion))
    for who, values in (("challenger", ours), ("champion", theirs)):
        wrong = int((~np.isfinite(values)).sum())
        if wrong:
            raise Invalid(
                "GATE-004", f"{wrong:,} of {len(values):,} predictions of the {who} are no numbers", rows=wrong
            )
    rows = Rows(truth[kept], ours[kept], theirs[kept])
    if _is_regression(rules):
        return rows, kept
    strange = rows.truth[(rows.truth != 0) & (rows.truth != 1)]
    if len(strange):
        raise Invalid("GATE-006", f"a label is {strange[0]:g}, not 0 or 1", target=rules.target)
    if min(rows.truth.sum(), (1 - rows.truth).sum()) < 2:
        raise Invalid("GATE-006", f"all labels but {min(rows.truth.sum(), (1 - rows.truth).sum()):g} are the same")
    return rows, kept


def _is_regression(rules: Rules) -> bool:
    used = {*rules.better, *rules.not_worse, *(parse_test(each)[0] for each in rules.tests)}
    return bool(used & set(REGRESSION))


def _judge_better(rules: Rules, metric: str, rows: Rows, failures: list[str]) -> dict[str, Any]:
    gain = compare(metric, rows, alpha=rules.alpha)
    found = {**describe(metric, rows, gain), "p_value": gain.p_above(0.0), "passed": gain.low > 0}
    if not found["passed"]:
        failures.append(f"{_tell(found)} not better")
    return found


def _judge_not_worse(rules: Rules, metric: str, rows: Rows, failures: list[str]) -> dict[str, Any]:
    margin = rules.not_worse[metric]
    gain = compare(metric, rows, alpha=rules.alpha)
    passed = gain.low > -margin or (margin == 0 and gain.estimate == gain.low == 0)
    found = {**describe(metric, rows, gain), "margin": margin, "p_value": gain.p_above(-margin), "passed": passed}
    if not passed:
        failures.append(f"{_tell(found)} may be worse by {margin:g}")
    return found


def _judge_slices(rules: Rules, rows: Rows, columns: Mapping[str, Array], failures: list[str]) -> dict[str, Any]:
    margins = rules.not_worse or dict.fromkeys(rules.better, 0.0)
    found = judge_slices(rows, columns, margins, rules.alpha)
    failures += [_tell_slice(each) for each in found["failed"]]
    return found


def _judge_limit(name: str, limit: float, measured: float, failures: list[str]) -> dict[str, Any]:
    passed = measured <= limit
    if not passed:
        failures.append(f"{name} {measured:.3g} > {limit:g}")
    return {"name": name, "limit": limit, "measured": measured, "passed": passed}


def _judge_test(text: str, rows: Rows, failures: list[str]) -> dict[str, Any]:
    metric, comparison, bound = parse_test(text)
    value = measure(metric, rows.truth, rows.challenger)
    passed = value <= bound if comparison == "<=" else value >= bound
    if not passed:
        failures.append(f"{metric} {value:.4f} is not {comparison} {bound:g}")
    return {"test": text, "value": value, "passed": passed}


def _tell(found: Mapping[str, Any]) -> str:
    return f"{found['metric']} {found['change']:+.4f} [{found['low']:+.4f}, {found['high']:+.4f}]"


def _tell_slice(found: Mapping[str, Any]) -> str:
    mark = "<" if METRICS[found["metric"]] else ">"
    bound = -found["margin"] if METRICS[found["metric"]] else found["margin"]
    return f"slice {found['column']}={found['value']} {found['metric']} {found['change']:+.4f} {mark} {bound:+g}"
