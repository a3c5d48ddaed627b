"""Messages about the passwords of users; the passwords themselves never travel."""

from __future__ import annotations

from typing import Any

import msgspec

from mainspring.domain.access import Account
from mainspring.domain.command import Command

OF_PASSWORD = "password"  # noqa: S105 - a name, no secret
"""What the tokens are called that passwords are exchanged for."""


class SetPassword(Command):
    """Give a user a password, by its digest; empty: take it away. What was let in by the one before is sent away."""

    name: str
    digest: str


class FindPassword(Command):
    """The digest of a user's password, for who lets people in."""

    name: str


class PasswordDigest(msgspec.Struct):
    """What is kept of a password; empty: there is no such user, or he has none."""

    digest: str = ""


ANSWERS: dict[type[Command], Any] = {SetPassword: Account, FindPassword: PasswordDigest}
