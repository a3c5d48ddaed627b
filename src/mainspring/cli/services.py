"""``mainspring services``: list, show, roll back and stop services."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from mainspring.cli.asking import act, ask
from mainspring.cli.offering import offer
from mainspring.cli.printing import Noun, dry_run, print_fields, print_json, print_next, print_table, wants_json
from mainspring.cli.texts import format_age, format_moment, shorten_id
from mainspring.cli.watching import show_found, watch
from mainspring.domain.messages import (
    GetService,
    ListRenewals,
    ListServices,
    RollbackService,
    StopService,
)
from mainspring.domain.records import Renewal, Service


class ShownService(msgspec.Struct):
    """A service and its renewals, newest first."""

    service: Service
    renewals: list[Renewal]


@click.group(
    "services",
    answer=list[Service],
    lines=True,
    cls=Noun,
    epilog="Examples: mainspring services · mainspring services show delays · mainspring services rollback delays",
)
@watch
@click.pass_context
def command(context: click.Context) -> None:
    """List services; show one, roll it back or stop it."""
    if context.invoked_subcommand is None:
        show_found(lambda: ask(ListServices()), _print_services)


@command.command("show", answer=ShownService)
@click.argument("name", shell_complete=offer("service"))
def show(name: str) -> None:
    """Show one service: its revisions, counts and renewals."""
    service: Service = ask(GetService(name))
    renewals: list[Renewal] = ask(ListRenewals(name))
    if wants_json():
        print_json(ShownService(service, renewals))
        return
    print_fields(
        {
            "service": service.name,
            "state": _describe_state(service),
            "follows": service.follows,
            "rollout": service.rollout,
            "url": service.url,
            "pid": service.pid or None,
            "requests": _count(service, "requests"),
            "rows": _count(service, "rows"),
            "problem": f"{service.problem.code}: {service.problem.what}" if service.problem else None,
        }
    )
    click.echo()
    revisions = [
        (f"r{r.number}", r.model, f"{r.weight} %", r.state, format_age(r.created_at)) for r in service.revisions
    ]
    print_table(("revision", "model", "weight", "state", "age"), revisions[::-1])
    if renewals:
        click.echo()
        _print_renewals(renewals)
    print_next(f"mainspring why {service.name}")


@command.command("rollback", answer=Service)
@click.argument("name", shell_complete=offer("service"))
@click.option("--reason", default="", help="Kept in the record.")
@dry_run
def rollback(name: str, reason: str) -> None:
    """Make the revision before the live one live again."""
    _print_one(act(RollbackService(name, reason)))


@command.command("stop", answer=Service)
@click.argument("name", shell_complete=offer("service"))
@dry_run
def stop(name: str) -> None:
    """Stop a service; its record and captured rows stay."""
    _print_one(act(StopService(name)))


def _print_one(service: Service) -> None:
    if wants_json():
        print_json(service)
    else:
        _print_services([service])


def _print_services(services: list[Service]) -> None:
    rows = [
        (
            service.name,
            service.follows,
            " ".join(f"r{each.number} {each.weight}" for each in service.revisions if each.weight) or "-",
            _describe_state(service),
            _count(service, "requests"),
            _count(service, "rows"),
            service.url or "-",
        )
        for service in services
    ]
    columns = ("name", "model", "split", "health", "requests", "rows", "url")
    print_table(columns, rows, empty="no services; the first one: mainspring deploy NAME --model MODEL@ALIAS")


def _print_renewals(renewals: list[Renewal]) -> None:
    rows = [
        (
            shorten_id(each.id),
            format_moment(each.event_time),
            each.state,
            each.candidate or "-",
            each.champion or "-",
            each.cause,
        )
        for each in renewals
    ]
    print_table(("renewal", "event time", "state", "candidate", "champion", "cause"), rows)


def _describe_state(service: Service) -> str:
    return service.health if service.desired else "stopped"


def _count(service: Service, name: str) -> Any:
    statistics = service.statistics if isinstance(service.statistics, dict) else {}
    value = statistics.get(name)
    return f"{value:,}" if isinstance(value, int) else None
