"""What keeping, sealing and the wire came to need."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from alembic import op
from sqlalchemy import Connection, text

from mainspring.store.indexes import add_values
from mainspring.store.migrations.shapes import Defaults, change_tables

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

DEFAULTS: Defaults = {
    # A value that was not a number was kept as NULL, which no key may hold.
    table: {"value": "coalesce(value, 0)", "nan": "value IS NULL"}
    for table in ("points", "latest")
}
"""Other new columns have defaults of their own."""


_ARTIFACT = "artifact."


def upgrade() -> None:
    """Lead the tables of 0002 to these."""
    change_tables(op.get_bind(), down_revision, revision, DEFAULTS)
    op.execute("UPDATE calls SET token = NULL")  # they stood there in the clear
    _name_blobs(op.get_bind())
    _move_artifacts(op.get_bind())
    _index_runs(op.get_bind())
    _name_models(op.get_bind())
    _number_experiments(op.get_bind())


def _name_models(connection: Connection) -> None:
    """Give each name of a model the row that it has from now on."""
    found = connection.execute(
        text(
            "SELECT project, name, min(id), min(created_at), max(created_at) FROM versions "
            "WHERE kind = 'model' GROUP BY project, name ORDER BY min(seq)"
        )
    ).all()
    add = text(
        "INSERT INTO registered_models (id, project, name, description, tags, created_at, changed_at) "
        "VALUES (:id, :project, :name, '', '{}', :created_at, :changed_at)"
    )
    for project, name, first, created_at, changed_at in found:
        id_ = uuid5(NAMESPACE_OID, f"{project}:{name}:{first}").hex
        values = {"id": id_, "project": project, "name": name, "created_at": created_at, "changed_at": changed_at}
        connection.execute(add, values)


def _name_blobs(connection: Connection) -> None:
    """Record which run or version names which blob, as is done from now on."""
    add = text("INSERT INTO uses (project, digest, source) VALUES (:project, :digest, :source)")
    found = connection.execute(text("SELECT id, project, outputs, tags FROM runs")).all()
    named = [(source, project, _list_values(*kept)) for source, project, *kept in found]
    found = connection.execute(text("SELECT id, project, manifest FROM versions WHERE kind = 'model'")).all()
    named += [(source, project, _list_files(kept)) for source, project, kept in found]
    for source, project, digests in named:
        for digest in set(digests):
            connection.execute(add, {"project": project, "digest": digest, "source": source})


def _move_artifacts(connection: Connection) -> None:
    """Give artifacts, which were tags, the table that they have from now on."""
    add = text("INSERT INTO artifacts (run, name, step, time, value) VALUES (:run, :name, 0, :time, :value)")
    change = text("UPDATE runs SET tags = :tags WHERE seq = :run")
    for run, time, kept in connection.execute(text("SELECT seq, created_at, tags FROM runs")).all():
        tags = json.loads(kept) if kept else {}
        found = {name: tags.pop(name) for name in list(tags) if name.startswith(_ARTIFACT)}
        for name, value in found.items():
            connection.execute(add, {"run": run, "name": name.removeprefix(_ARTIFACT), "time": time, "value": value})
        if found:
            connection.execute(change, {"tags": json.dumps(tags), "run": run})


def _index_runs(connection: Connection) -> None:
    """Give params and tags the rows by which they are found from now on."""
    for run_id, params, tags in connection.execute(text("SELECT id, params, tags FROM runs")).all():
        for kind, kept in (("params", params), ("tags", tags)):
            add_values(connection, run_id, kind, json.loads(kept) if kept else {})


def _number_experiments(connection: Connection) -> None:
    """Give the experiments that runs name a number, in the order in which they came."""
    add = text(
        "INSERT INTO experiments (project, number, name, tags, created_at, changed_at)"
        " VALUES (:project, :number, :name, '{}', :time, :time)"
    )
    found = connection.execute(
        text(
            "SELECT project, experiment, min(created_at) FROM runs WHERE experiment NOT IN ('', 'Default')"
            " GROUP BY project, experiment ORDER BY project, min(seq)"
        )
    ).all()
    last: dict[str, int] = {}
    for project, name, time in found:
        if project not in last:
            connection.execute(add, {"project": project, "number": 0, "name": "Default", "time": 0.0})
        last[project] = last.get(project, 0) + 1
        connection.execute(add, {"project": project, "number": last[project], "name": name, "time": time})


def _list_values(outputs: str | None, tags: str | None) -> Iterator[str]:
    values: list[Any] = [json.loads(outputs)] if outputs else []
    for name, kept in (json.loads(tags) if tags else {}).items():
        if name.startswith(_ARTIFACT):
            values.append(json.loads(kept))
    yield from (str(value["digest"]) for value in values if value)


def _list_files(manifest: str | None) -> Iterator[str]:
    found = json.loads(manifest) if manifest else None
    yield from (map(str, found.values()) if isinstance(found, dict) else ())
