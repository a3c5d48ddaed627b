"""Any server: events as JSON, signed as Standard Webhooks 1.0 says."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

from mainspring.domain.errors import Invalid
from mainspring.domain.records import Event
from mainspring.domain.sinks import Answered, Delivery
from mainspring.security.fetch import check_literal, split_url
from mainspring.sinks.kind import Ask, name_event, read_timeout_s
from mainspring.sinks.posting import post, write_json, write_time

_PREFIX = "whsec_"


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


def sign(secret: str, identity: str, timestamp: int, body: bytes) -> str:
    """Return the signature of a message.

    Parameters
    ----------
    secret : str
        ``whsec_`` and a key in base64, or any other text, whose bytes are the key.
    identity : str
        The header ``webhook-id``.
    timestamp : int
        The header ``webhook-timestamp``, seconds since 1970 UTC.
    body : bytes
        As it is sent.

    Raises
    ------
    Invalid
        SINK-003 when what follows ``whsec_`` is no base64; the secret is not repeated.

    Notes
    -----
    Source: the Standard Webhooks specification 1.0.0, section on signature schemes.
    """
    key = secret.encode()
    if secret.startswith(_PREFIX):
        try:
            key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
        except binascii.Error:
            raise Invalid("SINK-003", "what follows whsec_ in the secret is no base64") from None
    signed = hmac.digest(key, f"{identity}.{timestamp}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(signed).decode()}"
