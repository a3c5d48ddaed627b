"""``mainspring tokens``: made once, printed once, taken back at once."""

from __future__ import annotations

import click

from mainspring.cli.asking import act, ask
from mainspring.cli.offering import offer
from mainspring.cli.printing import Noun, dry_run, print_fields, print_json, print_table, wants_json
from mainspring.cli.texts import format_age, format_moment
from mainspring.domain.access import Issued, IssueToken, ListTokens, RevokeToken, Token
from mainspring.domain.messages import Explain
from mainspring.domain.records import Reason
from mainspring.domain.units import parse_duration


@click.group(
    "tokens",
    answer=list[Token],
    cls=Noun,
    epilog="Examples: mainspring tokens add anna --expires 30d --scope read · mainspring tokens remove ID",
)
@click.option("--user", help="Of this principal.")
@click.pass_context
def command(context: click.Context, user: str | None) -> None:
    """List tokens; make one or take one back. The tokens themselves are nowhere kept."""
    if context.invoked_subcommand is None:
        _print(ask(ListTokens(principal=user)))


@command.command("add", answer=Issued, untried="a token that was shown has to hold")
@click.argument("user", shell_complete=offer("user"))
@click.option("--name", default="", help="What it is for.")
@click.option(
    "--scope", "scopes", multiple=True, help="read, an area such as runs, or an action; all when there is none."
)
@click.option("--expires", default="90d", show_default=True, help="How long it holds: 12h, 30d; never.")
def add(user: str, name: str, scopes: tuple[str, ...], expires: str) -> None:
    """Make a token for a user or service account, and print it this once."""
    expires_s = None if expires == "never" else parse_duration(expires)
    issued: Issued = ask(IssueToken(principal=user, name=name, scopes=scopes or None, expires_s=expires_s))
    if wants_json():
        print_json(issued)
        return
    click.echo(issued.token)
    click.echo("this is the only time that it is shown; the record keeps its SHA-256", err=True)


@command.command("show", answer=list[Token])
@click.argument("id", shell_complete=offer("token"))
def show(id: str) -> None:  # noqa: A002
    """Show what is known of one token; ID may be a unique prefix or suffix."""
    reason: Reason = ask(Explain(id))
    found: list[Token] = [each for each in ask(ListTokens()) if each.id == reason.subject]
    if wants_json():
        print_json(found)
        return
    for each in found:
        print_fields(
            {
                "id": each.id,
                "user": each.principal,
                "name": each.name,
                "scopes": ", ".join(each.scopes) if each.scopes is not None else "all",
                "state": _describe_state(each),
                "expires": format_moment(each.expires_at) if each.expires_at else "never",
                "last used": format_moment(each.last_used_at) if each.last_used_at else "never",
                "made by": each.created_by,
            }
        )


@command.command("remove", answer=list[Token])
@click.argument("id", shell_complete=offer("token"))
@dry_run
def remove(id: str) -> None:  # noqa: A002
    """Take a token back; the next request with it is refused."""
    _print([act(RevokeToken(id=id))])


def _print(tokens: list[Token]) -> None:
    if wants_json():
        print_json(tokens)
        return
    rows = [
        (
            each.id,
            each.principal or None,
            each.name or None,
            ",".join(each.scopes) if each.scopes is not None else "all",
            _describe_state(each),
            format_moment(each.expires_at) if each.expires_at else None,
            format_age(each.last_used_at) if each.last_used_at else "never",
        )
        for each in tokens
    ]
    print_table(("id", "user", "name", "scopes", "state", "expires", "used"), rows, empty="no tokens")


def _describe_state(token: Token) -> str:
    return "revoked" if token.revoked_at is not None or not token.principal else "holds"
