"""What a command costs with everything it starts: children, and daemons that it leaves behind."""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.processes import read_cpu_s

_SET_CHILD_SUBREAPER = 36
_SETTLE_S = 1.0


@dataclass(frozen=True)
class Spent:
    """What a command cost and said.

    Attributes
    ----------
    cpu_s : float
        User and system time of all its processes; of daemons that were there before and stay, what they added.
    wall_s : float
        From its start to its end.
    output, errors : str
        What it printed.
    code : int
        Its exit code.
    """

    cpu_s: float
    wall_s: float
    output: str
    errors: str
    code: int


def adopt_orphans() -> None:
    """Make this process the parent of whatever its descendants leave behind, so that it can count them.

    Raises
    ------
    OSError
        The kernel refused; it takes Linux.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")


def spend(command: Sequence[str], folder: Path, environment: Mapping[str, str], timeout_s: float) -> Spent:
    """Run a command and return what it cost.

    Notes
    -----
    Processes that ended are counted by the kernel when they are waited for; those that go on, by /proc
    to a hundredth of a second, one second after the command ended.
    """
    before, there = _read_ended_s(), find_descendants()
    told = read_cpu_s(there)
    began = time.perf_counter()
    done = subprocess.run(
        command, check=False, cwd=folder, env=dict(environment), capture_output=True, text=True, timeout=timeout_s
    )
    wall_s = time.perf_counter() - began
    if find_descendants():
        time.sleep(_SETTLE_S)
    reap()
    left = read_cpu_s(find_descendants())
    cpu_s = _read_ended_s() - before + left - told
    return Spent(cpu_s, wall_s, done.stdout, done.stderr, done.returncode)


def find_descendants() -> list[int]:
    """Return the processes below this one that are alive."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if state != "Z":
                parents[int(folder.name)] = int(parent)
    found = {os.getpid()}
    while new := {pid for pid, parent in parents.items() if parent in found and pid not in found}:
        found |= new
    return sorted(found - {os.getpid()})


def reap() -> None:
    """Wait for adopted processes that have ended, so that the kernel counts them."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def wait_for_all(timeout_s: float) -> None:
    """Wait until nothing is left below this process.

    Raises
    ------
    TimeoutError
        Something is still there.
    """
    until = time.monotonic() + timeout_s
    while find_descendants():
        reap()
        if time.monotonic() > until:
            raise TimeoutError(f"processes {find_descendants()} are still there")
        time.sleep(0.1)
    reap()


def _read_ended_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
