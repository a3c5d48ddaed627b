"""Who acts: users, service accounts, workers and the owner itself, with what each may do."""

from __future__ import annotations

from typing import Literal

import msgspec

Role = Literal["viewer", "runner", "editor", "approver", "admin"]
PrincipalKind = Literal["user", "service", "worker", "owner"]

ROLES: tuple[Role, ...] = ("viewer", "runner", "editor", "approver", "admin")
"""From the least to the most; each may do what those before it may."""

ANY_PROJECT = "*"
"""In a grant: every project, and the home itself."""

DEFAULT_PROJECT = "default"
"""The project that exists from the start."""


class Principal(msgspec.Struct, frozen=True):
    """Who asks, as far as a decision needs to know.

    Attributes
    ----------
    name : str
        Unique among principals of its kind.
    kind : str
        ``user``, ``service`` (an account of a program), ``worker`` (one attempt of a run) or
        ``owner`` (the process that owns the home, for its own loops).
    roles : dict of str to Role
        Project -> role; `ANY_PROJECT` stands for all of them and the home.
    scopes : tuple of str or None
        What the token it came with is limited to; None: no limit of its own. An empty tuple
        allows nothing.
    run_id : str
        For a worker: the run that it executes; it reaches this run and those below it.
    expires_at : float or None
        When the token it came with expires, in seconds since 1970 UTC.

    Examples
    --------
    >>> str(Principal("anna", "user"))
    'user:anna'
    """

    name: str
    kind: PrincipalKind
    roles: dict[str, Role] = {}
    scopes: tuple[str, ...] | None = None
    run_id: str = ""
    expires_at: float | None = None

    def __str__(self) -> str:
        return self.name if self.kind == "owner" else f"{self.kind}:{self.name}"

    def role_in(self, project: str) -> Role | None:
        """Return the greatest role that it holds in a project, None when it holds none.

        Parameters
        ----------
        project : str
            A project's name, or `ANY_PROJECT` for the home itself.

        Examples
        --------
        >>> anna = Principal("anna", "user", {"*": "viewer", "air": "editor"})
        >>> anna.role_in("air"), anna.role_in("rail"), anna.role_in("*")
        ('editor', 'viewer', 'viewer')
        """
        held = [self.roles[name] for name in (project, ANY_PROJECT) if name in self.roles]
        return max(held, key=ROLES.index, default=None)


OWNER = Principal("owner", "owner", {ANY_PROJECT: "admin"})
"""The owner process, when its own loops act."""
