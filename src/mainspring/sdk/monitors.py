"""Monitors: what a service is watched for; inert values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mainspring.domain.errors import Invalid
from mainspring.domain.records import Declaration
from mainspring.domain.units import parse_duration


class Monitor:
    """What a service is watched for; it acts when `deploy` hands it over, or `apply` a later version of it.

    Attributes
    ----------
    labels : str or None
        As below.

    Parameters
    ----------
    labels : str, optional
        Dataset that outcomes are written to, after the fact; each write that has an event time
        starts a check.
    key : str, optional
        Column that joins an outcome to its request; requests carry it as text.
    target : str, optional
        Column of the outcomes: truth values, or 0 and 1; missing where there is none.
    event_time : str, optional
        Column that tells when a request happened; requests carry it as ISO 8601 text in UTC.
        Budgets, delays and cooldowns run on it.
    delay : str or number, optional
        How long outcomes take (``"14d"``, or seconds); younger requests are not counted as
        lacking one. Default: none.
    performance : {"auto", "off"}
        ``auto``: estimated before outcomes are known, realised after.
    drift : bool or list of str
        Watch the model's inputs, or these columns; default: all inputs.
    alarms_per_year : float
        So many false alarms are accepted in a year of event time, over everything watched, > 0.
    cost : float, optional
        What a renewal costs, in log-loss (nats) summed over requests, > 0; it is asked for when
        waiting is expected to cost more. Default: a hundredth of a nat for each request of the
        horizon.
    gain_per_doubling : float
        By how much the log-loss is expected to fall when the labelled rows double, >= 0.
    horizon : str or number
        How far ahead the cost of waiting is summed.
    renewals_per_year : int
        At most so many are asked for within a year of event time.

    Raises
    ------
    Invalid
        MON-005 when labels come without key or target, or nothing tells the event time; MON-006
        when a number is out of range; RUN-003 when a length of time is none.

    Examples
    --------
    >>> Monitor(event_time="asked_at").body()["context"]
    [{'name': 'asked_at', 'datatype': 'BYTES'}]
    """

    def __init__(
        self,
        *,
        labels: str | None = None,
        key: str | None = None,
        target: str | None = None,
        event_time: str | None = None,
        delay: str | float | None = None,
        performance: str = "auto",
        drift: bool | Sequence[str] = True,
        alarms_per_year: float = 2,
        cost: float | None = None,
        gain_per_doubling: float = 0.01,
        horizon: str | float = "30d",
        renewals_per_year: int = 12,
    ) -> None:
        if labels is not None and (key is None or target is None):
            missing = "key" if key is None else "target"
            raise Invalid("MON-005", f"labels={labels!r} without {missing}=", missing=missing)
        if event_time is None:
            raise Invalid("MON-005", "a monitor without event_time=", missing="event_time")
        if performance not in {"auto", "off"}:
            raise Invalid("MON-006", f"performance={performance!r} is neither 'auto' nor 'off'")
        for name, number, least in (
            ("alarms_per_year", alarms_per_year, None),
            ("cost", 1.0 if cost is None else cost, None),
            ("gain_per_doubling", gain_per_doubling, 0),
            ("renewals_per_year", renewals_per_year, 0),
        ):
            if not (number > 0 if least is None else number >= least):
                raise Invalid("MON-006", f"{name}={number}", setting=name)
        self.labels = labels
        self._body: dict[str, Any] = {
            "labels": labels,
            "key": key,
            "target": target,
            "event_time": event_time,
            "delay_s": parse_duration(delay) if delay is not None else 0.0,
            "performance": performance == "auto",
            "drift": drift if isinstance(drift, bool) else [drift] if isinstance(drift, str) else list(drift),
            "alarms_per_year": float(alarms_per_year),
            "policy": {
                "cost": cost,
                "gain_per_doubling": gain_per_doubling,
                "horizon_s": parse_duration(horizon),
                "renewals_per_year": renewals_per_year,
            },
            "context": [{"name": name, "datatype": "BYTES"} for name in dict.fromkeys((key, event_time)) if name],
        }

    def body(self) -> dict[str, Any]:
        """Return the JSON form that `deploy` hands over."""
        return self._body

    def declaration(self) -> Declaration:
        """Return the inert form that `apply` hands over: services that wait for the same labels are watched by it.

        Raises
        ------
        Invalid
            MON-005 when it has no labels: nothing tells which services it is for.
        """
        if self.labels is None:
            raise Invalid("MON-005", "a monitor that is applied without labels=", missing="labels")
        return Declaration("monitor", self.labels, self._body)

    def __repr__(self) -> str:
        return f"Monitor(labels={self._body['labels']!r}, event_time={self._body['event_time']!r})"
