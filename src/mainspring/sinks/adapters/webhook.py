"""Any server: events as JSON, signed as Standard Webhooks 1.0 says."""

from __future__ import annotations

from collections.abc import Mapping

from mainspring.domain.records import Event
from mainspring.domain.sinks import Answered, Delivery
from mainspring.security.fetch import check_literal, split_url
from mainspring.security.signatures import sign
from mainspring.sinks.kind import Ask, name_event, read_timeout_s
from mainspring.sinks.posting import post, write_json, write_time


class WebhookKind:
    """POSTs ``{"type", "timestamp", "data"}`` to the address; with a secret it is signed."""

    events: tuple[str, ...] = ("*",)
    options: tuple[str, ...] = ()

    def check(self, url: str, *, secret: bool, options: Mapping[str, str]) -> None:
        """Refuse what is no address of HTTP."""
        del secret, options
        check_literal(split_url(url))

    def send(self, delivery: Delivery, event: Event, now: float, ask: Ask) -> Answered:
        """Send one event."""
        del ask
        told = {
            "event": event.seq,
            "project": event.project,
            "subject": event.subject,
            "body": event.body,
            "event_time": None if event.event_time is None else write_time(event.event_time),
        }
        body = write_json({"type": event.kind, "timestamp": write_time(event.time), "data": told})
        headers = {"webhook-id": name_event(delivery, event), "webhook-timestamp": str(int(now))}
        if delivery.secret:
            headers["webhook-signature"] = sign(delivery.secret, headers["webhook-id"], int(now), body)
        return post(delivery.url, body, headers, read_timeout_s(delivery.options))
