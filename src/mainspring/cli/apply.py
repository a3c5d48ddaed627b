"""``mainspring apply``: what a file declares comes under the owner's care."""

from __future__ import annotations

from typing import Any

import click

from mainspring.cli.printing import Verb, print_json, print_table, wants_json
from mainspring.cli.targets import find_file, load_file
from mainspring.domain.errors import NotFound
from mainspring.domain.messages import Diff


@click.command(
    "apply",
    answer=Diff,
    cls=Verb,
    epilog="Examples: mainspring apply flights.py --dry-run · mainspring apply flights.py",
)
@click.argument("file")
@click.option("--dry-run", is_flag=True, help="Only tell what would change.")
def command(file: str, *, dry_run: bool) -> None:
    """Apply the gates and pipelines that FILE declares at its top level.

    Their code goes along as a snapshot, so triggers start them when this folder has changed or
    is gone. The same again changes nothing.
    """
    from mainspring.sdk.declarations import apply

    path = find_file(file, "mainspring apply")
    declared = find_declared(vars(load_file(path)))
    if not declared:
        raise NotFound("CLI-002", f"{path} declares no gate and no pipeline", fix=f"mainspring run {path}")
    diff: Diff = apply(*declared, dry_run=dry_run)
    if wants_json():
        print_json(diff)
    else:
        print_table(("", "kind", "name", "what"), diff.changes)


def find_declared(names: dict[str, Any]) -> list[Any]:
    """Return the values that can be applied, in the order of their definition.

    Parameters
    ----------
    names : dict of str to object
        Of a module; a value that stands under two names counts once.
    """
    found = {id(value): value for value in names.values() if callable(getattr(value, "declaration", None))}
    return [value for value in found.values() if not isinstance(value, type)]
