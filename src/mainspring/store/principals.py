"""Principals, their roles and their tokens in the record."""

from __future__ import annotations

import msgspec

from mainspring.domain.access import Account, Token
from mainspring.domain.passwords import OF_PASSWORD
from mainspring.domain.principals import Role
from mainspring.store.rows import add, find
from mainspring.store.statements import Statement
from mainspring.store.tables import grants, passwords, principals, tokens
from mainspring.store.words import Connection, Select, bindparam, delete, func, insert, select, update


class Known(msgspec.Struct, frozen=True):
    """A token and whose it is, as far as a decision needs to know."""

    digest: str
    scopes: tuple[str, ...] | None
    expires_at: float | None
    revoked_at: float | None
    last_used_at: float | None
    principal_id: str
    kind: str
    name: str


_KNOWN = Statement(
    select(
        tokens.c.digest,
        tokens.c.scopes,
        tokens.c.expires_at,
        tokens.c.revoked_at,
        tokens.c.last_used_at,
        tokens.c.principal_id,
        principals.c.kind,
        principals.c.name,
    )
    .join_from(tokens, principals, principals.c.id == tokens.c.principal_id, isouter=True)
    .where(tokens.c.id == bindparam("id_"))
)
_ROLES = Statement(select(grants.c.project, grants.c.role).where(grants.c.principal_id == bindparam("id_")))
_TOKENS = [column for column in tokens.c if column.name in Token.__struct_fields__]


def find_token(connection: Connection, token_id: str) -> Known | None:
    """Return the token of an id; the name of its principal is empty when that was removed."""
    row = _KNOWN.first(connection, id_=token_id)
    if row is None:
        return None
    row[-2:] = [text or "" for text in row[-2:]]
    return Known(*row)


def read_roles(connection: Connection, principal_id: str) -> dict[str, Role]:
    """Return project -> role of a principal."""
    return dict(_ROLES.all(connection, id_=principal_id))


def note_use(connection: Connection, token_id: str, time: float) -> None:
    """Note when a token was used last."""
    connection.execute(update(tokens).where(tokens.c.id == token_id).values(last_used_at=time))


def find_account(connection: Connection, **where: str) -> Account | None:
    """Return the principal whose columns equal the given values, with its roles."""
    found = find(connection, principals, Account, limit=1, **where)
    return _complete(connection, found)[0] if found else None


def list_accounts(connection: Connection) -> list[Account]:
    """Return all principals, by name."""
    return _complete(connection, sorted(find(connection, principals, Account), key=lambda each: each.name))


def remove_account(connection: Connection, account: Account, time: float) -> None:
    """Remove a principal with its roles, and revoke its tokens."""
    live = (tokens.c.principal_id == account.id) & tokens.c.revoked_at.is_(None)
    connection.execute(update(tokens).where(live).values(revoked_at=time))
    connection.execute(delete(grants).where(grants.c.principal_id == account.id))
    connection.execute(delete(passwords).where(passwords.c.principal_id == account.id))
    connection.execute(delete(principals).where(principals.c.id == account.id))


def set_role(connection: Connection, account: Account, project: str, role: Role | None, by: str, time: float) -> None:
    """Give a principal a role in a project in the place of the one it has; None: take it back."""
    mine = (grants.c.principal_id == account.id) & (grants.c.project == project)
    connection.execute(delete(grants).where(mine))
    if role is not None:
        values = {"principal_id": account.id, "project": project, "role": role, "created_by": by, "created_at": time}
        connection.execute(insert(grants), values)


def add_token(connection: Connection, account: Account, token: Token, digest: str) -> None:
    """Keep a token by its digest."""
    add(connection, tokens, token, digest=digest, principal_id=account.id)


def list_tokens(connection: Connection, principal: str | None, token_id: str | None = None) -> list[Token]:
    """Return the tokens of a principal or of all, newest first; or the one of an id."""
    query = select(principals.c.name.label("principal"), *_TOKENS).join_from(
        tokens, principals, principals.c.id == tokens.c.principal_id, isouter=True
    )
    if principal is not None:
        query = query.where(principals.c.name == principal)
    if token_id is not None:
        query = query.where(tokens.c.id == token_id)
    rows = connection.execute(query.order_by(tokens.c.seq.desc())).mappings()
    return [Token(**{**row, "principal": row["principal"] or ""}) for row in rows]


def name_tokens(principal: str | None) -> Select[str, str]:
    """Return a query of the ids of a principal's tokens, or of all, each with whose it is."""
    query = select(tokens.c.id, func.coalesce(principals.c.name, "")).join_from(
        tokens, principals, principals.c.id == tokens.c.principal_id, isouter=True
    )
    return query if principal is None else query.where(principals.c.name == principal)


def revoke_token(connection: Connection, token_id: str, time: float) -> None:
    """Take a token back."""
    connection.execute(update(tokens).where(tokens.c.id == token_id).values(revoked_at=time))


def set_password(connection: Connection, account: Account, digest: str, time: float) -> None:
    """Keep the digest of a principal's password, empty: none; revoke the tokens that the one before stood for."""
    connection.execute(delete(passwords).where(passwords.c.principal_id == account.id))
    if digest:
        values = {"principal_id": account.id, "digest": digest, "changed_at": time}
        connection.execute(insert(passwords), values)
    live = (tokens.c.principal_id == account.id) & tokens.c.revoked_at.is_(None) & (tokens.c.name == OF_PASSWORD)
    connection.execute(update(tokens).where(live).values(revoked_at=time))


def find_password(connection: Connection, name: str) -> str:
    """Return the digest of a user's password; empty when there is none."""
    query = select(passwords.c.digest).join(principals, principals.c.id == passwords.c.principal_id)
    found = connection.execute(query.where(principals.c.name == name, principals.c.kind == "user")).scalar()
    return str(found or "")


def _complete(connection: Connection, found: list[Account]) -> list[Account]:
    for account in found:
        account.roles = read_roles(connection, account.id)
    return found
