"""Answers to commands that took effect, kept so that a repetition gets the same answer."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, delete, select

from mainspring.store.statements import Statement, add_once
from mainspring.store.tables import requests

_INSERT = Statement(add_once(requests), ("key", "reply", "created_at"))
_FIND = Statement(select(requests.c.reply).where(requests.c.key == bindparam("key_")))
_FORGET = Statement(delete(requests).where(requests.c.created_at < bindparam("before")))


def keep_answer(connection: Connection, key: str, answer: bytes, time: float) -> bool:
    """Keep the encoded answer of a request's idempotency key; False when it has one already."""
    return _INSERT.run(connection, {"key": key, "reply": answer, "created_at": time}).rowcount > 0


def find_answer(connection: Connection, key: str) -> bytes | None:
    """Return the answer that an earlier request of that key got; None when it is new."""
    row = _FIND.first(connection, key_=key)
    return None if row is None else row[0]


def forget_answers(connection: Connection, before: float) -> int:
    """Forget the answers kept before a time; return how many."""
    return _FORGET.run(connection, {"before": before}).rowcount
