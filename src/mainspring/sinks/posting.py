"""Telling by HTTP: one request, and what its status means for the event."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from mainspring.domain.sinks import Answered
from mainspring.security.fetch import Response, fetch

_WORDS = 300
# The receiver refuses as such, whatever it is told: the address, the key or the moment is wrong.
_NOT_THE_EVENT = frozenset({401, 402, 403, 404, 405, 407, 408, 410, 421, 423, 425, 426, 429})


def post(url: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Answered:
    """Send JSON to a URL and judge the answer.

    Raises
    ------
    MainspringError
        What `mainspring.security.fetch.fetch` raises.
    """
    sent = {"Content-Type": "application/json", "User-Agent": "mainspring", **headers}
    return judge(fetch(url, body=body, headers=sent, timeout_s=timeout_s))


def judge(answer: Response) -> Answered:
    """Tell what an answer means: 2xx accepted, a fault of the event refused, all else failed."""
    words = " ".join(answer.body.decode(errors="replace").split())[:_WORDS]
    text = f"{answer.status} {answer.reason}: {words}" if words else f"{answer.status} {answer.reason}"
    if 200 <= answer.status < 300:
        return Answered("accepted", text)
    if 300 <= answer.status < 400:
        return Answered("failed", f"{answer.status} {answer.reason}: redirects are not followed")
    if 400 <= answer.status < 500 and answer.status not in _NOT_THE_EVENT:
        return Answered("refused", text)
    return Answered("failed", text, _read_pause(answer))


def write_json(value: Any) -> bytes:
    """Return JSON with its keys in order, so that the same event has the same bytes."""
    return msgspec.json.encode(value, order="sorted")


def write_time(time: float) -> str:
    """Return a time as RFC 3339 writes it.

    Examples
    --------
    >>> write_time(1_357_000_000.25)
    '2013-01-01T00:26:40.250Z'
    """
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _read_pause(answer: Response) -> float | None:
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdecimal() and len(text) < 8 else None
