"""``mainspring status``: the home at a glance."""

from __future__ import annotations

import click

from mainspring.cli.asking import ask
from mainspring.cli.printing import Verb, print_fields, print_json, wants_json
from mainspring.cli.texts import describe_lag, format_age
from mainspring.domain.messages import GetStatus, Status
from mainspring.domain.records import Service
from mainspring.domain.units import format_size


@click.command("status", answer=Status, cls=Verb, epilog="Examples: mainspring status · mainspring status --json")
def command() -> None:
    """Show the home at a glance: record, runs, services, open alarms."""
    status: Status = ask(GetStatus())
    if wants_json():
        print_json(status)
        return
    place = "network home, metadata on this node" if status.network_home else "local"
    where = f"{status.home} ({place}, " if status.home else "at the server ("  # the server keeps its paths to itself
    print_fields(
        {
            "home": f"{where}{format_size(status.size_bytes)})",
            "record": f"{status.record} (schema {status.schema})".lstrip(),
            "owner": f"pid {status.pid}, up {format_age(status.started_at)}, {status.workers} workers",
            "blobs": format_size(status.used_bytes)
            + (f" of {format_size(status.quota_bytes)}" if status.quota_bytes else ""),
            "runs": describe_counts(status.runs),
            "services": "\n".join(describe_service(each) for each in status.services) or "none",
            "alarms": f"{status.alarms} open",
            "sinks": "\n".join(f"{each.name}  {each.kind}  {describe_lag(each)}" for each in status.sinks),
        }
    )


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
