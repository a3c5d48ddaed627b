"""Use case of lineage, both ways."""

from __future__ import annotations

from mainspring.control.assets import resolve
from mainspring.control.turn import Turn
from mainspring.control.usecases import handles
from mainspring.domain.lineage import MOST_TOLD, GetLineage, Lineage
from mainspring.domain.records import Service, Verdict
from mainspring.store import lineage, rows, tables


@handles(GetLineage, action="assets.read", reads=True)
def get_lineage(turn: Turn, command: GetLineage) -> Lineage:
    """Answer with what a version was made of, and what saw it.

    Raises
    ------
    NotFound
        DATA-002 or MODEL-001 when the reference names nothing.
    """
    version = resolve(turn, command.kind, command.reference)
    told = Lineage(version, lineage.list_before(turn.connection, version.id, "dataset", MOST_TOLD))
    if command.kind == "dataset":
        told.models = lineage.list_after(turn.connection, version.id, "model", MOST_TOLD)
    about = {"model" if command.kind == "model" else "data": version.reference}
    told.verdicts = rows.find(turn.connection, tables.verdicts, Verdict, limit=MOST_TOLD, project=turn.project, **about)
    served = {each.reference for each in (told.models if command.kind == "dataset" else [version])}
    for service in rows.find(turn.connection, tables.services, Service, project=turn.project, desired=True):
        if any(each.state == "live" and each.model in served for each in service.revisions):
            told.services.append(service.name)
    return told
