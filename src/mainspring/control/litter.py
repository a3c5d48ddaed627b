"""Litter: files of this node that nobody wants any more; logs and journals of runs, and old logs of processes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from mainspring.control.turn import Turn
from mainspring.control.usecases import loop
from mainspring.domain.crashpoints import crash_point
from mainspring.store import runs
from mainspring.store.projects import list_projects

_LOOK = 500
"""So many files are looked at in one turn, some 10 ms of work."""

_YOUNG_S = 3600.0
"""A file as young belongs to a run that the record may be told of yet."""

_OLD_S = 30 * 86_400.0
"""A log of processes that nobody has written to for so long goes."""

_walks: dict[Path, Iterator[Path]] = {}


class _File(NamedTuple):
    path: Path
    run_id: str
    written_at: float


@loop(every_s=15.0, durable=False)
def sweep_files(turn: Turn) -> None:
    """Look at some files more, and begin anew at the end; what goes, goes at once."""
    walk = _walks.setdefault(turn.home.root, _walk(turn))
    found = list(islice(walk, _LOOK))
    if len(found) < _LOOK:
        del _walks[turn.home.root]
    files = [_File(path, path.name[:32], written_at) for path in found if (written_at := _read_time(path)) is not None]
    states = runs.find_ends(turn.connection, sorted({each.run_id for each in files}))
    kept_s = {each.name: each.keep_logs_s for each in list_projects(turn.connection)}
    for each in files:
        if _is_litter(turn, each, states, kept_s):
            each.path.unlink(missing_ok=True)
            crash_point("litter.removed")


def _walk(turn: Turn) -> Iterator[Path]:
    for folder in (turn.home.logs / "runs", turn.home.journals, turn.home.logs):
        if folder.is_dir():
            with os.scandir(folder) as entries:
                yield from (Path(entry.path) for entry in entries if entry.is_file(follow_symlinks=False))


def _read_time(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return None


def _is_litter(turn: Turn, file: _File, states: dict[str, runs.End], kept_s: dict[str, float | None]) -> bool:
    age_s = turn.now() - file.written_at
    if file.path.parent == turn.home.logs:
        return age_s > _OLD_S and file.path.name != "owner.log"
    end = states.get(file.run_id)
    if end is None or end.purged:
        return age_s > _YOUNG_S
    limit_s = kept_s.get(end.project)
    if file.path.parent == turn.home.journals or not limit_s or end.ended_at is None:
        return False
    return turn.now() - end.ended_at > limit_s
