"""Finds in the history of a record, as its clients saw it from outside, what must never be in it.

Times are seconds of one clock that never goes backwards. What one client was told before another
began to ask came first; of what overlaps nothing is known, and nothing is held against it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

RANKS = {"queued": 0, "starting": 1, "running": 2}
"""States of one attempt in their order; every other one is an end, and stays as it is."""

_END = len(RANKS)


class Call(NamedTuple):
    """A client asked for an effect and was told what came of it.

    Attributes
    ----------
    what : str
        The effect; the same text again is a repetition and must have no second effect.
    begun, ended : float
        When it was first asked for; when its end was heard.
    told : str or None
        What the client was told, such as an id; None: no answer, or a refusal.
    code : str
        Of the refusal.
    """

    what: str
    begun: float
    ended: float
    told: str | None
    code: str = ""


class Seen(NamedTuple):
    """A client read a number that only grows, and the state that belongs to it.

    Attributes
    ----------
    subject : str
        What has the number: a run its attempt, a dataset its version, a lease its fence.
    begun, ended : float
        When it was asked for; when the answer was heard.
    number : int
        At one number a state moves only forwards.
    state : str
        Of a run; empty where there is none.
    """

    subject: str
    begun: float
    ended: float
    number: int
    state: str = ""


class Held(NamedTuple):
    """A holder was told that it has a lease, and acted under it as long as it was let.

    Attributes
    ----------
    lease, holder : str
        Of what; who.
    since : float
        When it was told that it is the holder.
    until : float
        When it began what was accepted last under the lease.
    fence : int
        The number it was given.
    """

    lease: str
    holder: str
    since: float
    until: float
    fence: int


class Entry(NamedTuple):
    """What the record has in the end: an effect, and what clients are told of it."""

    what: str
    told: str


class Fault(NamedTuple):
    """What must not be.

    Attributes
    ----------
    kind : str
        ``lost``, ``duplicate``, ``invented``, ``two holders``, ``backwards`` or ``moved back``.
    subject, text : str
        Of what; what was seen.
    """

    kind: str
    subject: str
    text: str


class History(NamedTuple):
    """All that was seen from outside."""

    calls: Sequence[Call] = ()
    seen: Sequence[Seen] = ()
    held: Sequence[Held] = ()


def find_faults(history: History, record: Iterable[Entry] | None = None) -> list[Fault]:
    """Hold a history against itself, and against the record it has led to.

    Parameters
    ----------
    history : History
        In any order.
    record : iterable of Entry, optional
        What the record has now; None: only the history is looked at.

    Returns
    -------
    list of Fault
        Empty for a record that has kept its word. The cost is that of sorting.

    Examples
    --------
    >>> history = History([Call("begin a", 1, 2, "run 1"), Call("begin b", 1, 3, None, "HOME-030")])
    >>> find_faults(history, [Entry("begin a", "run 1")])
    []
    >>> [fault.kind for fault in find_faults(history, [])]
    ['lost']
    """
    faults = [*_find_divided(history.calls), *_find_shared(history.held)]
    for subject, seen in _by_subject(history.seen):
        faults += _find_backwards(subject, seen)
    if record is not None:
        faults += _find_differences(history.calls, list(record))
    return faults


def _find_divided(calls: Sequence[Call]) -> Iterator[Fault]:
    """One effect for which clients were told different things."""
    told = defaultdict(set)
    for call in calls:
        if call.told is not None:
            told[call.what].add(call.told)
    for what, answers in told.items():
        if len(answers) > 1:
            yield Fault("duplicate", what, f"clients were told {', '.join(sorted(answers))}")
    takers = Counter(answer for answers in told.values() for answer in answers)
    for answer in (answer for answer, count in takers.items() if count > 1):
        names = sorted(what for what, answers in told.items() if answer in answers)
        yield Fault("duplicate", answer, f"it was told as the answer to {', '.join(names)}")


def _find_differences(calls: Sequence[Call], entries: list[Entry]) -> Iterator[Fault]:
    there = set(entries)
    for call in calls:
        if call.told is not None and Entry(call.what, call.told) not in there:
            yield Fault("lost", call.what, f"{call.told} was acknowledged and is not in the record")
    asked = {call.what for call in calls}
    for what, count in Counter(entry.what for entry in entries).items():
        if what not in asked:
            yield Fault("invented", what, "nobody has asked for it")
        elif count > 1:
            ids = sorted(entry.told for entry in entries if entry.what == what)
            yield Fault("duplicate", what, f"the record has it {count} times: {', '.join(ids)}")


def _find_shared(held: Sequence[Held]) -> Iterator[Fault]:
    """Two who had one lease at a time, and fences that did not grow from one to the next."""
    by_lease: dict[str, list[Held]] = defaultdict(list)
    for each in held:
        by_lease[each.lease].append(each)
    for lease, holds in by_lease.items():
        holds.sort(key=lambda each: (each.since, each.until))
        last = holds[0]  # of all before, the one that acted last
        for each in holds[1:]:
            if each.holder != last.holder and each.since < last.until:
                text = f"{each.holder} had it from {each.since:.3f} while {last.holder} acted until {last.until:.3f}"
                yield Fault("two holders", lease, text)
            elif each.fence < last.fence or (each.fence == last.fence and each.holder != last.holder):
                text = f"fence {each.fence} of {each.holder} came after {last.fence} of {last.holder}"
                yield Fault("backwards", lease, text)
            if each.until >= last.until:
                last = each


def _find_backwards(subject: str, seen: Sequence[Seen]) -> Iterator[Fault]:
    """Numbers and states that are behind what was told before they were asked for."""
    ended = sorted(seen, key=lambda each: each.ended)
    at, best = 0, None
    ends: dict[int, str] = {}
    for each in sorted(seen, key=lambda each: each.begun):
        while ended[at].ended < each.begun:
            best = max(best or ended[at], ended[at], key=_position)
            at += 1
        if best is not None and _position(each) < _position(best):
            kind = "backwards" if each.number < best.number else "moved back"
            yield Fault(kind, subject, f"{_tell(each)} was seen after {_tell(best)}")
        if each.state and each.state not in RANKS:
            last = ends.setdefault(each.number, each.state)
            if last != each.state:
                yield Fault("moved back", subject, f"{_tell(each)} was seen, and {last} as well")


def _position(seen: Seen) -> tuple[int, int]:
    return seen.number, RANKS.get(seen.state, _END if seen.state else 0)


def _tell(seen: Seen) -> str:
    return f"{seen.state} {seen.number}".strip()


def _by_subject(seen: Sequence[Seen]) -> Iterable[tuple[str, list[Seen]]]:
    found: dict[str, list[Any]] = defaultdict(list)
    for each in seen:
        found[each.subject].append(each)
    return found.items()
