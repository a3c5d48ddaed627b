"""Use cases of projects: the boundary of names and roles."""

from __future__ import annotations

import re

from mainspring.control.turn import Turn
from mainspring.control.usecases import handles
from mainspring.domain import access
from mainspring.domain.access import Project
from mainspring.domain.command import Nothing
from mainspring.domain.errors import Conflict, Invalid, NotFound
from mainspring.domain.lists import cut
from mainspring.domain.principals import DEFAULT_PROJECT
from mainspring.store import projects

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,49}\Z")


@handles(access.AddProject, action="projects.write")
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
    if command.name == DEFAULT_PROJECT or projects.find_project(turn.connection, command.name) is not None:
        raise Conflict("AUTH-012", f"there is a project {command.name!r}", name=command.name)
    project = Project(command.name, str(turn.actor), turn.now())
    projects.add_project(turn.connection, project)
    turn.audit("projects.write", project.name, after=project, home=True)
    return project


@handles(access.ListProjects, action="projects.read", reads=True)
def list_projects(turn: Turn, command: access.ListProjects) -> list[Project]:
    """Answer with the projects in which the actor has a role."""
    found = [Project(DEFAULT_PROJECT), *projects.list_projects(turn.connection)]
    return cut([project for project in found if turn.actor.role_in(project.name) is not None], command)


@handles(access.RemoveProject, action="projects.write")
def remove_project(turn: Turn, command: access.RemoveProject) -> Nothing:
    """Remove a project that holds nothing.

    Raises
    ------
    NotFound
        AUTH-009 when there is none of that name.
    Conflict
        AUTH-013 when it holds something.
    """
    if projects.find_project(turn.connection, command.name) is None:
        raise NotFound("AUTH-009", f"no project is called {command.name!r}", name=command.name)
    content = projects.find_content(turn.connection, command.name)
    if content is not None:
        raise Conflict("AUTH-013", f"project {command.name!r} holds {content}", project=command.name)
    projects.remove_project(turn.connection, command.name)
    turn.audit("projects.write", command.name, before={"name": command.name}, home=True)
    return Nothing()
