"""Needs: why something may not be deleted, and what lets go of it."""

from __future__ import annotations

from typing import NamedTuple

from mainspring.control.assets import find_version
from mainspring.control.gates import find_gate
from mainspring.control.services import list_monitored
from mainspring.control.turn import Turn
from mainspring.domain.records import Run, Service, Version
from mainspring.store import needs
from mainspring.store.rows import find
from mainspring.store.tables import renewals, runs, services


class Need(NamedTuple):
    """What needs something, and the command that ends it."""

    what: str
    fix: str


def find_version_need(turn: Turn, version: Version, *, alone: bool) -> Need | None:
    """Return what needs a version, None when nothing does.

    Parameters
    ----------
    turn : Turn
        The turn.
    version : Version
        Of a dataset or model.
    alone : bool
        The other versions of its name stay, and so do its aliases.
    """
    if alone and version.aliases:
        alias = version.aliases[0]
        move = f"mainspring promote {version.name} {alias} --data DATASET" if version.kind == "model" else ""
        return Need(f"the alias {alias}", move or f"point {version.name}@{alias} at another version, or give --all")
    gated = [alias for alias in version.aliases if version.kind == "model" and find_gate(turn, version.name, alias)]
    if gated:  # without its champion a gate compares with the best constant
        remove = f"mainspring gates remove {version.name} {gated[0]} --reason TEXT"
        return Need(f"the alias {gated[0]}, which a gate guards", remove)
    service = _find_service(turn, version, alone=alone)
    if service is not None:
        return Need(f"the service {service}", f"mainspring services stop {service}")
    either = (renewals.c.candidate == version.reference) | (renewals.c.champion == version.reference)
    if version.kind == "model":
        renewal = needs.find_open_renewal(turn.connection, renewals.c.project == turn.project, either)
        if renewal is not None:
            return Need(f"the renewal of service {renewal[1]}", f"mainspring services show {renewal[1]}, until it ends")
    return _tell_live(needs.find_live_user(turn.connection, version.id, version.reference))


def find_name_need(turn: Turn, name: str) -> Need | None:
    """Return what goes by the name of a model, besides its aliases; None when nothing does."""
    for service in find(turn.connection, services, Service, project=turn.project, desired=True):
        models = [service.follows, *(each.model for each in service.revisions)]
        if any(each.partition("@")[0] == name for each in models):
            return Need(f"the service {service.name}", f"mainspring services stop {service.name}")
    either = renewals.c.candidate.startswith(f"{name}@", autoescape=True)
    either |= renewals.c.champion.startswith(f"{name}@", autoescape=True)
    renewal = needs.find_open_renewal(turn.connection, renewals.c.project == turn.project, either)
    if renewal is not None:
        return Need(f"the renewal of service {renewal[1]}", f"mainspring services show {renewal[1]}, until it ends")
    return _tell_live(needs.find_live_call(turn.connection, f'"{name}@'))


def find_run_need(turn: Turn, run: Run) -> Need | None:
    """Return what needs a run or something below it, None when nothing does."""
    if run.kind == "check" and run.state == "succeeded":  # the next check goes on from the last one
        where = {"project": turn.project, "kind": "check", "name": run.name, "state": "succeeded"}
        last = find(turn.connection, runs, Run, limit=1, **where)
        if last[0].id == run.id and _is_wanted(turn, run.name):
            return Need(f"the service {run.name}", f"mainspring services stop {run.name}")
    live = _tell_live(needs.find_live_part(turn.connection, run.id))
    if live is not None:
        return live
    renewal = needs.find_open_renewal(turn.connection, renewals.c.run_id == run.id)
    if renewal is not None:
        return Need(f"the renewal of service {renewal[1]}", f"mainspring services show {renewal[1]}, until it ends")
    return None


def _find_service(turn: Turn, version: Version, *, alone: bool) -> str | None:
    if version.kind == "model":
        wanted = find(turn.connection, services, Service, project=turn.project, desired=True)
        holds = (each for each in wanted if any(held.model == version.reference for held in each.revisions))
        return next((each.name for each in holds), None)
    latest = find_version(turn, "dataset", version.name)
    if alone and latest is not None and latest.id != version.id:
        return None
    monitored = list_monitored(turn, version.name)
    if monitored:
        return monitored[0].name
    owner = version.name.removesuffix(".requests")
    return owner if owner != version.name and _is_wanted(turn, owner) else None


def _is_wanted(turn: Turn, service: str) -> bool:
    return bool(find(turn.connection, services, Service, limit=1, project=turn.project, name=service, desired=True))


def _tell_live(live: needs.LiveRun | None) -> Need | None:
    if live is None:
        return None
    short = live.id[-6:]
    return Need(f"run {short} ({live.name}), which is {live.state}", f"mainspring runs cancel {short}")
