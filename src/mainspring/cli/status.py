"""``mainspring status``: the home at a glance."""

from __future__ import annotations

import click

from mainspring.cli.addresses import Variables, find_variables
from mainspring.cli.asking import ask
from mainspring.cli.printing import Verb, print_fields, print_json, print_next, wants_json
from mainspring.cli.texts import describe_lag, format_age, format_value, shorten_id
from mainspring.cli.watching import show_found, watch
from mainspring.domain.glance import Aim, Waiter
from mainspring.domain.messages import GetStatus, Status
from mainspring.domain.records import Service
from mainspring.domain.units import format_size


@click.command(
    "status",
    answer=(Status, Variables),
    lines=True,
    cls=Verb,
    epilog='Examples: mainspring status · mainspring status -w · eval "$(mainspring status --env)"',
)
@click.option("--env", "wants_variables", is_flag=True, help="Lines to source: where programs log, with the token.")
@watch
def command(wants_variables: bool) -> None:
    """Show the home at a glance: record, runs, what waits, services, alarms, goals, and what to do next."""
    if wants_variables:
        found = find_variables()
        if wants_json():
            print_json(found)
        else:
            click.echo("\n".join(found.lines()))
        return
    show_found(lambda: ask(GetStatus()), _show)


def _show(status: Status) -> None:
    place = "network home, metadata on this node" if status.network_home else "local"
    where = f"{status.home} ({place}, " if status.home else "at the server ("  # the server keeps its paths to itself
    print_fields(
        {
            "home": f"{where}{format_size(status.size_bytes)})",
            "record": f"{status.record} (schema {status.schema})".lstrip(),
            "owner": f"pid {status.pid}, up {format_age(status.started_at)}, {describe_workers(status.workers)}",
            "blobs": format_size(status.used_bytes)
            + (f" of {format_size(status.quota_bytes)}" if status.quota_bytes else ""),
            "runs": describe_counts(status.runs),
            "waits": describe_waiter(status.waits) if status.waits else None,
            "services": "\n".join(describe_service(each) for each in status.services) or "none",
            "alarms": f"{status.alarms} open",
            "goals": "\n".join(describe_aim(each) for each in status.goals),
            "sinks": "\n".join(f"{each.name}  {each.kind}  {describe_lag(each)}" for each in status.sinks),
        }
    )
    following = find_next(status)
    if following:
        print_next(following)


def find_next(status: Status) -> str:
    """Return the command that a look at the home suggests; empty when there is nothing to do.

    Parameters
    ----------
    status : Status
        As the owner answered.
    """
    late = next((each.name for each in status.sinks if each.tries), None)
    if not any(status.runs.values()):
        return "mainspring init && python hello/hello.py"
    if status.failed:
        return f"mainspring why {shorten_id(status.failed)}"
    if status.alarms:
        return "mainspring alarms"
    if late is not None:
        return f"mainspring why {late}"
    missed = next((each.model for each in status.goals if each.met is False), None)
    return f"mainspring why {missed}" if missed else ""


def describe_workers(count: int) -> str:
    """Return how many workers there are.

    Examples
    --------
    >>> describe_workers(1), describe_workers(3)
    ('1 worker', '3 workers')
    """
    return f"{count:,} worker{'' if count == 1 else 's'}"


def describe_waiter(waits: Waiter) -> str:
    """Return which run waits longest, what for, and what tells more."""
    return f"{waits.name} for {format_age(waits.since)}: {waits.reason} (mainspring why {shorten_id(waits.run_id)})"


def describe_aim(aim: Aim) -> str:
    """Return how a model stands to its goal.

    Examples
    --------
    >>> describe_aim(Aim("delays@4", "fewer missed connections", "log_loss", 0.3, 0.284, True))
    'delays@4  log_loss 0.284 (target 0.3) ok'
    """
    value = "not measured by its gate" if aim.value is None else format_value(aim.value)
    target = "" if aim.target is None else f" (target {format_value(aim.target)})"
    verdict = {None: "", True: " ok", False: " MISSED"}[aim.met]
    return f"{aim.model}  {aim.metric} {value}{target}{verdict}"


def describe_counts(counts: dict[str, int]) -> str:
    """Return counts by state in one line.

    Examples
    --------
    >>> describe_counts({"running": 2, "queued": 5, "failed": 0})
    '2 running, 5 queued'
    """
    return ", ".join(f"{count:,} {state}" for state, count in counts.items() if count) or "none"


def describe_service(service: Service) -> str:
    """Return a service in one line: what it serves, how it is, where it answers."""
    live = [f"r{each.number} {each.model} {each.weight} %" for each in service.revisions if each.weight]
    state = service.health if service.desired else "stopped"
    return f"{service.name}  {', '.join(live) or service.follows}  {state}  {service.url}".rstrip()
