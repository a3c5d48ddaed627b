"""What rented machines cost, for whom, and what follows when a budget is spent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from mainspring.compute.scheduling.backlog import Job
from mainspring.compute.scheduling.demands import Machine
from mainspring.compute.scheduling.renting import price
from mainspring.control.preemption import order_way
from mainspring.control.settings import read_grace_s
from mainspring.control.sites import is_within
from mainspring.control.turn import Turn
from mainspring.control.usecases import adopts, ends, loop
from mainspring.domain.home import Home
from mainspring.domain.quotas import Quota
from mainspring.domain.records import Run
from mainspring.domain.states import TERMINAL
from mainspring.store import bills, quotas
from mainspring.store.bills import Bill, Course, Sum

LOOK_S = 5.0
"""Seconds between two looks at what is spent."""

_spent: dict[Path, tuple[float, dict[str, float]]] = {}
"""Home -> month, and the budgets that were spent in it: until the month ends or another budget is agreed on."""


def charge(turn: Turn, run: Run, job: Job, machines: Iterable[Machine]) -> None:
    """Count what an attempt costs from now on; where nothing is rented, nothing."""
    rented = [machine for machine in machines if machine.rent is not None]
    if rented:
        rate = sum(price(machine, job.demand) for machine in rented)
        bill = Bill(run.id, run.attempt, job.tenant, rented[0].pool, turn.node, rate, turn.now())
        bills.open_bill(turn.connection, bill)


def add_costs(turn: Turn, run: Run) -> Run:
    """Fill in what a run and its attempts have cost."""
    if run.place or run.attempts:  # others were never given a place
        now, course = turn.now(), (run.state, run.attempt, run.ended_at, run.attempts)
        found = {
            bill.attempt: bill.cost(_find_end(Course(bill, *course), now) or now)
            for bill in bills.list_bills(turn.connection, run.id)
        }
        run.cost = sum(found.values())
        run.attempts = [replace(each, cost=found.get(each.number, 0.0)) for each in run.attempts]
    return run


def add_spent(turn: Turn, found: Sequence[Quota]) -> list[Quota]:
    """Fill in what tenants have spent this month, and when their budgets will be spent."""
    sums = bills.sum_up(turn.connection, find_month(turn.now()), turn.now())
    for quota in found:
        quota.spent, quota.rate = _add_up(sums, quota.tenant)
        if quota.budget.month is not None and quota.rate:
            left = max(0.0, quota.budget.month - quota.spent)
            spent_at = turn.now() + left / quota.rate * 3600
            quota.spent_at = spent_at if find_month(spent_at) == find_month(turn.now()) else None
    return list(found)


def read_costs(turn: Turn) -> dict[str, float]:
    """Return pool -> what was paid for it this month."""
    found: dict[str, float] = {}
    for each in bills.sum_up(turn.connection, find_month(turn.now()), turn.now()):
        found[each.pool] = found.get(each.pool, 0.0) + each.cost
    return found


def find_month(now: float) -> float:
    """Return when the month of a moment began, in UTC.

    Examples
    --------
    >>> datetime.fromtimestamp(find_month(1_800_000_000.0), UTC).isoformat()
    '2027-01-01T00:00:00+00:00'
    """
    at = datetime.fromtimestamp(now, UTC)
    return datetime(at.year, at.month, 1, tzinfo=UTC).timestamp()


def read_spent(turn: Turn) -> frozenset[str]:
    """Return the tenants whose budget of this month is spent, as it was at the last look."""
    month, known = _spent.get(turn.home.root, (0.0, {}))
    if month != find_month(turn.now()):
        known = _look(turn)
    return frozenset(known)


def forget_spent(turn: Turn) -> None:
    """Look again at what is spent: other budgets were agreed on."""
    _spent.pop(turn.home.root, None)


@loop(every_s=LOOK_S)
def settle_bills(turn: Turn) -> None:
    """Close the bills of attempts that have ended; let those give way that nobody can pay for any more."""
    live = []
    for course in bills.list_open(turn.connection, turn.node):
        until = _find_end(course, turn.now())
        if until is None:
            live.append(course.bill)
        else:
            bills.close_bill(turn.connection, course.bill, max(until, course.bill.since))
    if not live:
        return
    known = _look(turn)
    for bill in live:
        path = next((path for path in known if is_within(bill.tenant, path)), "")
        if path:
            order_way(turn, bill.run_id, f"the budget of {path}, {known[path]:g} a month")


@adopts
def look_anew(turn: Turn) -> None:
    """Know nothing of what an earlier owner of this process has seen."""
    forget_spent(turn)


@ends
def close_costs(home: Home) -> None:
    """Let go what was seen."""
    _spent.pop(home.root, None)


def _look(turn: Turn) -> dict[str, float]:
    """Return tenant -> budget, of those that are spent, or would be while runs that are told so now come to an end."""
    month, now = find_month(turn.now()), turn.now()
    budgets = {each.tenant: each.budget.month for each in quotas.list_quotas(turn.connection)}
    sums = bills.sum_up(turn.connection, month, now) if any(each is not None for each in budgets.values()) else []
    known_month, known = _spent.get(turn.home.root, (0.0, {}))
    ends_s = 2 * LOOK_S + read_grace_s()
    found: dict[str, float] = {}
    for tenant, budget in budgets.items():
        if budget is None:
            continue
        cost, rate = _add_up(sums, tenant)
        # What was stopped for its budget's sake stays stopped, though a little is left.
        if cost + rate * ends_s / 3600 >= budget or (known_month == month and known.get(tenant) == budget):
            found[tenant] = budget
    _spent[turn.home.root] = month, found
    return found


def _add_up(sums: Iterable[Sum], path: str) -> tuple[float, float]:
    """Return what a tenant and all below it have spent, and spend an hour now."""
    within = [each for each in sums if is_within(each.tenant, path)]
    return sum(each.cost for each in within), sum(each.rate for each in within)


def _find_end(course: Course, now: float) -> float | None:
    """Return when an attempt ended; None while it goes on."""
    if course.state is None:
        return now
    if course.attempt != course.bill.attempt:
        return next((each.ended_at for each in course.attempts if each.number == course.bill.attempt), now)
    if course.state in TERMINAL:
        return course.ended_at or now
    return now if course.state == "queued" else None
