"""When to renew: the regret of waiting against the cost of a renewal."""

from __future__ import annotations

import math
from typing import Any

import msgspec

YEAR_S = 365.25 * 86_400
_COST_A_ROW = 0.01


class Period(msgspec.Struct, frozen=True):
    """A stretch of event time whose outcomes are known.

    Attributes
    ----------
    start, end : float
        Event time in seconds.
    requests : int
        Rows that were asked for.
    rows : int
        Those whose outcome is known.
    loss : float
        Mean loss of the served predictions.
    recalibrated : float
        The loss after recalibration on other days of the period: what a fresh model surely gets.
    """

    start: float
    end: float
    requests: int
    rows: int
    loss: float
    recalibrated: float


class Attempt(msgspec.Struct, frozen=True):
    """An earlier renewal: when, and whether it ended in a promotion."""

    time: float
    promoted: bool


class History(msgspec.Struct, frozen=True):
    """What the policy knows.

    Attributes
    ----------
    periods : tuple of Period
        Served by the present model, oldest first.
    attempts : tuple of Attempt
        Earlier renewals, oldest first.
    rows_then : int
        Labelled rows that the last training could see, be its model serving or refused.
    rows_now : int
        Labelled rows that a training could see today.
    """

    periods: tuple[Period, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    rows_then: int = 0
    rows_now: int = 0


class Rule(msgspec.Struct, frozen=True):
    """What a renewal costs and what it may bring.

    Attributes
    ----------
    cost : float or None
        Of one renewal, in loss times rows, > 0: so much loss, summed over requests, must be at stake.
        None: a hundredth for each request of the horizon.
    gain_per_doubling : float
        Drop of the mean loss that twice the rows bring, >= 0.
    horizon_s : float
        How far ahead the regret of waiting is summed, in seconds of event time, > 0.
    cooldown_s : float
        No renewal sooner than that after another; doubled after each refusal beyond the first in a row.
    renewals_per_year : int
        At most so many within a year of event time.
    """

    cost: float | None = None
    gain_per_doubling: float = 0.0
    horizon_s: float = 30 * 86_400.0
    cooldown_s: float = 0.0
    renewals_per_year: int = 12


class Decision(msgspec.Struct, frozen=True):
    """Whether to renew, why, and each term."""

    renew: bool
    cause: str
    evidence: dict[str, Any]


def decide(history: History, now: float, rule: Rule) -> Decision:
    """Weigh the regret of waiting against the cost of a renewal.

    Parameters
    ----------
    history : History
        Facts up to `now`.
    now : float
        Event time in seconds.
    rule : Rule
        Constants of the service.

    Returns
    -------
    Decision
        `evidence` names each term.

    Notes
    -----
    ``regret = (gap + gain_per_doubling * log2(rows_now / rows_then)) * rows in the horizon``, where
    the gap is what recalibration alone would have saved in the last period, at least 0. It never
    falls when the gap grows. Without a period with known outcomes nothing is decided.
    """
    if not history.periods:
        return Decision(False, "no outcomes are known yet", {"periods": 0})
    last = history.periods[-1]
    gap = max(last.loss - last.recalibrated, 0.0)
    growth = math.log2(history.rows_now / history.rows_then) if history.rows_now > history.rows_then > 0 else 0.0
    gain = gap + rule.gain_per_doubling * growth
    rows = last.requests * rule.horizon_s / max(last.end - last.start, 1.0)
    regret = gain * rows
    cost = rule.cost if rule.cost is not None else _COST_A_ROW * rows
    recent = [attempt for attempt in history.attempts if now - attempt.time < YEAR_S]
    refused = _count_refusals(history.attempts)
    wait_s = rule.cooldown_s * 2 ** max(refused - 1, 0)
    evidence = {
        "loss": round(last.loss, 6),
        "recalibrated": round(last.recalibrated, 6),
        "gap": round(gap, 6),
        "rows_then": history.rows_then,
        "rows_now": history.rows_now,
        "doublings": round(growth, 4),
        "gain_per_doubling": rule.gain_per_doubling,
        "gain": round(gain, 6),
        "horizon_rows": round(rows),
        "regret": round(regret, 1),
        "cost": round(cost, 1),
        "renewals_within_a_year": len(recent),
        "renewals_per_year": rule.renewals_per_year,
        "refused_in_a_row": refused,
        "wait_s": wait_s,
    }
    words = f"waiting is expected to cost {regret:,.0f} nats over the next {rows:,.0f} requests, a renewal {cost:,.0f}"
    if regret <= cost:
        return Decision(False, words, evidence)
    hindrance = _find_hindrance(history, now, rule, len(recent), wait_s)
    return Decision(not hindrance, f"{words}{hindrance}", evidence)


def _find_hindrance(history: History, now: float, rule: Rule, recent: int, wait_s: float) -> str:
    if recent >= rule.renewals_per_year:
        return f", but {recent} renewals a year are the most"
    if history.attempts and now - history.attempts[-1].time < wait_s:
        days = (wait_s - (now - history.attempts[-1].time)) / 86_400
        return f", but the cooldown lasts {days:.1f} more days"
    return ""


def _count_refusals(attempts: tuple[Attempt, ...]) -> int:
    count = 0
    for attempt in reversed(attempts):
        if attempt.promoted:
            break
        count += 1
    return count
