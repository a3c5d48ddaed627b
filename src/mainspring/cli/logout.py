"""``mainspring logout``: work at the home of this machine again."""

from __future__ import annotations

import click
import msgspec

from mainspring.cli.printing import Verb, print_json, print_next, wants_json


class LoggedOut(msgspec.Struct):
    """Whether there was a login, and the file that kept it."""

    removed: bool
    file: str


@click.command("logout", answer=LoggedOut, untried="login undoes it", cls=Verb, epilog="Examples: mainspring logout")
def command() -> None:
    """Forget the server and its token; the token itself holds until it is removed there."""
    from mainspring.sdk.logins import place_login, remove_login

    removed = remove_login()
    if wants_json():
        print_json(LoggedOut(removed, str(place_login())))
        return
    click.echo("works at the home of this machine" if removed else "there was no login")
    if removed:
        print_next("mainspring tokens remove ID, at the server, when the token is not used elsewhere")
