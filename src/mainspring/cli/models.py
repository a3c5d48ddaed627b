"""``mainspring models``: registered models and their versions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from mainspring.cli.arguments import read_tags
from mainspring.cli.asking import act, ask
from mainspring.cli.deleting import add_verbs, print_restorable
from mainspring.cli.exchange import add_exchange
from mainspring.cli.offering import offer
from mainspring.cli.printing import Noun, dry_run, print_fields, print_json, print_next, print_table, wants_json
from mainspring.cli.proving import add_proofs
from mainspring.cli.texts import format_age, format_value, shorten_id
from mainspring.domain.lineage import GetLineage, Lineage
from mainspring.domain.lists import read_all
from mainspring.domain.messages import GetVersion, ListVersions
from mainspring.domain.records import Run, Version
from mainspring.domain.references import parse_reference
from mainspring.domain.registry import DescribeModel, RegisteredModel, RenameModel
from mainspring.domain.units import format_size
from mainspring.domain.upkeep import Deletion
from mainspring.models.card import render_card, write_card

# An alias may stay on a version long after others came; `--limit` counts models.
_MANY = 1_000


@click.group(
    "models",
    answer=(list[Version], list[Deletion]),
    cls=Noun,
    epilog="Examples: mainspring models · mainspring models --name delays · mainspring models show delays@champion",
)
@click.option("--name", help="All versions of this model.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Newest so many.")
@click.option("--deleted", is_flag=True, help="What was deleted and can be restored.")
@click.pass_context
def command(context: click.Context, name: str | None, limit: int, deleted: bool) -> None:
    """List models: of each name the newest version and those that an alias points at; show or delete one."""
    if context.invoked_subcommand is not None:
        return
    if deleted:
        print_restorable("model", limit)
        return
    versions = _list_versions(name, limit)
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


@command.command("show", answer=Version)
@click.argument("reference", shell_complete=offer("model"))
@click.option(
    "--card",
    type=click.Choice(("markdown", "html")),
    is_flag=False,
    flag_value="markdown",
    help="Print the model card, as Markdown or as a page of HTML.",
)
def show(reference: str, card: str | None) -> None:
    """Show one version: format, parity, signature, goal, data, the run that made it."""
    if card is not None:
        lineage: Lineage = ask(GetLineage(kind="model", reference=reference))
        write = render_card if card == "html" else write_card
        click.echo(write(lineage.version, lineage), nl=False)
        return
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
            "description": version.description,
            "tags": _describe_tags(version.tags),
            "made by": shorten_id(version.run_id) if version.run_id else None,
            "age": format_age(version.created_at),
            "files": ", ".join(version.manifest) if isinstance(version.manifest, dict) else None,
            **describe_details(details),
        }
    )
    print_next(f"mainspring why {version.reference}")


@command.command("describe", answer=RegisteredModel)
@click.argument("reference", shell_complete=offer("model"), metavar="NAME[@NUMBER]")
@click.argument("text")
@dry_run
def describe(reference: str, text: str) -> None:
    """Say in a few words what a model, or one of its versions, is."""
    _print_noted(act(_note(reference, description=text)))


@command.command("tag", answer=RegisteredModel)
@click.argument("reference", shell_complete=offer("model"), metavar="NAME[@NUMBER]")
@click.argument("tags", nargs=-1, required=True, metavar="NAME=TEXT|NAME-...")
@dry_run
def tag(reference: str, tags: tuple[str, ...]) -> None:
    """Set tags of a model or of one of its versions, or remove them by a dash behind the name."""
    changes, remove = read_tags(tags)
    _print_noted(act(_note(reference, tags=changes, untag=remove)))


@command.command("rename", answer=RegisteredModel)
@click.argument("name", shell_complete=offer("model"))
@click.argument("to")
@dry_run
def rename(name: str, to: str) -> None:
    """Give a model another name; versions, aliases, verdicts and gates go with it."""
    _print_noted(act(RenameModel(name, to)))


@command.command(
    "predict",
    answer=Run,
    untried="what is answered is known when the rows were read",
    epilog="Example: mainspring models predict delays@champion --data flight_rows.recent --to scores",
)
@click.argument("reference", shell_complete=offer("model"))
@click.option("--data", required=True, shell_complete=offer("dataset"), metavar="REFERENCE", help="Rows to answer.")
@click.option("--to", required=True, metavar="NAME", help="The dataset that takes the predictions.")
@click.option("--append", is_flag=True, help="After the rows that it has; otherwise they are its new version.")
@click.option("--key", multiple=True, metavar="COLUMN", help="Identifies a row; by default the key of the rows.")
@click.option("--keep", multiple=True, metavar="COLUMN", help="Stands beside the predictions.")
@click.option("--no-wait", is_flag=True, help="Only queue the run.")
def predict(
    reference: str, data: str, to: str, append: bool, key: tuple[str, ...], keep: tuple[str, ...], no_wait: bool
) -> None:
    """Answer every row of a dataset into another one, in a worker of the home.

    A run that is killed goes on where it was; each row is in the result once.
    """
    from mainspring.domain.predictions import Predict
    from mainspring.sdk.predictions import wait_for_predictions

    asked = Predict(reference, data, to, "append" if append else "overwrite", list(key), list(keep) or None)
    run: Run = ask(asked)
    if not no_wait:
        run = wait_for_predictions(run)
    if wants_json():
        print_json(run)
        return
    if no_wait:
        print_next(f"mainspring logs {shorten_id(run.id)} -f")
        return
    print_fields({"dataset": run.details["version"], "rows": run.details["rows"], "run": shorten_id(run.id)})
    print_next(f"mainspring data show {run.details['version']}")


add_verbs(command, "model")
add_exchange(command)
add_proofs(command)


def _note(reference: str, **notes: Any) -> DescribeModel:
    named = parse_reference(reference, "model")
    number = 0 if str(named) == named.name else ask(GetVersion("model", reference)).number
    return DescribeModel(named.name, number, **notes)


def _print_noted(model: RegisteredModel) -> None:
    if wants_json():
        print_json(model)
        return
    print_fields(
        {
            "model": model.name,
            "description": model.description,
            "tags": _describe_tags(model.tags),
            "aliases": ", ".join(f"{alias} -> {number}" for alias, number in model.aliases.items()),
            "latest": model.latest.reference if model.latest else None,
        }
    )


def _describe_tags(tags: dict[str, str]) -> str:
    return "\n".join(f"{name} = {value}" for name, value in tags.items())


def _list_versions(name: str | None, limit: int) -> list[Version]:
    newest: list[Version] = ask(ListVersions("model", name, limit))
    if name:
        return newest
    found = []
    for each in newest:
        versions: Iterator[Version] = read_all(ask, ListVersions("model", each.name, _MANY))
        found += [version for version in versions if version.aliases or version.id == each.id]
    return found


def _details(version: Version) -> dict[str, Any]:
    return version.details if isinstance(version.details, dict) else {}


def describe_details(details: dict[str, Any]) -> dict[str, Any]:
    """Return what `show` prints of a version's details, each in a line or a few.

    Parameters
    ----------
    details : dict
        Of a model version.
    """
    signature, parity, goal = details.get("signature") or {}, details.get("parity") or {}, details.get("goal") or {}
    params = {name: value for name, value in (details.get("params") or {}).items() if value is not None}
    latency_ms = details.get("latency_ms")
    return {
        "goal": f"{goal['text']} ({goal['metric']}, owner {goal['owner']})" if goal else None,
        "format": details.get("format"),
        "parity": _describe_parity(parity) if parity else None,
        "size": format_size(details.get("size_bytes")),
        "latency": f"{latency_ms:.3g} ms a row" if latency_ms is not None else None,
        **{side: ", ".join(_name_columns(columns)) for side, columns in signature.items()},
        "trained on": ", ".join(details.get("trained_on") or ()),
        "params": ", ".join(f"{name}={format_value(value)}" for name, value in params.items()),
        "environment": ", ".join(f"{name} {value}" for name, value in (details.get("environment") or {}).items()),
        "code": (details.get("code") or {}).get("commit") or (details.get("code") or {}).get("fingerprint"),
    }


def _describe_parity(parity: dict[str, Any]) -> str:
    told = f"{parity.get('label_mismatches')} labels differ, |dp| <= {format_value(parity.get('max_abs_dp'))}"
    counts = [f"{parity.get(name, 0):,}" for name in ("rows", "nan_rows", "unseen_rows")]
    rows = f"{counts[0]} rows, {counts[1]} with gaps and {counts[2]} with unseen categories"
    return f"{'passed' if parity.get('passed') else 'FAILED'} on {rows}: {parity.get('problem') or told}"


def _name_columns(columns: Any) -> list[str]:
    if not isinstance(columns, list):
        return [str(columns)]
    return [f"{each['name']} {each['datatype']}" if isinstance(each, dict) else str(each) for each in columns]
