"""How many sessions who may have at once."""

from __future__ import annotations

from mainspring.control.sites import is_within
from mainspring.control.turn import Turn
from mainspring.domain.errors import Conflict
from mainspring.domain.quotas import name_tenant
from mainspring.domain.records import Run
from mainspring.domain.states import SESSION
from mainspring.store import quotas


def check_sessions(turn: Turn, run: Run) -> None:
    """Refuse a session beyond what was agreed.

    Raises
    ------
    Conflict
        QUOTA-006 when its user, or the project, has as many as were agreed.
    """
    if run.kind != SESSION:
        return
    tenant = name_tenant(run.project, run.principal)
    bounds = {each.tenant: each.most.sessions for each in quotas.list_quotas(turn.connection)}
    known: list[str] | None = None
    for path, most in bounds.items():
        if most is None or not is_within(tenant, path):
            continue
        known = [name_tenant(*each) for each in quotas.list_sessions(turn.connection)] if known is None else known
        there = sum(is_within(each, path) for each in known)
        if there >= most:
            what = f"{path} has {there} of {most:g} {'session' if most == 1 else 'sessions'}"
            raise Conflict("QUOTA-006", what, tenant=path)
