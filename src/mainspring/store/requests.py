"""Answers to commands that took effect, kept so that a repetition gets the same answer."""

from __future__ import annotations

import hashlib

from mainspring.store.statements import Statement, add_once
from mainspring.store.tables import requests
from mainspring.store.words import Connection, bindparam, delete, select

_INSERT = Statement(add_once(requests), ("key", "reply", "created_at"))
_FIND = Statement(select(requests.c.reply).where(requests.c.key == bindparam("key_")))
_FORGET = Statement(delete(requests).where(requests.c.created_at < bindparam("before")))

_DIGEST_BYTES = 16
_MARK = b"\xc1"
"""A byte that no MessagePack begins with."""


def keep_answer(connection: Connection, key: str, content: bytes, answer: bytes, time: float) -> bool:
    """Keep the encoded answer of a request's idempotency key; False when it has one already.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    key : str
        The key.
    content : bytes
        The encoded request; its digest is kept.
    answer : bytes
        The encoded answer.
    time : float
        Now.
    """
    reply = _MARK + _digest(content) + answer
    return _INSERT.run(connection, {"key": key, "reply": reply, "created_at": time}).rowcount > 0


def find_answer(connection: Connection, key: str, content: bytes) -> tuple[bytes, bool] | None:
    """Return the answer that an earlier request of that key got, and whether it was the same request.

    None: the key is new.
    """
    row = _FIND.first(connection, key_=key)
    if row is None:
        return None
    reply: bytes = row[0]
    if not reply.startswith(_MARK):
        return reply, True  # kept before digests were
    start = len(_MARK) + _DIGEST_BYTES
    return reply[start:], reply[len(_MARK) : start] == _digest(content)


def forget_answers(connection: Connection, before: float) -> int:
    """Forget the answers kept before a time; return how many."""
    return _FORGET.run(connection, {"before": before}).rowcount


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()
