"""Named places where a test may kill the process; without a plan they cost one comparison."""

from __future__ import annotations

import os
import signal

# Every crash point of the code, so that the kill loop can enumerate them; a call with another
# name fails, and so does a name that no test reaches.
POINTS: frozenset[str] = frozenset(
    {
        "owner.turn.before_commit",
        "owner.turn.after_commit",
        "migration.backed_up",
        "migration.changed",
        "migration.committed",
        "worker.leased",
        "worker.ran",
        "worker.stored",
        "worker.finished",
        "table.before_commit",
        "table.committed",
        "predict.marked",
        "blobs.before_rename",
        "blobs.after_rename",
        "sweep.seen",
        "sweep.aside",
        "sweep.spared",
        "sweep.removed",
        "retention.hidden",
        "litter.removed",
        "trigger.decided",
        "preempt.ordered",
        "preempt.told",
        "import.brought",
        "export.writing",
        "courier.taken",
        "courier.sent",
        "plane.before_capture",
        "plane.after_capture",
    }
)

_name, _, _rest = os.environ.get("MAINSPRING_CRASH", "").partition(":")
_count, _, _mark = _rest.partition(":")
_left = int(_count or 1)


def crash_point(name: str) -> None:
    """Die here by SIGKILL when ``MAINSPRING_CRASH=name:n:file`` asks for the n-th passage.

    Parameters
    ----------
    name : str
        A member of `POINTS`.

    Raises
    ------
    KeyError
        The name is not enumerated.

    Notes
    -----
    The file is made by the process that dies, and nobody dies when it is there: of all the
    processes that inherit the plan, one is killed, once. Without a file every one is.
    """
    global _left
    if name not in POINTS:
        raise KeyError(name)
    if name == _name:
        _left -= 1
        if _left == 0 and _claim():
            os.kill(os.getpid(), signal.SIGKILL)


def _claim() -> bool:
    if not _mark:
        return True
    try:
        os.close(os.open(_mark, os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return False
    return True
