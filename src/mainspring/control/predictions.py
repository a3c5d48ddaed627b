"""Predictions of whole datasets: what is asked is checked here, a worker answers the rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec

from mainspring.control.assets import check_name, find_version, resolve
from mainspring.control.turn import Turn
from mainspring.control.usecases import handles, submit
from mainspring.domain.errors import Invalid
from mainspring.domain.messages import RunSpec
from mainspring.domain.near import suggest
from mainspring.domain.predictions import MODEL, Predict
from mainspring.domain.records import Call, Run, Version
from mainspring.store import rows, tables

_MODES = ("overwrite", "append")


@handles(Predict, action="assets.write")
def predict(turn: Turn, command: Predict) -> Run:
    """Queue the run that answers the rows; asked again with nothing changed it answers with the same run.

    Raises
    ------
    NotFound
        MODEL-001 or DATA-002 when a reference names nothing.
    Invalid
        DATA-001 for a bad name, DATA-010 for a mode that is none; BATCH-001 to BATCH-003, DATA-005 and
        MODEL-005 for rows, columns and targets that do not go together; MODEL-063 for a model whose
        signature is unknown.
    """
    check_name(command.to)
    model, data = resolve(turn, "model", command.model), resolve(turn, "dataset", command.data)
    arguments = _plan(command, model, data)
    asked = hashlib.sha256(msgspec.json.encode(arguments, order="sorted")).hexdigest()[:32]
    head = find_version(turn, "dataset", command.to)
    made = (head.details or {}).get("prediction") if head is not None else None
    if head is not None and head.run_id and made and made["asked"] == asked:
        found = rows.find(turn.connection, tables.runs, Run, limit=1, project=turn.project, id=head.run_id)
        if found and found[0].state not in {"failed", "cancelled"}:
            return found[0]
    spec = RunSpec(
        kind="predict",
        name=command.to,
        parent_id=command.run_id,
        call=Call(job="predict", arguments=arguments | {"asked": asked}),
        params={"model": model.reference, "data": data.reference, "to": command.to, "mode": command.mode},
        dedupe=f"predict:{model.id}:{data.id}:{asked}:{head.id if head is not None else ''}",
    )
    return submit(turn, spec)


def _plan(command: Predict, model: Version, data: Version) -> dict[str, Any]:
    """Say which columns are read and written, or refuse before a worker starts."""
    signature, facts = (model.details or {}).get("signature") or {}, data.details or {}
    if command.mode not in _MODES:
        raise Invalid("DATA-010", f"mode {command.mode!r} is none of {', '.join(_MODES)}", mode=command.mode)
    if data.name == command.to or data.name.startswith(f"{command.to}."):
        what = f"the predictions of {data.reference} would be written to {command.to}, which it is of"
        raise Invalid("BATCH-001", what, model=model.reference)
    if not facts.get("rows"):
        raise Invalid("BATCH-002", f"{data.reference} has no rows", name=data.name)
    if not signature:
        what = f"{model.reference} holds files of MLflow's, and the record does not know what it takes and answers"
        raise Invalid("MODEL-063", what, model=model.reference, name=model.name)
    columns = list(facts.get("columns") or ())
    inputs = [each["name"] for each in signature.get("inputs", ())]
    missing = [name for name in inputs if name not in columns]
    if missing:
        more = f", and {len(missing) - 1} more" if len(missing) > 1 else ""
        what = f"{data.reference} has no column {missing[0]!r}{more}, which {model.reference} takes"
        raise Invalid("MODEL-005", what, name=model.reference, missing=missing, got=columns)
    key = command.key or list(facts.get("key") or ())
    kept = command.keep
    if kept is None:
        kept = [name for name in (*key, facts.get("event_time")) if name] if key else columns
    kept = list(dict.fromkeys([*key, *kept]))
    for name in kept:
        if name not in columns:
            raise Invalid("DATA-005", f"{data.reference} has no column {name!r}{_near(name, columns)}", column=name)
    return {
        "model": model.reference,
        "data": data.reference,
        "to": command.to,
        "mode": command.mode,
        "inputs": inputs,
        "key": key,
        "kept": kept,
        "answers": _name_answers(signature.get("outputs", ()), command.outputs, kept),
    }


def _near(word: str, known: Iterable[str]) -> str:
    return suggest(word, known, "; did you mean {!r}?")


def _name_answers(outputs: Any, wanted: dict[str, str] | None, kept: list[str]) -> list[tuple[str, str, int]]:
    """Return, for each column of answers, its name, the output and the place in the output's row."""
    widths = {each["name"]: int(each.get("width", 1)) for each in outputs} | {MODEL: 1}
    if wanted is None:
        wanted = {name: name for name in widths}
    for output in wanted:
        if output not in widths:
            what = f"the model has no output {output!r}{_near(output, widths)}; it has {', '.join(widths)}"
            raise Invalid("BATCH-003", what, output=output)
    answers = [
        (f"{name}.{place}" if widths[output] > 1 else name, output, place)
        for output, name in wanted.items()
        for place in range(widths[output])
    ]
    names = [*kept, *(name for name, _, _ in answers)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise Invalid("BATCH-003", f"two columns would be called {twice!r}", column=twice)
    if not answers or not all(names):
        raise Invalid("BATCH-003", "an output has no name" if answers else "no output would be written")
    return answers
