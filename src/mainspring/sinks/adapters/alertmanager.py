"""Alertmanager: events as alerts of its API, version 2."""

from __future__ import annotations

from collections.abc import Mapping

from mainspring.domain.errors import Invalid
from mainspring.domain.records import Event
from mainspring.domain.sinks import Answered, Delivery
from mainspring.security.fetch import check_literal, split_url
from mainspring.sinks.kind import Ask, read_timeout_s
from mainspring.sinks.posting import post, write_json, write_time
from mainspring.sinks.texts import write_title

_PATH = "/api/v2/alerts"
_HOURS = 24.0


class AlertmanagerKind:
    """Raises an alert for each event; the same kind and subject of a project is one alert.

    Notes
    -----
    An event says that something happened, not that it is over, so an alert holds for ``hours``.
    """

    events: tuple[str, ...] = ("alarm.*", "run.failed", "check.failed", "gate.failed")
    options: tuple[str, ...] = ("hours", "severity")

    def check(self, url: str, *, secret: bool, options: Mapping[str, str]) -> None:
        """Refuse what is no address of HTTP, a key in clear, and hours that are none."""
        check_literal(split_url(url, ("https",) if secret else ("http", "https")))
        if not 0.0 < _read_hours(options) <= 8760.0:
            raise Invalid("SINK-003", f"hours={options['hours']!r} is not more than 0 and at most 8760")

    def send(self, delivery: Delivery, event: Event, now: float, ask: Ask) -> Answered:
        """Send one alert."""
        del ask
        body = event.body if isinstance(event.body, dict) else {}
        labels = {
            "alertname": event.kind,
            "job": "mainspring",
            "project": event.project,
            "subject": str(body.get("name") or event.subject),
            "severity": delivery.options.get("severity", "warning"),
        }
        alert = {
            "labels": labels,
            "annotations": {"summary": write_title(event), "subject": event.subject, "event": str(event.seq)},
            "startsAt": write_time(event.time),
            "endsAt": write_time(max(now, event.time) + _read_hours(delivery.options) * 3600.0),
        }
        headers = {"Authorization": f"Bearer {delivery.secret}"} if delivery.secret else {}
        url = delivery.url.rstrip("/").removesuffix(_PATH) + _PATH
        return post(url, write_json([alert]), headers, read_timeout_s(delivery.options))


def _read_hours(options: Mapping[str, str]) -> float:
    try:
        return float(options.get("hours", _HOURS))
    except ValueError:
        raise Invalid("SINK-003", f"hours={options['hours']!r} is no number") from None
