"""Promotion: the gate of (model, alias) runs on unseen data, and its verdict moves the alias."""

from __future__ import annotations

from typing import Any

from mainspring.control.assets import find_version, point_alias, resolve
from mainspring.control.declarations import digest_body
from mainspring.control.gates import UNGATED, find_gate
from mainspring.control.renewals import judge_case
from mainspring.control.rollout import open_canary
from mainspring.control.turn import Turn
from mainspring.control.usecases import handles, on_finished, submit
from mainspring.domain.errors import Conflict, Invalid, NotFound
from mainspring.domain.messages import GetVerdict, Promote, RunSpec
from mainspring.domain.records import Call, Run, Verdict, Version
from mainspring.domain.states import TERMINAL
from mainspring.domain.wire import restore
from mainspring.evaluation.unseen import find_seen
from mainspring.store import rows, tables
from mainspring.store.runs import no_run
from mainspring.store.versions import get_versions


@handles(Promote, action="models.promote")
def promote(turn: Turn, command: Promote) -> Run:
    """Queue the gate's run; asked again with nothing changed it answers with the same run, unless that failed."""
    model = resolve(turn, "model", command.model)
    data = resolve(turn, "dataset", command.data)
    gate = find_gate(turn, model.name, command.alias)
    rules = digest_body(gate.body) if gate else ""
    earlier = _find_promotion(turn, model, command.alias, data, rules)
    if earlier is not None:
        return earlier
    champion = find_version(turn, "model", f"{model.name}@{command.alias}")
    _check_unseen(turn, model, data)
    arguments = {
        "model": model.reference,
        "alias": command.alias,
        "champion": champion.reference if champion else None,
        "data": data.reference,
        "gate": gate.body if gate else None,
    }
    asked = f"{model.id}:{command.alias}:{data.id}:{champion.id if champion else ''}"
    spec = RunSpec(
        kind="gate",
        name=f"{model.name}->{command.alias}",
        parent_id=command.run_id,
        call=Call(job="gate", arguments=arguments),
        params={**arguments, "gate": gate is not None, "rules": rules, "reason": command.reason},
        dedupe=f"gate:{asked}:{digest_body(arguments)[:16]}",
    )
    run = submit(turn, spec)
    turn.audit("models.promote", f"{model.reference}->{command.alias}", before=arguments["champion"], after=spec.params)
    return run


@handles(GetVerdict, action="runs.read", reads=True)
def get_verdict(turn: Turn, command: GetVerdict) -> Verdict:
    """Return the verdict of a gate run, or the problem that the run ended with."""
    found = rows.find(turn.connection, tables.verdicts, Verdict, limit=1, project=turn.project, run_id=command.run_id)
    if found:
        return found[0]
    runs = rows.find(turn.connection, tables.runs, Run, limit=1, project=turn.project, id=command.run_id)
    if not runs:
        raise no_run(command.run_id)
    if runs[0].state not in TERMINAL:
        raise Conflict("GATE-010", f"the gate {runs[0].name} is still {runs[0].state}", run=runs[0].id)
    problem = runs[0].problem
    if problem is not None:
        raise restore(problem)
    raise NotFound("GATE-011", f"run {command.run_id} is no gate that ended", run=command.run_id)


@on_finished("gate")
def record_verdict(turn: Turn, run: Run) -> None:
    """Turn a finished gate run into a verdict, and act on it in the same transaction."""
    if run.state != "succeeded":
        turn.emit("gate.failed", run.name, {"run": run.id, "problem": run.problem})
        return
    asked: dict[str, Any] = run.params
    model = resolve(turn, "model", asked["model"])
    champion = find_version(turn, "model", f"{model.name}@{asked['alias']}")
    details = run.details
    passed, summary = bool(details["passed"]), str(details["summary"])
    if (champion.reference if champion else None) != asked["champion"]:
        passed, summary = False, f"{asked['alias']} moved while the gate ran; {summary}"
    gate, rules = find_gate(turn, model.name, asked["alias"]), str(asked.get("rules", ""))
    if gate is not None and digest_body(gate.body) != rules:
        passed, summary = False, f"another gate was applied while this one ran; {summary}"
    verdict = Verdict(
        id=turn.new_id(),
        run_id=run.id,
        model=model.reference,
        alias=asked["alias"],
        champion=asked["champion"],
        data=asked["data"],
        passed=passed,
        summary=summary,
        evidence=details["evidence"],
        created_at=turn.now(),
        project=turn.project,
        rules=rules,
    )
    rows.add(turn.connection, tables.verdicts, verdict)
    turn.emit("gate.passed" if passed else "gate.refused", model.reference, {"verdict": verdict.id, "summary": summary})
    outcome = {"run": run.id, "asked_by": run.principal, "passed": passed, "gate": asked["gate"], "summary": summary}
    turn.audit("models.judge", f"{model.reference}->{verdict.alias}", before=verdict.champion, after=outcome)
    if passed and not open_canary(turn, model, verdict):
        rule = f"verdict {verdict.id}" if asked["gate"] else UNGATED
        point_alias(turn, model, asked["alias"], rule, rule=rule, run_id=run.id)
    judge_case(turn, run, verdict)


def _find_promotion(turn: Turn, model: Version, alias: str, data: Version, rules: str) -> Run | None:
    """Return the gate run that let this version have the alias, if one did.

    A version that holds the alias needs no other verdict. One that held it and was followed by
    another is not moved back by a script that runs again: on the same rows it was judged already.
    What another gate, or none, let through has to pass the gate that is in force.
    """
    asked: dict[str, Any] = {"project": turn.project, "model": model.reference, "alias": alias, "passed": True}
    holder = find_version(turn, "model", f"{model.name}@{alias}")
    if holder is None or holder.id != model.id:
        asked |= {"data": data.reference, "rules": rules}
    found = rows.find(turn.connection, tables.verdicts, Verdict, limit=1, **asked)
    runs = rows.find(turn.connection, tables.runs, Run, limit=1, id=found[0].run_id) if found else []
    return runs[0] if runs else None


def _check_unseen(turn: Turn, model: Version, data: Version) -> None:
    """Refuse rows that training saw, as lineage tells: here, or where the model comes from.

    Raises
    ------
    Invalid
        GATE-012.
    """
    details: dict[str, Any] = model.details if isinstance(model.details, dict) else {}
    origin = details.get("origin")
    elsewhere = origin.get("datasets") if isinstance(origin, dict) else None
    for each in elsewhere if isinstance(elsewhere, list) else ():
        if isinstance(each, dict) and each.get("digest") == data.digest:
            what = f"training read it as {each.get('reference')}, where the model comes from"
            raise Invalid("GATE-012", f"{data.reference} cannot judge {model.reference}: {what}", read=[])
    read = [str(reference) for reference in details.get("trained_on") or ()]
    found = [version for name in read if (version := find_version(turn, "dataset", name)) is not None]
    if not read:  # who registered it told nothing, but drew the edges
        inputs = get_versions(turn.connection, model.inputs)
        found = [each for each in inputs if each.kind == "dataset" and "table" in (each.manifest or {})]
    seen = find_seen(data, found)
    if seen is not None:
        raise Invalid("GATE-012", f"{data.reference} cannot judge {model.reference}: {seen}", read=read)
