"""``mainspring users``: users and service accounts, and their roles."""

from __future__ import annotations

import sys

import click
import msgspec

from mainspring.cli.asking import act, ask
from mainspring.cli.offering import offer
from mainspring.cli.printing import Noun, dry_run, print_fields, print_json, print_next, print_table, wants_json
from mainspring.cli.texts import format_age
from mainspring.domain.access import (
    Account,
    AddUser,
    GetUser,
    GrantRole,
    ListTokens,
    ListUsers,
    RemoveUser,
    RevokeRole,
    Token,
)
from mainspring.domain.passwords import SetPassword
from mainspring.domain.principals import ROLES


class ShownUser(msgspec.Struct):
    """A user or service account, and its tokens."""

    user: Account
    tokens: list[Token]


_role = click.Choice(ROLES)
_everywhere = click.option("--everywhere", is_flag=True, help="In all projects, and for the home itself.")


@click.group(
    "users",
    answer=list[Account],
    cls=Noun,
    epilog="Examples: mainspring users add anna --role editor · mainspring users grant anna approver",
)
@click.pass_context
def command(context: click.Context) -> None:
    """List users and service accounts; add, show or remove one, grant it a role or revoke it."""
    if context.invoked_subcommand is None:
        _print(ask(ListUsers()))


@command.command("add", answer=list[Account])
@click.argument("name")
@click.option("--service", is_flag=True, help="An account for a program.")
@click.option("--role", type=_role, help="In the project; without one it may nothing yet.")
@_everywhere
@click.option("--identity", metavar="ISSUER#SUBJECT", help="Who signs in there acts as this user.")
@dry_run
def add(name: str, service: bool, role: str | None, everywhere: bool, identity: str | None) -> None:
    """Add a user or service account; it acts with tokens, a user with a password, too."""
    kind = "service" if service else "user"
    added = AddUser(name=name, kind=kind, role=role, everywhere=everywhere, identity=identity)  # type: ignore[arg-type]
    _print([act(added)])
    print_next(f"mainspring tokens add {name}")


@command.command("show", answer=ShownUser)
@click.argument("name", shell_complete=offer("user"))
def show(name: str) -> None:
    """Show one principal, its roles and its tokens."""
    account: Account = ask(GetUser(name=name))
    tokens: list[Token] = ask(ListTokens(principal=name))
    if wants_json():
        print_json(ShownUser(account, tokens))
        return
    print_fields(
        {
            "name": account.name,
            "kind": account.kind,
            "roles": _describe_roles(account),
            "identity": account.identity,
            "made by": account.created_by,
            "tokens": "\n".join(f"{each.id} {each.name}".rstrip() for each in tokens),
        }
    )


@command.command("remove", answer=list[Account])
@click.argument("name", shell_complete=offer("user"))
@dry_run
def remove(name: str) -> None:
    """Remove a principal; its roles go, its tokens hold no longer. What it did stays in the record."""
    _print([act(RemoveUser(name=name))])


@command.command("password", answer=list[Account], untried="the digest of a password differs each time it is made")
@click.argument("name", shell_complete=offer("user"))
@click.option("--remove", "removes", is_flag=True, help="Take the password away.")
def password(name: str, removes: bool) -> None:
    """Give a user a password for clients of MLflow, read from standard input or asked for twice.

    It is never an argument, since those are seen by others, and leaves this process as a digest only.
    """
    from mainspring.security.passwords import digest_password

    if removes:
        given = ""
    elif sys.stdin.isatty():
        given = digest_password(click.prompt("password", hide_input=True, confirmation_prompt=True, err=True))
    else:
        given = digest_password(sys.stdin.read().removesuffix("\n"))
    _print([ask(SetPassword(name=name, digest=given))])


@command.command("grant", answer=list[Account])
@click.argument("name", shell_complete=offer("user"))
@click.argument("role", type=_role)
@_everywhere
@dry_run
def grant(name: str, role: str, everywhere: bool) -> None:
    """Give a role in the project; it replaces the one before."""
    _print([act(GrantRole(name=name, role=role, everywhere=everywhere))])  # type: ignore[arg-type]


@command.command("revoke", answer=list[Account])
@click.argument("name", shell_complete=offer("user"))
@_everywhere
@dry_run
def revoke(name: str, everywhere: bool) -> None:
    """Take the role in the project back."""
    _print([act(RevokeRole(name=name, everywhere=everywhere))])


def _print(accounts: list[Account]) -> None:
    if wants_json():
        print_json(accounts)
        return
    rows = [(each.name, each.kind, _describe_roles(each), format_age(each.created_at)) for each in accounts]
    print_table(("name", "kind", "roles", "age"), rows, empty="no users beside yourself, who own the home")


def _describe_roles(account: Account) -> str:
    return ", ".join(f"{role} in {project}" for project, role in sorted(account.roles.items())) or "-"
