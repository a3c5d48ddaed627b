"""``mainspring data``: datasets, their versions, and the rows that broke a contract."""

from __future__ import annotations

from typing import Any

import click

from mainspring.cli.asking import ask
from mainspring.cli.printing import Noun, print_fields, print_json, print_table, wants_json
from mainspring.cli.texts import format_age, shorten_id
from mainspring.domain.messages import GetVersion, ListVersions
from mainspring.domain.records import Version


@click.group(
    "data",
    cls=Noun,
    epilog="Examples: mainspring data · mainspring data show flights@3",
)
@click.option("--name", help="All versions of this dataset.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Newest so many.")
@click.pass_context
def command(context: click.Context, name: str | None, limit: int) -> None:
    """List datasets; show a version."""
    if context.invoked_subcommand is not None:
        return
    versions: list[Version] = ask(ListVersions("dataset", name, limit))
    if wants_json():
        print_json(versions)
        return
    rows = [
        (
            each.reference,
            _get(each, "rows"),
            _get(each, "quarantined"),
            ", ".join(each.aliases),
            _run(each),
            format_age(each.created_at),
        )
        for each in versions
    ]
    print_table(("dataset", "rows", "quarantined", "aliases", "run", "age"), rows, empty="no datasets")


@command.command("show")
@click.argument("reference")
def show(reference: str) -> None:
    """Show one version: counts, contract, the run that wrote it, what it was made from."""
    version: Version = ask(GetVersion("dataset", reference))
    if wants_json():
        print_json(version)
        return
    details = version.details if isinstance(version.details, dict) else {}
    print_fields(
        {
            "dataset": version.reference,
            "digest": version.digest,
            "aliases": ", ".join(version.aliases),
            "written by": _run(version),
            "age": format_age(version.created_at),
            "made from": "\n".join(shorten_id(each) for each in version.inputs),
            **{name: _describe(value) for name, value in details.items()},
        }
    )


def _get(version: Version, name: str) -> Any:
    value = version.details.get(name) if isinstance(version.details, dict) else None
    return f"{value:,}" if isinstance(value, int) else value


def _run(version: Version) -> str | None:
    return shorten_id(version.run_id) if version.run_id else None


def _describe(value: Any) -> Any:
    if isinstance(value, dict):
        return "\n".join(f"{name}: {each}" for name, each in value.items())
    return value
