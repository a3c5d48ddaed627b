"""Who may do what: every action once, and the one pure decision about it."""

from __future__ import annotations

import msgspec

from mainspring.domain.errors import Denied
from mainspring.domain.principals import ANY_PROJECT, ROLES, Principal, Role


class Action(msgspec.Struct, frozen=True):
    """Something that a principal may or may not do.

    Attributes
    ----------
    role : Role
        The least role that may.
    home : bool
        It concerns the home, not a project: only a role in all projects counts.
    worker : bool
        A worker may do it, within its run.
    """

    role: Role
    home: bool = False
    worker: bool = False


ACTIONS: dict[str, Action] = {
    "runs.read": Action("viewer", worker=True),
    "runs.start": Action("runner", worker=True),
    "runs.submit_code": Action("runner"),
    "runs.report": Action("runner", worker=True),
    "runs.cancel": Action("runner", worker=True),
    "runs.preempt": Action("runner"),
    "runs.tag": Action("runner", worker=True),
    "runs.delete": Action("editor"),
    "runs.lease": Action("runner", worker=True),
    "assets.read": Action("viewer", worker=True),
    "assets.write": Action("runner", worker=True),
    "assets.delete": Action("editor"),
    "blobs.read": Action("viewer", worker=True),
    "blobs.write": Action("runner", worker=True),
    "blobs.vouch": Action("admin", home=True),
    "aliases.move": Action("editor", worker=True),
    "aliases.force": Action("approver"),
    "declarations.read": Action("viewer", worker=True),
    "declarations.apply": Action("editor"),
    "hooks.receive": Action("admin", home=True),
    "gates.change": Action("approver"),
    "models.rename": Action("editor"),
    "models.promote": Action("editor", worker=True),
    "services.read": Action("viewer", worker=True),
    "services.deploy": Action("editor", worker=True),
    "services.stop": Action("editor"),
    "services.roll_back": Action("editor"),
    "services.check": Action("runner", worker=True),
    "alarms.read": Action("viewer", worker=True),
    "explanations.read": Action("viewer", worker=True),
    "events.read": Action("viewer", worker=True),
    "secrets.read": Action("viewer"),
    "secrets.write": Action("editor"),
    "secrets.use": Action("runner", worker=True),
    "sensitive.read": Action("editor", worker=True),
    "secrets.rotate": Action("admin", home=True),
    "sinks.read": Action("admin"),
    "sinks.write": Action("admin"),
    "sinks.test": Action("admin"),
    "sinks.deliver": Action("admin", home=True),
    "pools.read": Action("viewer"),
    "pools.write": Action("admin", home=True),
    "quotas.read": Action("admin", home=True),
    "quotas.write": Action("admin", home=True),
    "grants.read": Action("viewer"),
    "grants.write": Action("admin"),
    "projects.read": Action("viewer"),
    "projects.write": Action("admin", home=True),
    "principals.read": Action("admin", home=True),
    "principals.write": Action("admin", home=True),
    "tokens.read": Action("viewer"),
    "tokens.issue": Action("viewer"),
    "tokens.issue_for_others": Action("admin", home=True),
    "audit.read": Action("admin", home=True),
    "home.read": Action("viewer"),
    "home.stop": Action("admin", home=True),
    "home.purge": Action("admin", home=True),
    "home.sweep": Action("admin", home=True),
}
"""Name ``area.verb`` -> who may; a use case is registered with one of these."""

READ_SCOPE = "read"
"""The scope of every action that a viewer may do."""


def authorise(principal: Principal, action: str, project: str) -> Denied | None:
    """Decide whether a principal may do something in a project.

    Parameters
    ----------
    principal : Principal
        Who asks.
    action : str
        A name of `ACTIONS`.
    project : str
        Where; for an action on the home itself it does not matter.

    Returns
    -------
    Denied or None
        None: it may. AUTH-007 when it has no role there, AUTH-005 when its role is too small,
        AUTH-006 when the token's scopes leave the action out, AUTH-010 when a worker may never
        do it.

    Raises
    ------
    KeyError
        No such action (a mistake of the programmer).

    Notes
    -----
    Guarantees: pure; a greater role may do all that a smaller one may; scopes and being a worker
    only ever take away.

    Examples
    --------
    >>> from mainspring.domain.principals import Principal
    >>> anna = Principal("anna", "user", {"air": "runner"})
    >>> authorise(anna, "runs.start", "air") is None
    True
    >>> authorise(anna, "services.deploy", "air").code
    'AUTH-005'
    """
    rule = ACTIONS[action]
    where = ANY_PROJECT if rule.home else project
    held = principal.role_in(where)
    if held is None:
        place = "in all projects" if rule.home else f"in project {project!r}"
        return Denied("AUTH-007", f"{principal} has no role {place}", name=principal.name, action=action, project=where)
    if ROLES.index(held) < ROLES.index(rule.role):
        what = f"{principal} is {held}, {action} needs {rule.role}"
        return Denied("AUTH-005", what, name=principal.name, action=action, role=rule.role, project=where)
    if principal.kind == "worker" and not rule.worker:
        return Denied("AUTH-010", f"{principal} asks for {action}", action=action)
    if principal.scopes is not None and not any(_covers(scope, action) for scope in principal.scopes):
        scopes = ", ".join(principal.scopes) or "none"
        return Denied("AUTH-006", f"the token's scopes ({scopes}) leave {action} out", action=action)
    return None


def find_unknown_scope(scopes: tuple[str, ...]) -> str | None:
    """Return the first scope that covers no action, None when each covers one.

    Examples
    --------
    >>> find_unknown_scope(("read", "runs", "services.deploy")) is None
    True
    >>> find_unknown_scope(("everything",))
    'everything'
    """
    return next((scope for scope in scopes if not any(_covers(scope, action) for action in ACTIONS)), None)


def _covers(scope: str, action: str) -> bool:
    """Tell whether a scope (``read``, an area, or an action) covers an action."""
    if scope == READ_SCOPE:
        return ACTIONS[action].role == "viewer" and action.endswith(".read")
    return scope in {action, action.partition(".")[0]}
