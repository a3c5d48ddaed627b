"""How a new revision takes over: the decision of a rollout, without any effect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from mainspring.domain.records import Revision
from mainspring.serving.files import Moments, RevisionStatus

Action = Literal["hold", "advance", "promote", "roll_back"]


class Stage(msgspec.Struct, frozen=True):
    """A step of a canary.

    Attributes
    ----------
    weight : int
        Percent of the requests that the canary gets, 1 to 99.
    requests : int
        Requests that the canary must have answered since its start to leave the stage, > 0.
    """

    weight: int
    requests: int


class Rules(msgspec.Struct, frozen=True):
    """When a canary advances and when it is rolled back.

    Attributes
    ----------
    stages : tuple of Stage
        In order of weight and of requests; after the last one the canary is full.
    error_share : float
        Share of failed requests above the live revision's that is borne, 0 to 1; the same of
        outputs that are no numbers.
    min_errors : int
        Fewer failed requests than that never roll back: one bad request is no trend.
    latency_ratio : float
        Borne ratio of the median latency to the live revision's, > 1.
    latency_us : float
        A median below this is never too slow, so that two fast models are not compared by noise.
    output_shift : float
        Borne distance between the mean outputs of canary and live, in standard deviations of live's.
    min_outputs : int
        Rows that both must have predicted before outputs are compared.
    """

    stages: tuple[Stage, ...] = (Stage(10, 40), Stage(50, 80))
    error_share: float = 0.01
    min_errors: int = 3
    latency_ratio: float = 3.0
    latency_us: float = 5_000.0
    output_shift: float = 1.0
    min_outputs: int = 500


RULES = Rules()


class Decision(msgspec.Struct, frozen=True):
    """What to do with the canary of a service.

    Attributes
    ----------
    action : str
        ``hold``, ``advance`` (more requests), ``promote`` (all requests) or ``roll_back`` (none).
    weights : dict of int to int
        Weight of each revision afterwards; they sum to 100 or, with nothing that serves, to 0.
    reason : str
        One sentence.
    canary : int or None
        Number of the revision that is decided on.
    """

    action: Action
    weights: dict[int, int]
    reason: str
    canary: int | None = None


def decide(revisions: Sequence[Revision], statistics: Mapping[int, RevisionStatus], rules: Rules = RULES) -> Decision:
    """Decide on the canary of a service.

    Parameters
    ----------
    revisions : sequence of Revision
        The service's revisions as recorded; at most one is in state ``canary``.
    statistics : mapping of int to RevisionStatus
        What the plane reports by revision number.
    rules : Rules
        Stages and bounds.

    Returns
    -------
    Decision
        Equal input gives an equal decision.

    Notes
    -----
    Guarantees: a canary's weight never falls except to 0; a revision that did not load or lies
    beyond a bound never gains weight; without a live revision beside it a loaded canary is
    promoted at once, because nothing else answers.
    """
    canary = next((each for each in reversed(revisions) if each.state == "canary"), None)
    weights = {each.number: each.weight for each in revisions}
    if canary is None:
        return Decision("hold", weights, "no canary is running")
    live = next((each for each in reversed(revisions) if each.state == "live"), None)
    status = statistics.get(canary.number)
    fault = _find_fault(canary, status, live, statistics, rules)
    if fault:
        return Decision("roll_back", _split(weights, canary, live, 0), fault, canary.number)
    if status is None or status.state != "ready":
        return Decision("hold", weights, f"revision {canary.number} is loading", canary.number)
    if live is None:
        full = _split(weights, canary, live, 100)
        return Decision("promote", full, f"revision {canary.number} is loaded and no other is live", canary.number)
    return _advance(canary, live, status, weights, rules)


def _advance(
    canary: Revision, live: Revision, status: RevisionStatus, weights: dict[int, int], rules: Rules
) -> Decision:
    answered = f"revision {canary.number} answered {status.requests} requests without fault"
    for stage in rules.stages:
        if status.requests >= stage.requests:
            continue
        if canary.weight < stage.weight:
            split = _split(weights, canary, live, stage.weight)
            return Decision("advance", split, f"{answered}: {stage.weight} percent", canary.number)
        waits = f"{answered}, {stage.requests - status.requests} to go at {canary.weight} percent"
        return Decision("hold", weights, waits, canary.number)
    return Decision("promote", _split(weights, canary, live, 100), f"{answered}: all stages passed", canary.number)


def _find_fault(
    canary: Revision,
    status: RevisionStatus | None,
    live: Revision | None,
    statistics: Mapping[int, RevisionStatus],
    rules: Rules,
) -> str:
    """Return why the canary must go, or an empty text."""
    if status is None:
        return ""
    if status.state == "failed":
        what = status.problem.what if status.problem else "no reason given"
        return f"revision {canary.number} did not load: {what}"
    beside = statistics.get(live.number) if live else None
    share, borne = _error_share(status), rules.error_share + (_error_share(beside) if beside else 0.0)
    if status.errors >= rules.min_errors and share > borne:
        return f"revision {canary.number} failed on {share:.1%} of its requests, {borne:.1%} are borne"
    if beside is None:
        return ""
    slow = max(rules.latency_us, rules.latency_ratio * beside.latency_us_p50)
    if status.requests >= rules.stages[0].requests and beside.latency_us_p50 and status.latency_us_p50 > slow:
        return f"revision {canary.number} takes {status.latency_us_p50:,.0f} us at the median, {slow:,.0f} are borne"
    return _find_shift(canary, status, beside, rules)


def _find_shift(canary: Revision, status: RevisionStatus, beside: RevisionStatus, rules: Rules) -> str:
    for name, mine in status.outputs.items():
        theirs = beside.outputs.get(name)
        if theirs is None or min(_count(mine), _count(theirs)) < rules.min_outputs:
            continue
        share, borne = _unknown_share(mine), rules.error_share + _unknown_share(theirs)
        if share > borne:
            return f"revision {canary.number} has no number as {name} in {share:.1%} of its rows, {borne:.1%} are borne"
        if min(mine.count, theirs.count) < rules.min_outputs or theirs.sd <= 0:
            continue
        shift = abs(mine.mean - theirs.mean) / theirs.sd
        if not shift <= rules.output_shift:
            return (
                f"revision {canary.number} answers {name} {mine.mean:.4g} on average, the live one {theirs.mean:.4g}: "
                f"{shift:.2f} standard deviations apart, {rules.output_shift:.2f} are borne"
            )
    return ""


def _count(moments: Moments) -> int:
    return moments.count + moments.unknown


def _unknown_share(moments: Moments) -> float:
    return moments.unknown / max(_count(moments), 1)


def _error_share(status: RevisionStatus) -> float:
    total = status.requests + status.errors
    return status.errors / total if total else 0.0


def _split(weights: dict[int, int], canary: Revision, live: Revision | None, weight: int) -> dict[int, int]:
    split = dict.fromkeys(weights, 0)
    split[canary.number] = weight
    if live is not None:
        split[live.number] = 100 - weight
    return split
