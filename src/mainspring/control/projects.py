"""Use cases of projects: the boundary of names and roles."""

from __future__ import annotations

import re

from msgspec.structs import replace

from mainspring.control.retention import list_going
from mainspring.control.turn import Turn
from mainspring.control.usecases import handles
from mainspring.domain import access
from mainspring.domain.access import Project, ProjectSet
from mainspring.domain.command import Nothing
from mainspring.domain.errors import Conflict, Invalid, NotFound
from mainspring.domain.lists import cut
from mainspring.domain.near import suggest
from mainspring.store import projects

SETTINGS = ("keep_runs_s", "keep_versions_s", "keep_logs_s", "keep_deleted_s", "quota_bytes")
"""What is set for a project."""

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,49}\Z")


@handles(access.AddProject, action="projects.write", rehearsed=True)
def add_project(turn: Turn, command: access.AddProject) -> Project:
    """Make a project.

    Raises
    ------
    Invalid
        AUTH-011 when the name is none.
    Conflict
        AUTH-012 when there is one of that name.
    """
    if not _NAME.match(command.name):
        raise Invalid("AUTH-011", f"{command.name!r} is no name of a project", name=command.name)
    if projects.find_project(turn.connection, command.name) is not None:
        raise Conflict("AUTH-012", f"there is a project {command.name!r}", name=command.name)
    project = Project(command.name, str(turn.actor), turn.now())
    projects.add_project(turn.connection, project)
    turn.audit("projects.write", project.name, after=project, home=True)
    return project


@handles(access.ListProjects, action="projects.read", reads=True)
def list_projects(turn: Turn, command: access.ListProjects) -> list[Project]:
    """Answer with the projects in which the actor has a role."""
    found = projects.list_projects(turn.connection)
    return cut([project for project in found if turn.actor.role_in(project.name) is not None], command)


@handles(access.SetProject, action="projects.write")
def set_project(turn: Turn, command: access.SetProject) -> ProjectSet:
    """Set how long a project keeps things and how much it may hold.

    Raises
    ------
    NotFound
        AUTH-009 when there is none of that name.
    """
    before = _find(turn, command.name)
    given = {name: getattr(command, name) for name in SETTINGS}
    after = replace(before, **{name: value for name, value in given.items() if value is not None})
    if command.dry_run:
        return ProjectSet(after, list_going(turn, after))
    projects.set_project(turn.connection, after)
    turn.audit("projects.write", after.name, before=before, after=after, home=True)
    return ProjectSet(after)


@handles(access.RemoveProject, action="projects.write", rehearsed=True)
def remove_project(turn: Turn, command: access.RemoveProject) -> Nothing:
    """Remove a project that holds nothing.

    Raises
    ------
    NotFound
        AUTH-009 when there is none of that name.
    Conflict
        AUTH-013 when it holds something.
    """
    _find(turn, command.name)
    content = projects.find_content(turn.connection, command.name)
    if content is not None:
        raise Conflict("AUTH-013", f"project {command.name!r} holds {content}", project=command.name)
    projects.remove_project(turn.connection, command.name)
    turn.audit("projects.write", command.name, before={"name": command.name}, home=True)
    return Nothing()


def _find(turn: Turn, name: str) -> Project:
    project = projects.find_project(turn.connection, name)
    if project is None:
        raise NotFound("AUTH-009", f"no project is called {name!r}", fix=suggest_project(turn, name), name=name)
    return project


def suggest_project(turn: Turn, name: str) -> str:
    """Return which project may have been meant, of those in which the actor has a role."""
    seen = [each.name for each in projects.list_projects(turn.connection) if turn.actor.role_in(each.name) is not None]
    return suggest(name, seen, "did you mean {}?")
