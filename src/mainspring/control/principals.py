"""Use cases of users, service accounts and their roles."""

from __future__ import annotations

import re

from mainspring.control.finishing import cancel_run
from mainspring.control.turn import Turn
from mainspring.control.usecases import handles
from mainspring.domain import access
from mainspring.domain.access import Account, Identity
from mainspring.domain.errors import Conflict, Denied, Invalid, NotFound
from mainspring.domain.lists import cut
from mainspring.domain.principals import ANY_PROJECT, ROLES, Principal, Role
from mainspring.security.policy import authorise
from mainspring.store import principals, runs
from mainspring.store.rows import add
from mainspring.store.tables import principals as table

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@+-]{0,99}\Z")


@handles(access.WhoAmI, action="home.read", reads=True)
def tell_identity(turn: Turn, command: access.WhoAmI) -> Identity:
    """Answer with the principal that asks."""
    del command
    return Identity(str(turn.actor), turn.actor.roles, turn.actor.scopes)


@handles(access.AddUser, action="principals.write", rehearsed=True)
def add_user(turn: Turn, command: access.AddUser) -> Account:
    """Make a user or service account; without a role it may nothing yet.

    Raises
    ------
    Invalid
        AUTH-011 when the name is none.
    Conflict
        AUTH-012 when there is one of that name.
    """
    if not _NAME.match(command.name):
        raise Invalid("AUTH-011", f"{command.name!r} is no name of a principal", name=command.name)
    if principals.find_account(turn.connection, name=command.name) is not None:
        raise Conflict("AUTH-012", f"there is a principal {command.name!r}", name=command.name)
    if command.identity and principals.find_account(turn.connection, identity=command.identity) is not None:
        raise Conflict("AUTH-012", f"there is a principal of {command.identity!r}", name=command.name)
    account = Account(
        turn.new_id(),
        command.kind,
        command.name,
        command.identity or None,
        created_by=str(turn.actor),
        created_at=turn.now(),
    )
    add(turn.connection, table, account)
    turn.audit(
        "principals.write",
        account.name,
        after={"kind": account.kind, "id": account.id, "identity": account.identity},
        home=True,
    )
    if command.role is not None:
        _set_role(turn, account, command.role, everywhere=command.everywhere)
    return find_account(turn, account.name)


@handles(access.GetUser, action="principals.read", reads=True)
def get_user(turn: Turn, command: access.GetUser) -> Account:
    """Answer with one principal."""
    if not command.identity:
        return find_account(turn, command.name)
    account = principals.find_account(turn.connection, identity=command.identity)
    if account is None:
        raise NotFound("AUTH-014", f"no principal is {command.identity!r}", name=command.identity)
    return account


@handles(access.ListUsers, action="grants.read", reads=True)
def list_users(turn: Turn, command: access.ListUsers) -> list[Account]:
    """Answer with principals; who is no admin of the home sees those of the project."""
    found = principals.list_accounts(turn.connection)
    if turn.actor.role_in(ANY_PROJECT) != "admin":
        here = {turn.project, ANY_PROJECT}
        found = [_narrow(account, turn.project) for account in found if here & account.roles.keys()]
    return cut(found, command)


@handles(access.RemoveUser, action="principals.write", rehearsed=True)
def remove_user(turn: Turn, command: access.RemoveUser) -> Account:
    """Remove a principal; its tokens hold no longer, and what it has running ends."""
    account = find_account(turn, command.name)
    principals.remove_account(turn.connection, account, turn.now())
    _end_runs(turn, account, {}, "was removed")
    turn.audit("principals.write", account.name, before={"id": account.id, "roles": account.roles}, home=True)
    return account


@handles(access.GrantRole, action="grants.write", rehearsed=True)
def grant_role(turn: Turn, command: access.GrantRole) -> Account:
    """Give a principal a role in the place of the one it has."""
    account = find_account(turn, command.name)
    _set_role(turn, account, command.role, everywhere=command.everywhere)
    return find_account(turn, command.name)


@handles(access.RevokeRole, action="grants.write", rehearsed=True)
def revoke_role(turn: Turn, command: access.RevokeRole) -> Account:
    """Take a role back; what the principal has running where it may run nothing any more ends.

    Raises
    ------
    NotFound
        AUTH-014 when the principal has none there.
    """
    account = find_account(turn, command.name)
    project = ANY_PROJECT if command.everywhere else turn.project
    if project not in account.roles:
        raise NotFound("AUTH-014", f"{account.name} has no role of its own in {project!r}", name=account.name)
    _set_role(turn, account, None, everywhere=command.everywhere)
    return find_account(turn, command.name)


def find_account(turn: Turn, name: str) -> Account:
    """Return a principal by name.

    Raises
    ------
    NotFound
        AUTH-014.
    """
    account = principals.find_account(turn.connection, name=name)
    if account is None:
        names = [each.name for each in principals.list_accounts(turn.connection)]
        near = turn.suggest("principals.read", name, names)
        raise NotFound("AUTH-014", f"no principal is called {name!r}", fix=near, name=name)
    return account


def _set_role(turn: Turn, account: Account, role: Role | None, *, everywhere: bool) -> None:
    project = ANY_PROJECT if everywhere else turn.project
    if everywhere:
        turn.require("principals.write")
    held = turn.actor.role_in(project)
    if role is not None and (held is None or ROLES.index(role) > ROLES.index(held)):
        raise Denied(
            "AUTH-005", f"{turn.actor} is {held} and cannot make others {role}", name=turn.actor.name, role=role
        )
    principals.set_role(turn.connection, account, project, role, str(turn.actor), turn.now())
    before = account.roles.get(project)
    roles = principals.read_roles(turn.connection, account.id)
    _end_runs(turn, account, roles, "may run nothing here any more")
    turn.audit("grants.write", account.name, before=before, after=role, home=everywhere)


def _end_runs(turn: Turn, account: Account, roles: dict[str, Role], why: str) -> None:
    """End the runs of a principal that it could not start now, with the roles that are left to it."""
    principal = Principal(account.name, account.kind, roles)  # type: ignore[arg-type]
    for run in runs.live_of_principal(turn.connection, str(principal)):
        if authorise(principal, "runs.start", run.project) is not None:
            held, _ = runs.get_held(turn.connection, run.id)  # it may have ended with one above it
            cancel_run(turn, held, f"{principal}, who submitted it, {why}", code="AUTH-018")


def _narrow(account: Account, project: str) -> Account:
    account.roles = {name: role for name, role in account.roles.items() if name in {project, ANY_PROJECT}}
    return account
