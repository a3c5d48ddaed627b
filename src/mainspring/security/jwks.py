"""The keys that an issuer publishes: kept for a while, asked for anew when it has changed them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from mainspring.domain.errors import Unavailable

KEEP_S = 3600.0
"""So long keys are used without a question, so that one which was withdrawn is not used for ever."""

REST_S = 30.0
"""So long after a question none is asked, whatever tokens name: a made-up key does not reach the issuer."""

MOST_KEYS = 100

Key = dict[str, Any]


class IssuerKeys:
    """The public keys of one issuer; safe to share between threads.

    Parameters
    ----------
    fetch : callable
        Asks the issuer for its JSON web keys.
    clock : callable
        Returns seconds.

    Notes
    -----
    Guarantees: the issuer is asked at most once in `REST_S`, and by one thread at a time; a key that
    it has added is found at its first use after that, one that it has withdrawn is forgotten within
    `KEEP_S`. While it does not answer, the keys that are known hold for as long again.
    """

    def __init__(self, fetch: Callable[[], list[Key]], clock: Callable[[], float]) -> None:
        self._fetch = fetch
        self._clock = clock
        self._keys: list[Key] = []
        self._fetched_at = self._asked_at = float("-inf")
        self._asking = threading.Lock()

    def find(self, name: Any) -> list[Key]:
        """Return the keys of a name (``kid``); none when the issuer has no such key.

        Raises
        ------
        Unavailable
            OIDC-008 when nothing is known and the issuer does not answer.
        """
        with self._asking:
            now = self._clock()
            age_s = now - self._fetched_at
            found = self._select(name)
            if (not found or age_s >= KEEP_S) and now - self._asked_at >= REST_S:
                self._ask(now)
                found = self._select(name)
            elif age_s >= 2 * KEEP_S:
                raise Unavailable("OIDC-008", f"the issuer did not tell its keys {now - self._asked_at:.0f} s ago")
            return found

    def _ask(self, now: float) -> None:
        self._asked_at = now
        try:
            self._keys = self._fetch()[:MOST_KEYS]
        except Unavailable:
            if now - self._fetched_at >= 2 * KEEP_S:
                raise
            return
        self._fetched_at = now

    def _select(self, name: Any) -> list[Key]:
        return [key for key in self._keys if key.get("kid") == name]
