"""Projects in the record; the default one is there without a row."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, delete, select

from mainspring.domain.access import Project
from mainspring.store.rows import add
from mainspring.store.statements import Statement
from mainspring.store.tables import declarations, grants, projects, runs, secrets, services, versions

_GET = Statement(
    select(projects.c.name, projects.c.created_by, projects.c.created_at).where(projects.c.name == bindparam("name_"))
)


def find_project(connection: Connection, name: str) -> Project | None:
    """Return a project by name, None when there is none."""
    row = _GET.first(connection, name_=name)
    return None if row is None else Project(*row)


def list_projects(connection: Connection) -> list[Project]:
    """Return the projects beside the default one, by name."""
    query = select(projects.c.name, projects.c.created_by, projects.c.created_at).order_by(projects.c.name)
    return [Project(*row) for row in connection.execute(query)]


def add_project(connection: Connection, project: Project) -> None:
    """Make a project."""
    add(connection, projects, project)


def remove_project(connection: Connection, name: str) -> None:
    """Remove a project with the roles in it."""
    connection.execute(delete(grants).where(grants.c.project == name))
    connection.execute(delete(projects).where(projects.c.name == name))


def find_content(connection: Connection, name: str) -> str | None:
    """Return a kind of thing that a project holds, None when it is empty."""
    for table in (runs, versions, services, declarations, secrets):
        if connection.execute(select(table.c.seq).where(table.c.project == name).limit(1)).first() is not None:
            return str(table.name)
    return None
