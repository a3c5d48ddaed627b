"""Quotas: how many bytes of blobs and tables a project may hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mainspring.control.turn import Turn
from mainspring.control.usecases import handles
from mainspring.domain.command import Nothing
from mainspring.domain.errors import Conflict
from mainspring.domain.units import format_size
from mainspring.domain.upkeep import RecountBlobs
from mainspring.store import holdings


def hold_blobs(turn: Turn, digests: Sequence[str], *, bounded: bool) -> None:
    """Count blobs that the project did not hold before, in this transaction.

    Parameters
    ----------
    turn : Turn
        The turn.
    digests : sequence of str
        What a run or version names.
    bounded : bool
        Refuse them where they exceed the project's quota.

    Raises
    ------
    Conflict
        KEEP-005 when they do.
    """
    new = holdings.list_new(turn.connection, turn.project, digests)
    if not new:
        return
    sizes = {digest: turn.blobs.measure(digest) or 0 for digest in new}
    used, quota = holdings.add_holdings(turn.connection, turn.project, sizes)
    if bounded and quota and used > quota:
        added = sum(sizes.values())
        raise _exceeds(turn, used - added, quota, added)


def hold_files(turn: Turn, manifest: Any) -> None:
    """Count the files of a dataset's version that the project did not hold before.

    They are committed already, so they are counted and not refused: a writer asks beforehand, as for an upload.
    """
    files = holdings.list_files(manifest)
    new = holdings.list_new(turn.connection, turn.project, files) if files else []
    if new:
        holdings.add_holdings(turn.connection, turn.project, {name: files[name] for name in new})


def check_quota(turn: Turn, digest: str, size_bytes: int) -> None:
    """Refuse an upload, or rows of a table, that could not be named, before it travels.

    Raises
    ------
    Conflict
        KEEP-005 when what the project holds, what was uploaded to it and this exceed its quota.
    """
    used, quota = holdings.read_usage(turn.connection, turn.project)
    if quota and holdings.list_new(turn.connection, turn.project, [digest]):
        used += holdings.read_pending(turn.connection, turn.project, digest)
        if used + size_bytes > quota:
            raise _exceeds(turn, used, quota, size_bytes)


@handles(RecountBlobs, action="home.sweep")
def recount_blobs(turn: Turn, command: RecountBlobs) -> Nothing:
    """Count anew what each project holds."""
    holdings.recount(turn.connection, command.sizes)
    return Nothing()


def _exceeds(turn: Turn, used: int, quota: int, added: int) -> Conflict:
    what = (
        f"project {turn.project!r} holds {format_size(used)} of {format_size(quota)}, "
        f"and {turn.actor} would add {format_size(added)}"
    )
    return Conflict("KEEP-005", what, name=turn.project, used_bytes=used, quota_bytes=quota, added_bytes=added)
