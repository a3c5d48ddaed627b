"""Why: one answer for anything that has an id or a reference."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from mainspring.control.assets import find_version
from mainspring.control.declarations import find_declaration
from mainspring.control.outlooks import foretell
from mainspring.control.pipelines import get_pipeline
from mainspring.control.queue import explain_wait
from mainspring.control.services import find_service
from mainspring.control.sites import SAID, find_label
from mainspring.control.studies import tell_study
from mainspring.control.tracking import find_provenance
from mainspring.control.turn import Turn
from mainspring.control.usecases import Later, handles
from mainspring.domain.errors import MainspringError, NotFound
from mainspring.domain.messages import Explain, ListRuns, ListVersions
from mainspring.domain.near import suggest
from mainspring.domain.preemptions import tell_loss
from mainspring.domain.principals import ANY_PROJECT
from mainspring.domain.records import Alarm, Problem, Reason, Renewal, Run, Service, Verdict, Version
from mainspring.domain.triggers import GetPipeline
from mainspring.serving.captures import Record, find_captured
from mainspring.serving.files import CAPTURE
from mainspring.store import principals, rows, tables
from mainspring.store.calls import find_placed
from mainspring.store.ids import AMBIGUOUS, Named, find_ids, shorten, suggest_id
from mainspring.store.lineage import list_after
from mainspring.store.runs import find_run, is_ended, name_runs
from mainspring.store.search import list_runs
from mainspring.store.sinks import find_sink
from mainspring.store.versions import list_versions
from mainspring.store.words import Select, select

_NEAR = 200
"""So many names are compared with one that nothing has."""

_SHOWN = 5


@handles(Explain, action="explanations.read", reads=True)
def explain(turn: Turn, command: Explain) -> Reason | Later:
    """Answer for what has an id, a version, alias, service, sink or prediction; for another name its newest run.

    Raises
    ------
    NotFound
        HOME-010 when nothing has that id or name, or several things have that part of an id.
    """
    return foretell(turn, _explain(turn, command.thing), command.wait_s)


def _explain(turn: Turn, thing: str) -> Reason:
    found = [(kind, named) for kind in _KINDS if kind.may(turn) for named in kind.find(turn, thing)]
    if len(found) == 1:
        ((kind, named),) = found
        return kind.tell(turn, named.id)
    for ask in (_ask_service, _ask_version, _ask_pipeline, _ask_sink, _ask_name, _ask_prediction):
        reason = ask(turn, thing)
        if reason is not None:
            return reason
    if found:
        told = ", ".join(f"{kind.noun} {shorten(named.id, thing)} {named.name}" for kind, named in found[:_SHOWN])
        what = f"{thing!r} is a part of several ids: {told}{', ...' if len(found) > _SHOWN else ''}"
        ids = [named.id for _, named in found]
        raise NotFound("HOME-010", what, why=AMBIGUOUS, fix="write more of the id", candidates=ids)
    near = suggest(thing, _list_names(turn), "did you mean {}?")
    raise NotFound("HOME-010", f"nothing is called {thing!r}", fix=near or _suggest_run(turn, thing), thing=thing)


def explain_run(turn: Turn, run: Run) -> Reason:
    """Say what became of a run, and why."""
    lines = [f"{run.kind} {run.name} {run.state}{_attempt(run)}"]
    for each in run.attempts:
        loss = tell_loss(each.lost_s, run.resources.gpus * run.resources.nodes)
        lines.append(f"attempt {each.number} {each.reason}{f'; it {loss}' if loss else ''}")
    if run.reason:
        lines.append(f"because {explain_wait(turn, run) if run.state == 'queued' else run.reason}")
    if run.resources.sensitive and not is_ended(run):
        lines.append(f"it stays where what is sensitive may be: {_tell_label(turn, run)}")
    if run.kind == "pipeline" and "trigger" in run.tags:
        lines.append(_tell_start(run))
    if run.cached_from:
        lines.append(f"result of run {run.cached_from}")
    if run.kind == "study" and "study" in run.tags:
        lines += tell_study(turn, run)
    if run.problem is not None:
        lines += _tell_problem(run.problem)
    found = rows.find(turn.connection, tables.verdicts, Verdict, limit=1, run_id=run.id)
    if found:
        lines += _tell_verdict(found[0])
    return Reason(run.id, lines, msgspec.to_builtins(run))


def _tell_label(turn: Turn, run: Run) -> str:
    """Say what of a run is sensitive."""
    placed = find_placed(turn.connection, run.id)
    label = find_label(turn, placed.call, run.parent_id) if placed is not None else ""
    return label or SAID


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


def _tell_run(turn: Turn, run_id: str) -> Reason:
    return explain_run(turn, find_run(turn.connection, turn.project, run_id))


def _tell_alarm(turn: Turn, alarm_id: str) -> Reason:
    alarm = _get(turn, tables.alarms, Alarm, alarm_id)
    lines = [f"alarm {alarm.kind} of {alarm.service}: {alarm.summary}"]
    lines.append(f"opened renewal {alarm.renewal_id}" if alarm.renewal_id else "opened no renewal")
    lines += [
        f"{name.replace('_', ' ')}: {_tell_number(name, value)}" for name, value in (alarm.evidence or {}).items()
    ]
    return Reason(alarm.id, lines, msgspec.to_builtins(alarm))


def _tell_moment(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M")


def _tell_number(name: str, value: Any) -> str:
    """Tell one piece of an alarm's evidence; lists, such as histograms, in short."""
    if name in {"since", "until"} and isinstance(value, int | float):
        return _tell_moment(value)
    if isinstance(value, list):
        return " ".join(map(str, value))
    return f"{value:,.6g}" if isinstance(value, float) else str(value)


def _tell_renewal(turn: Turn, case_id: str) -> Reason:
    case = _get(turn, tables.renewals, Renewal, case_id)
    return Reason(case.id, _tell_case(case), msgspec.to_builtins(case))


def _tell_judgement(turn: Turn, verdict_id: str) -> Reason:
    verdict = _get(turn, tables.verdicts, Verdict, verdict_id)
    return Reason(verdict.id, _tell_verdict(verdict), msgspec.to_builtins(verdict))


def _tell_token(turn: Turn, token_id: str) -> Reason:
    (token,) = principals.list_tokens(turn.connection, None, token_id)
    scopes = ", ".join(token.scopes) if token.scopes is not None else "all that its user may"
    lines = [f"token {token.id} {token.name} of {token.principal or 'a removed principal'}".replace("  ", " ")]
    lines.append(f"made by {token.created_by}; allows {scopes}")
    if token.revoked_at is not None or not token.principal:
        lines.append("it was taken back: AUTH-004")
    elif token.expires_at is not None:
        over = token.expires_at <= turn.now()
        lines.append(f"{'it has expired: AUTH-003' if over else 'it holds until'} {_tell_moment(token.expires_at)}")
    return Reason(token.id, lines, msgspec.to_builtins(token))


def _ask_sink(turn: Turn, thing: str) -> Reason | None:
    sink = find_sink(turn.connection, turn.project, thing) if turn.may("sinks.read") else None
    if sink is None:
        return None
    lines = [f"sink {sink.name} sends {', '.join(sink.events)} by {sink.kind}"]
    if sink.tries:
        lines += [f"{sink.error}, tried {sink.tries} times", f"again at {_tell_moment(sink.due_at)}"]
    lines.append(f"{sink.delivered:,} delivered, {sink.set_aside:,} set aside")
    return Reason(sink.name, [*lines, f"fix: mainspring sinks test {sink.name}"], msgspec.to_builtins(sink))


def _ask_name(turn: Turn, thing: str) -> Reason | None:
    """Answer for the newest run of a step, pipeline or study."""
    found = list_runs(turn.connection, turn.project, ListRuns(name=thing, limit=1))
    return explain_run(turn, found[0]) if found else None


def _ask_prediction(turn: Turn, thing: str) -> Reason | None:
    """Answer for a request that a service of this node has captured; whether the service still runs is no matter."""
    for service in rows.find(turn.connection, tables.services, Service, project=turn.project, node=turn.node):
        record = find_captured(turn.home.service_folder(service.project, service.name) / CAPTURE, thing)
        if record is not None:
            return _tell_prediction(turn, service, record)
    return None


def _tell_prediction(turn: Turn, service: Service, record: Record) -> Reason:
    facts = {
        "id": record.id,
        "service": service.name,
        "time": record.time,
        "revision": record.revision,
        "model": record.model,
        "rows": record.rows,
    }
    count = "1 row" if record.rows == 1 else f"{record.rows:,} rows"
    lines = [
        f"prediction {record.id} of service {service.name}: {count} at {_tell_moment(record.time)}",
        f"answered by r{record.revision}, {record.model}",
    ]
    version = find_version(turn, "model", record.model)
    if version is None:
        return Reason(record.id, [*lines, f"{record.model} was deleted"], facts)
    lines += _tell_version(turn, version, record.model) + _tell_code(turn, version)
    return Reason(record.id, lines, {**facts, "version": msgspec.to_builtins(version)})


def _tell_code(turn: Turn, version: Version) -> list[str]:
    """Say which commit the run that made a version was at, as far as it is known."""
    try:
        told = find_provenance(turn, find_run(turn.connection, turn.project, version.run_id or ""))
    except NotFound:  # made by nothing, or by what was deleted since
        return []
    if told is None or told.git is None:
        return []
    return [f"code: commit {told.git.commit[:12]}{' and uncommitted changes' if told.git.dirty else ''}"]


def _list_names(turn: Turn) -> set[str]:
    """Return what could be asked about by name."""
    found = {each.name for each in rows.find(turn.connection, tables.services, Service, project=turn.project)}
    for kind in ("model", "dataset"):
        latest = list_versions(turn.connection, turn.project, ListVersions(kind=kind, limit=_NEAR))
        found |= {each.name for each in latest} | {each.reference for each in latest}
        found |= {f"{each.name}@{alias}" for each in latest for alias in each.aliases}
    return found | {each.name for each in list_runs(turn.connection, turn.project, ListRuns(limit=_NEAR))}


def _suggest_run(turn: Turn, thing: str) -> str:
    newest = list_runs(turn.connection, turn.project, ListRuns(limit=_NEAR))
    return suggest_id(thing, [each.id for each in newest])


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
    made_by = f", made by run {version.run_id}" if version.run_id else ""
    lines = [f"{asked} is {version.kind} {version.reference}{made_by}"]
    if version.inputs:
        lines.append(f"made from {', '.join(_names(turn, version.inputs))}")
    details: dict[str, Any] = version.details if isinstance(version.details, dict) else {}
    if details.get("trained_on"):
        lines.append(f"trained on {', '.join(details['trained_on'])}")
    seen = list_after(turn.connection, version.id, "model", _SHOWN) if version.kind == "dataset" else []
    if seen:
        lines.append(f"seen in training by {', '.join(each.reference for each in seen)}")
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


def _get(turn: Turn, table: Any, kind: Callable[..., Any], row_id: str) -> Any:
    return rows.find(turn.connection, table, kind, limit=1, id=row_id)[0]


class _Kind(NamedTuple):
    """What has ids: how it is found by a part of one, and told."""

    noun: str
    among: Callable[[Turn], Select[str, str]]
    tell: Callable[[Turn, str], Reason]
    action: str = "explanations.read"

    def may(self, turn: Turn) -> bool:
        return turn.may(self.action)

    def find(self, turn: Turn, part: str) -> list[Named]:
        return find_ids(turn.connection, self.among(turn), part)


def _among(table: Any, name: Any) -> Callable[[Turn], Select[str, str]]:
    return lambda turn: select(table.c.id, name).where(table.c.project == turn.project)


def _among_tokens(turn: Turn) -> Select[str, str]:
    return principals.name_tokens(None if turn.actor.role_in(ANY_PROJECT) == "admin" else turn.actor.name)


_KINDS = (
    _Kind("run", lambda turn: name_runs(turn.project), _tell_run),
    _Kind("alarm", _among(tables.alarms, tables.alarms.c.subject), _tell_alarm),
    _Kind("renewal", _among(tables.renewals, tables.renewals.c.service), _tell_renewal),
    _Kind("verdict", _among(tables.verdicts, tables.verdicts.c.model), _tell_judgement),
    _Kind("token", _among_tokens, _tell_token, "tokens.read"),
)
