"""Services: the desired state of each, the process that serves it, and what it reports."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from mainspring.control.arrivals import list_arrivals
from mainspring.control.assets import find_version, missing, point_alias, resolve
from mainspring.control.cases import close_case, find_case
from mainspring.control.gates import allow_move
from mainspring.control.pins import drop_files, pin_files
from mainspring.control.rollout import add_revision, advance, save_revisions
from mainspring.control.turn import Turn
from mainspring.control.usecases import handles, holds, loop
from mainspring.domain.errors import Conflict, Invalid, NotFound
from mainspring.domain.home import name_folder
from mainspring.domain.messages import Deploy, GetService, ListServices, RollbackService, StopService
from mainspring.domain.records import Revision, Run, Service
from mainspring.domain.references import parse_reference
from mainspring.serving import files
from mainspring.store import rows, tables
from mainspring.store.engine import dialect_of
from mainspring.store.events import has_held
from mainspring.store.words import select

RESTART_S = 1.0

_MOST_LOG_BYTES = 5_000_000

_REPORTED = ("url", "pid", "health", "statistics", "problem")
"""What of a service its plane reports."""

_started: dict[Path, float] = {}


@handles(Deploy, action="services.deploy", rehearsed=True)
def deploy(turn: Turn, command: Deploy) -> Service:
    """Set the desired state of a service; the same again changes nothing."""
    model = find_version(turn, "model", command.model)
    if model is None:
        raise _no_model(turn, command.model)
    found = rows.find(turn.connection, tables.services, Service, limit=1, project=turn.project, name=command.name)
    if not found:
        service = Service(
            id=turn.new_id(),
            project=turn.project,
            name=parse_reference(command.name).name,
            follows=command.model,
            rollout=command.rollout,
            generation=1,
            desired=True,
            revisions=[Revision(1, model.reference, model.digest, 100, "live", turn.now())],
            monitor=command.monitor,
            created_at=turn.now(),
        )
        rows.add(turn.connection, tables.services, service, node=turn.node)
        turn.emit("deployed", service.name, {"model": model.reference, "revision": 1})
        turn.audit("services.deploy", service.name, after={"model": model.reference, "follows": service.follows})
        return _complete(turn, service)
    service = found[0]
    wanted = {"follows": command.model, "rollout": command.rollout, "monitor": command.monitor, "desired": True}
    if any(getattr(service, name) != value for name, value in wanted.items()):
        rows.change(turn.connection, tables.services, {"id": service.id}, **wanted)
        service = find_service(turn, command.name)
        save_revisions(turn, service, service.revisions)
        turn.emit("deployed", service.name, {"model": model.reference})
        before = {name: getattr(found[0], name) for name in wanted}
        turn.audit("services.deploy", service.name, before=before, after={**wanted, "model": model.reference})
    if not any(each.model == model.reference and each.state in {"live", "canary"} for each in service.revisions):
        add_revision(turn, service, model, state="canary" if command.rollout == "canary" else "live")
    return _complete(turn, service)


@handles(GetService, action="services.read", reads=True)
def get_service(turn: Turn, command: GetService) -> Service:
    """Return a service with what its plane reports."""
    return _complete(turn, find_service(turn, command.name))


@handles(ListServices, action="services.read", reads=True)
def list_services(turn: Turn, command: ListServices) -> list[Service]:
    """Return services, newest first."""
    found = rows.find(
        turn.connection, tables.services, Service, limit=command.limit, page=command.page, project=turn.project
    )
    return [_complete(turn, service) for service in found]


@handles(StopService, action="services.stop", rehearsed=True)
def stop_service(turn: Turn, command: StopService) -> Service:
    """Ask the plane to drain and end; record and captures stay."""
    service = find_service(turn, command.name)
    if service.desired:
        rows.change(turn.connection, tables.services, {"id": service.id}, desired=False)
        service = find_service(turn, command.name)
        save_revisions(turn, service, service.revisions)
        turn.emit("stopped", service.name)
        turn.audit("services.stop", service.name)
    return _complete(turn, service)


@handles(RollbackService, action="services.roll_back", rehearsed=True)
def rollback_service(turn: Turn, command: RollbackService) -> Service:
    """Make the model of the revision before the live one live again, as a new revision."""
    service = find_service(turn, command.name)
    live = next((each for each in reversed(service.revisions) if each.state == "live"), None)
    canary = next((each for each in service.revisions if each.state == "canary"), None)
    earlier = [each for each in service.revisions if each.state == "retired" and (not live or each.model != live.model)]
    if live is None or (canary is None and not earlier):
        raise Conflict("SERVE-040", f"service {command.name} has no earlier revision", name=command.name)
    target = live if canary is not None else earlier[-1]
    model = resolve(turn, "model", target.model)
    add_revision(turn, service, model, state="live")
    follows = parse_reference(service.follows, "model")
    if follows.alias:
        reason = f"roll back of {service.name}: {command.reason}"
        held = has_held(turn.connection, model, follows.alias)
        rule = "roll back" if held else allow_move(turn, model, follows.alias)
        point_alias(turn, model, follows.alias, reason, rule=rule)
    close_case(turn, service.name, "rolled_back", {"model": model.reference, "reason": command.reason})
    turn.emit("rolled_back", service.name, {"model": model.reference, "reason": command.reason})
    after = {"model": model.reference, "reason": command.reason}
    turn.audit("services.roll_back", service.name, before=live.model, after=after)
    return _complete(turn, service)


@loop(every_s=0.2, topics=("services",))
def tend_services(turn: Turn) -> None:
    """Bring each plane to its desired state, and each canary on its way."""
    for service in rows.find(turn.connection, tables.services, Service, node=turn.node):
        with turn.within(service.project):
            _tend(turn, service)


def _tend(turn: Turn, service: Service) -> None:
    folder = turn.home.service_folder(service.project, service.name)
    desired = files.read_desired(folder)
    if desired is None or desired.generation != service.generation:
        wanted = _describe(turn, service)
        if wanted is not None:
            turn.after_commit(partial(files.write_desired, folder, wanted))
            turn.after_commit(partial(drop_files, folder, wanted))
    if not service.desired:
        return
    if files.find_plane(folder) is None:
        turn.after_commit(partial(_start_plane, folder, turn.clock.monotonic()))
        return
    status = files.read_status(folder)
    if status is not None and status.generation == service.generation:
        advance(turn, service, status)


def find_service(turn: Turn, name: str) -> Service:
    """Return a service by name.

    Raises
    ------
    NotFound
        SERVE-001.
    """
    found = rows.find(turn.connection, tables.services, Service, limit=1, project=turn.project, name=name)
    if not found:
        raise NotFound("SERVE-001", f"no service is called {name!r}", fix=_suggest(turn, name), name=name)
    return found[0]


def _suggest(turn: Turn, name: str) -> str:
    found = rows.find(turn.connection, tables.services, Service, project=turn.project)
    return turn.suggest("services.read", name, [each.name for each in found])


def find_check(turn: Turn, service: Service) -> Run | None:
    """Return the service's check that has not ended, if there is one."""
    for state in ("queued", "starting", "running"):
        where = {"project": service.project, "kind": "check", "name": service.name, "state": state}
        found = rows.find(turn.connection, tables.runs, Run, limit=1, **where)
        if found:
            return found[0]
    return None


def list_monitored(turn: Turn, dataset: str) -> list[Service]:
    """Return the services whose monitor waits for labels in a dataset."""
    services = rows.find(turn.connection, tables.services, Service, project=turn.project, desired=True)
    return [service for service in services if _labels_of(service) == dataset]


def watch(turn: Turn, labels: str, monitor: dict[str, Any] | None) -> list[str]:
    """Have services whose monitor waits for these labels watched by another one or none; return those that change."""
    changed = [each for each in list_monitored(turn, labels) if each.monitor != monitor]
    for each in changed:
        turn.require("services.deploy")
        rows.change(turn.connection, tables.services, {"id": each.id}, monitor=monitor)
        service = find_service(turn, each.name)
        save_revisions(turn, service, service.revisions)
        turn.emit("deployed", each.name, {"model": each.follows, "monitor": labels if monitor else ""})
        turn.audit("services.deploy", each.name, before={"monitor": each.monitor}, after={"monitor": monitor})
    return [each.name for each in changed]


def find_node(turn: Turn, service: Service) -> str:
    """Return the node that a service and its captures are on."""
    query = select(tables.services.c.node).where(tables.services.c.id == service.id)
    return str(turn.connection.execute(query).scalar_one())


@holds
def hold_for_services(turn: Turn) -> str | None:
    """Keep the owner while a service is wanted."""
    found = rows.find(turn.connection, tables.services, Service, limit=1, desired=True, node=turn.node)
    return f"service {found[0].name}" if found else None


def _describe(turn: Turn, service: Service) -> files.Desired | None:
    """Return what the plane is to be; None as long as model files are still fetched."""
    held, sensitive = [], set()
    for revision in service.revisions:
        model = resolve(turn, "model", revision.model)
        number, weight, state = revision.number, revision.weight, revision.state
        key = str(turn.home.project_key) if (model.details or {}).get("format") == "sealed" else ""
        described = files.DesiredRevision(number, revision.model, revision.digest, {}, weight, state, key)
        if described.held:
            held.append((described, model.manifest))
            sensitive.update((model.details or {}).get("sensitive", ()))
    digests = {digest for _, manifest in held for digest in manifest.values()}
    pinned = pin_files(turn.home, name_folder(service.project, service.name), turn.blobs, digests)
    if pinned is None:
        return None
    revisions = [
        msgspec.structs.replace(each, files={name: str(pinned[digest]) for name, digest in manifest.items()})
        for each, manifest in held
    ]
    context = [files.ContextColumn(**column) for column in (service.monitor or {}).get("context", ())]
    return files.Desired(
        service.generation, service.name, context, revisions, sorted(sensitive), stopped=not service.desired
    )


def _start_plane(folder: Path, now: float) -> None:
    """Start a plane in a session of its own, so that it outlives the owner; not more than one a second."""
    if now - _started.get(folder, float("-inf")) < RESTART_S or files.read_desired(folder) is None:
        return
    _started[folder] = now
    log = folder / "plane.log"
    if log.exists() and log.stat().st_size > _MOST_LOG_BYTES:
        log.replace(folder / "plane.log.1")
    with log.open("ab") as output:
        subprocess.Popen(
            [sys.executable, "-m", "mainspring.serving.plane", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env=os.environ,
        )


@loop(every_s=2.0, durable=False)
def note_services(turn: Turn) -> None:
    """Keep in the record what planes of this node report, where owners of other nodes answer for them too."""
    if not dialect_of(turn.connection).shared:
        return
    for service in rows.find(turn.connection, tables.services, Service, node=turn.node):
        known = {name: getattr(service, name) for name in _REPORTED}
        with turn.within(service.project):
            _observe(turn, service)
        found = {name: getattr(service, name) for name in _REPORTED}
        if found != known:
            rows.change(turn.connection, tables.services, {"id": service.id}, **found)


def _complete(turn: Turn, service: Service) -> Service:
    """Add what the plane reports and what is under way; of another node what its owner has noted last."""
    if not dialect_of(turn.connection).shared or find_node(turn, service) == turn.node:
        _observe(turn, service)
    service.phase = _find_phase(turn, service)
    return service


def _observe(turn: Turn, service: Service) -> None:
    folder = turn.home.service_folder(service.project, service.name)
    status = files.read_status(folder)
    pid = files.find_plane(folder)
    service.pid = pid or 0
    if status is not None:
        service.url = status.url
        service.statistics = msgspec.to_builtins(status, str_keys=True)
        service.problem = status.problem
    if not service.desired:
        service.health = "stopped" if pid is None else "stopping"
    elif pid is None or status is None or status.pid != pid:
        service.health = "starting"
    else:
        service.health = "ready" if status.ready else "loading"


def _find_phase(turn: Turn, service: Service) -> str:
    """Tell what is under way: checking, training, canary or nothing."""
    arrived = any(
        event.body["name"] == _labels_of(service) and event.event_time is not None for event in list_arrivals(turn)
    )
    if arrived or find_check(turn, service) is not None:
        return "checking"
    case = find_case(turn, service.name)
    if case is not None:
        return "canary" if case.state == "canary" else "training"
    return "canary" if any(revision.state == "canary" for revision in service.revisions) else "steady"


def _no_model(turn: Turn, reference: str) -> Exception:
    parsed = parse_reference(reference, "model")
    if find_version(turn, "model", parsed.name) is None:
        return missing(turn, "model", reference)
    if parsed.alias:
        return Invalid(
            "SERVE-041",
            f"{parsed.name} has no {parsed.alias}",
            fix=f"mainspring promote {parsed.name} {parsed.alias} --data DATASET",
        )
    return missing(turn, "model", reference)


def _labels_of(service: Service) -> str | None:
    return service.monitor.get("labels") if isinstance(service.monitor, dict) else None
