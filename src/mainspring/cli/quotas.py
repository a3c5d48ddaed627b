"""``mainspring quotas``: what tenants may count on, and what they may not exceed."""

from __future__ import annotations

from typing import Any

import click

from mainspring.cli.asking import act, ask
from mainspring.cli.printing import Noun, dry_run, print_fields, print_json, print_table, wants_json
from mainspring.cli.texts import format_moment, format_money
from mainspring.domain.errors import Invalid, NotFound
from mainspring.domain.quotas import MOST, Amounts, ListQuotas, Money, Quota, RemoveQuota, SetQuota
from mainspring.domain.units import format_size, parse_size


@click.group(
    "quotas",
    answer=list[Quota],
    cls=Noun,
    epilog="Examples: mainspring quotas set air --guarantee gpus=4 --limit gpus=8"
    " · mainspring quotas set air/anna --weight 2",
)
@click.pass_context
def command(context: click.Context) -> None:
    """List what was agreed about tenants; set, show or remove one. How much a project may store: `projects set`."""
    if context.invoked_subcommand is None:
        quotas: list[Quota] = ask(ListQuotas())
        if wants_json():
            print_json(quotas)
            return
        rows = [(each.tenant, *_tell(each).values()) for each in quotas]
        heads = ("tenant", "weight", "priority", "guarantee", "limit", "gave way", "lost", "budget", "this month")
        print_table(heads, rows, empty="all share alike")


@command.command("set", answer=Quota)
@click.argument("tenant")
@click.option("--weight", type=float, help="Of its share among those beside it. Default: 1.")
@click.option("--priority", type=int, help="The greater goes first. Default: that of the project, or 0.")
@click.option("--guarantee", help="It gets so much before who holds more than theirs: gpus=4,cpus=16,memory=64GB.")
@click.option("--limit", help="It holds so much at most, with all below it: gpus=8,sessions=2; `none` takes it away.")
@click.option("--budget", help="It spends so much on rented machines at most: 100/month; `none` takes it away.")
@dry_run
def set_quota(tenant: str, guarantee: str | None, limit: str | None, budget: str | None, **said: Any) -> None:
    """Agree about the part of TENANT: a project, or PROJECT/USER."""
    sure, most = (None if text is None else _read(text) for text in (guarantee, limit))
    money = None if budget is None else _read_money(budget)
    _show(act(SetQuota(tenant=tenant, guarantee=sure, most=most, budget=money, **said)))


@command.command("show", answer=Quota)
@click.argument("tenant")
def show(tenant: str) -> None:
    """Show what was agreed about TENANT."""
    found = next((each for each in ask(ListQuotas()) if each.tenant == tenant), None)
    if found is None:
        raise NotFound("QUOTA-003", f"nothing was agreed about {tenant!r}", tenant=tenant)
    _show(found)


@command.command("remove", answer=Quota)
@click.argument("tenant")
@dry_run
def remove(tenant: str) -> None:
    """Agree about nothing with TENANT any more."""
    _show(act(RemoveQuota(tenant=tenant)))


def _read(text: str) -> Amounts:
    """Read ``gpus=4,cpus=16,memory=64GB``; ``none``: nothing is said."""
    if text.strip() == "none":
        return Amounts()
    found: dict[str, str] = {}
    for part in text.split(","):
        kind, _, amount = (each.strip() for each in part.partition("="))
        if kind not in {"cpus", "memory", "gpus", "sessions"} or not amount:
            raise Invalid("QUOTA-002", f"{part!r} is none of cpus=, memory=, gpus=, sessions=")
        found[kind] = amount
    try:
        memory = parse_size(found["memory"]) if "memory" in found else None
        cpus, gpus = (float(found[kind]) if kind in found else None for kind in ("cpus", "gpus"))
        sessions = int(found["sessions"]) if "sessions" in found else None
    except ValueError:
        raise Invalid("QUOTA-002", f"{text!r} holds what is no number") from None
    return Amounts(cpus, memory, gpus, sessions)


def _read_money(text: str) -> Money:
    """Read ``100`` or ``100/month``; ``none``: nothing is said."""
    amount, _, span = (each.strip() for each in text.partition("/"))
    if amount == "none" and not span:
        return Money()
    try:
        money = float(amount)
    except ValueError:
        money = -1.0
    if span not in {"", "month"} or not 0 <= money <= MOST:
        fix = "mainspring quotas set air --budget 100/month"
        raise Invalid("QUOTA-002", f"{text!r} is no budget of a month", fix=fix)
    return Money(money)


def _tell(quota: Quota) -> dict[str, str | None]:
    return {
        "weight": f"{quota.weight:g}",
        "priority": None if quota.priority is None else str(quota.priority),
        "guarantee": _tell_amounts(quota.guarantee),
        "limit": _tell_amounts(quota.most),
        "gave way": f"{quota.preempted:,} times" if quota.preempted else None,
        "lost": f"{quota.lost_gpu_s / 3600:,.3g} GPU-hours" if quota.lost_gpu_s else None,
        "budget": None if quota.budget.month is None else f"{format_money(quota.budget.month)}/month",
        "this month": _tell_spent(quota),
    }


def _tell_spent(quota: Quota) -> str | None:
    """Say what was spent, and when the budget will be."""
    told = format_money(quota.spent) or None
    if quota.budget.month is not None and quota.spent >= quota.budget.month:
        return f"{told}, all of it"
    if quota.spent_at is not None:
        return f"{told or 0}; at this rate spent on {format_moment(quota.spent_at)}"
    return told


def _tell_amounts(amounts: Amounts) -> str | None:
    told = [f"{getattr(amounts, kind):g} {kind}" for kind in ("gpus", "cpus") if getattr(amounts, kind) is not None]
    if amounts.memory_bytes is not None:
        told.append(f"{format_size(amounts.memory_bytes)} memory")
    told += [f"{amounts.sessions} sessions"] if amounts.sessions is not None else []
    return ", ".join(told) or None


def _show(quota: Quota) -> None:
    if wants_json():
        print_json(quota)
        return
    print_fields({"tenant": quota.tenant, **_tell(quota)})
