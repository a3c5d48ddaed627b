"""What a monitor found: becomes an alarm of the record."""

from __future__ import annotations

from typing import Any

import msgspec


class Finding(msgspec.Struct, frozen=True):
    """An alarm before it is recorded.

    Attributes
    ----------
    kind : str
        ``drift``, ``performance`` or ``regret``.
    subject : str
        The column or metric.
    summary : str
        One line for people.
    evidence : JSON
        The numbers behind it.
    event_time : float
        End of the block that settled it, seconds since 1970 UTC.
    """

    kind: str
    subject: str
    summary: str
    evidence: dict[str, Any]
    event_time: float
