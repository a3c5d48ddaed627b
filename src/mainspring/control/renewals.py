"""The closed loop: labels arrive -> check -> decision -> renewal -> verdict -> canary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from mainspring.control.arrivals import list_arrivals, pass_arrival
from mainspring.control.cases import find_case, move_case, open_case
from mainspring.control.declarations import list_declarations
from mainspring.control.services import find_check, find_node, find_service, list_monitored
from mainspring.control.standings import name_renewal, note_renewal, refuse_renewal
from mainspring.control.starts import make_call
from mainspring.control.turn import Turn
from mainspring.control.usecases import handles, loop, on_finished, submit
from mainspring.domain.errors import Failed, Invalid
from mainspring.domain.messages import CheckService, ListAlarms, ListRenewals, RunSpec
from mainspring.domain.records import Alarm, Call, Declaration, Renewal, Run, Service, Verdict
from mainspring.domain.wire import describe
from mainspring.store import rows, runs, tables

if TYPE_CHECKING:
    from mainspring.store.words import Table

T = TypeVar("T")


@handles(CheckService, action="services.check")
def check_service(turn: Turn, command: CheckService) -> Run:
    """Queue the check of a service up to an event time."""
    service = find_service(turn, command.name)
    if not service.monitor:
        raise Invalid("SERVE-042", f"service {command.name} has no monitor")
    return _submit_check(turn, service, command.until)


@handles(ListAlarms, action="alarms.read", reads=True)
def list_alarms(turn: Turn, command: ListAlarms) -> list[Alarm]:
    """Return alarms, newest first."""
    return _list(turn, tables.alarms, Alarm, command)


@handles(ListRenewals, action="alarms.read", reads=True)
def list_renewals(turn: Turn, command: ListRenewals) -> list[Renewal]:
    """Return renewals, newest first."""
    return _list(turn, tables.renewals, Renewal, command)


@loop(every_s=2.0, topics=("events.data", "services"), once=True)
def follow_labels(turn: Turn) -> None:
    """Check each service when labels that its monitor waits for have arrived.

    The cursor moves in the transaction that queues the checks, so no arrival is missed or
    checked twice; it rests while a check of that service runs, so checks come in order.
    """
    for event in list_arrivals(turn):
        with turn.within(event.project):
            services = list_monitored(turn, event.body["name"]) if event.event_time is not None else []
            if any(find_check(turn, service) is not None for service in services):
                return
            for service in services:
                _submit_check(turn, service, event.event_time or 0.0)
        pass_arrival(turn, event)


@on_finished("check")
def record_check(turn: Turn, run: Run) -> None:
    """Record a check's alarms, and open a renewal when its decision and a trigger ask for one."""
    service = find_service(turn, run.params["service"])
    turn.notify("services")
    if run.state != "succeeded":
        turn.emit("check.failed", service.name, {"run": run.id, "problem": run.problem}, run.params["until"])
        return
    alarms = [_record_alarm(turn, service, run, found) for found in run.details["alarms"]]
    decision = run.details["decision"]
    turn.emit("checked", service.name, {"run": run.id, "decision": decision}, run.params["until"])
    trigger = _find_trigger(turn, service)
    if decision["renew"] and trigger is not None and find_case(turn, service.name) is None:
        _start_renewal(turn, service, run, trigger, alarms)


@on_finished("pipeline")
def end_training(turn: Turn, run: Run) -> None:
    """Close a renewal whose pipeline ended without a promotion that passed."""
    case = _case_of(turn, run)
    if case is None or case.state not in {"training", "judged"}:
        return
    silent = Failed("RENEW-005", f"run {run.id} of {run.name} asked for no promotion", run=run.id)
    problem = run.problem or describe(silent)
    move_case(turn, case, case.state, "failed", {"run": run.id, "problem": problem})


def judge_case(turn: Turn, run: Run, verdict: Verdict) -> None:
    """Bring a verdict into the renewal whose pipeline asked for it."""
    case = _case_of(turn, run)
    if case is None or case.state != "training":
        return
    columns = {"verdict_id": verdict.id, "candidate": verdict.model, "champion": verdict.champion}
    evidence = {"verdict": verdict.id, "summary": verdict.summary}
    move_case(turn, case, "training", "judged", evidence, **columns)
    judged = find_case(turn, case.service, "judged")
    assert judged is not None
    if not verdict.passed:
        move_case(turn, judged, "judged", "refused", evidence)
        return
    service = find_service(turn, case.service)
    canary = next((each for each in service.revisions if each.state == "canary" and each.model == verdict.model), None)
    if canary is None:
        move_case(turn, judged, "judged", "promoted", evidence)
    else:
        move_case(turn, judged, "judged", "canary", {"revision": canary.number}, revision=canary.number)


def _list(turn: Turn, table: Table, kind: type[T], command: ListAlarms | ListRenewals) -> list[T]:
    where = {"project": turn.project} | ({} if command.service is None else {"service": command.service})
    return rows.find(turn.connection, table, kind, limit=command.limit, page=command.page, **where)


def _submit_check(turn: Turn, service: Service, until: float) -> Run:
    where = {"project": service.project, "kind": "check", "name": service.name, "state": "succeeded"}
    last = next(iter(rows.find(turn.connection, tables.runs, Run, limit=1, **where)), None)
    trigger = _find_trigger(turn, service)
    live = next((revision for revision in service.revisions if revision.state == "live"), None)
    arguments: dict[str, Any] = {
        "service": service.name,
        "since": last.params["until"] if last else None,
        "until": until,
        "model": live.model if live else None,
        "monitor": service.monitor,
        "state": last.details["state"] if last and last.details else None,
        "cooldown_s": trigger[1]["cooldown_s"] if trigger else None,
    }
    spec = RunSpec(
        kind="check",
        name=service.name,
        call=Call(job="check", arguments=arguments),
        params={"service": service.name, "until": until, "model": arguments["model"]},
        dedupe=f"check:{service.id}:{until}",
    )
    check = submit(turn, spec)
    runs.move_run(turn.connection, check.id, find_node(turn, service))  # captures are read where they lie
    return check


def _record_alarm(turn: Turn, service: Service, run: Run, found: dict[str, Any]) -> Alarm:
    alarm = Alarm(
        id=turn.new_id(),
        service=service.name,
        kind=found["kind"],
        subject=found["subject"],
        summary=found["summary"],
        evidence=found["evidence"],
        event_time=found["event_time"],
        run_id=run.id,
        created_at=turn.now(),
        project=turn.project,
    )
    known = rows.find(
        turn.connection,
        tables.alarms,
        Alarm,
        limit=1,
        project=alarm.project,
        service=alarm.service,
        kind=alarm.kind,
        subject=alarm.subject,
        event_time=alarm.event_time,
    )
    if known:
        return known[0]
    rows.add(turn.connection, tables.alarms, alarm)
    turn.emit("alarm", service.name, {"alarm": alarm.id, "summary": alarm.summary}, alarm.event_time)
    return alarm


def _find_trigger(turn: Turn, service: Service) -> tuple[Declaration, dict[str, Any]] | None:
    for declaration in list_declarations(turn, "pipeline"):
        for trigger in declaration.body["triggers"]:
            if trigger["event"] == "alarm" and trigger["match"].get("service") == service.name:
                return declaration, trigger
    return None


def _start_renewal(
    turn: Turn, service: Service, run: Run, trigger: tuple[Declaration, dict[str, Any]], alarms: list[Alarm]
) -> None:
    declaration, rule = trigger
    until = float(run.params["until"])
    if not _cooled_down(turn, service, rule, until):
        turn.emit("renewal.skipped", service.name, {"why": "cooldown", "run": run.id}, until)
        return
    refusal = refuse_renewal(turn, declaration.name, service.name)
    if refusal:
        turn.emit("renewal.skipped", service.name, {"why": refusal, "run": run.id}, until)
        return
    decision = run.details["decision"]
    case = open_case(
        turn,
        service.name,
        cause=decision["cause"],
        event_time=until,
        evidence={"check": run.id, "decision": decision},
        alarm_id=alarms[0].id if alarms else None,
    )
    for alarm in alarms:
        rows.change(turn.connection, tables.alarms, {"id": alarm.id}, renewal_id=case.id)
    spec = RunSpec(
        kind="pipeline",
        name=declaration.name,
        call=make_call(declaration),
        tags={"renewal": case.id, "trigger": "alarm"},
        params={"service": service.name, "event_time": until},
        dedupe=f"renewal:{case.id}",
    )
    with turn.acting(name_renewal(turn, declaration.name, service.name)):
        training = submit(turn, spec)
    note_renewal(turn, declaration.name, service.name, training.id, until)
    move_case(turn, case, "opened", "training", {"run": training.id}, run_id=training.id)


def _cooled_down(turn: Turn, service: Service, rule: dict[str, Any], until: float) -> bool:
    earlier = rows.find(turn.connection, tables.renewals, Renewal, limit=1, project=turn.project, service=service.name)
    cooldown_s = rule.get("cooldown_s")
    return not earlier or cooldown_s is None or until - earlier[0].event_time >= cooldown_s


def _case_of(turn: Turn, run: Run) -> Renewal | None:
    """Return the renewal that started the tree of runs which a run belongs to."""
    while True:
        found = rows.find(turn.connection, tables.renewals, Renewal, limit=1, project=turn.project, run_id=run.id)
        if found or run.parent_id is None:
            return found[0] if found else None
        run = runs.get_run(turn.connection, run.parent_id)
