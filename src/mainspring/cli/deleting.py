"""Deleting and restoring, as ``data``, ``models`` and ``runs`` spell it."""

from __future__ import annotations

from typing import Literal

import click

from mainspring.cli.asking import act, ask
from mainspring.cli.offering import offer
from mainspring.cli.printing import dry_run, print_fields, print_json, print_next, print_table, wants_json
from mainspring.cli.texts import format_age, shorten_id
from mainspring.domain.records import Version
from mainspring.domain.upkeep import Deleted, DeleteVersions, Deletion, ListDeleted, RestoreVersions

_NOUNS = {"dataset": "data", "model": "models", "run": "runs"}


def add_verbs(group: click.Group, kind: Literal["dataset", "model"]) -> None:
    """Give a noun of versions its ``delete`` and ``restore``."""

    @group.command("delete", answer=Deleted)
    @click.argument("reference", shell_complete=offer(kind), metavar="NAME[@NUMBER]")
    @click.option("--all", "every", is_flag=True, help="Every version of NAME, and the quarantine beside it.")
    @click.option("--dry-run", "dry", is_flag=True, help="Only tell what would be hidden.")
    def delete(reference: str, every: bool, dry: bool) -> None:
        """Hide a version that nothing needs; it can be restored until it is purged."""
        done: Deleted = ask(DeleteVersions(kind=kind, reference=reference, all=every, dry_run=dry))
        print_deleted([done], dry=dry)
        if not dry:
            print_next(f"mainspring {_NOUNS[kind]} restore {reference}{' --all' if every else ''}")

    @group.command("restore", answer=list[Version])
    @click.argument("reference", metavar="NAME[@NUMBER]")
    @click.option("--all", "every", is_flag=True, help="Every version of NAME that was not purged.")
    @dry_run
    def restore(reference: str, every: bool) -> None:
        """Bring a deleted version back, as long as it was not purged."""
        found: list[Version] = act(RestoreVersions(kind=kind, reference=reference, all=every))
        if wants_json():
            print_json(found)
            return
        print_table(("restored", "digest"), [(each.reference, each.digest) for each in found])


def print_deleted(parts: list[Deleted], *, dry: bool) -> None:
    """Print what deletions came to: a table, what was made from it, and what stays."""
    whole = Deleted(
        [each for part in parts for each in part.deletions],
        sum(part.hidden for part in parts),
        list(dict.fromkeys(each for part in parts for each in part.warnings)),
        [each for part in parts for each in part.kept],
    )
    if wants_json():
        print_json(whole)
        return
    done = "would be deleted" if dry else "deleted"
    print_table((done, "name"), [_describe(each) for each in whole.deletions], empty="nothing to delete")
    if whole.hidden > len(whole.deletions):
        print_fields({"in all": f"{whole.hidden:,} with what is below"})
    for line in (*whole.warnings, *whole.kept):
        click.echo(line, err=True)


def print_restorable(kind: Literal["dataset", "model", "run"], limit: int) -> None:
    """Print what can be restored, the last deleted first."""
    found: list[Deletion] = ask(ListDeleted(kind=kind, limit=limit))
    if wants_json():
        print_json(found)
        return
    rows = [(*_describe(each), each.deleted_by, format_age(each.deleted_at)) for each in found]
    print_table((kind, "name", "deleted by", "deleted"), rows, empty="nothing that could be restored")
    if found:
        print_next(f"mainspring {_NOUNS[kind]} restore {_describe(found[0])[0]}")


def _describe(deletion: Deletion) -> tuple[str, str]:
    return shorten_id(deletion.id) if deletion.kind == "run" else deletion.reference, deletion.name
