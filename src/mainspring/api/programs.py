"""Programs whose people sign in with a browser: the token goes to who began, on that machine (RFC 8252, RFC 7636)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import urlencode

import msgspec

from mainspring.domain.errors import Denied
from mainspring.security.oidc import MOST_PENDING, PENDING_S
from mainspring.security.tokens import digest_token

T = TypeVar("T")

_TEXT = re.compile(r"[A-Za-z0-9_-]{43}\Z")


class Program(msgspec.Struct, frozen=True):
    """A program that waits on its own machine.

    Attributes
    ----------
    port : int
        Where it listens, on loopback.
    state : str
        What it must be told again, so that it knows the answer for its own.
    challenge : str
        SHA-256 of what it shows for the token, in base64url.
    """

    port: int
    state: str
    challenge: str


def read_program(query: Mapping[str, str]) -> Program | None:
    """Return the program that sends a browser, None for a browser of its own.

    Raises
    ------
    Denied
        OIDC-007 for a port that is none, or texts that are not 43 characters of base64url.
    """
    if "port" not in query:
        return None
    port, state, challenge = (query.get(name, "") for name in ("port", "state", "challenge"))
    if not re.fullmatch(r"[0-9]{4,5}", port) or not 1024 <= int(port) <= 65535:
        raise Denied("OIDC-007", "the program names no port of its machine")
    if not _TEXT.match(state) or not _TEXT.match(challenge):
        raise Denied("OIDC-007", "the program's state or challenge is malformed")
    return Program(int(port), state, challenge)


class Programs:
    """Programs that wait, and codes for their tokens, in memory: they end with the server.

    Parameters
    ----------
    clock : callable, default time.monotonic
        Returns seconds that never go backwards.

    Notes
    -----
    Guarantees: a code is worth its token once, within `PENDING_S`, to who knows the verifier of the
    challenge that it began with; only digests of codes are kept; at most `MOST_PENDING` of each.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._waiting: dict[str, tuple[float, Program]] = {}
        self._codes: dict[str, tuple[float, tuple[Program, str]]] = {}

    def begin(self, state: str, program: Program) -> None:
        """Note that a sign-in at the issuer, known by its state, is for a program."""
        self._keep(self._waiting, state, program)

    def take(self, state: str) -> Program | None:
        """Return, once, the program that a sign-in is for."""
        return self._take(self._waiting, state)

    def send_back(self, program: Program, token: str) -> str:
        """Return where a browser brings the code for a token: to the program, on this browser's machine."""
        code = secrets.token_urlsafe(32)
        self._keep(self._codes, digest_token(code), (program, token))
        return f"http://127.0.0.1:{program.port}/?{urlencode({'code': code, 'state': program.state})}"

    def redeem(self, code: str, verifier: str) -> str:
        """Return the token of a code, which is then used up.

        Raises
        ------
        Denied
            OIDC-007 when the code is unknown, too old or used, or of another program.
        """
        found = self._take(self._codes, digest_token(code))
        shown = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        if found is None or not hmac.compare_digest(shown, found[0].challenge):
            raise Denied("OIDC-007", "the code is unknown, was used, is too old, or of another program")
        return found[1]

    def _keep(self, kept: dict[str, tuple[float, T]], name: str, value: T) -> None:
        if len(kept) >= MOST_PENDING:
            del kept[next(iter(kept))]
        kept[name] = (self._clock() + PENDING_S, value)

    def _take(self, kept: dict[str, tuple[float, T]], name: str) -> T | None:
        until, value = kept.pop(name, (0.0, None))
        return value if until > self._clock() else None
