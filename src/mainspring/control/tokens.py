"""Use cases of tokens: made once, kept as digests, taken back at once."""

from __future__ import annotations

from mainspring.control.principals import find_account
from mainspring.control.turn import Turn
from mainspring.control.usecases import handles
from mainspring.domain import access
from mainspring.domain.access import Issued, Token
from mainspring.domain.errors import Denied, Invalid
from mainspring.domain.lists import cut
from mainspring.domain.principals import ANY_PROJECT
from mainspring.security.policy import find_unknown_scope
from mainspring.security.tokens import digest_token, make_token
from mainspring.store import principals
from mainspring.store.ids import pick_id


@handles(access.IssueToken, action="tokens.issue", kept=False)
def issue_token(turn: Turn, command: access.IssueToken) -> Issued:
    """Make a token; its text is in this answer and nowhere else.

    Raises
    ------
    Invalid
        AUTH-015 when a scope is none or the time is not positive.
    Denied
        AUTH-005 when it is for somebody else; AUTH-006 when it would do more than the token that
        asks for it.
    """
    account = find_account(turn, command.principal)
    if str(turn.actor) != f"{account.kind}:{account.name}":
        turn.require("tokens.issue_for_others")
    unknown = find_unknown_scope(command.scopes or ())
    if unknown is not None:
        raise Invalid("AUTH-015", f"{unknown!r} is no scope", scope=unknown)
    if command.expires_s is not None and command.expires_s <= 0:
        raise Invalid("AUTH-015", f"a token for {command.expires_s:g} s would never hold")
    expires_at = None if command.expires_s is None else turn.now() + command.expires_s
    _check_limits(turn, command.scopes, expires_at)
    token_id, text = make_token()
    record = Token(
        token_id,
        account.name,
        command.name,
        command.scopes,
        expires_at,
        created_by=str(turn.actor),
        created_at=turn.now(),
    )
    principals.add_token(turn.connection, account, record, digest_token(text))
    after = {"principal": account.name, "scopes": command.scopes, "expires_at": expires_at}
    turn.audit("tokens.issue", token_id, after=after, home=True)
    return Issued(text, record)


@handles(access.ListTokens, action="tokens.read", reads=True)
def list_tokens(turn: Turn, command: access.ListTokens) -> list[Token]:
    """Answer with tokens; who is no admin of the home sees his own."""
    principal = command.principal
    if turn.actor.role_in(ANY_PROJECT) != "admin":
        if principal not in {None, turn.actor.name}:
            return []
        principal = turn.actor.name
    return cut(principals.list_tokens(turn.connection, principal), command)


@handles(access.RevokeToken, action="tokens.issue", rehearsed=True)
def revoke_token(turn: Turn, command: access.RevokeToken) -> Token:
    """Take a token back; it holds no longer from the next request on.

    Raises
    ------
    NotFound
        AUTH-014 when there is none, or it is another's and the actor no admin.
    """
    mine = None if turn.actor.role_in(ANY_PROJECT) == "admin" else turn.actor.name
    among = principals.name_tokens(mine)
    token_id = pick_id(turn.connection, among, command.id, code="AUTH-014", noun="token", key="token")
    (found,) = principals.list_tokens(turn.connection, None, token_id)
    if found.revoked_at is None:
        principals.revoke_token(turn.connection, token_id, turn.now())
        turn.audit("tokens.revoke", token_id, before={"principal": found.principal}, home=True)
    return principals.list_tokens(turn.connection, None, token_id)[0]


def _check_limits(turn: Turn, scopes: tuple[str, ...] | None, expires_at: float | None) -> None:
    """A token makes no token that may more, or for longer, than itself."""
    mine = turn.actor
    if mine.scopes is not None and (scopes is None or not set(scopes) <= set(mine.scopes)):
        raise Denied("AUTH-006", f"a token limited to {', '.join(mine.scopes)} makes none beyond that")
    if mine.expires_at is not None and (expires_at is None or expires_at > mine.expires_at):
        raise Denied("AUTH-006", "a token that expires makes none that holds longer", expires_at=mine.expires_at)
