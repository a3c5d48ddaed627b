"""Messages about who may: projects, principals, tokens, secrets and the audit.

They travel as those of `mainspring.domain.messages` do, which knows them all.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from mainspring.domain.command import Command, Count, Nothing, Seconds
from mainspring.domain.principals import Role
from mainspring.domain.upkeep import Deletion

"""Seconds."""


class Project(msgspec.Struct, frozen=True):
    """The boundary of names and roles, how long it keeps what is in it, and how much it may hold.

    Attributes
    ----------
    keep_runs_s, keep_versions_s, keep_logs_s : float or None
        Seconds after which runs that have ended, versions and what runs printed go; None or 0: never.
    keep_deleted_s : float or None
        Seconds for which what was deleted can be restored; None: 30 days, 0: for ever.
    quota_bytes : int or None
        Bytes of blobs and tables that it may hold; None or 0: no limit.
    used_bytes : int
        What it holds.
    """

    name: str
    created_by: str = ""
    created_at: float = 0.0
    keep_runs_s: float | None = None
    keep_versions_s: float | None = None
    keep_logs_s: float | None = None
    keep_deleted_s: float | None = None
    quota_bytes: int | None = None
    used_bytes: int = 0


class Account(msgspec.Struct):
    """A user or service account as the record keeps it.

    Attributes
    ----------
    roles : dict of str to Role
        Project -> role; ``*``: in all projects.
    identity : str or None
        Issuer and subject of one who signs in elsewhere.
    """

    id: str
    kind: str
    name: str
    identity: str | None = None
    created_by: str = ""
    created_at: float = 0.0
    roles: dict[str, Role] = {}


class Token(msgspec.Struct):
    """What is known of a token; the token itself is not.

    Attributes
    ----------
    scopes : tuple of str or None
        ``read``, areas or actions that it is limited to; None: all that its principal may.
    last_used_at : float or None
        To the minute.
    """

    id: str
    principal: str
    name: str
    scopes: tuple[str, ...] | None = None
    expires_at: float | None = None
    revoked_at: float | None = None
    last_used_at: float | None = None
    created_by: str = ""
    created_at: float = 0.0


class Issued(msgspec.Struct):
    """A new token, told this once."""

    token: str
    record: Token

    def __repr__(self) -> str:
        return f"Issued({self.record!r})"


class SecretEntry(msgspec.Struct, frozen=True):
    """What is known of a secret; its value is not."""

    name: str
    project: str
    created_by: str = ""
    created_at: float = 0.0
    changed_at: float = 0.0


class SecretValue(msgspec.Struct, frozen=True):
    """The value of a secret, on its way to the run that uses it."""

    value: str

    def __repr__(self) -> str:
        return "SecretValue(***)"


class DataKey(msgspec.Struct, frozen=True):
    """A key of what is sensitive, on its way to whoever may read it."""

    id: str
    key: bytes

    def __repr__(self) -> str:
        return f"DataKey({self.id}, ***)"


class Rotated(msgspec.Struct, frozen=True):
    """How many envelopes were wrapped anew, and the key that wraps them now."""

    envelopes: int
    key_id: str


class AuditEntry(msgspec.Struct, frozen=True):
    """One act in the audit.

    Attributes
    ----------
    seq : int
        From 1, without gaps.
    body : str
        Canonical JSON of what was before and after.
    previous, digest : str
        SHA-256 of the entry before, and of this one with `previous`.
    """

    seq: int
    time: float
    project: str
    principal: str
    action: str
    subject: str
    body: str
    previous: str
    digest: str


class Head(msgspec.Struct, frozen=True):
    """The last entry that a place knows of."""

    seq: int
    digest: str


class Heads(msgspec.Struct, frozen=True):
    """Where the chain ends: as the record says, and as the home says, which is written after it."""

    record: Head | None = None
    home: Head | None = None


class WhoAmI(Command):
    """Who asks, and what they may."""


class Identity(msgspec.Struct, frozen=True):
    """A principal as it was recognised."""

    principal: str
    roles: dict[str, Role]
    scopes: tuple[str, ...] | None = None


class AddProject(Command):
    """Make a project."""

    name: str


class SetProject(Command):
    """Set how long a project keeps things and how much it may hold; what is None stays as it is.

    Attributes
    ----------
    dry_run : bool
        Set nothing, only tell what would go then.
    """

    name: str
    keep_runs_s: Seconds | None = None
    keep_versions_s: Seconds | None = None
    keep_logs_s: Seconds | None = None
    keep_deleted_s: Seconds | None = None
    quota_bytes: Count | None = None
    dry_run: bool = False


class ProjectSet(msgspec.Struct, frozen=True):
    """A project as it is set now, or would be.

    Attributes
    ----------
    going : list of Deletion
        Of a dry run: runs and versions that would be deleted first, oldest first, at most 1,000.
    """

    project: Project
    going: list[Deletion] = []


class ListProjects(Command):
    """The projects in which whoever asks has a role; `page` is the name of the last one before."""

    limit: Count = 10_000
    page: str = ""


class RemoveProject(Command):
    """Remove a project that holds nothing."""

    name: str


class AddUser(Command):
    """Make a user or a service account, with a role in the project when one is given."""

    name: str
    kind: Literal["user", "service"] = "user"
    role: Role | None = None
    everywhere: bool = False
    identity: str | None = None


class GetUser(Command):
    """One user or service account, by name or by identity."""

    name: str = ""
    identity: str = ""


class ListUsers(Command):
    """Users and service accounts by name; `page` is the name of the last one before."""

    limit: Count = 10_000
    page: str = ""


class RemoveUser(Command):
    """Remove a principal with its roles; its tokens are revoked."""

    name: str


class GrantRole(Command):
    """Give a principal a role in the project, or everywhere; it replaces the one before."""

    name: str
    role: Role
    everywhere: bool = False


class RevokeRole(Command):
    """Take a principal's role in the project, or everywhere, back."""

    name: str
    everywhere: bool = False


class IssueToken(Command):
    """Make a token for a principal.

    `expires_s` counts from now; None: it does not expire. A token that was itself limited can make
    only tokens that are limited as much.
    """

    principal: str
    name: str = ""
    scopes: tuple[str, ...] | None = None
    expires_s: Seconds | None = None


class ListTokens(Command):
    """Tokens of one principal, or of all; newest first; `page` is the id of the last one before."""

    principal: str | None = None
    limit: Count = 10_000
    page: str = ""


class RevokeToken(Command):
    """Take a token back, at once."""

    id: str


class AddSecret(Command):
    """Keep a secret, or replace its value."""

    name: str
    value: str

    def __repr__(self) -> str:
        return f"AddSecret(name={self.name!r}, value=***)"


class ListSecrets(Command):
    """The secrets of the project by name, without their values; `page` is the name of the last one before."""

    limit: Count = 10_000
    page: str = ""


class GetSecret(Command):
    """One secret, without its value."""

    name: str


class RemoveSecret(Command):
    """Forget a secret."""

    name: str


class UseSecret(Command):
    """The value of a secret, for an attempt of a run that is under way."""

    name: str
    run_id: str
    attempt: int
    fence: int


class MakeDataKey(Command):
    """A data key of the project: the one of a name, made when it is first asked for, or without a name a new one."""

    name: str = ""


class UseDataKey(Command):
    """The data key of what is sensitive, for whoever may read it."""

    id: str


class RotateKeys(Command):
    """Wrap all envelopes with a new key."""


class ListAudit(Command):
    """Entries of the audit after a number, oldest first."""

    after: Count = 0
    limit: Count = 1000


class GetAuditHeads(Command):
    """Where the audit ends."""


ANSWERS: dict[type[Command], Any] = {
    WhoAmI: Identity,
    AddProject: Project,
    SetProject: ProjectSet,
    ListProjects: list[Project],
    RemoveProject: Nothing,
    AddUser: Account,
    GetUser: Account,
    ListUsers: list[Account],
    RemoveUser: Account,
    GrantRole: Account,
    RevokeRole: Account,
    IssueToken: Issued,
    ListTokens: list[Token],
    RevokeToken: Token,
    AddSecret: SecretEntry,
    ListSecrets: list[SecretEntry],
    GetSecret: SecretEntry,
    RemoveSecret: SecretEntry,
    UseSecret: SecretValue,
    MakeDataKey: DataKey,
    UseDataKey: DataKey,
    RotateKeys: Rotated,
    ListAudit: list[AuditEntry],
    GetAuditHeads: Heads,
}
