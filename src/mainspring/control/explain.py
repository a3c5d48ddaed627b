"""Why: one answer for anything that has an id or a reference."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from mainspring.control.apply import find_declaration
from mainspring.control.assets import find_version
from mainspring.control.pipelines import get_pipeline
from mainspring.control.queue import explain_wait
from mainspring.control.services import find_service
from mainspring.control.turn import Turn
from mainspring.control.usecases import handles
from mainspring.domain.errors import MainspringError, NotFound
from mainspring.domain.messages import Explain
from mainspring.domain.records import Alarm, Problem, Reason, Renewal, Run, Service, Verdict, Version
from mainspring.domain.triggers import GetPipeline
from mainspring.store import rows, tables
from mainspring.store.runs import find_run


@handles(Explain, action="explanations.read", reads=True)
def explain(turn: Turn, command: Explain) -> Reason:
    """Answer for a run, version, alias, service, alarm, renewal, verdict or applied pipeline.

    Raises
    ------
    NotFound
        HOME-010 when nothing has that id or name.
    """
    thing = command.thing
    for ask in (_ask_run, _ask_alarm, _ask_renewal, _ask_verdict, _ask_service, _ask_version, _ask_pipeline):
        reason = ask(turn, thing)
        if reason is not None:
            return reason
    raise NotFound("HOME-010", f"nothing is called {thing!r}", thing=thing)


def explain_run(turn: Turn, run: Run) -> Reason:
    """Say what became of a run, and why."""
    lines = [f"{run.kind} {run.name} {run.state}{_attempt(run)}"]
    lines += [f"attempt {each.number} {each.reason}" for each in run.attempts]
    if run.reason:
        lines.append(f"because {explain_wait(turn, run) if run.state == 'queued' else run.reason}")
    if run.kind == "pipeline" and "trigger" in run.tags:
        lines.append(_tell_start(run))
    if run.cached_from:
        lines.append(f"result of run {run.cached_from}")
    if run.problem is not None:
        lines += _tell_problem(run.problem)
    found = rows.find(turn.connection, tables.verdicts, Verdict, limit=1, run_id=run.id)
    if found:
        lines += _tell_verdict(found[0])
    return Reason(run.id, lines, msgspec.to_builtins(run))


def _tell_start(run: Run) -> str:
    """Say what started a run of an applied pipeline, and in whose name."""
    if run.tags["trigger"] == "start":
        return f"started by hand, by {run.principal}"
    what = f"{run.params.get('trigger', run.tags['trigger'])}: {run.params.get('event', run.params.get('service'))}"
    return f"started by {what}, in the name of {run.principal}"


def _ask_pipeline(turn: Turn, thing: str) -> Reason | None:
    if find_declaration(turn, "pipeline", thing) is None:
        return None
    pipeline = get_pipeline(turn, GetPipeline(name=thing))
    lines = [f"pipeline {pipeline.name}, applied by {pipeline.principal}"]
    if pipeline.paused_at is not None:
        lines.append(f"paused by {pipeline.paused_by}: no trigger starts it")
    for each in pipeline.triggers:
        lines.append(f"{each}: {each.starts} starts, {each.coalesced} shared one, {each.passed} started nothing")
        lines += [f"  last start: run {each.run_id}"] if each.run_id else []
        lines += [f"  {each.waiting} wait as one"] if each.waiting else []
        lines += [f"  started nothing because {each.outcome}"] if each.outcome else []
    lines += [f"last run {pipeline.last.id} {pipeline.last.state}"] if pipeline.last is not None else ["no run yet"]
    return Reason(pipeline.name, lines, msgspec.to_builtins(pipeline))


def _ask_run(turn: Turn, thing: str) -> Reason | None:
    try:
        return explain_run(turn, find_run(turn.connection, turn.project, thing))
    except MainspringError:
        return None


def _ask_alarm(turn: Turn, thing: str) -> Reason | None:
    alarm = _find_by_id(turn, tables.alarms, Alarm, thing)
    if alarm is None:
        return None
    lines = [f"alarm {alarm.kind} of {alarm.service}: {alarm.summary}"]
    lines.append(f"opened renewal {alarm.renewal_id}" if alarm.renewal_id else "opened no renewal")
    lines += [
        f"{name.replace('_', ' ')}: {_tell_number(name, value)}" for name, value in (alarm.evidence or {}).items()
    ]
    return Reason(alarm.id, lines, msgspec.to_builtins(alarm))


def _tell_number(name: str, value: Any) -> str:
    """Tell one piece of an alarm's evidence; lists, such as histograms, in short."""
    if name in {"since", "until"} and isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M")
    if isinstance(value, list):
        return " ".join(map(str, value))
    return f"{value:,.6g}" if isinstance(value, float) else str(value)


def _ask_renewal(turn: Turn, thing: str) -> Reason | None:
    case = _find_by_id(turn, tables.renewals, Renewal, thing)
    return None if case is None else Reason(case.id, _tell_case(case), msgspec.to_builtins(case))


def _ask_verdict(turn: Turn, thing: str) -> Reason | None:
    verdict = _find_by_id(turn, tables.verdicts, Verdict, thing)
    return None if verdict is None else Reason(verdict.id, _tell_verdict(verdict), msgspec.to_builtins(verdict))


def _ask_service(turn: Turn, thing: str) -> Reason | None:
    try:
        service = find_service(turn, thing)
    except MainspringError:
        return None
    return Reason(service.name, _tell_service(turn, service), msgspec.to_builtins(service))


def _ask_version(turn: Turn, thing: str) -> Reason | None:
    try:
        version = find_version(turn, "model", thing) or find_version(turn, "dataset", thing)
    except MainspringError:
        return None
    if version is None:
        return None
    return Reason(version.reference, _tell_version(turn, version, thing), msgspec.to_builtins(version))


def _tell_service(turn: Turn, service: Service) -> list[str]:
    lines = [f"service {service.name} follows {service.follows}"]
    lines += [f"r{each.number} {each.model} {each.state} {each.weight} %" for each in service.revisions]
    cases = rows.find(turn.connection, tables.renewals, Renewal, limit=1, project=turn.project, service=service.name)
    return lines + (_tell_case(cases[0]) if cases else ["no renewal yet"])


def _tell_version(turn: Turn, version: Version, asked: str) -> list[str]:
    lines = [f"{asked} is {version.kind} {version.reference}, made by run {version.run_id}"]
    if version.inputs:
        lines.append(f"from {len(version.inputs)} versions: {', '.join(_names(turn, version.inputs))}")
    details: dict[str, Any] = version.details if isinstance(version.details, dict) else {}
    if details.get("trained_on"):
        lines.append(f"trained on {', '.join(details['trained_on'])}")
    for verdict in rows.find(
        turn.connection, tables.verdicts, Verdict, limit=3, project=turn.project, model=version.reference
    ):
        lines += _tell_verdict(verdict)
    return lines


def _tell_verdict(verdict: Verdict) -> list[str]:
    outcome = "PASSED" if verdict.passed else "REFUSED"
    against = verdict.champion or "the baseline"
    lines = [f"{outcome} for {verdict.alias} against {against} on {verdict.data}: {verdict.summary}"]
    return [*lines, f"evidence: mainspring runs show {verdict.run_id}"]


def _tell_case(case: Renewal) -> list[str]:
    path = " -> ".join(dict.fromkeys(step["state"] for step in case.steps))
    lines = [f"renewal {case.id}: {path}", f"cause: {case.cause}"]
    if case.run_id:
        lines.append(f"trained by run {case.run_id}")
    if case.candidate:
        lines.append(f"candidate {case.candidate} against {case.champion}")
    return lines


def _tell_problem(problem: Problem) -> list[str]:
    return [f"{problem.code}: {problem.what}", f"why: {problem.why}", f"fix: {problem.fix}"]


def _attempt(run: Run) -> str:
    return f" (attempt {run.attempt})" if run.attempt > 1 else ""


def _names(turn: Turn, ids: tuple[str, ...]) -> list[str]:
    found = [rows.find(turn.connection, tables.versions, Version, limit=1, id=each) for each in ids]
    return [each[0].reference for each in found if each]


def _find_by_id(turn: Turn, table: Any, kind: Callable[..., Any], text: str) -> Any:
    """Find a row by its id, or by a prefix or suffix of six characters that only it has."""
    if len(text) < 6 or not all(letter in "0123456789abcdef" for letter in text):
        return None
    matches = (table.c.id.startswith(text) | table.c.id.endswith(text)) & (table.c.project == turn.project)
    ids = [row[0] for row in turn.connection.execute(table.select().with_only_columns(table.c.id).where(matches))]
    found = rows.find(turn.connection, table, kind, limit=1, id=ids[0]) if len(ids) == 1 else []
    return found[0] if found else None
