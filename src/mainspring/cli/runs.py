"""``mainspring runs``: list, show, cancel and delete runs."""

from __future__ import annotations

import click

from mainspring.cli.asking import ask
from mainspring.cli.deleting import print_deleted, print_restorable
from mainspring.cli.printing import Noun, print_fields, print_json, print_next, print_table, wants_json
from mainspring.cli.texts import format_age, format_moment, format_size, format_span, format_value, shorten_id
from mainspring.domain.messages import CancelRuns, GetRun, ListRuns, RunPage, SearchRuns
from mainspring.domain.records import Run
from mainspring.domain.upkeep import Deleted, DeleteRuns, RestoreRuns

_COLUMNS = ("id", "kind", "name", "state", "time", "age", "metrics", "reason")


@click.group(
    "runs",
    cls=Noun,
    epilog='Examples: mainspring runs "state = failed" · mainspring runs "parent_id ~ a3f19b"',
)
@click.option("--filter", default="", help='Such as "name = fit and metrics.auc > .7"; may stand without --filter.')
@click.option("--order-by", default="", help="A field such as metrics.auc; -metrics.auc for the greatest first.")
@click.option("--limit", type=click.IntRange(1, 1_000), default=20, show_default=True, help="So many on a page.")
@click.option("--page", default="", help="What the page before named as the next.")
@click.option("--deleted", is_flag=True, help="What was deleted and can be restored.")
@click.pass_context
def command(
    context: click.Context,
    filter: str,  # noqa: A002
    order_by: str,
    limit: int,
    page: str,
    deleted: bool,
) -> None:
    """List runs, newest first; show, cancel or delete one. An id may be a unique prefix or suffix."""
    if context.invoked_subcommand is not None:
        return
    if deleted:
        print_restorable("run", limit)
        return
    found: RunPage = ask(SearchRuns(filter, order_by, limit, page, count=True))
    if wants_json():
        print_json(found)
        return
    print_runs(found.runs)
    if found.next is not None:
        click.echo(f"{len(found.runs):,} of {found.count:,} runs", err=True)


@command.command("show")
@click.argument("id")
def show(id: str) -> None:  # noqa: A002
    """Show one run: its state, parameters, metrics and what is below it."""
    run: Run = ask(GetRun(id))
    below: list[Run] = ask(ListRuns(parent_id=run.id, limit=200))
    if wants_json():
        print_json({"run": run, "below": below})
        return
    print_fields(describe_run(run))
    if below:
        click.echo()
        print_runs(below[::-1])
    print_next(f"mainspring logs {shorten_id(run.id)}")


@command.command("cancel")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option("--reason", default="cancelled by the user", show_default=True, help="Kept in the record.")
def cancel(ids: tuple[str, ...], reason: str) -> None:
    """Cancel runs with everything below them."""
    found = [ask(GetRun(each)).id for each in ids]
    print_or_json(ask(CancelRuns(found, reason)))


@command.command("delete")
@click.argument("ids", nargs=-1, metavar="[ID...]")
@click.option(
    "--filter", default="", help='All runs that it holds for, such as "state = failed"; what is needed stays.'
)
@click.option("--dry-run", is_flag=True, help="Only tell what would be hidden.")
def delete(ids: tuple[str, ...], filter: str, dry_run: bool) -> None:  # noqa: A002
    """Hide runs that have ended, with everything below them; they can be restored until they are purged."""
    parts: list[Deleted] = [ask(DeleteRuns(list(ids), filter, dry_run=dry_run))]
    while parts[-1].next is not None:
        parts.append(ask(DeleteRuns(filter=filter, page=parts[-1].next, dry_run=dry_run)))
    print_deleted(parts, dry_run=dry_run)
    if not dry_run:
        print_next("mainspring runs --deleted")


@command.command("restore")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
def restore(ids: tuple[str, ...]) -> None:
    """Bring deleted runs back, with what was deleted along with them, as long as they were not purged."""
    print_or_json(ask(RestoreRuns(list(ids))))


def print_or_json(runs: list[Run]) -> None:
    """Print runs as the caller asked."""
    if wants_json():
        print_json(runs)
    else:
        print_runs(runs)


def print_runs(runs: list[Run]) -> None:
    """Print runs as a table."""
    rows = [
        (
            shorten_id(run.id),
            run.kind,
            run.name,
            describe_state(run),
            format_span(_measure(run)),
            format_age(run.created_at),
            " ".join(f"{key}={format_value(value)}" for key, value in list(run.metrics.items())[:3]),
            run.problem.what if run.problem else run.reason,
        )
        for run in runs
    ]
    print_table(_COLUMNS, rows, empty="no runs; the first one: mainspring init && python hello/hello.py")


def describe_state(run: Run) -> str:
    """Return the state, ``hit`` for a step that was not executed."""
    return "hit" if run.cached_from else run.state


def describe_run(run: Run) -> dict[str, object]:
    """Return what `show` prints about a run."""
    cpu = f", {run.cpu_s:.2f} s CPU" if run.cpu_s is not None else ""
    memory = f", {format_size(run.memory_bytes)}" if run.memory_bytes else ""
    return {
        "run": run.id,
        "name": f"{run.name} ({run.kind})",
        "state": describe_state(run) + (f": {run.reason}" if run.reason else ""),
        "attempt": run.attempt if run.attempt > 1 else None,
        "started": format_moment(run.started_at) if run.started_at else None,
        "took": f"{format_span(_measure(run))}{cpu}{memory}" if run.started_at else None,
        "by": f"{run.principal} on {run.host}, pid {run.pid}" if run.pid else run.principal,
        "below": shorten_id(run.parent_id) if run.parent_id else None,
        "from": f"{shorten_id(run.cached_from)} (cached)" if run.cached_from else None,
        "params": "\n".join(f"{key} = {format_value(value)}" for key, value in run.params.items()),
        "metrics": "\n".join(f"{key} = {format_value(value)}" for key, value in run.metrics.items()),
        "tags": "\n".join(f"{key} = {value}" for key, value in run.tags.items()),
        "result": run.outputs.summary or run.outputs.codec if run.outputs else None,
        "problem": f"{run.problem.code}: {run.problem.what}\nfix: {run.problem.fix}" if run.problem else None,
    }


def _measure(run: Run) -> float | None:
    if run.started_at is None or run.ended_at is None:
        return None
    return run.ended_at - run.started_at
