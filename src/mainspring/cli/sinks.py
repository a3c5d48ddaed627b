"""``mainspring sinks``: who is told of what happens, and how far that is."""

from __future__ import annotations

import time

import click

from mainspring.cli.asking import act, ask
from mainspring.cli.offering import offer
from mainspring.cli.printing import Noun, dry_run, print_fields, print_json, print_next, print_table, wants_json
from mainspring.cli.texts import format_age
from mainspring.domain.errors import Failed, Invalid
from mainspring.domain.sinks import AddSink, Answered, GetSink, ListSinks, RemoveSink, ResendEvents, Sink, TestSink
from mainspring.domain.units import format_span


@click.group(
    "sinks",
    answer=list[Sink],
    cls=Noun,
    epilog="Examples: mainspring sinks add ops --kind webhook --url https://ops.example.org/hook --secret HOOK"
    " · mainspring sinks test ops · mainspring sinks show ops",
)
@click.pass_context
def command(context: click.Context) -> None:
    """List who is told of the project's events; add, show, try or remove one, send again what it refused."""
    if context.invoked_subcommand is None:
        sinks: list[Sink] = ask(ListSinks())
        if wants_json():
            print_json(sinks)
            return
        rows = [
            (each.name, each.kind, each.delivered, each.pending, each.set_aside, describe_state(each)) for each in sinks
        ]
        print_table(("name", "kind", "delivered", "pending", "set aside", "state"), rows, empty="no sinks")


@command.command("add", answer=Sink)
@click.argument("name")
@click.option(
    "--kind", required=True, help="webhook, slack, email, alertmanager, openlineage, or one installed besides."
)
@click.option("--url", default="", help="The receiver's address.")
@click.option("--secret", help="Name of a secret: what a webhook signs with, a password, a key, Slack's address.")
@click.option("--events", help="Kinds with commas: `run.failed,alarm.*`; `*` is all. Default: what the kind is for.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A setting of the kind; may be repeated.")
@dry_run
def add(name: str, kind: str, url: str, secret: str | None, events: str | None, settings: tuple[str, ...]) -> None:
    """Tell a receiver of what happens from now on, or change one that is told.

    Every kind has timeout_s (15) and tries (5: refusals after which an event is set aside); email
    has to, from, user and tls; alertmanager has hours and severity; openlineage has namespace.
    """
    patterns = [each.strip() for each in events.split(",") if each.strip()] if events else []
    options = dict(_read_setting(each) for each in settings)
    _show(act(AddSink(name=name, kind=kind, url=url, secret=secret, events=patterns, options=options)))
    print_next(f"mainspring sinks test {name}")


@command.command("show", answer=Sink)
@click.argument("name", shell_complete=offer("sink"))
def show(name: str) -> None:
    """Show a sink: where it sends, how far it is, what went wrong last and what was set aside."""
    _show(ask(GetSink(name=name)))


@command.command("remove", answer=Sink)
@click.argument("name", shell_complete=offer("sink"))
@dry_run
def remove(name: str) -> None:
    """Send no more; what was not sent yet is not sent."""
    _show(act(RemoveSink(name=name)))


@command.command("test", answer=Answered, untried="it is a try itself")
@click.argument("name", shell_complete=offer("sink"))
def test(name: str) -> None:
    """Send one event that says that it is a test, and tell what the receiver answered."""
    answer: Answered = ask(TestSink(name=name))
    if wants_json():
        print_json(answer)
    else:
        click.echo(f"{answer.outcome}: {answer.text}")
    if answer.outcome != "accepted":
        raise Failed("SINK-006", f"{name}: {answer.outcome}, {answer.text}", name=name)


@command.command("resend", answer=Sink)
@click.argument("name")
@click.argument("events", nargs=-1, type=click.IntRange(min=1))
@dry_run
def resend(name: str, events: tuple[int, ...]) -> None:
    """Send once more what was set aside: all of it, or EVENTS by the numbers that `sinks show` tells.

    What is refused again stays set aside.
    """
    _show(act(ResendEvents(name=name, events=list(events))))


def describe_state(sink: Sink, now: float | None = None) -> str:
    """Return how a sink is, in a few words.

    Examples
    --------
    >>> describe_state(Sink("1", "air", "ops", "webhook"))
    'ok'
    >>> describe_state(Sink("1", "air", "ops", "webhook", tries=4, due_at=130.0, error="503"), now=122.0)
    'failing, again in 8.0s: 503'
    """
    if sink.tries:
        since = f" for {format_age(sink.waits_since)}" if sink.waits_since else ""
        left_s = sink.due_at - (time.time() if now is None else now)
        again = f"again in {format_span(left_s)}" if left_s > 0 else "again now"
        return f"failing{since}, {again}: {sink.error}"
    return "sending" if sink.pending else "ok"


def _show(sink: Sink) -> None:
    if wants_json():
        print_json(sink)
        return
    held = [
        f"{each.event} {each.kind} {each.subject} after {each.tries}: {each.error}"
        + (", to be sent again" if each.again_at else "")
        for each in sink.held_back
    ]
    print_fields(
        {
            "sink": f"{sink.name} in {sink.project}",
            "kind": sink.kind,
            "url": sink.url,
            "secret": sink.secret,
            "events": ", ".join(sink.events),
            "settings": ", ".join(f"{key}={value}" for key, value in sorted(sink.options.items())),
            "state": describe_state(sink),
            "delivered": _count(sink.delivered, "last", sink.delivered_at),
            "pending": _count(sink.pending, "the oldest", sink.waits_since),
            "last error": f"{sink.error} ({format_age(sink.failed_at)} ago)" if sink.failed_at else "",
            "set aside": "\n".join([str(sink.set_aside), *held]),
        }
    )


def _count(count: int, what: str, time: float | None) -> str:
    return f"{count:,}" if time is None else f"{count:,}, {what} {format_age(time)} ago"


def _read_setting(text: str) -> tuple[str, str]:
    key, mark, value = text.partition("=")
    if not mark or not key:
        raise Invalid("CLI-001", f"--set {text!r} is not KEY=VALUE", fix="mainspring sinks add --help")
    return key, value
