"""``mainspring data``: datasets, their versions, and the rows that broke a contract."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from mainspring.cli.asking import ask
from mainspring.cli.deleting import add_verbs, print_restorable
from mainspring.cli.offering import offer
from mainspring.cli.printing import Noun, print_fields, print_json, print_next, print_table, wants_json
from mainspring.cli.texts import format_age, format_value, shorten_id
from mainspring.domain.messages import GetVersion, ListVersions
from mainspring.domain.records import Version
from mainspring.domain.upkeep import Deletion

_FACTS = ("rows", "mode", "given", "quarantined", "reasons", "key", "event_time", "of", "by", "from", "until")


class Quarantine(msgspec.Struct):
    """Rows that broke a contract: how many, how many for each reason, and the last of them."""

    rows: int
    reasons: dict[str, int]
    last: list[dict[str, Any]]


@click.group(
    "data",
    answer=(list[Version], list[Deletion]),
    cls=Noun,
    epilog="Examples: mainspring data · mainspring data show flights@3 · mainspring data quarantine flights",
)
@click.option("--name", help="All versions of this dataset.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Newest so many.")
@click.option("--deleted", is_flag=True, help="What was deleted and can be restored.")
@click.pass_context
def command(context: click.Context, name: str | None, limit: int, deleted: bool) -> None:
    """List datasets; show or delete a version, or show the rows in quarantine."""
    if context.invoked_subcommand is not None:
        return
    if deleted:
        print_restorable("dataset", limit)
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
            ", ".join(each.aliases) or None,
            _run(each),
            format_age(each.created_at),
        )
        for each in versions
    ]
    print_table(("dataset", "rows", "quarantined", "aliases", "run", "age"), rows, empty="no datasets")


@command.command("show", answer=Version)
@click.argument("reference", shell_complete=offer("dataset"))
def show(reference: str) -> None:
    """Show one version: counts, contract, the run that wrote it, what it was made from."""
    version: Version = ask(GetVersion("dataset", reference))
    if wants_json():
        print_json(version)
        return
    details = _details(version)
    print_fields(
        {
            "dataset": version.reference,
            "digest": version.digest,
            "aliases": ", ".join(version.aliases),
            "written by": _run(version),
            "age": format_age(version.created_at),
            "made from": "\n".join(shorten_id(each) for each in version.inputs),
            **{name: _describe(details[name]) for name in _FACTS if name in details},
        }
    )
    click.echo()
    print_table(("column", "type", "checks", "nulls", "min", "max"), describe_columns(details))
    if details.get("quarantined"):
        print_next(f"mainspring data quarantine {version.name}")


@command.command("quarantine", answer=Quarantine)
@click.argument("reference", shell_complete=offer("dataset"))
@click.option("--limit", type=click.IntRange(1, 10_000), default=10, show_default=True, help="Rows to show.")
def quarantine(reference: str, limit: int) -> None:
    """Show the rows of a dataset that broke its contract, with their reasons and counts."""
    from mainspring.sdk.datasets import Dataset

    table = Dataset(reference).quarantined()
    counts = {str(reason): int(count) for reason, count in table["reason"].value_counts(sort=True).iter_rows()}
    rows = table.tail(limit)
    if wants_json():
        print_json(Quarantine(table.height, counts, rows.to_dicts()))
        return
    print_table(("reason", "rows"), counts.items(), empty="nothing in quarantine")
    if counts:
        click.echo()
        print_table(rows.columns, rows.iter_rows())


add_verbs(command, "dataset")


def describe_columns(details: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Return a row for each column: its type, what the contract asks, what was found.

    Parameters
    ----------
    details : dict
        Of a dataset version.
    """
    contract = details.get("contract") or {}
    checks = {each["name"]: each for each in contract.get("columns", [])}
    profile = details.get("profile") or {}
    return [
        (
            name,
            kind,
            _describe_checks(checks.get(name, {})),
            profile.get(name, {}).get("null"),
            _shorten(profile.get(name, {}).get("min")),
            _shorten(profile.get(name, {}).get("max")),
        )
        for name, kind in (details.get("columns") or {}).items()
    ]


def _describe_checks(checks: dict[str, Any]) -> str | None:
    told = {
        name: value for name, value in checks.items() if name not in {"name", "kind"} and value not in (None, False)
    }
    return ", ".join(name if value is True else f"{name} {value}" for name, value in told.items()) or None


def _shorten(value: Any) -> str | None:
    return None if value is None else format_value(value)


def _details(version: Version) -> dict[str, Any]:
    return version.details if isinstance(version.details, dict) else {}


def _get(version: Version, name: str) -> Any:
    value = _details(version).get(name)
    return f"{value:,}" if isinstance(value, int) else value


def _run(version: Version) -> str | None:
    return shorten_id(version.run_id) if version.run_id else None


def _describe(value: Any) -> Any:
    if isinstance(value, dict):
        return "\n".join(f"{name}: {each}" for name, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else value
