"""``mainspring secrets``: kept encrypted, handed to runs by name."""

from __future__ import annotations

import sys

import click

from mainspring.cli.asking import act, ask
from mainspring.cli.offering import offer
from mainspring.cli.printing import Noun, dry_run, print_json, print_next, print_table, wants_json
from mainspring.cli.texts import format_age
from mainspring.domain.access import (
    AddSecret,
    GetSecret,
    ListSecrets,
    RemoveSecret,
    Rotated,
    RotateKeys,
    SecretEntry,
)


@click.group(
    "secrets",
    answer=list[SecretEntry],
    cls=Noun,
    epilog="Examples: mainspring secrets add database < password.txt · mainspring secrets · mainspring secrets rotate",
)
@click.pass_context
def command(context: click.Context) -> None:
    """List secrets, without their values; add, replace or remove one, or rotate their key."""
    if context.invoked_subcommand is None:
        _print(ask(ListSecrets()))


@command.command("add", answer=list[SecretEntry], untried="it is sealed by a key that the try would make")
@click.argument("name")
def add(name: str) -> None:
    """Keep a secret, or replace its value, which is read from standard input or asked for.

    One line break at its end is left out. A value is never an argument: those are seen by others.
    """
    if sys.stdin.isatty():
        value = click.prompt("value", hide_input=True, err=True)
    else:
        value = sys.stdin.read().removesuffix("\n")
    _print([ask(AddSecret(name=name, value=value))])
    print_next(f'ms.secret("{name}").value() inside a step')


@command.command("show", answer=list[SecretEntry])
@click.argument("name", shell_complete=offer("secret"))
def show(name: str) -> None:
    """Show what is known of one secret; its value is shown to nobody."""
    _print([ask(GetSecret(name=name))])


@command.command("remove", answer=list[SecretEntry])
@click.argument("name", shell_complete=offer("secret"))
@dry_run
def remove(name: str) -> None:
    """Forget a secret."""
    _print([act(RemoveSecret(name=name))])


@command.command("rotate", answer=Rotated, untried="it writes keys into the home, which no transaction undoes")
def rotate() -> None:
    """Wrap every secret with a new key, and forget the old ones."""
    rotated: Rotated = ask(RotateKeys())
    if wants_json():
        print_json(rotated)
    else:
        click.echo(f"{rotated.envelopes} envelopes are wrapped by key {rotated.key_id}")


def _print(secrets: list[SecretEntry]) -> None:
    if wants_json():
        print_json(secrets)
        return
    rows = [(each.name, each.project, each.created_by, format_age(each.changed_at)) for each in secrets]
    print_table(("name", "project", "made by", "changed"), rows, empty="no secrets")
