"""``mainspring apply``: what files declare comes under the owner's care."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mainspring.cli.printing import Verb, clean, print_json, print_next, wants_json
from mainspring.cli.targets import find_file, load_file
from mainspring.domain.errors import Failed, Invalid, NotFound
from mainspring.domain.messages import Diff

if TYPE_CHECKING:
    from mainspring.domain.records import Declaration
    from mainspring.sdk.client import Client


@click.command(
    "apply",
    answer=Diff,
    cls=Verb,
    epilog="Examples: mainspring apply flights.py --dry-run · mainspring apply flights.py reports.py",
)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--prune", is_flag=True, help="Take out of force what these files declare no longer; gates stay.")
@click.option("--dry-run", is_flag=True, help="Only tell what would change.")
def command(files: tuple[str, ...], *, prune: bool, dry_run: bool) -> None:
    """Apply the gates, pipelines, monitors, contracts and views that each FILE declares at its top level.

    Their code goes along as a snapshot, so triggers start them when this folder has changed or
    is gone. The same again changes nothing. All files are applied, or none; what a file declares
    no longer stays applied and is told, unless --prune takes it out of force.
    """
    from mainspring.sdk.client import get_client
    from mainspring.sdk.declarations import hand_over

    paths = [find_file(file, "mainspring apply") for file in files]
    client = get_client()
    places = {path: name_file(path) for path in paths}
    declarations = [each for path, place in places.items() for each in _read(path, client, place, prune=prune)]
    _check_names(declarations)
    diff = hand_over(client, declarations, dry_run=dry_run, files=list(places.values()), prune=prune)
    if wants_json():
        print_json(diff)
        return
    for line in diff.lines():
        click.echo(clean(line))
    _tell_end(diff, dry_run=dry_run)


def find_declared(names: dict[str, Any]) -> list[Any]:
    """Return the values that can be applied, in the order of their definition.

    Parameters
    ----------
    names : dict of str to object
        Of a module; a value that stands under two names counts once, and what it imported not at all.
    """
    return list({id(value): value for value in names.values() if _is_declared(value)}.values())


def name_file(path: Path) -> str:
    """Return a name of a file that is the same for whoever has cloned its repository; elsewhere, for this machine.

    Notes
    -----
    A digest: no path of this machine is told to a server.
    """
    from mainspring.tracking.git import find_place

    place = find_place(path.resolve()) or f"{os.uname().nodename}:{path.resolve()}"
    return hashlib.sha256(place.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _is_declared(value: Any) -> bool:
    """Tell a declaration from other values; `Contract` itself is none, nor is a monitor for `deploy` alone."""
    if not callable(getattr(value, "declaration", None)) or getattr(value, "__module__", "") == _CONTRACTS:
        return False
    return getattr(value, "labels", "") is not None


_CONTRACTS = "mainspring.sdk.contracts"


def _read(path: Path, client: Client, place: str, *, prune: bool) -> list[Declaration]:
    """Return what a file declares, with its code, before the next file is loaded; nothing only where it may vanish."""
    from mainspring.sdk.declarations import complete

    try:
        declared = find_declared(vars(load_file(path)))
    except SystemExit as fault:
        raise Failed("CLI-006", f"{path} ended the process while it was imported (exit {fault.code})") from None
    if not declared and not prune:
        raise NotFound("CLI-002", f"{path} declares nothing that can be applied", fix=f"mainspring run {path}")
    return complete(declared, client, place)


def _check_names(declarations: list[Declaration]) -> None:
    seen: set[tuple[str, str]] = set()
    for each in declarations:
        if (each.kind, each.name) in seen:
            what = f"two declarations of {each.kind} {each.name!r}"
            raise Invalid("TRIGGER-006", what, name=each.name)
        seen.add((each.kind, each.name))


def _tell_end(diff: Diff, *, dry_run: bool) -> None:
    changed = sum(mark in {"+", "~", "-"} for mark, *_ in diff.changes)
    if not changed:
        click.echo("nothing changes" if dry_run else "nothing changed", err=True)
    elif not dry_run:
        print_next("mainspring pipelines")
