"""``mainspring server``: back the record up, restore, upgrade and tidy it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct, to_builtins

from mainspring.cli.asking import ask
from mainspring.cli.printing import Noun, print_fields, print_json, print_next, print_table, wants_json
from mainspring.cli.texts import format_age
from mainspring.domain.crashpoints import crash_point
from mainspring.domain.errors import Invalid
from mainspring.domain.units import format_size, parse_duration
from mainspring.domain.upkeep import Deletion, PurgeDeleted, RecountBlobs, SettleSweep, SweepFiles, Swept

if TYPE_CHECKING:
    from collections.abc import Callable

    from mainspring.domain.home import Home
    from mainspring.store.leftovers import Leftovers

_BATCH = 500
"""So many files are removed in one turn of the owner, some 20 ms of work."""

_LEAST_GRACE_S = 3600.0

_LONGEST_S = 1800.0
"""Objects that were condemned longer ago are not removed any more."""


class Backup(Struct):
    """Where a backup lies, and its manifest, which lies in it as `manifest.json`."""

    folder: str
    manifest: dict[str, Any]


class Kept(Struct):
    """How many files stay."""

    blobs: int
    files: int


class Collected(Struct):
    """What nothing names, what of it was removed, and what stays."""

    dry_run: bool
    leftovers: Swept
    removed: Swept
    kept: Kept
    environments: int
    environment_bytes: int


@click.group(
    "server",
    cls=Noun,
    invoke_without_command=False,
    epilog="Examples: mainspring server backup · mainspring server upgrade --check",
)
def command() -> None:
    """Back the record up, restore it, upgrade it, and remove what nothing names."""


@command.command("backup", answer=Backup, untried="it writes a new folder only")
@click.argument("folder", required=False, metavar="[TO]", type=click.Path(path_type=Path))
@click.option("--whole", is_flag=True, help="Blobs and tables too, not only their names.")
def backup(folder: Path | None, whole: bool) -> None:
    """Copy the record and its keys into a new folder, while all goes on."""
    from mainspring.store.backups import write_backup

    home = _home()
    target = (folder or home.backups / datetime.now(UTC).strftime("%Y%m%d-%H%M%S")).absolute()
    manifest = write_backup(home, target, whole=whole)
    if wants_json():
        print_json(Backup(str(target), to_builtins(manifest)))
        return
    kept = "in it" if whole else "by name only"
    print_fields(
        {
            "backup": str(target),
            "record": f"{manifest.record_id[:8]} ({manifest.database}, schema {manifest.schema})",
            "rows": f"{sum(manifest.rows.values()):,} in {len(manifest.rows)} tables",
            "blobs": f"{len(manifest.blobs):,} ({format_size(sum(manifest.blobs.values()))}), {kept}",
            "tables": f"{len(manifest.tables):,} files ({format_size(sum(manifest.tables.values()))}), {kept}",
        }
    )
    print_next(f"mainspring server restore {target}")


@command.command(
    "restore", answer="mainspring.store.restores:Restored", untried="it only takes a home that has no record"
)
@click.argument("folder", metavar="FROM", type=click.Path(path_type=Path))
def restore(folder: Path) -> None:
    """Make a backup the record of a home that has none."""
    from mainspring.store.restores import restore_backup

    home = _home()
    restored = restore_backup(home, folder.absolute())
    if wants_json():
        print_json(restored)
        return
    print_fields(
        {
            "home": str(home.root),
            "record": f"{restored.record_id[:8]} (schema {restored.schema})",
            "rows": f"{restored.rows:,}, counted",
            "blobs": f"{restored.blobs:,} there, {len(restored.missing_blobs):,} missing",
            "tables": f"{restored.tables:,} files there, {len(restored.missing_tables):,} missing",
            "missing": "\n".join([*restored.missing_blobs[:5], *restored.missing_tables[:5]]),
        }
    )
    print_next("mainspring status")


@command.command("upgrade", answer="mainspring.store.upgrades:Outlook", untried="--check tells beforehand")
@click.option("--check", is_flag=True, help="Only tell; exit code 0: this release can work with the record.")
def upgrade(check: bool) -> None:
    """Bring the record to the schema of this release; a copy is made before."""
    from mainspring.store.upgrades import look_ahead, upgrade_record

    home = _home()
    ahead = look_ahead(home) if check else upgrade_record(home)
    if wants_json():
        print_json(ahead)
    else:
        done = "to change" if check else "changed"
        print_fields(
            {
                "record": f"{ahead.record} ({format_size(ahead.size_bytes)})",
                "schema": f"{ahead.schema}, this release has {ahead.newest}",
                done: ", ".join(ahead.changes) or "nothing",
                "missing": ", ".join(ahead.missing),
                "disk": f"{format_size(ahead.free_bytes)} free, {format_size(ahead.room_bytes)} wanted for an upgrade",
                "backup": "possible" if ahead.can_back_up else "not possible",
            }
        )
    obstacle = ahead.find_obstacle()
    if obstacle is not None:
        raise obstacle


@command.command("collect", answer=Collected)
@click.option("--dry-run", is_flag=True, help="Only count what would be removed.")
@click.option("--grace", default="1d", show_default=True, help="What was written less long ago stays; at least 1h.")
def collect(dry_run: bool, grace: str) -> None:
    """Remove blobs and files of tables that nothing in the record names, and environments unused for 30 days."""
    from mainspring.compute.environments import UNUSED_S, sweep_environments
    from mainspring.store.leftovers import find_leftovers

    grace_s = parse_duration(grace)
    if grace_s < _LEAST_GRACE_S:
        raise Invalid("RUN-003", f"a grace of {grace} is shorter than an hour, and a writer may take that long")
    home = _home()
    found = find_leftovers(home, grace_s)
    done = Swept() if dry_run else _sweep(found)
    there = Swept(len(found.blobs), sum(found.blobs.values()), len(found.files), sum(found.files.values()))
    unused = sweep_environments(home.environments, UNUSED_S, dry_run=dry_run)
    unused_bytes = sum(each.size_bytes for each in unused)
    if wants_json():
        print_json(Collected(dry_run, there, done, Kept(found.kept_blobs, found.kept_files), len(unused), unused_bytes))
        return
    counted, what = (there, "would go") if dry_run else (done, "removed")
    print_fields(
        {
            "blobs": f"{counted.blobs:,} {what} ({format_size(counted.blob_bytes)}), {found.kept_blobs:,} stay",
            "tables": f"{counted.files:,} files {what} ({format_size(counted.file_bytes)}), {found.kept_files:,} stay",
            "environments": f"{len(unused):,} {what} ({format_size(unused_bytes)})",
        }
    )


@command.command("purge", answer=list[Deletion])
@click.option("--older-than", default="30d", show_default=True, help="Only what was deleted longer ago.")
@click.option("--dry-run", is_flag=True, help="Only list.")
def purge(older_than: str, dry_run: bool) -> None:
    """Remove for good what was deleted; `collect` then frees its bytes."""
    before = time.time() - parse_duration(older_than)
    found: list[Deletion] = ask(PurgeDeleted(before=before, dry_run=dry_run))
    while not dry_run and ask(PurgeDeleted(before=before, dry_run=True)):
        found += ask(PurgeDeleted(before=before))
    if wants_json():
        print_json(found)
        return
    rows = [(each.reference, each.kind, each.project, format_age(each.deleted_at)) for each in found]
    print_table(("what", "kind", "project", "deleted"), rows, empty="nothing to purge")
    if found and not dry_run:
        print_next("mainspring server collect")


def _sweep(found: Leftovers) -> Swept:
    """Have the owner remove leftovers, a bounded number at a time."""
    from mainspring.store.blobs import open_blobs
    from mainspring.store.tablefiles import open_files

    total, store, tables = Swept(), open_blobs(_home()), open_files(_home())
    blobs, files = list(found.blobs), list(found.files)
    while blobs or files:
        command = SweepFiles(
            blobs=blobs[:_BATCH],
            files=files[:_BATCH],
            before=found.before,
            marked_at=found.moment.time,
            numbers=found.moment.numbers,
        )
        done: Swept = ask(command)
        if done.condemned or done.condemned_files:
            until = time.monotonic() + _LONGEST_S
            gone = _remove(store.remove_old, done.condemned, found.before, until)
            gone_files = _remove(tables.remove_old, done.condemned_files, found.before, until)
            settled = SettleSweep(
                removed=list(gone),
                spared=[each for each in done.condemned if each not in gone],
                removed_files=list(gone_files),
                spared_files=[each for each in done.condemned_files if each not in gone_files],
            )
            ask(settled)
            done = Swept(
                done.blobs + len(gone),
                done.blob_bytes + sum(gone.values()),
                done.files + len(gone_files),
                done.file_bytes + sum(gone_files.values()),
            )
        for name in ("blobs", "blob_bytes", "files", "file_bytes"):
            setattr(total, name, getattr(total, name) + getattr(done, name))
        del blobs[:_BATCH], files[:_BATCH]
    ask(RecountBlobs(sizes=found.wrong))
    return total


def _remove(
    remove_old: Callable[[str, float], int | None], condemned: list[str], before: float, until: float
) -> dict[str, int]:
    """Remove what the owner has condemned, unless it is young again; return the lengths of what went."""
    gone: dict[str, int] = {}
    for name in condemned:
        if time.monotonic() > until:
            break
        size_bytes = remove_old(name, before)
        crash_point("sweep.removed")
        if size_bytes is not None:
            gone[name] = size_bytes
    return gone


def _home() -> Home:
    from mainspring.sdk.homes import current_home

    return current_home()
