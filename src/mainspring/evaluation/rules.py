"""What a gate demands: the body of its declaration."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from mainspring.domain.errors import Invalid

# Metrics by kind of task, and whether a higher value is better.
CLASSIFICATION: dict[str, bool] = {"auc": True, "log_loss": False, "brier": False, "error_rate": False, "ece": False}
REGRESSION: dict[str, bool] = {"mse": False, "mae": False}
METRICS = CLASSIFICATION | REGRESSION
LIMITS = ("latency_ms", "size_mb")

_TEST = re.compile(r"\s*([a-z_]+)\s*(<=|>=)\s*(-?\d+(?:\.\d+)?|\.\d+)\s*\Z")


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A gate's demands.

    Attributes
    ----------
    target : str
        Column of the judging rows that holds the truth.
    better : tuple of str
        Metrics in which the challenger must beat the champion.
    not_worse : dict of str to float
        Metric -> margin, >= 0, in the metric's unit: the challenger must be shown to lose less
        than this.
    slices : tuple of str
        Columns; on no value of one may the challenger be shown to lose more than the margin.
    limits : dict of str to float
        ``latency_ms`` of one row and ``size_mb`` (10**6 bytes), at most.
    tests : tuple of str
        Demands on the challenger alone: ``"auc >= 0.65"``.
    alpha : float
        Probability of passing a challenger that is no better, between 0 and 0.5.
    min_rows : int
        Rows with a label that a judgement needs.
    """

    target: str
    better: tuple[str, ...] = ()
    not_worse: dict[str, float] = {}
    slices: tuple[str, ...] = ()
    limits: dict[str, float] = {}
    tests: tuple[str, ...] = ()
    alpha: float = 0.05
    min_rows: int = 1000


def read_rules(body: Any) -> Rules:
    """Read and check the body of a gate.

    Raises
    ------
    Invalid
        GATE-001 when a demand makes no sense: an unknown metric or limit, a negative margin, a
        test that is no comparison, metrics of classification and regression at once.
    """
    try:
        rules = msgspec.convert(body, Rules)
    except msgspec.ValidationError as fault:
        raise Invalid("GATE-001", f"a gate cannot be read: {fault}") from None
    used = [*rules.better, *rules.not_worse, *(parse_test(each)[0] for each in rules.tests)]
    for metric in used:
        if metric not in METRICS:
            raise Invalid("GATE-001", f"no metric is called {metric!r}", fix=f"use one of {', '.join(METRICS)}")
    if set(used) & set(CLASSIFICATION) and set(used) & set(REGRESSION):
        raise Invalid("GATE-001", f"a gate mixes metrics of classification and regression: {', '.join(used)}")
    for name, margin in rules.not_worse.items():
        if not margin >= 0:
            raise Invalid("GATE-001", f"the margin of {name} is {margin}, not zero or above")
    for name in rules.limits:
        if name not in LIMITS:
            raise Invalid("GATE-001", f"no limit is called {name!r}", fix=f"use one of {', '.join(LIMITS)}")
    if rules.slices and not (rules.better or rules.not_worse):
        raise Invalid("GATE-001", f"slices {', '.join(rules.slices)} without a metric", fix="name not_worse metrics")
    if not 0 < rules.alpha < 0.5:
        raise Invalid("GATE-001", f"alpha is {rules.alpha}, not between 0 and 0.5")
    return rules


def parse_test(text: str) -> tuple[str, str, float]:
    """Read a demand on one metric.

    Raises
    ------
    Invalid
        GATE-001 when it is no comparison of a metric with a number.

    Examples
    --------
    >>> parse_test("auc >= 0.65")
    ('auc', '>=', 0.65)
    """
    match = _TEST.match(text)
    if match is None:
        raise Invalid("GATE-001", f"{text!r} is no test", fix='write tests like "auc >= 0.65"')
    return match[1], match[2], float(match[3])
