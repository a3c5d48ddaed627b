"""Triggers: what they may wait for, and the pure decision about what they start."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import msgspec

from mainspring.domain.errors import Invalid
from mainspring.domain.triggers import Happening, Standing, Trigger
from mainspring.pipelines.schedules import find_zone, next_fire, parse_cron
from mainspring.store.buckets import parse_pattern

WORDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "alarm": (("service",), ()),
    "data": (("dataset",), ()),
    "model.promoted": (("model",), ("alias",)),
    "run.failed": ((), ("name", "kind")),
    "file": (("path",), ()),
    "webhook": (("name", "secret"), ()),
    "time": (("expression", "tz"), ()),
}
"""Event -> what its trigger must match, and what it may match besides."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")

POLICIES = ("regret",)
MOST_OWN = 3
"""So often in a row a pipeline may be started by a file that changed while its own run went on."""


class Decision(msgspec.Struct, frozen=True):
    """What becomes of a trigger.

    Attributes
    ----------
    standing : Standing
        The trigger as it is from now on, without the run that is to start.
    start : Happening or None
        What to start its pipeline for.
    refused : bool
        It started nothing because nobody may, or because it would go in a circle.
    """

    standing: Standing
    start: Happening | None = None
    refused: bool = False


def check_trigger(trigger: Trigger) -> Trigger:
    """Refuse a trigger that could never start anything.

    Raises
    ------
    Invalid
        RENEW-004 for an unknown event or match; TRIGGER-001 to TRIGGER-003 for a schedule; BLOB-001 for what
        is no bucket.
    """
    if trigger.event not in WORDS:
        named = ", ".join(f'"{name}"' for name in WORDS if name != "time")
        raise Invalid("RENEW-004", f"no trigger waits for {trigger.event!r}", fix=f"use one of {named}, or ms.Cron")
    must, may = WORDS[trigger.event]
    missing = [name for name in must if not trigger.match.get(name)]
    if missing or (not must and not trigger.match):
        wanted = " and ".join(missing) or " or ".join(may)
        fix = "add " + ", ".join(f'{name}="..."' for name in missing or may[:1])
        raise Invalid("RENEW-004", f"the trigger on {trigger.event!r} names no {wanted}", fix=fix)
    wrong = ", ".join(sorted({*trigger.match} - {*must, *may}))
    if trigger.policy not in POLICIES:
        wrong = f"policy={trigger.policy!r}"
    if wrong:
        raise Invalid("RENEW-004", f"the trigger on {trigger.event!r} knows no {wrong}")
    if trigger.event == "file":
        _check_path(trigger.match["path"])
    if trigger.event == "webhook" and not _NAME.fullmatch(trigger.match["name"]):
        raise Invalid("RENEW-004", f"{trigger.match['name'][:200]!r} is no name of a webhook: letters, digits, - and _")
    if trigger.event == "time":
        parse_cron(trigger.match["expression"])
        find_zone(trigger.match["tz"])
    return trigger


def decide(
    triggers: Sequence[Standing],
    happenings: Sequence[Happening],
    now: float,
    *,
    busy: Iterable[str] = (),
    paused: Iterable[str] = (),
    refusals: dict[str, str] | None = None,
) -> list[Decision]:
    """Decide what starts.

    Parameters
    ----------
    triggers : sequence of Standing
        Of one project; those on alarms are decided on by the policy of a monitor, not here.
    happenings : sequence of Happening
        In the order in which they were recorded.
    now : float
        Seconds since 1970 UTC.
    busy : iterable of str
        Pipelines that a trigger started and that still run.
    paused : iterable of str
        Pipelines that nothing starts.
    refusals : dict of str to str
        Trigger -> why its principal may not start it any more.

    Returns
    -------
    list of Decision
        One for each trigger, in order.

    Notes
    -----
    Guarantees: at most one start for each pipeline, none while it is busy and none within the
    cooldown of its trigger. Each happening is counted once: as a start, as one that shared a start,
    as passed, or as waiting; what waits is started for as soon as nothing keeps it.
    """
    running, resting, refused = set(busy), set(paused), refusals or {}
    decisions: list[Decision] = []
    for each in triggers:
        decision = _decide(each, happenings, now, running, each.pipeline in resting, refused.get(each.id, ""))
        if decision.start is not None:
            running.add(each.pipeline)
        decisions.append(decision)
    return decisions


def is_match(trigger: Standing, happening: Happening) -> bool:
    """Tell whether a trigger waits for a happening."""
    if happening.trigger or trigger.event != happening.event:
        return happening.trigger == trigger.id
    if happening.number <= trigger.position:
        return False
    return all(happening.facts.get(name) == value for name, value in trigger.match.items())


def _decide(
    trigger: Standing, happenings: Sequence[Happening], now: float, running: set[str], resting: bool, refusal: str
) -> Decision:
    after = msgspec.structs.replace(trigger)
    arrived = [each for each in happenings if is_match(trigger, each)]
    if trigger.event == "time" and trigger.due_at is not None and trigger.due_at <= now:
        arrived.append(_fire(trigger, now))
        after.due_at = next_fire(trigger.match["expression"], trigger.match["tz"], now)
    held = [trigger.pending] if trigger.pending is not None else []
    kept: list[Happening] = []
    why, circular = "", False
    for each in (*held, *arrived):
        said = _find_reason(trigger, each, resting, refusal)
        count = trigger.waiting if each is trigger.pending else 1
        if said:
            why, circular = said, circular or trigger.pipeline in each.chain
            after.passed += count
            if each is trigger.pending:
                after.waiting = 0
        else:
            kept.append(each)
            after.waiting += 0 if each is trigger.pending else 1
    after.pending = kept[-1] if kept else None
    if why and not kept:
        after.outcome, after.outcome_at = why, now
        return Decision(after, refused=bool(refusal) or circular)
    if after.pending is None:
        return Decision(after)
    if trigger.started_at is not None:
        after.started_at = min(trigger.started_at, now)  # a clock that had run ahead must not make a wait of years
    keeps = "its run before goes on" if trigger.pipeline in running else _find_rest(after, after.pending, now)
    if keeps:
        if arrived:
            after.outcome, after.outcome_at = f"{keeps}; what comes meanwhile starts it once", now
        return Decision(after)
    start, after.pending = after.pending, None
    after.starts, after.coalesced = trigger.starts + 1, trigger.coalesced + after.waiting - 1
    after.waiting, after.started_at = 0, now
    after.event_time = max(start.event_time, _end_cooldown(trigger, start))
    after.streak = trigger.streak + 1 if start.facts.get("while") == trigger.pipeline else 0
    return Decision(after, start)


def _check_path(path: str) -> None:
    if "://" in path:
        parse_pattern(path)
    elif not path.startswith("/"):
        raise Invalid("RENEW-004", f"{path[:200]!r} is no absolute path of a file on this machine")


def _find_reason(trigger: Standing, happening: Happening, resting: bool, refusal: str) -> str:
    """Return why a happening starts nothing; empty: it does, now or later."""
    if refusal:
        return refusal
    if resting:
        return "the pipeline is paused"
    if trigger.pipeline in happening.chain:
        path = " -> ".join((*happening.chain, trigger.pipeline))
        return f"{happening.subject} comes from a run of its own ({path}): it would go on for ever"
    if happening.facts.get("while") == trigger.pipeline and trigger.streak >= MOST_OWN:
        times = f"{MOST_OWN} times in a row"
        return f"{happening.subject} changed while its own run went on, {times}: it would go on for ever"
    return ""


def _find_rest(trigger: Standing, happening: Happening, now: float) -> str:
    """Say that the cooldown lasts; empty: it has ended, by what happened later or by the clock.

    A replay of a year runs on event time alone; with no later event only the clock can end it.
    """
    if trigger.cooldown_s is None or trigger.started_at is None:
        return ""
    lasts = happening.event_time < _end_cooldown(trigger, happening) and now < trigger.started_at + trigger.cooldown_s
    return "its cooldown lasts" if lasts else ""


def _end_cooldown(trigger: Standing, happening: Happening) -> float:
    """Return when the cooldown ends in event time; when none lasts, the time of what happened."""
    if trigger.cooldown_s is None or trigger.event_time is None:
        return happening.event_time
    return trigger.event_time + trigger.cooldown_s


def _fire(trigger: Standing, now: float) -> Happening:
    assert trigger.due_at is not None
    body = {"scheduled_at": trigger.due_at}
    return Happening("time", trigger.match, str(trigger), now, trigger.due_at, body, trigger=trigger.id)
