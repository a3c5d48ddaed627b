"""What follows from a receiver's answer: go on, try again later, or set the event aside."""

from __future__ import annotations

import msgspec

from mainspring.domain.sinks import Answered

FIRST_S = 1.0
MOST_S = 3600.0
"""Seconds of the first pause and of the longest one."""


class Progress(msgspec.Struct, frozen=True):
    """How far a sink is; the fields are those of `mainspring.domain.sinks.Sink`."""

    position: int
    tries: int = 0
    refusals: int = 0
    due_at: float = 0.0


class Decision(msgspec.Struct, frozen=True):
    """What to do.

    Attributes
    ----------
    progress : Progress
        How far the sink is now.
    set_aside : bool
        The event is not sent any more.
    """

    progress: Progress
    set_aside: bool = False

    @property
    def goes_on(self) -> bool:
        """The next event may be sent at once."""
        return self.progress.tries == 0


def decide(progress: Progress, event: int, answer: Answered, most_refusals: int, now: float, draw: float) -> Decision:
    """Decide what follows from an answer.

    Parameters
    ----------
    progress : Progress
        Before the event was sent.
    event : int
        Its number.
    answer : Answered
        What the receiver answered.
    most_refusals : int
        So often is an event refused for good before it is set aside, >= 1.
    now : float
        Seconds since 1970 UTC.
    draw : float
        A random number, 0 <= draw < 1.

    Returns
    -------
    Decision
        The position moves to the event when it was accepted or is set aside, and never otherwise.

    Notes
    -----
    Guarantees: pure. Pauses double from `FIRST_S` to `MOST_S`, each shortened by up to a half, so
    that sinks that failed together do not try together; a receiver's own wish for a longer pause
    is granted up to `MOST_S`.

    Examples
    --------
    >>> decide(Progress(7), 8, Answered("failed", "503"), 5, now=100.0, draw=0.0).progress
    Progress(position=7, tries=1, refusals=0, due_at=100.5)
    """
    if answer.outcome == "accepted":
        return Decision(Progress(event))
    refusals = progress.refusals + (answer.outcome == "refused")
    if answer.outcome == "refused" and refusals >= most_refusals:
        return Decision(Progress(event), set_aside=True)
    tries = progress.tries + 1
    pause_s = max(pause(tries, draw), min(answer.retry_after_s or 0.0, MOST_S))
    return Decision(Progress(progress.position, tries, refusals, now + pause_s))


def pause(tries: int, draw: float) -> float:
    """Return the seconds to wait after so many failures in a row.

    Examples
    --------
    >>> [pause(tries, 0.5) for tries in (1, 2, 3, 60)]
    [0.75, 1.5, 3.0, 2700.0]
    """
    longest_s = min(FIRST_S * 2.0 ** min(tries - 1, 30), MOST_S)
    return longest_s * (1.0 + draw) / 2.0
