"""The audit's chain: each entry holds the hash of the one before, so that a change shows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from mainspring.domain.access import AuditEntry, Head, Heads

GENESIS = "0" * 64
"""What stands before the first entry."""

_REACH = 1000
"""How far from its place a moved entry is recognised; farther away it counts as edited."""


class Breach(msgspec.Struct, frozen=True):
    """What does not fit in an audit.

    Attributes
    ----------
    seq : int
        The entry it was found at.
    kind : str
        ``edited``, ``deleted``, ``reordered`` or ``truncated``.
    what : str
        In words.
    """

    seq: int
    kind: str
    what: str


class Verified(msgspec.Struct, frozen=True):
    """What a check of the audit found.

    Attributes
    ----------
    entries : int
        How many were read.
    head : Head
        The last one.
    breaches : tuple of Breach
        Empty: nothing was changed.
    """

    entries: int
    head: Head
    breaches: tuple[Breach, ...]


def write_body(before: Any, after: Any) -> str:
    """Return the canonical JSON of what was before and after an act: sorted keys, no spaces."""
    return msgspec.json.encode({"before": before, "after": after}, order="sorted", enc_hook=str).decode()


def chain(previous: Head, **facts: Any) -> AuditEntry:
    """Make the entry that follows another.

    Parameters
    ----------
    previous : Head
        The last entry; ``Head(0, GENESIS)`` before the first.
    **facts
        time, project, principal, action, subject and body of the entry.

    Examples
    --------
    >>> facts = dict(time=0.0, project="*", principal="user:anna", action="x", subject="y", body="{}")
    >>> first = chain(Head(0, GENESIS), **facts)
    >>> chain(Head(first.seq, first.digest), **facts).previous == first.digest
    True
    """
    facts |= {"seq": previous.seq + 1, "previous": previous.digest}
    return AuditEntry(**facts, digest=digest_facts(facts))


def digest_facts(facts: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the canonical JSON of an entry without its own digest."""
    named = {name: facts[name] for name in AuditEntry.__struct_fields__ if name != "digest"}
    return hashlib.sha256(msgspec.json.encode(named, order="sorted")).hexdigest()


def verify(entries: Iterable[AuditEntry], heads: Heads) -> Verified:
    """Check a chain from its first entry on.

    Parameters
    ----------
    entries : iterable of AuditEntry
        In order of their numbers.
    heads : Heads
        Where the chain ends, read before the entries.

    Returns
    -------
    Verified
        With every breach.

    Notes
    -----
    Guarantees: an entry whose content was changed, that is missing between two others or in front,
    or that stands at another's place is named. A chain that was cut at its end, or written anew
    from some entry on, is told by a head that was kept elsewhere. Whoever can write all of these
    places at once can lie; a head that was exported and kept away is what shows that.
    """
    seen: dict[int, str] = {0: GENESIS}
    breaches: list[Breach] = []
    last = Head(0, GENESIS)
    count = 0
    sound = True
    for entry in entries:
        count += 1
        changed = [*_check_content(entry)]
        breaches += [*_check_place(last, entry, sound=sound and not changed), *changed]
        sound = not changed
        seen[entry.seq] = entry.digest
        last = Head(entry.seq, entry.digest)
    breaches += [
        breach
        for place, head in (("the record", heads.record), ("this home", heads.home))
        if head is not None and (breach := _check_head(place, head, last, seen)) is not None
    ]
    return Verified(count, last, tuple(breaches))


def _check_place(last: Head, entry: AuditEntry, *, sound: bool) -> Iterable[Breach]:
    if entry.seq > last.seq + 1:
        missing = f"entry {last.seq + 1}" if entry.seq == last.seq + 2 else f"entries {last.seq + 1} to {entry.seq - 1}"
        yield Breach(last.seq + 1, "deleted", f"{missing} missing before entry {entry.seq}")
    elif entry.seq <= last.seq:
        yield Breach(entry.seq, "reordered", f"entry {entry.seq} comes after entry {last.seq}")
    elif sound and entry.previous != last.digest:
        seq = max(last.seq, 1)
        yield Breach(seq, "edited", f"entry {seq} is another than the one that entry {entry.seq} followed")


def _check_content(entry: AuditEntry) -> Iterable[Breach]:
    facts = _facts(entry)
    if digest_facts(facts) == entry.digest:
        return
    # The right content under a wrong number: two rows changed places.
    for seq in range(max(1, entry.seq - _REACH), entry.seq + _REACH):
        if digest_facts({**facts, "seq": seq}) == entry.digest:
            yield Breach(entry.seq, "reordered", f"at the place of entry {entry.seq} stands entry {seq}")
            return
    what = f"entry {entry.seq} ({entry.action} {entry.subject} by {entry.principal}) is not what was written"
    yield Breach(entry.seq, "edited", what)


def _check_head(place: str, head: Head, last: Head, seen: dict[int, str]) -> Breach | None:
    if head.seq > last.seq:
        what = f"the audit ends at entry {last.seq}, {place} knows of {head.seq}"
        return Breach(last.seq + 1, "truncated", what)
    known = seen.get(head.seq)
    if known is not None and known != head.digest:
        what = f"entry {head.seq} is another than the one that {place} knows of"
        return Breach(head.seq, "edited", what)
    return None


def _facts(entry: AuditEntry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in AuditEntry.__struct_fields__}
