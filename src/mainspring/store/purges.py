"""Purges: deleted versions and runs leave the record, but for what lineage names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mainspring.store.holdings import drop_uses
from mainspring.store.indexes import drop_values
from mainspring.store.loggedmodels import list_models_of, purge_model
from mainspring.store.runfiles import drop_all_files
from mainspring.store.statements import pack_ids, unpack_ids
from mainspring.store.tables import (
    alarms,
    aliases,
    artifacts,
    cache,
    calls,
    deletions,
    edges,
    follows,
    latest,
    model_metrics,
    registered_models,
    renewals,
    runs,
    verdicts,
    versions,
)
from mainspring.store.words import Connection, delete, exists, select, text, update

_DROP_POINTS = text(
    "DELETE FROM points WHERE run = :run AND (key, step, time, value, nan) IN "
    "(SELECT key, step, time, value, nan FROM points WHERE run = :run LIMIT :most)"
)
_TOPS = text(
    """
    WITH RECURSIVE above(id, top, parent_id) AS (
        SELECT CAST(id AS TEXT), CAST(id AS TEXT), CAST(parent_id AS TEXT) FROM runs WHERE id = :id
        UNION SELECT above.id, CAST(runs.id AS TEXT), CAST(runs.parent_id AS TEXT)
            FROM above JOIN runs ON runs.id = above.parent_id
    )
    SELECT top FROM above WHERE NOT EXISTS (SELECT 1 FROM runs WHERE runs.id = above.parent_id)
    """
)
_WROTE = text(
    """
    WITH RECURSIVE tree(id) AS (
        SELECT CAST(id AS TEXT) FROM runs WHERE id = :id
        UNION SELECT CAST(runs.id AS TEXT) FROM runs JOIN tree ON runs.parent_id = tree.id
    )
    SELECT 1 FROM tree JOIN edges ON edges.source = tree.id AND edges.kind = 'wrote'
        WHERE NOT EXISTS (SELECT 1 FROM deletions WHERE deletions.id = edges.target AND purged_at IS NOT NULL)
        LIMIT 1
    """
)
_EMPTY: dict[str, Any] = {
    "params": {},
    "tags": {},
    "key": None,
    "fingerprint": None,
    "outputs": None,
    "details": None,
    "problem": None,
    "provenance": None,
}
"""What a run that only lineage names has instead of what it was."""


def purge_version(connection: Connection, project: str, version_id: str, time: float) -> None:
    """Leave nothing of a deleted version but id, name, number and digest, and its lineage.

    Notes
    -----
    Of a dataset the commit stays too, so that nobody takes it for one that the record was never told of.
    """
    query = select(versions.c.manifest).where(versions.c.id == version_id)
    manifest = connection.execute(query).scalar_one()
    place = None
    if isinstance(manifest, dict) and {"table", "delta_version"} <= manifest.keys():
        place = {"table": manifest["table"], "delta_version": manifest["delta_version"]}
    gone = update(versions).where(versions.c.id == version_id).values(manifest=place, details=None)
    connection.execute(gone)
    connection.execute(delete(aliases).where(aliases.c.version_id == version_id))
    drop_uses(connection, project, version_id)
    _mark(connection, [version_id], time)


def purge_name(connection: Connection, name_id: str) -> None:
    """Remove the row of a model's name; its deleted versions have their own."""
    connection.execute(delete(registered_models).where(registered_models.c.id == name_id))
    connection.execute(delete(deletions).where(deletions.c.id == name_id))


def drop_points(connection: Connection, run: int, most: int) -> int:
    """Drop points of a run, a bounded number at a time; return how many there were."""
    return connection.execute(_DROP_POINTS, {"run": run, "most": most}).rowcount


def read_number(connection: Connection, run_id: str) -> int:
    """Return the number of a run inside the file."""
    return int(connection.execute(select(runs.c.seq).where(runs.c.id == run_id)).scalar_one())


def purge_run(connection: Connection, project: str, run_id: str, number: int, time: float) -> None:
    """Remove a deleted run whose points are dropped; where lineage passes, a tombstone stays."""
    for numbered in (latest, artifacts):
        connection.execute(delete(numbered).where(numbered.c.run == number))
    drop_all_files(connection, run_id)
    drop_values(connection, number)
    drop_uses(connection, project, run_id)
    for model_id in list_models_of(connection, run_id):
        purge_model(connection, project, model_id)
    for table in (calls, cache, follows, model_metrics):
        connection.execute(delete(table).where(table.c.run_id == run_id))
    if _is_named(connection, run_id):
        connection.execute(update(runs).where(runs.c.id == run_id).values(reason="", **_EMPTY))
        _mark(connection, [run_id], time)
        return
    connection.execute(delete(edges).where((edges.c.source == run_id) | (edges.c.target == run_id)))
    connection.execute(delete(runs).where(runs.c.id == run_id))
    connection.execute(delete(deletions).where(deletions.c.id == run_id))


def _mark(connection: Connection, ids: Sequence[str], time: float) -> None:
    named = update(deletions).where(deletions.c.id.in_(unpack_ids("ids"))).values(purged_at=time)
    connection.execute(named, {"ids": pack_ids(ids)})


def _is_named(connection: Connection, run_id: str) -> bool:
    """Tell whether a verdict, alarm, renewal, hit, run below it, or the lineage of a version names a run."""
    hit, child = runs.alias("hit"), runs.alias("child")
    named = (
        exists().where(hit.c.cached_from == run_id),
        exists().where(child.c.parent_id == run_id),
        *(exists().where(table.c.run_id == run_id) for table in (verdicts, alarms, renewals)),
    )
    if any(connection.execute(select(each)).scalar_one() for each in named):
        return True
    top = connection.execute(_TOPS, {"id": run_id}).scalar_one()
    return connection.execute(_WROTE, {"id": top}).first() is not None
