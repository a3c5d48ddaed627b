"""Browsers: a one-time code becomes a session, and the session a cookie."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

import msgspec

from mainspring.domain.errors import Denied
from mainspring.security.tokens import digest_token

COOKIE = "mainspring_session"
SESSION_S = 12 * 3600.0
CODE_S = 600.0
MOST_SESSIONS = 1000


class Session(msgspec.Struct, frozen=True):
    """Who a browser acts for.

    Attributes
    ----------
    token : str
        What the owner is shown in its name; empty: the home's own user.
    until : float
        Monotonic seconds.
    """

    token: str
    until: float


class Sessions:
    """Codes and sessions of one server, in memory: they end with it.

    Parameters
    ----------
    clock : callable, default time.monotonic
        Returns seconds that never go backwards.

    Notes
    -----
    Guarantees: a code opens one session; only digests of codes and cookies are kept; at most
    `MOST_SESSIONS` of each.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._codes: dict[str, Session] = {}
        self._sessions: dict[str, Session] = {}

    def make_code(self, token: str = "", hold_s: float = CODE_S) -> str:
        """Return a new one-time code.

        Parameters
        ----------
        token : str, optional
            What the session will show to the owner; empty: it is the home's own user's.
        hold_s : float, default CODE_S
            Seconds in which the code can be used.
        """
        code = secrets.token_urlsafe(32)
        self._keep(self._codes, code, Session(token, self._clock() + hold_s))
        return code

    def exchange(self, code: str) -> str:
        """Return the cookie of a new session for a code, which is then used up.

        Raises
        ------
        Denied
            AUTH-016 when the code is unknown, too old, or was used.
        """
        found = self._codes.pop(digest_token(code), None)
        if found is None or found.until <= self._clock():
            raise Denied("AUTH-016", "the code of the link is unknown, too old, or was used before")
        return self.open(found.token)

    def open(self, token: str) -> str:
        """Return the cookie of a new session."""
        cookie = secrets.token_urlsafe(32)
        self._keep(self._sessions, cookie, Session(token, self._clock() + SESSION_S))
        return cookie

    def find(self, cookie: str) -> Session | None:
        """Return the session of a cookie, None when there is none or it is over."""
        found = self._sessions.get(digest_token(cookie))
        return found if found is not None and found.until > self._clock() else None

    def close(self, cookie: str) -> None:
        """End a session."""
        self._sessions.pop(digest_token(cookie), None)

    def _keep(self, place: dict[str, Session], text: str, session: Session) -> None:
        if len(place) >= MOST_SESSIONS:
            del place[next(iter(place))]
        place[digest_token(text)] = session
