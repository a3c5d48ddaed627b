"""Users who come with a password: it is compared once, and stands for a token of theirs for a while."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable

from anyio import CapacityLimiter, to_thread

from mainspring.api.relay import Relay
from mainspring.domain.access import Issued, IssueToken
from mainspring.domain.errors import Denied
from mainspring.domain.passwords import OF_PASSWORD, FindPassword, PasswordDigest
from mainspring.security.passwords import digest_password, is_password

HOLDS_S = 3600.0
_MARGIN_S = 60.0
_MOST = 1_000
_AT_ONCE = 2


class Passwords:
    """Exchanges passwords for tokens.

    Parameters
    ----------
    relay : Relay
        Asks the owner, as the home's own user.
    clock : callable, default time.monotonic
        Returns seconds.

    Notes
    -----
    Guarantees: a password is neither kept nor told on; what is remembered is a digest of it under a key of this
    process. At most two are compared at once, so that guesses take no more than 40 MiB.
    """

    def __init__(self, relay: Relay, clock: Callable[[], float] = time.monotonic) -> None:
        self._relay = relay
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._known: dict[bytes, tuple[str, float]] = {}
        self._limiter: CapacityLimiter | None = None
        self._decoy = ""

    def find(self, name: str, password: str) -> str:
        """Return the token that a password stands for; empty: it has not been compared lately."""
        token, until = self._known.get(self._name(name, password), ("", 0.0))
        return token if self._clock() < until else ""

    def forget(self, name: str, password: str) -> None:
        """Compare a password anew when it is shown next, as after its token was refused."""
        self._known.pop(self._name(name, password), None)

    async def exchange(self, name: str, password: str) -> str:
        """Compare a password, and return a token for whom it is.

        Raises
        ------
        Denied
            AUTH-019 when nobody has this name and password; which of both is wrong is not told.
        """
        self._limiter = self._limiter or CapacityLimiter(_AT_ONCE)
        self._decoy = self._decoy or await to_thread.run_sync(digest_password, secrets.token_hex(32))
        found: PasswordDigest = await self._relay.ask(FindPassword(name=name))
        # Who does not exist takes as long as who does.
        right = await to_thread.run_sync(is_password, password, found.digest or self._decoy, limiter=self._limiter)
        if not right:
            raise Denied("AUTH-019", "no user has this name and password")
        issued: Issued = await self._relay.ask(
            IssueToken(principal=name, name=OF_PASSWORD, expires_s=HOLDS_S), secrets.token_hex(16)
        )
        while len(self._known) >= _MOST:
            del self._known[next(iter(self._known))]
        self._known[self._name(name, password)] = issued.token, self._clock() + HOLDS_S - _MARGIN_S
        return issued.token

    def _name(self, name: str, password: str) -> bytes:
        return hmac.digest(self._key, f"{name}\0{password}".encode(), hashlib.sha256)
