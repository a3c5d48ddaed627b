"""``mainspring why``: the reason behind anything with an id, and behind an error code."""

from __future__ import annotations

import re
from difflib import get_close_matches

import click

from mainspring.cli.asking import ask
from mainspring.cli.printing import Verb, print_json, print_table, wants_json
from mainspring.domain.catalogue import ENTRIES
from mainspring.domain.errors import Invalid, NotFound
from mainspring.domain.messages import Explain
from mainspring.domain.records import Reason

_CODE = re.compile(r"[A-Za-z]+-\d+\Z")


@click.command(
    "why",
    cls=Verb,
    epilog="Examples: mainspring why c07e12 · why delays@champion · why delays · why RUN-005",
)
@click.argument("thing", required=False)
@click.option("--list", "listed", is_flag=True, help="List the error codes.")
def command(thing: str | None, *, listed: bool) -> None:
    """Ask why: of a run, model@alias, service, alarm, renewal, dataset version or error code.

    Codes are explained offline.
    """
    if listed:
        _list_codes()
    elif thing is None:
        raise Invalid("CLI-001", "why of what?", fix="mainspring why THING, or mainspring why --list")
    elif _CODE.match(thing):
        _explain_code(thing.upper())
    else:
        reason: Reason = ask(Explain(thing))
        if wants_json():
            print_json(reason)
        else:
            click.echo("\n".join(reason.lines))


def _list_codes() -> None:
    if wants_json():
        print_json(sorted(ENTRIES.values(), key=lambda entry: entry.code))
        return
    print_table(("code", "kind", "title"), [(e.code, e.kind, e.title) for _, e in sorted(ENTRIES.items())])


def _explain_code(code: str) -> None:
    entry = ENTRIES.get(code)
    if entry is None:
        near = get_close_matches(code, ENTRIES, n=1)
        fix = f"mainspring why {near[0]}" if near else "mainspring why --list"
        raise NotFound("HOME-009", f"{code} is no error code", fix=fix)
    if wants_json():
        print_json(entry)
        return
    click.echo(f"{entry.code}: {entry.title}\n  why: {entry.why}\n  fix: {entry.fix}")
    click.echo(f"  a command that meets it ends with {entry.exit_code}; HTTP answers {entry.http_status}")
