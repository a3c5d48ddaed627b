"""``mainspring alarms``: what monitors raised."""

from __future__ import annotations

import click

from mainspring.cli.asking import ask
from mainspring.cli.printing import Verb, print_table
from mainspring.cli.texts import format_moment, shorten_id
from mainspring.cli.watching import show_found, watch
from mainspring.domain.messages import ListAlarms
from mainspring.domain.records import Alarm


@click.command(
    "alarms",
    answer=list[Alarm],
    lines=True,
    cls=Verb,
    epilog="Examples: mainspring alarms · mainspring alarms --service delays",
)
@click.option("--service", help="Of this service only.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Newest so many.")
@watch
def command(service: str | None, limit: int) -> None:
    """List alarms, newest first; times are event times, UTC."""
    show_found(lambda: ask(ListAlarms(service, limit)), _show)


def _show(alarms: list[Alarm]) -> None:
    rows = [
        (
            shorten_id(each.id),
            format_moment(each.event_time),
            each.service,
            each.kind,
            each.subject,
            each.state,
            shorten_id(each.renewal_id) if each.renewal_id else None,
            each.summary,
        )
        for each in alarms
    ]
    print_table(
        ("alarm", "event time", "service", "kind", "subject", "state", "renewal", "summary"), rows, empty="no alarms"
    )
