"""Identifiers as people write them: whole, or a prefix or suffix that only one has."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from mainspring.domain.errors import NotFound
from mainspring.domain.near import suggest

if TYPE_CHECKING:
    from mainspring.store.words import Connection, Select

_HEX = re.compile(r"[0-9a-f]{1,32}\Z")
_SHORT = 6
_SHOWN = 5
AMBIGUOUS = "a part of an id is enough only where no other id has it"
_RECENT = 300
"""So many of the newest ids are compared with one that there is none of."""


class Named(NamedTuple):
    """An id, and what it is called."""

    id: str
    name: str


def find_ids(connection: Connection, among: Select[str, str], part: str) -> list[Named]:
    """Return what has an id that is, starts or ends with a text: the whole id alone, else a few.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    among : Select
        Of two columns, the id and the name, of those that may be seen.
    part : str
        From one to 32 hexadecimal characters; anything else is no id.
    """
    if not _HEX.match(part):
        return []
    column = among.selected_columns[0]
    query = among.where(column.startswith(part) | column.endswith(part)).order_by(column.desc()).limit(_SHOWN + 1)
    found = [Named(*row) for row in connection.execute(query)]
    return [each for each in found if each.id == part] or found


def pick_id(
    connection: Connection, among: Select[str, str], part: str, *, code: str, noun: str, key: str = "id"
) -> str:
    """Return the one id that a text stands for.

    Parameters
    ----------
    connection, among, part
        As of `find_ids`.
    code : str
        Of the refusal.
    noun : str
        What it is an id of: ``run``.
    key : str, default "id"
        Under which the text stands in the error's context.

    Raises
    ------
    NotFound
        With the code: when several match it lists them, when none does it names the nearest.
    """
    found = find_ids(connection, among, part)
    if len(found) == 1:
        return found[0].id
    if found:
        more = ", ..." if len(found) > _SHOWN else ""
        told = ", ".join(f"{shorten(each.id, part)} {each.name}" for each in found[:_SHOWN])
        what = f"{part!r} matches several {noun}s: {told}{more}"
        ids = [each.id for each in found]
        raise NotFound(code, what, why=AMBIGUOUS, fix="write more of the id", candidates=ids, **{key: part})
    column = among.selected_columns[0]
    recent = [row[0] for row in connection.execute(among.order_by(column.desc()).limit(_RECENT))]
    raise NotFound(code, f"no {noun} matches {part!r}", fix=suggest_id(part, recent), **{key: part})


def shorten(identifier: str, part: str) -> str:
    """Return as much of an id as tells it apart from others that a text matches: its suffix, or what goes on.

    Examples
    --------
    >>> shorten("0193a1b2c3d47e5f8091a2b3c4d5e6f7", "0193a1")
    'd5e6f7'
    >>> shorten("0193a1b2c3d47e5f8091a2b3c4d5e6f7", "d5e6f7")
    'a2b3c4d5e6f7'
    """
    length = _SHORT if not identifier.endswith(part) else len(part) + _SHORT
    return identifier[-length:]


def suggest_id(part: str, ids: list[str]) -> str:
    """Return which id may have been meant, as a fix; empty when none is near.

    Examples
    --------
    >>> suggest_id("d5e6f8", ["0193a1b2c3d47e5f8091a2b3c4d5e6f7"])
    'did you mean d5e6f7?'
    """
    if len(part) < 4:
        return ""
    ends = {end for each in ids for end in (each[-len(part) :], each[: len(part)])}
    return suggest(part, ends, "did you mean {}?")
