"""Triggers: what starts an applied pipeline by itself."""

from __future__ import annotations

import os
from typing import Any

import msgspec

from mainspring.domain.triggers import Trigger
from mainspring.domain.units import parse_duration
from mainspring.pipelines.triggers import check_trigger


class Cron:
    """A trigger by the clock.

    Parameters
    ----------
    expression : str
        Minute, hour, day of the month, month and day of the week, as cron has them: numbers, names
        (``jan``, ``mon``), ``*``, ranges, steps, lists; or ``@hourly``, ``@daily``, ``@weekly``,
        ``@monthly``, ``@yearly``.
    tz : str, default "UTC"
        Time zone of the IANA database whose clocks it follows.

    Raises
    ------
    Invalid
        TRIGGER-001 when the expression cannot be read, TRIGGER-002 when it never fires, TRIGGER-003
        when there is no such zone.

    Notes
    -----
    Guarantees: a time that the clocks leave out in spring fires once, right after the gap; one that
    they show twice in autumn fires once, except when the expression names no hour. What was missed
    while no owner was there starts once.

    Examples
    --------
    >>> Cron("0 6 * * mon-fri", tz="Europe/Berlin")
    Cron('0 6 * * mon-fri', tz='Europe/Berlin')
    """

    def __init__(self, expression: str, *, tz: str = "UTC") -> None:
        self.expression = expression
        self.tz = tz
        self.trigger = check_trigger(Trigger("time", {"expression": expression, "tz": tz}))

    def body(self) -> dict[str, Any]:
        """Return the JSON form."""
        return dict(msgspec.to_builtins(self.trigger))

    def __repr__(self) -> str:
        return f"Cron({self.expression!r}, tz={self.tz!r})"


class On:
    """A trigger by an event.

    Parameters
    ----------
    event : str
        ``alarm``: the monitor of a service raised an alarm, or its policy asks for a renewal
        (``service=``). ``data``: a dataset got a new version (``dataset=``). ``model.promoted``: an
        alias moved to another version (``model=``, ``alias="champion"``). ``run.failed``: a run
        failed (``name=``, ``kind=``). ``file``: a file, one of a folder or of a pattern such as
        ``data/*.csv`` was made, changed or removed (``path=``), on the machine of the home, or in a
        bucket that its owner may look at (``path="s3://bucket/in/*.csv"``, ``gs://``, ``az://``).
        ``webhook``: somebody called (``name=``, ``secret=`` the name of a secret of the project).
    cooldown : str, optional
        At least this long between two starts, in event time or by the clock, whichever ends first;
        what happens meanwhile starts once when it ends. None means no limit.
    policy : str
        For ``alarm``. ``regret``: starts only when the monitor's policy expects the renewal to pay.
    **match : str
        What the event must say: ``service="delays"``.

    Raises
    ------
    Invalid
        RENEW-004 when there is no such event, policy or match; RUN-003 when the cooldown is no
        duration; BLOB-001 when the path names no bucket.

    Notes
    -----
    Guarantees: while a run that it started goes on, whatever else happens starts one more run in
    all. A pipeline is not started by what a run of its own has made.

    Examples
    --------
    >>> trigger = On("alarm", service="delays", cooldown="14d")
    """

    def __init__(self, event: str, *, cooldown: str | None = None, policy: str = "regret", **match: str) -> None:
        if event == "model.promoted":
            match = {"alias": "champion", **match}
        if event == "file" and match.get("path") and "://" not in match["path"]:
            match["path"] = os.path.abspath(match["path"])  # noqa: PTH100 - a pattern is no path
        cooldown_s = None if cooldown is None else parse_duration(cooldown)
        self.trigger = check_trigger(Trigger(event, match, cooldown_s, policy))

    def body(self) -> dict[str, Any]:
        """Return the JSON form."""
        return dict(msgspec.to_builtins(self.trigger))

    def __repr__(self) -> str:
        return str(self.trigger)
