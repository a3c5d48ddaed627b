"""``mainspring server``: back the record up, restore, upgrade and tidy it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mainspring.cli.printing import Noun, print_fields, print_json, print_next, wants_json
from mainspring.cli.texts import format_size

if TYPE_CHECKING:
    from mainspring.domain.home import Home


@click.group(
    "server",
    cls=Noun,
    invoke_without_command=False,
    epilog="Examples: mainspring server backup · mainspring server upgrade --check",
)
def command() -> None:
    """Back the record up, restore it, upgrade it."""


@command.command("backup")
@click.argument("folder", required=False, metavar="[TO]", type=click.Path(path_type=Path))
@click.option("--whole", is_flag=True, help="Blobs and tables too, not only their names.")
def backup(folder: Path | None, whole: bool) -> None:
    """Copy the record and its keys into a new folder, while all goes on."""
    from mainspring.store.backups import write_backup

    home = _home()
    target = (folder or home.backups / datetime.now(UTC).strftime("%Y%m%d-%H%M%S")).absolute()
    manifest = write_backup(home, target, whole=whole)
    if wants_json():
        print_json({"folder": str(target), "manifest": manifest})
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


@command.command("restore")
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


@command.command("upgrade")
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


def _home() -> Home:
    from mainspring.sdk.homes import current_home

    return current_home()
