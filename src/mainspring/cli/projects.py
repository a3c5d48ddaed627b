"""``mainspring projects``: the boundary of names and roles."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click
import msgspec

from mainspring.cli.asking import act, ask
from mainspring.cli.offering import offer
from mainspring.cli.printing import Noun, dry_run, print_json, print_next, print_table, wants_json
from mainspring.cli.texts import format_age
from mainspring.domain.access import AddProject, ListProjects, Project, ProjectSet, RemoveProject, SetProject
from mainspring.domain.units import format_size, format_span, parse_duration, parse_size

T = TypeVar("T", float, int)


class Removed(msgspec.Struct):
    """The name of what is gone."""

    removed: str


@click.group(
    "projects",
    answer=list[Project],
    cls=Noun,
    epilog="Examples: mainspring projects · mainspring projects add rail · mainspring -P rail runs",
)
@click.pass_context
def command(context: click.Context) -> None:
    """List projects; make one, set what it keeps, or remove one that is empty."""
    if context.invoked_subcommand is None:
        _print(ask(ListProjects()))


@command.command("add", answer=list[Project])
@click.argument("name")
@dry_run
def add(name: str) -> None:
    """Make a project: names of datasets, models and services are unique within it."""
    _print([act(AddProject(name=name))])
    print_next(f"mainspring -P {name} users add NAME --role editor")


@command.command("set", answer=ProjectSet)
@click.argument("name", shell_complete=offer("project"))
@click.option("--keep-runs", metavar="SPAN", help="Runs go so long after their end, such as 90d; 0: never.")
@click.option("--keep-versions", metavar="SPAN", help="Versions go that are older, and that nothing needs; 0: never.")
@click.option("--keep-logs", metavar="SPAN", help="What a run printed goes so long after its end; 0: never.")
@click.option("--keep-deleted", metavar="SPAN", help="What is deleted can be restored for so long; 0: for ever.")
@click.option("--quota", metavar="SIZE", help="Blobs and tables may hold so much, such as 200 GB; 0: no limit.")
@click.option("--dry-run", "dry", is_flag=True, help="Set nothing, show what would go.")
def set_project(name: str, quota: str | None, dry: bool, **spans: str | None) -> None:
    """Set how long a project keeps what is in it, and how much it may hold."""
    kept = {f"{word}_s": _read(span, parse_duration) for word, span in spans.items()}
    done: ProjectSet = ask(SetProject(name=name, **kept, quota_bytes=_read(quota, parse_size), dry_run=dry))
    if wants_json():
        print_json(done)
        return
    if not dry:
        _print([done.project])
        return
    rows = [(each.reference, each.kind, each.name) for each in done.going]
    print_table(("would go", "kind", "name"), rows, empty="nothing would go")


@command.command("remove", answer=Removed)
@click.argument("name", shell_complete=offer("project"))
@dry_run
def remove(name: str) -> None:
    """Remove a project that holds nothing, and the roles in it."""
    act(RemoveProject(name=name))
    if wants_json():
        print_json(Removed(name))


def _print(projects: list[Project]) -> None:
    if wants_json():
        print_json(projects)
        return
    rows = [
        (
            each.name,
            format_size(each.used_bytes) + (f" of {format_size(each.quota_bytes)}" if each.quota_bytes else ""),
            *(_tell(each, word) for word in ("runs", "versions", "logs", "deleted")),
            each.created_by or None,
            format_age(each.created_at or None),
        )
        for each in projects
    ]
    columns = ("name", "holds", "keeps runs", "versions", "logs", "deleted", "made by", "age")
    print_table(columns, rows, empty="no project in which you have a role")


def _tell(project: Project, word: str) -> str:
    kept_s = getattr(project, f"keep_{word}_s")
    if kept_s is None and word == "deleted":
        return "30d"
    return format_span(kept_s) if kept_s else "for ever"


def _read(text: str | None, parse: Callable[[str], T]) -> T | int | None:
    """Read a limit; 0 stands for none."""
    if text is None:
        return None
    return 0 if text.strip() == "0" else parse(text)
