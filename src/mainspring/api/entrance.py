"""The way in over HTTP: who asks, from where, and whether a browser was tricked into it."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Sequence
from ipaddress import ip_address, ip_network

from starlette.requests import Request

from mainspring.api.passwords import Passwords
from mainspring.api.sessions import COOKIE, Sessions
from mainspring.domain.errors import Denied, MainspringError
from mainspring.security.attempts import Attempts
from mainspring.security.tokens import digest_token, is_token

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
FAILURES = frozenset(
    {"AUTH-001", "AUTH-002", "AUTH-003", "AUTH-004", "AUTH-016", "AUTH-019", "OIDC-007", "TRIGGER-007"}
)
"""Codes of refusals that count as failed attempts."""

_MOST_KNOWN = 10_000


class Entrance:
    """Decides on whose behalf a request acts.

    Parameters
    ----------
    token_digest : str
        SHA-256 of the home's token.
    sessions : Sessions
        Of browsers.
    origins : sequence of str, default ()
        Origins of pages that are ours, such as ``http://127.0.0.1:8430``; the request's own host
        always is.
    proxies : sequence of str, default ()
        Networks whose ``X-Forwarded-For`` and ``-Proto`` are believed; when there are some, nobody
        else is let in.
    clock : callable, default time.monotonic
        Returns seconds.
    """

    def __init__(
        self,
        token_digest: str,
        sessions: Sessions,
        origins: Sequence[str] = (),
        proxies: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.sessions = sessions
        self._token_digest = token_digest
        self._origins = frozenset(origins)
        self._proxies = [ip_network(each) for each in proxies]
        self._clock = clock
        self._attempts = Attempts()
        self._known: dict[str, None] = {}

    def identify(self, request: Request) -> str:
        """Return the token that the owner is to be shown; empty for the home's own user.

        Raises
        ------
        Denied
            API-001 without credentials, AUTH-001 for a token of the wrong form, AUTH-008 after too
            many failures, API-004 when a page of another site asks, API-005 past the proxy.
        """
        self.check_source(request)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token:
            return self._take_bearer(request, token)
        session = self.sessions.find(request.cookies.get(COOKIE, ""))
        if session is None:
            raise Denied("API-001", "the request carries no token of this home")
        if request.method not in SAFE and not self._is_ours(request, request.headers.get("origin", "")):
            raise Denied("API-004", f"{request.method} with a cookie, without an origin of ours")
        return session.token

    async def identify_program(self, request: Request, passwords: Passwords) -> str:
        """Return the token that the owner is to be shown, as `identify` does; no cookie speaks for the request.

        It comes as ``Bearer TOKEN``, as the password of ``Basic`` whoever is named as its user, or stands for a
        user with his password.

        Raises
        ------
        Denied
            As `identify`; AUTH-019 for a wrong name or password.
        """
        self.check_source(request)
        scheme, _, shown = request.headers.get("authorization", "").partition(" ")
        name = ""
        if scheme.lower() == "basic":
            name, shown = read_basic(shown)
        if not shown or scheme.lower() not in {"basic", "bearer"}:
            raise Denied("API-001", "the request carries no token of this home")
        if not name or shown.startswith(("msp_", "msw_")) or is_token(shown, self._token_digest):
            return self._take_bearer(request, shown)
        token = passwords.find(name, shown)
        if not token:
            self.check_attempts(request)
            token = await passwords.exchange(name, shown)
        return token

    def check_source(self, request: Request) -> None:
        """Refuse pages of other sites, and whoever goes past the proxy.

        Raises
        ------
        Denied
            API-004 or API-005.
        """
        if self._proxies and not self._is_proxy(request):
            raise Denied("API-005", "this server is reached through its proxy only")
        origin = request.headers.get("origin")
        if origin is not None and not self._is_ours(request, origin):
            raise Denied("API-004", f"a page of {origin[:200]!r} asks")

    def note_failure(self, request: Request, error: MainspringError) -> None:
        """Count a refusal that may have been a guess."""
        if error.code in FAILURES:
            self._attempts.note(self.address_of(request), self._clock())

    def note_success(self, token: str) -> None:
        """Remember a token that the owner knew, so that another's guesses do not keep it out."""
        if token:
            self._known.pop(digest_token(token), None)
            self._known[digest_token(token)] = None
            if len(self._known) > _MOST_KNOWN:
                del self._known[next(iter(self._known))]

    def check_attempts(self, request: Request) -> None:
        """Refuse an address that has failed too often.

        Raises
        ------
        Denied
            AUTH-008.
        """
        wait_s = self._attempts.wait_s(self.address_of(request), self._clock())
        if wait_s > 0:
            raise Denied("AUTH-008", f"too many failures, wait {wait_s:.0f} s", wait_s=wait_s)

    def address_of(self, request: Request) -> str:
        """Return the address that asks, as the proxy tells it when there is one."""
        peer = request.client.host if request.client else ""
        if self._proxies and self._is_proxy(request):
            # The proxy appends; what stands before its own word is anybody's.
            return request.headers.get("x-forwarded-for", peer).rpartition(",")[2].strip() or peer
        return peer

    def is_secure(self, request: Request) -> bool:
        """Tell whether the browser came over TLS, so that its cookie must as well."""
        if self._proxies and self._is_proxy(request):
            return request.headers.get("x-forwarded-proto", "") == "https"
        return request.url.scheme == "https"

    def _take_bearer(self, request: Request, token: str) -> str:
        if is_token(token, self._token_digest):
            return ""
        if digest_token(token) not in self._known:
            self.check_attempts(request)
        if not token.startswith(("msp_", "msw_")):
            raise Denied("API-001", "the request carries no token of this home")
        return token

    def _is_proxy(self, request: Request) -> bool:
        try:
            address = ip_address(request.client.host if request.client else "")
        except ValueError:
            return False
        return any(address in network for network in self._proxies)

    def _is_ours(self, request: Request, origin: str) -> bool:
        scheme = "https" if self.is_secure(request) else "http"
        return origin in self._origins or origin == f"{scheme}://{request.headers.get('host', '')}"


def read_basic(shown: str) -> tuple[str, str]:
    """Return the user's name and password of Basic authentication; empty when they cannot be read."""
    try:
        name, _, password = base64.b64decode(shown, validate=True).decode().partition(":")
    except ValueError:
        return "", ""
    return name, password
