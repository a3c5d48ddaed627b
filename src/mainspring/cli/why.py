"""``mainspring why``: the reason behind anything with an id, and behind an error code."""

from __future__ import annotations

import click

from mainspring.cli.asking import ask
from mainspring.cli.offering import offer
from mainspring.cli.printing import Verb, clean, print_json, print_table, print_wrapped, wants_json
from mainspring.domain.catalogue import ENTRIES
from mainspring.domain.catalogue.entry import Entry
from mainspring.domain.codes import explain_code, is_code
from mainspring.domain.errors import Invalid
from mainspring.domain.messages import Explain
from mainspring.domain.planning import FORETOLD_S
from mainspring.domain.records import Reason


@click.command(
    "why",
    answer=(Reason, list[Entry]),
    cls=Verb,
    epilog="Examples: mainspring why c07e12 · why delays@champion · why delays · why RUN-005",
)
@click.argument("thing", shell_complete=offer("service", "model", "dataset", "run", "alarm"), required=False)
@click.option("--list", "listed", is_flag=True, help="List the error codes.")
def command(thing: str | None, *, listed: bool) -> None:
    """Ask why: of a run, model@alias, service, alarm, renewal, dataset version or error code.

    Codes are explained offline.
    """
    if listed:
        _list_codes()
        return
    if thing is None:
        raise Invalid("CLI-001", "why of what?", fix="mainspring why THING, or mainspring why --list")
    reason: Reason = explain_code(thing) if is_code(thing) else ask(Explain(thing, wait_s=FORETOLD_S))
    if wants_json():
        print_json(reason)
    else:
        for line in reason.lines:
            print_wrapped(clean(line))


def _list_codes() -> None:
    entries = sorted(ENTRIES.values(), key=lambda entry: entry.code)
    if wants_json():
        print_json(entries)
    else:
        print_table(("code", "kind", "title"), [(each.code, each.kind, each.title) for each in entries])
