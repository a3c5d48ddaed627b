"""Failed attempts to get in, counted by address, so that guessing is slow and cheap to refuse."""

from __future__ import annotations

from collections import OrderedDict

import msgspec

WINDOW_S = 60.0
MOST_FAILURES = 10
MOST_ADDRESSES = 10_000


class Attempts(msgspec.Struct):
    """What failed lately, by address.

    Attributes
    ----------
    failures : dict of str to list of float
        Address -> times of its last failures; the address that failed longest ago is first.
    """

    failures: OrderedDict[str, list[float]] = msgspec.field(default_factory=OrderedDict)

    def wait_s(self, address: str, now: float) -> float:
        """Return how long an address must wait before it may fail again.

        Parameters
        ----------
        address : str
            Who tries.
        now : float
            Monotonic seconds.

        Returns
        -------
        float
            Seconds; 0.0 when it may try now.

        Examples
        --------
        >>> attempts = Attempts()
        >>> for second in range(MOST_FAILURES):
        ...     attempts.note("10.0.0.1", float(second))
        >>> attempts.wait_s("10.0.0.1", 9.0), attempts.wait_s("10.0.0.1", 61.0), attempts.wait_s("10.0.0.2", 9.0)
        (51.0, 0.0, 0.0)
        """
        times = self.failures.get(address, [])
        if len(times) < MOST_FAILURES:
            return 0.0
        return max(0.0, times[-MOST_FAILURES] + WINDOW_S - now)

    def note(self, address: str, now: float) -> None:
        """Count a failure.

        Notes
        -----
        Guarantees: holds at most `MOST_FAILURES` times for each of at most `MOST_ADDRESSES`.
        """
        times = self.failures.setdefault(address, [])
        times.append(now)
        del times[:-MOST_FAILURES]
        self.failures.move_to_end(address)
        if len(self.failures) > MOST_ADDRESSES:
            self.failures.popitem(last=False)
