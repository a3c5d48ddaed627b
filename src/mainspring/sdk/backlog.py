"""What runs of this machine had to tell when nobody listened: their journals are delivered later."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from mainspring.domain.errors import Conflict, Denied, Failed, Invalid, NotFound
from mainspring.domain.messages import FinishRun, GetRun
from mainspring.domain.records import Run
from mainspring.domain.tracking import Resumed, ResumeRun
from mainspring.domain.wire import describe
from mainspring.sdk.provenance import host_name
from mainspring.tracking.journal import parse_name, read_end, read_report

if TYPE_CHECKING:
    from mainspring.sdk.client import Client


def list_journals(folder: Path) -> list[Path]:
    """Return the journals of a folder, of runs that live too; `deliver` tells them apart."""
    return sorted(folder.glob("*.journal")) if folder.is_dir() else []


def deliver(client: Client, path: Path) -> None:
    """Tell the owner what a journal holds, the end of its run too, and remove it.

    Parameters
    ----------
    client : Client
        Of the owner that recorded the run.
    path : Path
        A journal; one that a process still has open is left alone.

    Raises
    ------
    Unavailable
        Nobody answers; the journal stays.

    Notes
    -----
    Guarantees: what had arrived before is not doubled. A script's run that was given up for lost
    meanwhile is resumed and ended as its process said; one whose process died without a word ends
    as lost. A journal that the owner refuses for good, or that cannot be read, is kept under another
    suffix; one of a run that this client does not see stays for another.
    """
    with contextlib.suppress(FileNotFoundError, BlockingIOError), path.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            _tell(client, path, *parse_name(path))
        except (Conflict, ValueError, msgspec.MsgspecError) as fault:
            if isinstance(fault, Invalid):
                return  # not by this client; maybe by one of another version
            path.replace(path.with_suffix(".refused"))
        except (Denied, NotFound):
            return  # of another project, or of somebody else
        else:
            path.unlink(missing_ok=True)


def _tell(client: Client, path: Path, run_id: str, attempt: int) -> None:
    end = read_end(path)
    if not _ship(client, path, run_id, attempt):
        run: Run = client.ask(GetRun(id=run_id))
        if run.attempt != attempt or run.problem is None or run.problem.code != "RUN-008":
            return  # it was ended by somebody, or goes on as another attempt
        asked = ResumeRun(run_id=run_id, host=host_name(), pid=os.getpid())
        resumed: Resumed = client.ask(asked)
        attempt = resumed.run.attempt
        _ship(client, path, run_id, attempt)
        lost = describe(Failed("RUN-008", f"{run.name}: its process ended without a word", run=run_id))
        end = end or FinishRun(run_id=run_id, attempt=attempt, fence=attempt, state="failed", problem=lost)
    if end is not None:
        # Runs of a process of their own begin at 1, and each attempt raises both by one.
        client.ask(replace(end, attempt=attempt, fence=attempt))


def _ship(client: Client, path: Path, run_id: str, attempt: int) -> bool:
    """Send the whole journal; False when the attempt has been ended."""
    offset = 0
    while report := read_report(path, run_id, attempt, attempt, offset):
        if client.ask(report).order != "keep":
            return False
        offset = report.offset
    return True
