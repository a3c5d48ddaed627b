"""One check of a service: drift, performance and the decision to renew, from arrays in event time."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from mainspring.monitoring.baselines import Baseline, make_baseline
from mainspring.monitoring.calibration import Calibration, fit_isotonic, recalibrate
from mainspring.monitoring.drift import DriftState, follow_drift
from mainspring.monitoring.findings import Finding
from mainspring.monitoring.performance import (
    Floats,
    Performance,
    compare_losses,
    estimate_performance,
    measure_log_loss,
    realise_performance,
)
from mainspring.monitoring.policy import YEAR_S, Attempt, Decision, History, Period, Rule, decide
from mainspring.monitoring.profiles import DAY_S, find_blocks, make_profile

MIN_LABELLED = 200
MIN_BLOCKS = 5
_MAX_PERIODS = 24
_MAX_CHANCE = 0.05

Array = NDArray[Any]


class Settings(msgspec.Struct, frozen=True):
    """What a monitor watches, as `Monitor` declares it.

    Attributes
    ----------
    labels, key, target : str or None
        Dataset of outcomes, the column that joins it to the requests, the column of outcomes.
    event_time : str or None
        Column that tells when a request happened.
    delay_s : float
        Outcomes of requests younger than that are not yet expected.
    performance : bool
        Whether performance is estimated, and realised where there are labels.
    drift : bool or list of str
        Whether the model's inputs are watched, or which columns.
    alarms_per_year : float
        Budget of false alarms, over everything that is watched.
    policy : Rule
        When a renewal pays.
    block_s : float
        Length of a block of event time.
    context : list of JSON
        Columns that requests carry beside the model's inputs.
    """

    labels: str | None = None
    key: str | None = None
    target: str | None = None
    event_time: str | None = None
    delay_s: float = 0.0
    performance: bool = True
    drift: bool | list[str] = True
    alarms_per_year: float = 2.0
    policy: Rule = Rule()
    block_s: float = DAY_S
    context: list[dict[str, str]] = []

    @property
    def budget(self) -> tuple[float, float]:
        """Alarms a year for drift and for performance: half each where both can alarm."""
        both = bool(self.drift) and self.performance and self.labels is not None
        share = self.alarms_per_year / 2 if both else self.alarms_per_year
        return share, share


class Reference(msgspec.Struct, frozen=True):
    """What the model was trained on, as far as a check needs it.

    Attributes
    ----------
    rows : int
        Rows of training.
    until : float
        The last event time among them.
    baseline : Baseline or None
        What is usual; None when drift is not watched.
    """

    rows: int
    until: float
    baseline: Baseline | None = None


@dataclass(frozen=True)
class Requests:
    """What was asked and answered.

    Attributes
    ----------
    times : array of float
        Event time in seconds since 1970 UTC.
    columns : dict of str to array
        The watched inputs.
    probabilities : array of float, or None
        Of the positive class; NaN where the model gave none, which counts as a request alone.
    models : array of str
        Who answered, ``name@number``.
    keys : array, or None
        What joins the outcome.
    """

    times: Floats
    columns: dict[str, Array]
    probabilities: Floats | None
    models: Array
    keys: Array | None = None

    def select(self, mask: NDArray[np.bool_]) -> Requests:
        """Return some of the rows."""
        return Requests(
            self.times[mask],
            {name: values[mask] for name, values in self.columns.items()},
            None if self.probabilities is None else self.probabilities[mask],
            self.models[mask],
            None if self.keys is None else self.keys[mask],
        )


@dataclass(frozen=True)
class Labels:
    """Outcomes by key; `times` are their event times, NaN where unknown."""

    keys: Array
    outcomes: Floats
    times: Floats


class State(msgspec.Struct):
    """What one check hands to the next.

    Attributes
    ----------
    until, labelled_until : float or None
        Event time up to which requests and outcomes were looked at.
    model : str
        The live model of that time.
    drift : DriftState
        Of that model's reference.
    calibration : Calibration
        Learnt from that model's outcomes.
    periods : list of Period
        Of that model, with known outcomes.
    """

    until: float | None = None
    labelled_until: float | None = None
    model: str = ""
    drift: DriftState = msgspec.field(default_factory=DriftState)
    calibration: Calibration = Calibration()
    periods: list[Period] = []


class Outcome(msgspec.Struct, frozen=True):
    """What a check found."""

    alarms: list[Finding]
    performance: dict[str, Any]
    decision: Decision
    state: State


def learn(columns: dict[str, Array], times: Floats, settings: Settings) -> Reference:
    """Learn from the rows of training what is usual.

    Raises
    ------
    Invalid
        MON-003 when they span too few blocks.
    """
    until = float(np.max(times)) if len(times) else 0.0
    if not settings.drift:
        return Reference(len(times), until)
    profile = make_profile(columns, times, block_s=settings.block_s)
    return Reference(len(times), until, make_baseline(profile, settings.budget[0]))


def check(
    reference: Reference,
    requests: Requests,
    labels: Labels | None,
    state: State,
    settings: Settings,
    *,
    model: str,
    until: float,
    attempts: tuple[Attempt, ...] = (),
) -> Outcome:
    """Look at what happened since the check before.

    Parameters
    ----------
    reference : Reference
        Of the live model.
    requests : Requests
        At least those since `state.drift` and `state.labelled_until`; others do no harm.
    labels : Labels or None
        Those known; None when the monitor has none.
    state : State
        Of the check before, or empty.
    settings : Settings
        The monitor.
    model : str
        The live model, ``name@number``.
    until : float
        Event time; nothing later counts.
    attempts : tuple of Attempt
        Renewals before `until`, oldest first.

    Returns
    -------
    Outcome

    Notes
    -----
    Pure: equal arguments give equal outcomes, and rows after `until` change nothing.
    """
    requests = requests.select(requests.times <= until)
    if state.model != model:
        state = State(state.until, state.labelled_until, model, DriftState(next_block=state.drift.next_block))
    findings, drift = _check_drift(reference, requests, state, settings, until)
    performance: dict[str, Any] = {}
    periods, calibration, labelled_until = list(state.periods), state.calibration, state.labelled_until
    if settings.performance and requests.probabilities is not None:
        performance = _estimate(requests, state, settings, until)
        if labels is not None and requests.keys is not None:
            realised, end = _learn_truth(requests, labels, state, settings, until)
            performance |= realised.facts
            findings += realised.findings
            periods = [*periods, *filter(None, [realised.period])][-_MAX_PERIODS:]
            calibration = realised.calibration or calibration
            labelled_until = end if np.isfinite(end) else None
    history = History(tuple(periods), attempts, *_count_rows(reference, labels, attempts, until))
    decision = decide(history, until, settings.policy)
    if decision.renew:
        findings.append(Finding("regret", "log_loss", decision.cause, decision.evidence, until))
    return Outcome(findings, performance, decision, State(until, labelled_until, model, drift, calibration, periods))


def _check_drift(
    reference: Reference, requests: Requests, state: State, settings: Settings, until: float
) -> tuple[list[Finding], DriftState]:
    baseline = reference.baseline
    if baseline is None:
        return [], state.drift
    binnings = {name: each.binning for name, each in baseline.columns.items()}
    profile = make_profile(requests.columns, requests.times, binnings=binnings, block_s=settings.block_s)
    return follow_drift(baseline, profile, state.drift, until)


def _estimate(requests: Requests, state: State, settings: Settings, until: float) -> dict[str, Any]:
    """Estimate performance of what was asked since the last check, before any label of it is used."""
    new = requests.select(requests.times > (state.until if state.until is not None else -np.inf))
    assert new.probabilities is not None
    scored = new.select(np.isfinite(new.probabilities))
    assert scored.probabilities is not None
    estimated = estimate_performance(
        scored.probabilities, _calibrate(scored, state), find_blocks(scored.times, settings.block_s)
    )
    return {
        "since": float(new.times.min()) if len(new.times) else until,
        "until": until,
        "requests": len(new.times),
        "estimated": _to_json(estimated),
    }


@dataclass(frozen=True)
class _Realised:
    facts: dict[str, Any]
    findings: list[Finding]
    period: Period | None
    calibration: Calibration | None


def _learn_truth(
    requests: Requests, labels: Labels, state: State, settings: Settings, until: float
) -> tuple[_Realised, float]:
    """Measure what has come true since the check before, and until when outcomes are expected by now."""
    since = state.labelled_until if state.labelled_until is not None else -np.inf
    end = max(_find_end(labels, settings, until), since)
    window = (requests.times > since) & (requests.times <= end)
    return _realise(requests, _match(requests, labels, until), window, state, settings, end), end


def _realise(
    requests: Requests, truth: Floats, window: NDArray[np.bool_], state: State, settings: Settings, end: float
) -> _Realised:
    """Measure what was asked in a window whose outcomes are expected by now."""
    assert requests.probabilities is not None
    known = window & ~np.isnan(truth) & np.isfinite(requests.probabilities)
    rows, labels = requests.select(known), truth[known]
    assert rows.probabilities is not None
    blocks = find_blocks(rows.times, settings.block_s)
    expected = _calibrate(rows, state)
    realised = realise_performance(rows.probabilities, labels, blocks)
    believed = estimate_performance(rows.probabilities, expected, blocks)
    facts: dict[str, Any] = {"realised": _to_json(realised), "labelled": int(known.sum())}
    facts["estimator"] = _score_estimator(believed, realised, calibrated=bool(state.calibration.said))
    start = float(requests.times[window].min()) if window.any() else end
    findings = _judge(rows.probabilities, expected, labels, blocks, settings, (start, end), facts)
    own = rows.models == state.model
    enough = int(own.sum()) >= MIN_LABELLED and 0 < labels[own].sum() < own.sum()
    if not enough:
        return _Realised(facts, findings, None, None)
    said, happened = rows.probabilities[own], labels[own]
    loss = float(measure_log_loss(said, happened).mean())
    better = float(measure_log_loss(recalibrate(said, happened, blocks[own]), happened).mean())
    facts["recalibrated"] = round(better, 6)
    period = Period(start, end, int(window.sum()), int(own.sum()), round(loss, 6), round(better, 6))
    return _Realised(facts, findings, period, fit_isotonic(said, happened))


def _judge(
    said: Floats,
    expected: Floats,
    labels: Floats,
    blocks: NDArray[np.int64],
    settings: Settings,
    span: tuple[float, float],
    facts: dict[str, Any],
) -> list[Finding]:
    """Tell whether the loss is further above the expected one than the budget of alarms explains."""
    if len(np.unique(blocks)) < MIN_BLOCKS:
        return []
    more, error = compare_losses(measure_log_loss(said, labels), measure_log_loss(said, expected), blocks)
    chance = min(settings.budget[1] * (span[1] - span[0]) / YEAR_S, _MAX_CHANCE)
    limit = NormalDist().inv_cdf(1 - chance)
    z = more / error if error > 0 else 0.0
    facts["surprise"] = {"log_loss": round(more, 6), "z": round(z, 3), "limit": round(limit, 3)}
    if z <= limit:
        return []
    realised, estimated = facts["realised"]["log_loss"]["value"], facts["realised"]["log_loss"]["value"] - more
    summary = f"log_loss is {realised:.4f} where {estimated:.4f} was expected of these inputs"
    evidence = {"since": span[0], "until": span[1], **facts["surprise"], "rows": len(labels)}
    return [Finding("performance", "log_loss", summary, evidence, span[1])]


def _find_end(labels: Labels, settings: Settings, until: float) -> float:
    """Return the event time up to which outcomes are expected: no later than the newest one."""
    times = labels.times[labels.times <= until]
    newest = float(times.max()) if len(times) else (until if np.isnan(labels.times).any() else -np.inf)
    return min(until - settings.delay_s, newest)


def _calibrate(rows: Requests, state: State) -> Floats:
    """Return calibrated probabilities; those of other models stay as they are."""
    assert rows.probabilities is not None
    own = rows.models == state.model
    return np.where(own, state.calibration.apply(rows.probabilities), rows.probabilities)


def _match(requests: Requests, labels: Labels, until: float) -> Floats:
    """Return the outcome of each request, NaN where none is known."""
    truth = np.full(len(requests.times), np.nan)
    counted = ~(labels.times > until)
    keys = labels.keys[counted].astype(str)
    if not len(keys) or requests.keys is None:
        return truth
    order = np.argsort(keys, kind="stable")
    wanted = requests.keys.astype(str)
    place = np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)
    found = keys[order[place]] == wanted
    truth[found] = labels.outcomes[counted][order[place[found]]]
    return truth


def _count_rows(
    reference: Reference, labels: Labels | None, attempts: tuple[Attempt, ...], until: float
) -> tuple[int, int]:
    """Return how many labelled rows the last training could see, and how many one could see now."""
    if labels is None:
        return reference.rows, reference.rows
    times = labels.times[~np.isnan(labels.outcomes)]
    tried = max([reference.until, *(each.time for each in attempts if not each.promoted)])
    then = int(((times > reference.until) & (times <= tried)).sum())
    now = int(((times > reference.until) & (times <= until)).sum())
    return reference.rows + then, reference.rows + now


def _score_estimator(believed: Performance, realised: Performance, *, calibrated: bool) -> dict[str, Any]:
    """Return by how much the estimate was off, and whether its interval held what came."""
    score: dict[str, Any] = {"calibrated": calibrated}
    for name in ("auc", "log_loss"):
        estimate, truth = getattr(believed, name), getattr(realised, name)
        if estimate is not None and truth is not None:
            score[name] = round(truth.value - estimate.value, 6)
            score[f"{name}_held"] = bool(estimate.low <= truth.value <= estimate.high)
    return score


def _to_json(performance: Performance) -> dict[str, Any]:
    body: dict[str, Any] = msgspec.to_builtins(performance)
    return body
