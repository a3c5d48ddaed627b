"""Registered models in the record: rows of names, and what becomes of everything when one is renamed."""

from __future__ import annotations

from typing import Any

from mainspring.domain.records import Version
from mainspring.domain.registry import RegisteredModel
from mainspring.store.deletions import is_here
from mainspring.store.rows import change
from mainspring.store.statements import Statement, add_once
from mainspring.store.tables import aliases, declarations, registered_models, verdicts, versions
from mainspring.store.versions import get_versions
from mainspring.store.words import Connection, Table, bindparam, delete, func, select, update

_FIELDS = tuple(name for name in RegisteredModel.__struct_fields__ if name in registered_models.c)
_COLUMNS = [registered_models.c[name] for name in _FIELDS]
_OF_NAME = (
    registered_models.c.project == bindparam("project_"),
    registered_models.c.name == bindparam("name_"),
)
_FIND = Statement(select(*_COLUMNS).where(*_OF_NAME))
_PAGE = Statement(
    select(*_COLUMNS)
    .where(
        registered_models.c.project == bindparam("project_"),
        registered_models.c.seq < bindparam("below"),
        is_here(registered_models.c.id),
    )
    .order_by(registered_models.c.seq.desc())
    .limit(bindparam("limit_"))
)
_ADD = Statement(
    add_once(registered_models), ("id", "project", "name", "description", "tags", "created_at", "changed_at")
)
_TOUCH = Statement(update(registered_models).where(*_OF_NAME).values(changed_at=bindparam("time")))
_ALIASES = Statement(
    select(aliases.c.alias, versions.c.number)
    .join_from(aliases, versions, versions.c.id == aliases.c.version_id)
    .where(
        aliases.c.kind == "model",
        aliases.c.project == bindparam("project_"),
        aliases.c.name == bindparam("name_"),
        is_here(versions.c.id),
    )
    .order_by(aliases.c.alias)
)
_OF_MODEL = (
    versions.c.kind == "model",
    versions.c.project == bindparam("project_"),
    versions.c.name == bindparam("name_"),
    is_here(versions.c.id),
)
_LAST_OF_STAGES = select(func.max(versions.c.number)).where(*_OF_MODEL).group_by(versions.c.stage)
_NEWEST = Statement(select(versions.c.id).where(*_OF_MODEL, versions.c.number.in_(_LAST_OF_STAGES)))


def find_model(connection: Connection, project: str, name: str) -> RegisteredModel | None:
    """Return the row of a name, deleted or not, without aliases and versions; None when there is none."""
    row = _FIND.first(connection, project_=project, name_=name)
    return None if row is None else RegisteredModel(**dict(zip(_FIELDS, row, strict=True)))


def list_models(connection: Connection, project: str, below: int, limit: int) -> list[RegisteredModel]:
    """Return the rows of a project below a number, newest first, without aliases and versions."""
    found = _PAGE.all(connection, project_=project, below=below, limit_=limit)
    return [RegisteredModel(**dict(zip(_FIELDS, row, strict=True))) for row in found]


def add_model(connection: Connection, model: RegisteredModel) -> None:
    """Insert a row; one that is there stays as it is."""
    _ADD.run_later(connection, {name: getattr(model, name) for name in _FIELDS})


def touch_model(connection: Connection, project: str, name: str, time: float) -> None:
    """Note when something of a model changed."""
    _TOUCH.run_later(connection, {"project_": project, "name_": name, "time": time})


def note_model(connection: Connection, model: RegisteredModel) -> None:
    """Write description and tags of a model, and when they changed."""
    values = {"description": model.description, "tags": model.tags, "changed_at": model.changed_at}
    change(connection, registered_models, {"id": model.id}, **values)


def list_aliases(connection: Connection, project: str, name: str) -> dict[str, int]:
    """Return alias -> number of the version that it points at."""
    return {str(alias): int(number) for alias, number in _ALIASES.all(connection, project_=project, name_=name)}


def list_newest(connection: Connection, project: str, name: str) -> list[Version]:
    """Return the newest version of each stage, by number."""
    ids = [str(version_id) for (version_id,) in _NEWEST.all(connection, project_=project, name_=name)]
    return sorted(get_versions(connection, ids), key=lambda each: each.number)


def drop_alias(connection: Connection, project: str, name: str, alias: str) -> bool:
    """Take an alias of a model away; return whether there was one."""
    found = delete(aliases).where(
        aliases.c.kind == "model", aliases.c.project == project, aliases.c.name == name, aliases.c.alias == alias
    )
    return connection.execute(found).rowcount > 0


def note_version(connection: Connection, version_id: str, time: float, **values: Any) -> None:
    """Write description, tags or stage of a version, and when they changed."""
    change(connection, versions, {"id": version_id}, changed_at=time, **values)


def has_versions(connection: Connection, project: str, name: str) -> bool:
    """Tell whether a name has versions, deleted ones too."""
    named = select(versions.c.seq).where(
        versions.c.kind == "model", versions.c.project == project, versions.c.name == name
    )
    return connection.execute(named.limit(1)).first() is not None


def has_gate(connection: Connection, project: str, name: str) -> bool:
    """Tell whether a gate is declared for a name."""
    begins = func.substr(declarations.c.name, 1, len(name) + 2) == f"{name}->"
    gates = select(declarations.c.seq).where(declarations.c.project == project, declarations.c.kind == "gate", begins)
    return connection.execute(gates.limit(1)).first() is not None


def remove_model(connection: Connection, project: str, name: str) -> None:
    """Remove the row of a name."""
    connection.execute(
        delete(registered_models).where(registered_models.c.project == project, registered_models.c.name == name)
    )


def rename_model(connection: Connection, project: str, name: str, to: str) -> None:
    """Let everything that goes by the name of a model go by another: versions, aliases, verdicts, gates."""
    for table in (registered_models, versions, aliases):
        where = [table.c.project == project, table.c.name == name]
        where += [table.c.kind == "model"] if "kind" in table.c else []
        connection.execute(update(table).where(*where).values(name=to))
    for column in (verdicts.c.model, verdicts.c.champion):
        _rename_part(connection, verdicts, column, project, f"{name}@", f"{to}@")
    _rename_part(connection, declarations, declarations.c.name, project, f"{name}->", f"{to}->", kind="gate")


def _rename_part(
    connection: Connection, table: Table, column: Any, project: str, before: str, after: str, **where: str
) -> None:
    begins = func.substr(column, 1, len(before)) == before
    same = [table.c[name] == value for name, value in where.items()]
    renamed = after + func.substr(column, len(before) + 1)
    connection.execute(update(table).where(table.c.project == project, begins, *same).values({column: renamed}))
