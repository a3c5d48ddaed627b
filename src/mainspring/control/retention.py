"""Retention: what is older than its project keeps it is deleted, and later purged, in small steps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from mainspring.control.deletions import hide_run, hide_version, purge
from mainspring.control.needs import find_run_need, find_version_need
from mainspring.control.turn import Turn
from mainspring.control.usecases import loop
from mainspring.domain.access import Project
from mainspring.domain.crashpoints import crash_point
from mainspring.domain.records import Renewal, Run, Service, Version
from mainspring.domain.references import parse_reference
from mainspring.domain.upkeep import Deletion
from mainspring.store import deletions, retention, runs, versions
from mainspring.store.projects import list_projects
from mainspring.store.rows import find
from mainspring.store.tables import renewals, services

KEPT_DELETED_S = 30 * 86_400.0
"""What is deleted can be restored for so long, where the project sets nothing else."""

_STEP = 50
"""So many things go in one turn of the owner, some 20 ms of work."""

_LOOK = 2_000
"""So many runs are looked at in one turn."""

_REST_S = 3600.0
"""A pass that has come to the end begins again after so long."""

_MOST_TOLD = 1_000


class _Pass(msgspec.Struct):
    """How far a pass over a project has come; a new owner begins anew.

    Attributes
    ----------
    run, version : int
        Numbers of the last rows that were looked at.
    rested_at : float
        Monotonic seconds when it came to the end; 0: it has not.
    """

    run: int = 0
    version: int = 0
    rested_at: float = 0.0


_passes: dict[tuple[Path, str], _Pass] = {}


@loop(every_s=5.0, once=True)
def keep(turn: Turn) -> None:
    """Delete what is older than its project keeps it, and purge what nobody may restore any more."""
    for project in list_projects(turn.connection):
        with turn.within(project.name):
            _purge_old(turn, project)
            if project.keep_runs_s or project.keep_versions_s:
                _delete_old(turn, project, _passes.setdefault((turn.home.root, project.name), _Pass()))


def list_going(turn: Turn, project: Project) -> list[Deletion]:
    """Return the runs and versions that would be deleted first if a project were set so."""
    going: list[Deletion] = []
    seen = _Pass()
    with turn.within(project.name):
        for list_more, wanted in ((_list_runs, project.keep_runs_s), (_list_versions, project.keep_versions_s)):
            begun = None
            while wanted and len(going) < _MOST_TOLD and begun != (seen.run, seen.version):
                begun = (seen.run, seen.version)
                going += [_tell(turn, each) for each in list_more(turn, project, seen)]
    return going[:_MOST_TOLD]


def _purge_old(turn: Turn, project: Project) -> None:
    kept_s = KEPT_DELETED_S if project.keep_deleted_s is None else project.keep_deleted_s
    if kept_s:
        found = deletions.list_deletions(turn.connection, turn.now() - kept_s, project=project.name, limit=_STEP)
        if found:
            done = purge(turn, found)
            if done:
                turn.emit("purged", project.name, {"things": len(done)})


def _delete_old(turn: Turn, project: Project, seen: _Pass) -> None:
    now = turn.clock.monotonic()
    if seen.rested_at:
        if now - seen.rested_at < _REST_S:
            return
        seen.run, seen.version, seen.rested_at = 0, 0, 0.0
    begun = (seen.run, seen.version)
    gone = {"runs": 0, "versions": 0}
    for run in _list_runs(turn, project, seen) if project.keep_runs_s else ():
        hide_run(turn, run)
        gone["runs"] += 1
        crash_point("retention.hidden")
    for version in _list_versions(turn, project, seen) if project.keep_versions_s else ():
        hide_version(turn, version)
        gone["versions"] += 1
    if any(gone.values()):
        turn.emit("expired", project.name, gone)
    elif (seen.run, seen.version) == begun:
        seen.rested_at = now


def _list_runs(turn: Turn, project: Project, seen: _Pass) -> Iterator[Run]:
    """Yield old runs that nothing needs, at most `_STEP`; moves the pass on."""
    assert project.keep_runs_s
    before = turn.now() - project.keep_runs_s
    lineage: set[str] | None = None
    found = 0
    last = min(retention.read_last_number(turn.connection), seen.run + _LOOK)
    for each in retention.list_next_runs(turn.connection, project.name, seen.run, before, _LOOK):
        if each.created_at >= before or found == _STEP:
            return  # whatever comes after is younger
        seen.run = each.number
        if not each.old:
            continue
        lineage = _list_lineage(turn) if lineage is None else lineage
        run = runs.get_run(turn.connection, each.id)
        below = deletions.list_below(turn.connection, run.id)
        if find_run_need(turn, run) is None and not retention.find_products(turn.connection, below) & lineage:
            found += 1
            yield run
    seen.run = last


def _list_versions(turn: Turn, project: Project, seen: _Pass) -> Iterator[Version]:
    """Yield old versions that nothing needs, at most `_STEP`; moves the pass on."""
    assert project.keep_versions_s
    before = turn.now() - project.keep_versions_s
    old = retention.list_old_versions(turn.connection, project.name, before, after=seen.version, limit=_STEP)
    lineage = _list_lineage(turn) if old else set()
    for number, version_id in old:
        seen.version = number
        version = versions.get_version(turn.connection, version_id)
        if version is not None and version.id not in lineage and find_version_need(turn, version, alone=True) is None:
            yield version


def _list_lineage(turn: Turn) -> set[str]:
    used = [
        revision.model
        for service in find(turn.connection, services, Service, project=turn.project, desired=True)
        for revision in service.revisions
    ]
    for renewal in find(turn.connection, renewals, Renewal, project=turn.project, closed_at=None):
        used += [each for each in (renewal.candidate, renewal.champion) if each]
    named = [parse_reference(each, "model") for each in used]
    numbers = {(each.name, each.number) for each in named if each.number is not None}
    return retention.list_lineage(turn.connection, turn.project, numbers)


def _tell(turn: Turn, thing: Run | Version) -> Deletion:
    number, digest = (thing.number, thing.digest) if isinstance(thing, Version) else (0, "")
    kind = thing.kind if isinstance(thing, Version) else "run"
    return Deletion(thing.id, thing.project, kind, thing.name, number, digest, str(turn.actor), turn.now())
