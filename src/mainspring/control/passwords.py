"""Use cases of passwords: set, taken away, compared by who lets people in."""

from __future__ import annotations

from mainspring.control.principals import find_account
from mainspring.control.turn import Turn
from mainspring.control.usecases import handles
from mainspring.domain import passwords
from mainspring.domain.access import Account
from mainspring.domain.errors import Invalid
from mainspring.security.passwords import is_digest
from mainspring.store import principals


@handles(passwords.SetPassword, action="tokens.issue", kept=False)
def set_password(turn: Turn, command: passwords.SetPassword) -> Account:
    """Give a user a password or take it away; tokens that the one before was exchanged for hold no longer.

    Raises
    ------
    Denied
        AUTH-005 when it is somebody else's and the actor no admin.
    Invalid
        AUTH-020 for a service account, or what is no digest.
    """
    account = find_account(turn, command.name)
    if str(turn.actor) != f"{account.kind}:{account.name}":
        turn.require("tokens.issue_for_others")
    if account.kind != "user":
        raise Invalid("AUTH-020", f"{account.name} is a {account.kind} account; only people have passwords")
    if command.digest and not is_digest(command.digest):
        raise Invalid("AUTH-020", "what was sent is no digest of a password")
    principals.set_password(turn.connection, account, command.digest, turn.now())
    turn.audit("passwords.write", account.name, after={"set": bool(command.digest)}, home=True)
    return account


@handles(passwords.FindPassword, action="principals.write", reads=True)
def find_password(turn: Turn, command: passwords.FindPassword) -> passwords.PasswordDigest:
    """Answer with the digest of a user's password."""
    return passwords.PasswordDigest(principals.find_password(turn.connection, command.name))
