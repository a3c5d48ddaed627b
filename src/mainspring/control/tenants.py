"""Use cases of tenants: what was agreed about their parts of the home."""

from __future__ import annotations

import math

from msgspec.structs import replace

from mainspring.control import costs
from mainspring.control.backlog import doubt_backlog
from mainspring.control.turn import Turn
from mainspring.control.usecases import handles
from mainspring.domain import quotas as messages
from mainspring.domain.errors import Invalid, NotFound
from mainspring.domain.quotas import Amounts, Quota, is_tenant
from mainspring.store import quotas


@handles(messages.SetQuota, action="quotas.write", rehearsed=True)
def set_quota(turn: Turn, command: messages.SetQuota) -> Quota:
    """Agree about a tenant's part.

    Raises
    ------
    Invalid
        QUOTA-001 when the tenant is none, QUOTA-002 when nobody could use what was agreed.
    """
    if not is_tenant(command.tenant):
        raise Invalid("QUOTA-001", f"{command.tenant!r} is no tenant", tenant=command.tenant)
    before = _find(turn, command.tenant)
    names = ("weight", "priority", "guarantee", "most", "budget")
    given = {name: value for name in names if (value := getattr(command, name)) is not None}
    after = replace(before or Quota(command.tenant), **given, set_by=str(turn.actor), set_at=turn.now())
    problem = _find_problem(after)
    if problem:
        raise Invalid("QUOTA-002", f"{command.tenant}: {problem}", tenant=command.tenant)
    quotas.put_quota(turn.connection, after)
    turn.audit("quotas.write", after.tenant, before=before, after=after, home=True)
    _decide_anew(turn)
    return costs.add_spent(turn, [after])[0]


@handles(messages.RemoveQuota, action="quotas.write", rehearsed=True)
def remove_quota(turn: Turn, command: messages.RemoveQuota) -> Quota:
    """Agree about nothing any more.

    Raises
    ------
    NotFound
        QUOTA-003 when nothing was agreed.
    """
    before = _find(turn, command.tenant)
    if before is None:
        raise NotFound("QUOTA-003", f"nothing was agreed about {command.tenant!r}", tenant=command.tenant)
    quotas.remove_quota(turn.connection, before.tenant)
    turn.audit("quotas.write", before.tenant, before=before, home=True)
    _decide_anew(turn)
    return before


@handles(messages.ListQuotas, action="quotas.read", reads=True)
def list_quotas(turn: Turn, command: messages.ListQuotas) -> list[Quota]:  # noqa: ARG001 - it says nothing more
    """Answer with what was agreed, by tenant."""
    return costs.add_spent(turn, quotas.list_quotas(turn.connection))


def _find(turn: Turn, tenant: str) -> Quota | None:
    return next((each for each in quotas.list_quotas(turn.connection) if each.tenant == tenant), None)


def _find_problem(quota: Quota) -> str:
    """Return why nobody could use a quota; empty when somebody could."""
    if not 0 < quota.weight < math.inf:
        return f"a weight of {quota.weight:g}"
    for kind in Amounts.__struct_fields__:
        sure, most = getattr(quota.guarantee, kind), getattr(quota.most, kind)
        if most == 0:
            return f"a limit of 0 {kind}"
        if most is not None and sure is not None and sure > most:
            return f"{sure:g} {kind} are guaranteed, {most:g} are the limit"
    if quota.guarantee.sessions is not None:
        return "sessions are limited, and not guaranteed"
    if quota.budget.month is not None and not 0 < quota.budget.month < math.inf:
        return f"a budget of {quota.budget.month:g}"
    return ""


def _decide_anew(turn: Turn) -> None:
    """Have the state of decisions made anew; other owners look once in a while."""
    costs.forget_spent(turn)
    doubt_backlog(turn.home)  # not after the commit: a decision may join this turn
    turn.notify("queue")
