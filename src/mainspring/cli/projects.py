"""``mainspring projects``: the boundary of names and roles."""

from __future__ import annotations

import click

from mainspring.cli.asking import ask
from mainspring.cli.printing import Noun, print_json, print_next, print_table, wants_json
from mainspring.cli.texts import format_age
from mainspring.domain.access import AddProject, ListProjects, Project, RemoveProject


@click.group(
    "projects",
    cls=Noun,
    epilog="Examples: mainspring projects · mainspring projects add rail · mainspring -P rail runs",
)
@click.pass_context
def command(context: click.Context) -> None:
    """List projects; make one, or remove one that is empty."""
    if context.invoked_subcommand is None:
        _print(ask(ListProjects()))


@command.command("add")
@click.argument("name")
def add(name: str) -> None:
    """Make a project: names of datasets, models and services are unique within it."""
    _print([ask(AddProject(name=name))])
    print_next(f"mainspring -P {name} users add NAME --role editor")


@command.command("remove")
@click.argument("name")
def remove(name: str) -> None:
    """Remove a project that holds nothing, and the roles in it."""
    ask(RemoveProject(name=name))
    if wants_json():
        print_json({"removed": name})


def _print(projects: list[Project]) -> None:
    if wants_json():
        print_json(projects)
        return
    rows = [(each.name, each.created_by or None, format_age(each.created_at or None)) for each in projects]
    print_table(("name", "made by", "age"), rows, empty="no project in which you have a role")
