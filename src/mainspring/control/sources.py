"""What was logged becomes a version: its files as they are now, and where they come from."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from mainspring.control.assets import check_name, missing, put_version
from mainspring.control.files import Source, resolve_source
from mainspring.control.registry import find_here
from mainspring.control.turn import Turn
from mainspring.control.usecases import handles
from mainspring.domain.errors import Invalid, NotFound
from mainspring.domain.messages import PutVersion
from mainspring.domain.places import RunPlace, parse_source
from mainspring.domain.records import Version
from mainspring.domain.registry import AddVersion
from mainspring.store import loggedmodels, versions
from mainspring.store.holdings import read_sizes


@handles(AddVersion, action="assets.write")
def add_version(turn: Turn, command: AddVersion) -> Version:
    """Register what was logged as one more version of a model.

    Raises
    ------
    NotFound
        MODEL-001 when there is no such model; what `mainspring.control.files.resolve_source` raises.
    Invalid
        FILE-005 when the source is of no run and no logged model that is named, or of nothing of this record.

    Notes
    -----
    Guarantees: what is logged into the run or model later changes nothing of the version.
    """
    check_name(command.name, "model")
    if find_here(turn, command.name) is None:
        raise missing(turn, "model", command.name)
    turn.require("runs.read")
    turn.require("assets.read")
    source = _resolve(turn, command.source)
    for given, found in ((command.run_id, source.run_id), (command.model_id, source.model_id)):
        if given and found and given != found:
            raise Invalid("FILE-005", f"Invalid model version source: {command.source[:200]!r}", source=command.source)
    run_id = source.run_id or command.run_id or None
    read = versions.list_reads(turn.connection, run_id) if run_id else []
    sizes = read_sizes(turn.connection, turn.project, source.files.values())
    details: dict[str, Any] = {
        "source": command.source,
        "format": "mlflow",
        "size_bytes": sum(sizes.get(digest, 0) for digest in source.files.values()),
        "trained_on": [each.reference for each in read],
        "made_by": run_id,
    }
    model_id = source.model_id or command.model_id
    details |= ({"model_id": model_id} if model_id else {}) | ({"link": command.link} if command.link else {})
    return put_version(
        turn,
        PutVersion(
            kind="model",
            name=command.name,
            digest=hashlib.sha256(msgspec.json.encode(source.files, order="sorted")).hexdigest(),
            manifest=dict(sorted(source.files.items())),
            details=details,
            run_id=run_id,
            inputs=tuple(each.id for each in read),
            more=True,
            description=command.description,
            tags=command.tags,
        ),
    )


def _resolve(turn: Turn, text: str) -> Source:
    """Return what a source stands for; an empty folder of a run may be the name of a model that it logged."""
    try:
        return resolve_source(turn, text)
    except NotFound as error:
        place = parse_source(text)
        if error.code != "FILE-002" or not isinstance(place, RunPlace):
            raise
        for model_id in loggedmodels.list_models_of(turn.connection, place.id):
            if loggedmodels.find_model(turn.connection, turn.project, model_id).name == place.path:
                return resolve_source(turn, f"models:/m-{model_id}")
        raise
