"""Messages of the wire about runs that give way to others.

They travel as those of `mainspring.domain.messages` do, which knows them all.
"""

from __future__ import annotations

from typing import Any

from mainspring.domain.command import Command
from mainspring.domain.records import Run


class PreemptRuns(Command):
    """Have runs give way: they are told to end, and wait in the queue again.

    They go on from their last checkpoint, and lose no try by it.
    """

    ids: list[str]


ANSWERS: dict[type[Command], Any] = {PreemptRuns: list[Run]}


def tell_loss(lost_s: float, gpus: float) -> str:
    """Say in few words what a run lost that gave way; empty: nothing.

    Examples
    --------
    >>> tell_loss(90.0, 2), tell_loss(4.2, 0), tell_loss(0.0, 1)
    ('lost 180 GPU-seconds', 'lost 4.2 seconds of work', '')
    """
    if not lost_s:
        return ""
    if gpus:
        return f"lost {lost_s * gpus:.3g} GPU-seconds"
    return f"lost {lost_s:.3g} seconds of work"
