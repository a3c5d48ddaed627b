"""Projects in the record; the default one is there without a row."""

from __future__ import annotations

from msgspec.structs import replace

from mainspring.domain.access import Project
from mainspring.domain.principals import DEFAULT_PROJECT
from mainspring.store.rows import add, change
from mainspring.store.statements import Statement
from mainspring.store.tables import (
    declarations,
    grants,
    projects,
    registered_models,
    runs,
    secrets,
    services,
    sinks,
    usage,
    versions,
)
from mainspring.store.words import Connection, bindparam, delete, select

_FIELDS = tuple(name for name in Project.__struct_fields__ if name in projects.c)
_GET = Statement(select(*(projects.c[name] for name in _FIELDS)).where(projects.c.name == bindparam("name_")))
_LIST = Statement(select(*(projects.c[name] for name in _FIELDS)).order_by(projects.c.name))
_USED = Statement(select(usage.c.project, usage.c.size_bytes))


def find_project(connection: Connection, name: str) -> Project | None:
    """Return a project by name, None when there is none; without what it holds."""
    row = _GET.first(connection, name_=name)
    if row is None:
        return Project(name) if name == DEFAULT_PROJECT else None
    return Project(*row)


def list_projects(connection: Connection) -> list[Project]:
    """Return the projects with what they hold, the default one first."""
    found = [Project(*row) for row in _LIST.all(connection)]
    there = {DEFAULT_PROJECT: Project(DEFAULT_PROJECT)} | {each.name: each for each in found}
    used = {str(name): int(size) for name, size in _USED.all(connection)}
    return [replace(each, used_bytes=used.get(each.name, 0)) for each in there.values()]


def add_project(connection: Connection, project: Project) -> None:
    """Make a project."""
    add(connection, projects, project)


def set_project(connection: Connection, project: Project) -> None:
    """Keep what was set for a project."""
    values = {name: getattr(project, name) for name in _FIELDS if name not in {"name", "created_by", "created_at"}}
    if not change(connection, projects, {"name": project.name}, **values):
        add(connection, projects, project)


def remove_project(connection: Connection, name: str) -> None:
    """Remove a project with the roles in it."""
    connection.execute(delete(grants).where(grants.c.project == name))
    connection.execute(delete(projects).where(projects.c.name == name))


def find_content(connection: Connection, name: str) -> str | None:
    """Return a kind of thing that a project holds, None when it is empty."""
    for table in (runs, versions, registered_models, services, declarations, secrets, sinks):
        if connection.execute(select(table.c.seq).where(table.c.project == name).limit(1)).first() is not None:
            return str(table.name)
    return None
