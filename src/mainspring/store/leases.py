"""Leases: what one owner at a time may do, by the clock of the database."""

from __future__ import annotations

from typing import NamedTuple

from mainspring.store.engine import dialect_of
from mainspring.store.statements import Statement, read_clock
from mainspring.store.tables import leases
from mainspring.store.words import Connection, bindparam, delete, insert, select, update

_IS_NAME = leases.c.name == bindparam("name_")
_GET = Statement(select(leases.c.name, leases.c.holder, leases.c.fence, leases.c.expires_at).where(_IS_NAME))
_GET_NOW = Statement(
    select(leases.c.name, leases.c.holder, leases.c.fence, leases.c.expires_at, read_clock()).where(_IS_NAME)
)
_OTHERS = Statement(
    select(leases.c.name).where(leases.c.name.like(bindparam("pattern")), leases.c.name != bindparam("name_")).limit(1)
)
_LAPSED = Statement(
    select(leases.c.name, leases.c.holder, leases.c.fence, leases.c.expires_at)
    .where(leases.c.name.like(bindparam("pattern")))
    .where((leases.c.expires_at < bindparam("now")) | (leases.c.expires_at > bindparam("latest")))
    .order_by(leases.c.name)
)
_ADD = Statement(insert(leases), ("name", "holder", "fence", "expires_at"))
_TAKE = Statement(
    update(leases)
    .where(_IS_NAME, leases.c.fence == bindparam("was_fence"))
    .values(holder=bindparam("holder_"), fence=bindparam("fence_"), expires_at=bindparam("expires_at_"))
)
_SLACK_S = 1.0
"""By so much a lease may seem too long, because floating-point times are rounded."""

_DROP = Statement(delete(leases).where(_IS_NAME, leases.c.fence == bindparam("fence_")))


class Lease(NamedTuple):
    """A lease as the record has it.

    Attributes
    ----------
    name : str
        What is leased.
    holder : str
        Who holds it, or held it last.
    fence : int
        Grows with every change of holder.
    expires_at : float
        In seconds since 1970 UTC of the database's clock.
    """

    name: str
    holder: str
    fence: int
    expires_at: float


def take_lease(connection: Connection, name: str, holder: str, length_s: float) -> int | None:
    """Take or keep a lease in the present transaction.

    Parameters
    ----------
    connection : Connection
        In a transaction that writes, so that no other owner writes meanwhile.
    name : str
        What is leased.
    holder : str
        Who asks.
    length_s : float
        Seconds until it lapses unless it is taken again; > 0.

    Returns
    -------
    int or None
        The fence; None while another holds it.

    Notes
    -----
    Guarantees: what is written in the same transaction is written by the holder alone. A lease
    that has more than half of its time left is not written again. One that seems to last longer
    than a lease can was written before the clock was put back, and is as good as lapsed.
    """
    row = _GET_NOW.first(connection, name_=name)
    if row is None:
        now = dialect_of(connection).now(connection)
        _ADD.run(connection, {"name": name, "holder": holder, "fence": 1, "expires_at": now + length_s})
        return 1
    found, now = Lease(*row[:-1]), row[-1]
    left_s = found.expires_at - now
    told_now = left_s <= length_s + _SLACK_S
    if found.holder != holder and left_s >= 0 and told_now:
        return None
    if found.holder == holder and left_s > length_s / 2 and told_now:
        return found.fence
    fence = found.fence + (found.holder != holder)
    values = {"holder_": holder, "fence_": fence, "expires_at_": now + length_s}
    _TAKE.run(connection, {"name_": name, "was_fence": found.fence, **values})
    return fence


def has_others(connection: Connection, prefix: str, name: str) -> bool:
    """Tell whether somebody holds, or held, a lease of a name that begins so, beside this one."""
    return _OTHERS.first(connection, pattern=f"{prefix}%", name_=name) is not None


def find_lapsed(connection: Connection, prefix: str, length_s: float) -> list[Lease]:
    """Return the leases of names that begin so and that nobody seems to hold any more.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    prefix : str
        Of the names.
    length_s : float
        For how long they are taken.

    Notes
    -----
    When the clock of the database jumps, all of them seem to have lapsed, until their holders
    take them again: who acts on it looks twice.
    """
    now = dialect_of(connection).now(connection)
    found = _LAPSED.all(connection, pattern=f"{prefix}%", now=now, latest=now + length_s + _SLACK_S)
    return [Lease(*row) for row in found]


def drop_lease(connection: Connection, lease: Lease) -> bool:
    """Forget a lease that has not changed hands; tell whether it was there."""
    return _DROP.run(connection, {"name_": lease.name, "fence_": lease.fence}).rowcount > 0


def read_lease(connection: Connection, name: str) -> Lease | None:
    """Return a lease; None when nobody ever held it."""
    row = _GET.first(connection, name_=name)
    return None if row is None else Lease(*row)
