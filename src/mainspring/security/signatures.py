"""Signatures of messages between servers: made for sinks, checked for hooks."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

from mainspring.domain.errors import Invalid

TOLERANCE_S = 300.0
"""By so much the clocks of sender and receiver may differ."""

REPEATED_S = 30 * 86_400.0
"""For so long a message that is signed without a time may not come again."""

_PREFIX = "whsec_"


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


def is_signed(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> bool:
    """Tell whether who sent a message knows a secret.

    Parameters
    ----------
    secret : str
        As for `sign`.
    headers : mapping of str to str
        With names in small letters. Any one of these will do: ``webhook-signature`` of Standard
        Webhooks with its id and time; ``x-hub-signature-256`` as GitHub sends it, the HMAC-SHA256 of
        the body; ``authorization: Bearer`` with the secret itself.
    body : bytes
        As it came.
    now : float
        Seconds since 1970 UTC.

    Notes
    -----
    Guarantees: takes equally long for every wrong signature. A message that comes again is signed as
    well as at first: `identify` tells by what to know it.
    """
    if "webhook-signature" in headers:
        identity, told = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        if not (told.isascii() and told.isdecimal() and len(told) < 12) or abs(now - int(told)) > TOLERANCE_S:
            return False
        wanted = sign(secret, identity, int(told), body)
        return any(_is_same(each, wanted) for each in headers["webhook-signature"].split()[:5])
    if "x-hub-signature-256" in headers:
        wanted = hmac.digest(secret.encode(), body, hashlib.sha256).hex()
        return _is_same(headers["x-hub-signature-256"], f"sha256={wanted}")
    scheme, _, shown = headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and _is_same(shown, secret)


def identify(headers: Mapping[str, str], body: bytes, now: float) -> tuple[str, float]:
    """Return by what a message that `is_signed` is known when it comes again, and until when that counts.

    Notes
    -----
    Only what the signature covers can be relied on. Standard Webhooks cover an id and a time, after
    which the message is refused. What GitHub signs is the body, and anybody may change the id
    beside it. Who shows the secret itself is believed about an id, or asks for the same again
    while the clocks may differ.

    Examples
    --------
    >>> identify({"webhook-signature": "v1,...", "webhook-id": "msg_1"}, b"", 0.0)
    ('id:msg_1', 600.0)
    >>> identify({"x-hub-signature-256": "..."}, b"{}", 0.0)
    ('github:RBNvo1WzZ4oRRq0W9-hkng', 2592000.0)
    """
    told = headers.get("webhook-id", "")
    content = base64.urlsafe_b64encode(hashlib.sha256(body).digest()[:16]).rstrip(b"=").decode()
    if "webhook-signature" in headers:
        return f"id:{told}", now + 2 * TOLERANCE_S
    if "x-hub-signature-256" in headers:
        return f"github:{content}", now + REPEATED_S
    return f"shown:{told or content}", now + (REPEATED_S if told else TOLERANCE_S)


def _is_same(shown: str, wanted: str) -> bool:
    return hmac.compare_digest(shown.encode("utf-8", "surrogateescape"), wanted.encode())
