"""Answers to commands that took effect, kept so that a repetition gets the same answer."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, delete, insert, select

from mainspring.store.tables import requests

_INSERT = insert(requests)
_FIND = select(requests.c.reply).where(requests.c.key == bindparam("key_"))
_FORGET = delete(requests).where(requests.c.created_at < bindparam("before"))


def keep_answer(connection: Connection, key: str, answer: bytes, time: float) -> None:
    """Keep the encoded answer of a request's idempotency key."""
    connection.execute(_INSERT, {"key": key, "reply": answer, "created_at": time})


def find_answer(connection: Connection, key: str) -> bytes | None:
    """Return the answer that an earlier request of that key got; None when it is new."""
    found: bytes | None = connection.execute(_FIND, {"key_": key}).scalar()
    return found


def forget_answers(connection: Connection, before: float) -> int:
    """Forget the answers kept before a time; return how many."""
    return connection.execute(_FORGET, {"before": before}).rowcount
