"""``mainspring models``: registered models and their versions."""

from __future__ import annotations

from typing import Any

import click

from mainspring.cli.asking import ask
from mainspring.cli.printing import Noun, print_fields, print_json, print_next, print_table, wants_json
from mainspring.cli.texts import format_age, format_size, shorten_id
from mainspring.domain.messages import GetVersion, ListVersions
from mainspring.domain.records import Version


@click.group(
    "models",
    cls=Noun,
    epilog="Examples: mainspring models · mainspring models --name delays · mainspring models show delays@champion",
)
@click.option("--name", help="All versions of this model.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Newest so many.")
@click.pass_context
def command(context: click.Context, name: str | None, limit: int) -> None:
    """List models; show one version."""
    if context.invoked_subcommand is not None:
        return
    versions: list[Version] = ask(ListVersions("model", name, limit))
    if wants_json():
        print_json(versions)
        return
    rows = [
        (
            each.reference,
            ", ".join(each.aliases) or None,
            _details(each).get("format"),
            format_size(_details(each).get("size_bytes")),
            shorten_id(each.run_id) if each.run_id else None,
            format_age(each.created_at),
        )
        for each in versions
    ]
    print_table(("model", "aliases", "format", "size", "run", "age"), rows, empty="no models")


@command.command("show")
@click.argument("reference")
def show(reference: str) -> None:
    """Show one version: format, parity, signature, goal, data, the run that made it."""
    version: Version = ask(GetVersion("model", reference))
    if wants_json():
        print_json(version)
        return
    details = _details(version)
    print_fields(
        {
            "model": version.reference,
            "digest": version.digest,
            "aliases": ", ".join(version.aliases),
            "made by": shorten_id(version.run_id) if version.run_id else None,
            "age": format_age(version.created_at),
            "files": ", ".join(version.manifest) if isinstance(version.manifest, dict) else None,
            **{name: _describe(name, value) for name, value in details.items()},
        }
    )
    print_next(f"mainspring why {version.reference}")


def _details(version: Version) -> dict[str, Any]:
    return version.details if isinstance(version.details, dict) else {}


def _describe(name: str, value: Any) -> Any:
    if name == "signature" and isinstance(value, dict):
        return "\n".join(f"{side}: {', '.join(_name_columns(columns))}" for side, columns in value.items())
    if isinstance(value, dict):
        return "\n".join(f"{key}: {each}" for key, each in value.items())
    if isinstance(value, list):
        return "\n".join(str(each) for each in value)
    return value


def _name_columns(columns: Any) -> list[str]:
    if not isinstance(columns, list):
        return [str(columns)]
    return [f"{each['name']} {each['datatype']}" if isinstance(each, dict) else str(each) for each in columns]
