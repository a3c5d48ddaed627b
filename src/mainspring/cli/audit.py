"""``mainspring audit``: who did what, in a chain that shows changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from mainspring.cli.asking import ask
from mainspring.cli.printing import Noun, print_json, print_line, print_table, wants_json
from mainspring.cli.texts import format_moment
from mainspring.domain.access import AuditEntry, GetAuditHeads, Head, Heads, ListAudit
from mainspring.domain.errors import Failed, Invalid
from mainspring.domain.lists import read_all
from mainspring.security.audit import Breach, Verified

_PAGE = 1000


class Checked(msgspec.Struct):
    """What a check of the chain found: how many entries, the last one, and what is wrong."""

    entries: int
    head: Head
    breaches: list[Breach]


@click.group(
    "audit",
    answer=list[AuditEntry],
    cls=Noun,
    epilog="Examples: mainspring audit · mainspring audit verify · mainspring audit export > audit.jsonl",
)
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Newest so many.")
@click.pass_context
def command(context: click.Context, limit: int) -> None:
    """List acts of authority, newest first; verify or export them."""
    if context.invoked_subcommand is not None:
        return
    heads: Heads = ask(GetAuditHeads())
    last = heads.record.seq if heads.record else 0
    entries: list[AuditEntry] = ask(ListAudit(after=max(0, last - limit), limit=limit))[::-1]
    if wants_json():
        print_json(entries)
        return
    rows = [
        (each.seq, format_moment(each.time), each.principal, each.action, each.subject, each.project)
        for each in entries
    ]
    print_table(("entry", "time", "who", "what", "on", "project"), rows, empty="nothing happened yet")


@command.command("verify", answer=Checked)
@click.option(
    "--file", "path", type=click.Path(path_type=Path, dir_okay=False), help="An export, instead of the record."
)
@click.option("--head", help="NUMBER:DIGEST that was noted earlier: the chain must still hold it.")
def verify(path: Path | None, head: str | None) -> None:
    """Check the chain, and name entries that were edited, deleted, moved or cut off at the end.

    The end is compared with what the record and this home noted. Who can write both can cut the
    chain unseen: keep the head that is printed, or an export, where they cannot, and compare it
    with --head.
    """
    from mainspring.security.audit import verify as check

    heads: Heads = Heads() if path else ask(GetAuditHeads())
    entries = _read_file(path) if path else _read_record()
    noted = _parse_head(head) if head else None
    found = check(entries, Heads(heads.record, heads.home))
    breaches = list(found.breaches)
    if noted is not None:
        entries = _read_file(path) if path else _read_record()
        breaches += [each for each in check(entries, Heads(noted)).breaches if each not in breaches]
    if wants_json():
        print_json(Checked(found.entries, found.head, breaches))
    else:
        _print(found)
    if breaches:
        told = "; ".join(f"{each.kind}: {each.what}" for each in breaches[:5])
        more = f", and {len(breaches) - 5} more" if len(breaches) > 5 else ""
        raise Failed("AUDIT-001", told + more, entries=[each.seq for each in breaches])


@command.command("export", answer=AuditEntry, lines=True)
@click.option("--after", type=click.IntRange(0), default=0, show_default=True, help="Entries behind this one.")
def export(after: int) -> None:
    """Print every entry as a line of JSON, oldest first."""
    for entry in _read_record(after):
        print_line(entry)


def _print(found: Verified) -> None:
    click.echo(f"{found.entries} entries, head {found.head.seq}:{found.head.digest}")


def _read_record(after: int = 0) -> Iterator[AuditEntry]:
    yield from read_all(ask, ListAudit(after=after, limit=_PAGE))


def _read_file(path: Path) -> Iterator[AuditEntry]:
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    yield msgspec.json.decode(line, type=AuditEntry)
                except msgspec.DecodeError as fault:
                    raise Invalid("AUDIT-002", f"line {number} of {path.name} is no entry: {fault}") from None
    except OSError as fault:
        raise Invalid("AUDIT-002", f"{path} cannot be read: {fault.strerror}") from None


def _parse_head(text: str) -> Head:
    number, _, digest = text.partition(":")
    if not number.isdigit() or len(digest) != 64:
        raise Invalid("AUDIT-002", f"{text!r} is not NUMBER:DIGEST")
    return Head(int(number), digest)
