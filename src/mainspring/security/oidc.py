"""Sign-in at an issuer: the authorisation code flow of OpenID Connect, with PKCE.

Sources: OpenID Connect Core 1.0 (sections 3.1.2 and 3.1.3.7), RFC 7636, RFC 7515, RFC 8725.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec

from mainspring.domain.errors import Denied, Invalid, MainspringError, Unavailable
from mainspring.security.fetch import fetch
from mainspring.security.jwks import IssuerKeys

LEEWAY_S = 60.0
PENDING_S = 600.0
MOST_PENDING = 1000
MOST_BYTES = 1 << 20
_TIMEOUT_S = 10.0
_FORM = "application/x-www-form-urlencoded"
_ALGORITHMS = {"RS256": "RSA", "ES256": "EC"}


class Identity(msgspec.Struct, frozen=True):
    """Who signed in: the issuer and its name for the person."""

    issuer: str
    subject: str

    def __str__(self) -> str:
        return f"{self.issuer}#{self.subject}"


class _Pending(msgspec.Struct, frozen=True):
    nonce: str
    verifier: str
    until: float


def verify_id_token(
    token: str, keys: Sequence[dict[str, Any]], *, issuer: str, audience: str, nonce: str, now: float
) -> Identity:
    """Check an ID token and return whose it is.

    Parameters
    ----------
    token : str
        As the issuer's token endpoint gave it.
    keys : sequence of dict
        The issuer's public keys, as JSON web keys.
    issuer, audience, nonce : str
        What the token must say: who made it, our client, and the number of this sign-in.
    now : float
        Seconds since 1970 UTC; a minute is granted to clocks that differ.

    Raises
    ------
    Denied
        OIDC-001 for what is no token, OIDC-002 for a signature that no key of the issuer made or an
        algorithm other than RS256 and ES256, OIDC-003 for another issuer, OIDC-004 for another
        audience, OIDC-005 for a time that is over or not yet come, OIDC-006 for another nonce.

    Notes
    -----
    Guarantees: pure. The algorithm must fit the kind of the key that the token names, so neither
    ``none`` nor a public key taken for a shared one passes.
    """
    parts = token.split(".")
    if len(parts) != 3:
        raise Denied("OIDC-001", f"a token of {len(parts)} parts")
    header, claims = (_read_json(part) for part in parts[:2])
    _check_signature(header, keys, f"{parts[0]}.{parts[1]}".encode(), _decode(parts[2]))
    if claims.get("iss") != issuer:
        raise Denied("OIDC-003", f"the token is of {str(claims.get('iss'))[:200]!r}, not of {issuer}")
    audiences = claims.get("aud")
    audiences = audiences if isinstance(audiences, list) else [audiences]
    if audience not in audiences or (len(audiences) > 1 and claims.get("azp") != audience):
        raise Denied("OIDC-004", "the token is for another client")
    _check_times(claims, now)
    if not nonce or claims.get("nonce") != nonce:
        raise Denied("OIDC-006", "the token answers another sign-in")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= 255:
        raise Denied("OIDC-001", "the token names nobody")
    return Identity(issuer, subject)


class SignIn:
    """Sends browsers to one issuer and takes what they bring back.

    Parameters
    ----------
    issuer : str
        Its URL; ``https``, or ``http`` on loopback.
    client_id, client_secret : str
        As the issuer knows us; the secret is empty for a public client.
    redirect_url : str
        Where browsers come back to.
    clock : callable, default time.time
        Returns seconds since 1970 UTC.

    Raises
    ------
    Invalid
        OIDC-008 when the issuer's URL is none that can be trusted.

    Notes
    -----
    Guarantees: the issuer's keys are kept for an hour; one that is not known asks for them again, at
    most every half minute.
    """

    def __init__(
        self,
        issuer: str,
        client_id: str,
        client_secret: str,
        redirect_url: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        place = urlsplit(issuer)
        if place.scheme != "https" and not (place.scheme == "http" and place.hostname in {"127.0.0.1", "::1"}):
            raise Invalid("OIDC-008", f"{issuer!r} is no https address")
        self._issuer = issuer
        self._client_id = client_id
        self._client_secret = client_secret
        self._redirect_url = redirect_url
        self._clock = clock
        self._pending: dict[str, _Pending] = {}
        self._keys = IssuerKeys(self._fetch_keys, clock)

    def begin(self) -> tuple[str, str]:
        """Return the address to send a browser to, and the state that it must bring back.

        Raises
        ------
        Unavailable
            OIDC-008 when the issuer does not answer as one.
        """
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        target = self._discover("authorization_endpoint")
        if len(self._pending) >= MOST_PENDING:
            del self._pending[next(iter(self._pending))]
        self._pending[state] = _Pending(nonce, verifier, self._clock() + PENDING_S)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": self._redirect_url,
            "scope": "openid",
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return f"{target}{'&' if '?' in target else '?'}{urlencode(query)}", state

    def finish(self, state: str, kept: str, code: str) -> Identity:
        """Exchange the code that a browser brought and return who signed in.

        Parameters
        ----------
        state, code : str
            What the issuer had it bring.
        kept : str
            The state that this very browser was given.

        Raises
        ------
        Denied
            OIDC-007 when the state is unknown, used, too old or another browser's; OIDC-001 to
            OIDC-006 for its token.
        Unavailable
            OIDC-008.
        """
        pending = self._pending.pop(state, None)
        if pending is None or pending.until <= self._clock() or not secrets.compare_digest(state, kept):
            raise Denied("OIDC-007", "the state is unknown, was used, is too old, or of another browser")
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_url,
            "client_id": self._client_id,
            "code_verifier": pending.verifier,
        }
        if self._client_secret:
            form["client_secret"] = self._client_secret
        answer = self._ask(self._discover("token_endpoint"), form)
        token = str(answer.get("id_token", ""))
        return verify_id_token(
            token,
            self._keys.find(_read_json(token.partition(".")[0]).get("kid")),
            issuer=self._issuer,
            audience=self._client_id,
            nonce=pending.nonce,
            now=self._clock(),
        )

    def _ask(self, url: str, form: dict[str, str] | None = None) -> dict[str, Any]:
        """Ask the issuer, which an administrator has named; other hosts that it names must be of the internet."""
        place = urlsplit(url)
        sent = {"Accept": "application/json", **({"Content-Type": _FORM} if form is not None else {})}
        try:
            answer = fetch(
                url,
                method="GET" if form is None else "POST",
                body=urlencode(form or {}).encode(),
                headers=sent,
                timeout_s=_TIMEOUT_S,
                most_bytes=MOST_BYTES,
                private=place.hostname == urlsplit(self._issuer).hostname,
            )
            told = msgspec.json.decode(answer.body)
        except (MainspringError, msgspec.DecodeError) as fault:
            why = fault.what if isinstance(fault, MainspringError) else "it answers with no JSON"
            raise Unavailable("OIDC-008", f"{place.netloc} does not answer: {why}") from None
        if answer.status != 200 or not isinstance(told, dict):
            raise Unavailable("OIDC-008", f"{place.netloc} answers {answer.status}")
        return told

    def _fetch_keys(self) -> list[dict[str, Any]]:
        keys = self._ask(self._discover("jwks_uri")).get("keys")
        return [key for key in keys if isinstance(key, dict)] if isinstance(keys, list) else []

    def _discover(self, name: str) -> str:
        told = self._ask(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
        if told.get("issuer") != self._issuer:
            raise Unavailable("OIDC-008", f"{self._issuer} calls itself {str(told.get('issuer'))[:200]!r}")
        target = str(told.get(name, ""))
        if urlsplit(target).scheme != urlsplit(self._issuer).scheme:
            raise Unavailable("OIDC-008", f"{self._issuer} names no {name}")
        return target


def _check_signature(header: dict[str, Any], keys: Sequence[dict[str, Any]], signed: bytes, signature: bytes) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    algorithm = header.get("alg")
    kind = _ALGORITHMS.get(algorithm) if isinstance(algorithm, str) else None
    if kind is None:
        raise Denied("OIDC-002", f"the token is signed by {str(algorithm)[:20]!r}")
    fitting = [key for key in keys if key.get("kty") == kind and key.get("kid") == header.get("kid")]
    for key in fitting:
        try:
            if kind == "RSA":
                public = rsa.RSAPublicNumbers(_number(key["e"]), _number(key["n"])).public_key()
                public.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
            else:
                numbers = ec.EllipticCurvePublicNumbers(_number(key["x"]), _number(key["y"]), ec.SECP256R1())
                halves = (int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))
                numbers.public_key().verify(encode_dss_signature(*halves), signed, ec.ECDSA(hashes.SHA256()))
            return
        except (InvalidSignature, ValueError, KeyError, TypeError):
            continue
    raise Denied("OIDC-002", f"no key of the issuer made the signature ({len(fitting)} of that name)")


def _check_times(claims: dict[str, Any], now: float) -> None:
    expires, issued = claims.get("exp"), claims.get("iat")
    if not isinstance(expires, int | float) or not isinstance(issued, int | float):
        raise Denied("OIDC-005", "the token does not say when it was made and until when it holds")
    starts = max(float(issued), float(claims.get("nbf") or issued))
    if now > expires + LEEWAY_S:
        raise Denied("OIDC-005", f"the token expired {now - expires:.0f} s ago")
    if now < starts - LEEWAY_S:
        raise Denied("OIDC-005", f"the token holds from {starts - now:.0f} s on")


def _read_json(part: str) -> dict[str, Any]:
    try:
        told = msgspec.json.decode(_decode(part))
    except msgspec.DecodeError:
        told = None
    if not isinstance(told, dict):
        raise Denied("OIDC-001", "a part of the token is no JSON object")
    return told


def _decode(part: str) -> bytes:
    try:
        return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise Denied("OIDC-001", "a part of the token is not written in base64url") from None


def _number(text: str) -> int:
    return int.from_bytes(_decode(text))
