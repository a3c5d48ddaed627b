"""``mainspring runs``: list, show, cancel and delete runs."""

from __future__ import annotations

from collections import Counter
from functools import partial

import click
import msgspec

from mainspring.cli.arguments import read_tags
from mainspring.cli.asking import act, ask
from mainspring.cli.deleting import print_deleted, print_restorable
from mainspring.cli.offering import offer
from mainspring.cli.printing import Noun, dry_run, print_fields, print_json, print_next, print_table, wants_json
from mainspring.cli.texts import format_age, format_moment, format_money, format_value, shorten_id
from mainspring.cli.watching import show_found, watch
from mainspring.domain.messages import CancelRuns, GetRun, GetSeries, ListRuns, RunPage, SearchRuns
from mainspring.domain.preemptions import PreemptRuns, tell_loss
from mainspring.domain.records import Attempt, Run
from mainspring.domain.retries import RetryRuns
from mainspring.domain.tracking import (
    OWN,
    Artifact,
    CompareRuns,
    Comparison,
    Environment,
    GetProvenance,
    ListArtifacts,
    Provenance,
    TagRun,
)
from mainspring.domain.units import format_size, format_span
from mainspring.domain.upkeep import Deleted, DeleteRuns, Deletion, RestoreRuns

_FIRST = "no runs; the first one: mainspring init && python hello/hello.py"
_COLUMNS = ("id", "kind", "name", "state", "time", "age", "metrics", "reason")


class ShownRun(msgspec.Struct):
    """A run, the runs right below it, what it logged, and where it came from."""

    run: Run
    below: list[Run]
    artifacts: list[Artifact]
    provenance: Provenance | None


@click.group(
    "runs",
    answer=(RunPage, list[Deletion]),
    lines=True,
    cls=Noun,
    epilog='Examples: mainspring runs "state = failed" · mainspring runs "parent_id ~ a3f19b"',
)
@click.option("--filter", default="", help='Such as "name = fit and metrics.auc > .7"; may stand without --filter.')
@click.option("--order-by", default="", help="A field such as metrics.auc; -metrics.auc for the greatest first.")
@click.option("--limit", type=click.IntRange(1, 1_000), default=20, show_default=True, help="So many on a page.")
@click.option("--page", default="", help="What the page before named as the next.")
@click.option("--deleted", is_flag=True, help="What was deleted and can be restored.")
@watch
@click.pass_context
def command(
    context: click.Context,
    filter: str,  # noqa: A002
    order_by: str,
    limit: int,
    page: str,
    deleted: bool,
) -> None:
    """List runs, newest first; show, compare, tag, cancel or delete them. An id may be a unique prefix or suffix."""
    if context.invoked_subcommand is not None:
        return
    if deleted:
        print_restorable("run", limit)
        return
    empty = f"no run matches {filter}" if filter else _FIRST
    show_found(lambda: ask(SearchRuns(filter, order_by, limit, page, count=True)), partial(_print_page, empty=empty))


def _print_page(found: RunPage, empty: str) -> None:
    print_runs(found.runs, empty)
    if found.next is not None:
        click.echo(f"{len(found.runs):,} of {found.count:,} runs", err=True)


@command.command("show", answer=ShownRun)
@click.argument("id", shell_complete=offer("run"))
def show(id: str) -> None:  # noqa: A002
    """Show one run: its state, parameters, metrics and what is below it."""
    run: Run = ask(GetRun(id))
    below: list[Run] = ask(ListRuns(parent_id=run.id, limit=200))
    artifacts: list[Artifact] = ask(ListArtifacts(run_id=run.id))
    provenance: Provenance | None = ask(GetProvenance(run_id=run.id))
    if wants_json():
        print_json(ShownRun(run, below, artifacts, provenance))
        return
    print_fields(describe_run(run) | describe_logged(artifacts) | describe_use(run) | describe_provenance(provenance))
    if below:
        click.echo()
        print_runs(below[::-1])
    print_next(f"mainspring logs {shorten_id(run.id)}")


@command.command("cancel", answer=list[Run])
@click.argument("ids", shell_complete=offer("run"), nargs=-1, required=True, metavar="ID...")
@click.option("--reason", default="cancelled by the user", show_default=True, help="Kept in the record.")
@dry_run
def cancel(ids: tuple[str, ...], reason: str) -> None:
    """Cancel runs with everything below them."""
    found = [ask(GetRun(each)).id for each in ids]
    print_or_json(act(CancelRuns(found, reason)))


@command.command("preempt", answer=list[Run])
@click.argument("ids", shell_complete=offer("run"), nargs=-1, required=True, metavar="ID...")
@dry_run
def preempt(ids: tuple[str, ...]) -> None:
    """Have runs give way, as the queue does for those who are due: they are told to end and wait again.

    They go on from their last checkpoint, and lose no retry by it.
    """
    print_or_json(act(PreemptRuns(ids=list(ids))))


@command.command("retry", answer=list[Run])
@click.argument("ids", shell_complete=offer("run"), nargs=-1, required=True, metavar="ID...")
@click.option("--from", "anew", default="", metavar="STEP", help="Of a pipeline: STEP and what follows it run anew.")
@dry_run
def retry(ids: tuple[str, ...], anew: str) -> None:
    """Queue ended runs again, with the arguments they had; each becomes a run of its own.

    What succeeded below a pipeline is not run again, unless its code or inputs have changed or --from
    names it or a step before it.
    """
    print_or_json(act(RetryRuns(list(ids), anew)))


@command.command("delete", answer=Deleted)
@click.argument("ids", shell_complete=offer("run"), nargs=-1, metavar="[ID...]")
@click.option(
    "--filter", default="", help='All runs that it holds for, such as "state = failed"; what is needed stays.'
)
@click.option("--dry-run", "dry", is_flag=True, help="Only tell what would be hidden.")
def delete(ids: tuple[str, ...], filter: str, dry: bool) -> None:  # noqa: A002
    """Hide runs that have ended, with everything below them; they can be restored until they are purged."""
    parts: list[Deleted] = [ask(DeleteRuns(list(ids), filter, dry_run=dry))]
    while parts[-1].next is not None:
        parts.append(ask(DeleteRuns(filter=filter, page=parts[-1].next, dry_run=dry)))
    print_deleted(parts, dry=dry)
    if not dry:
        print_next("mainspring runs --deleted")


@command.command("restore", answer=list[Run])
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@dry_run
def restore(ids: tuple[str, ...]) -> None:
    """Bring deleted runs back, with what was deleted along with them, as long as they were not purged."""
    print_or_json(act(RestoreRuns(list(ids))))


@command.command("tag", answer=Run)
@click.argument("id", shell_complete=offer("run"))
@click.argument("tags", nargs=-1, required=True, metavar="NAME=TEXT|NAME-...")
@dry_run
def tag(id: str, tags: tuple[str, ...]) -> None:  # noqa: A002
    """Set tags of a run, or remove them by a dash behind the name."""
    changes, remove = read_tags(tags)
    run: Run = act(TagRun(run_id=ask(GetRun(id)).id, tags=changes, remove=tuple(remove)))
    if wants_json():
        print_json(run)
    else:
        print_fields({"run": run.id, "tags": describe_run(run)["tags"]})


@command.command("diff", answer=Comparison)
@click.argument("before", shell_complete=offer("run"))
@click.argument("after", shell_complete=offer("run"))
def diff(before: str, after: str) -> None:
    """Show what differs between two runs: parameters, metrics, code, data, environment, Git."""
    found: Comparison = ask(CompareRuns(before=before, after=after))
    if wants_json():
        print_json(found)
        return
    rows = [
        (part, name, format_side(old), format_side(new))
        for part, changes in found.changes.items()
        for name, old, new in changes
    ]
    heads = (shorten_id(found.before.id), shorten_id(found.after.id))
    print_table(("part", "name", *heads), rows, empty="nothing differs")


def format_side(value: object) -> str | None:
    """Return one side of a difference in a few characters; a Git diff by its number of lines."""
    if value is None:
        return None
    text = str(value)
    return f"{text.count(chr(10)) + 1:,} lines" if "\n" in text else format_value(value)


def print_or_json(runs: list[Run]) -> None:
    """Print runs as the caller asked."""
    if wants_json():
        print_json(runs)
    else:
        print_runs(runs)


def print_runs(runs: list[Run], empty: str = _FIRST) -> None:
    """Print runs as a table, or what stands for none."""
    rows = [
        (
            shorten_id(run.id),
            run.kind,
            run.name,
            describe_state(run),
            format_span(_measure(run)),
            format_age(run.created_at),
            " ".join(f"{key}={format_value(value)}" for key, value in list(run.metrics.items())[:3]),
            run.problem.what if run.problem else describe_reason(run.reason),
        )
        for run in runs
    ]
    print_table(_COLUMNS, rows, empty=empty)


def describe_reason(reason: str) -> str:
    """Return why a step ran or did not, without the words that its state says already.

    Examples
    --------
    >>> describe_reason("ran again: fit() of flights.py changed")
    'fit() of flights.py changed'
    """
    return reason.removeprefix("ran again: ").removeprefix("cached: ")


def describe_state(run: Run) -> str:
    """Return the state, ``hit`` for a step that was not executed."""
    return "hit" if run.cached_from else run.state


def describe_run(run: Run) -> dict[str, object]:
    """Return what `show` prints about a run."""
    cpu = f", {run.cpu_s:.2f} s CPU" if run.cpu_s is not None else ""
    memory = f", {format_size(run.memory_bytes)}" if run.memory_bytes else ""
    gpus = run.resources.gpus * run.resources.nodes
    return {
        "run": run.id,
        "name": f"{run.name} ({run.kind})",
        "state": describe_state(run) + (f": {describe_reason(run.reason)}" if run.reason else ""),
        "attempts": "\n".join(describe_attempt(each, gpus) for each in run.attempts) or None,
        "place": run.place or None,
        "cost": format_money(run.cost) or None,
        "started": format_moment(run.started_at) if run.started_at else None,
        "took": f"{format_span(_measure(run))}{cpu}{memory}" if run.started_at else None,
        "by": f"{run.principal} on {run.host}, pid {run.pid}" if run.pid else run.principal,
        "experiment": run.experiment or None,
        "below": shorten_id(run.parent_id) if run.parent_id else None,
        "from": f"{shorten_id(run.cached_from)} (cached)" if run.cached_from else None,
        "params": "\n".join(f"{key} = {format_value(value)}" for key, value in run.params.items()),
        "metrics": "\n".join(f"{key} = {format_value(value)}" for key, value in run.metrics.items()),
        "tags": "\n".join(f"{key} = {value}" for key, value in run.tags.items()),
        "result": run.outputs.summary or run.outputs.codec if run.outputs else None,
        "problem": f"{run.problem.code}: {run.problem.what}\nfix: {run.problem.fix}" if run.problem else None,
    }


def describe_attempt(attempt: Attempt, gpus: float = 0.0) -> str:
    """Say in a line how a try that was not the last one ended, what it lost and how long the next one waited."""
    took = f" after {format_span(attempt.ended_at - attempt.started_at)}" if attempt.started_at else ""
    waited = f"; the next one {format_span(attempt.wait_s)} later" if attempt.wait_s else ""
    where = f" on {attempt.place}" if attempt.place else ""
    cost = f", cost {format_money(attempt.cost)}" if attempt.cost else ""
    loss = tell_loss(attempt.lost_s, gpus)
    return f"{attempt.number}{where}{took}{cost} {attempt.reason}{f'; {loss}' if loss else ''}{waited}"


def describe_logged(artifacts: list[Artifact]) -> dict[str, object]:
    """Return what `show` prints of artifacts: of each name the newest."""
    newest = {each.name: each for each in artifacts}
    counts = Counter(each.name for each in artifacts)
    lines = [
        f"{name}: {each.value.summary}, step {each.step}{f' of {counts[name]}' if counts[name] > 1 else ''}"
        for name, each in newest.items()
    ]
    return {"artifacts": "\n".join(lines)}


def describe_use(run: Run) -> dict[str, object]:
    """Return what `show` prints of what a long run used; its series are ``system/...``."""
    cores: list[tuple[int, float, float]] = ask(GetSeries(run_id=run.id, key=f"{OWN}cpu_cores"))
    memory: list[tuple[int, float, float]] = ask(GetSeries(run_id=run.id, key=f"{OWN}memory_bytes"))
    if not cores or not memory:
        return {}
    mean = sum(value for *_, value in cores) / len(cores)
    return {"used": f"{mean:.2g} cores on average, {format_size(max(value for *_, value in memory))} at most"}


def describe_provenance(told: Provenance | None) -> dict[str, object]:
    """Return what `show` prints of where a run came from."""
    if told is None:
        return {}
    found: dict[str, object] = {"command": " ".join(told.command), "folder": told.folder}
    if told.git is not None:
        branch = f" on {told.git.branch}" if told.git.branch else ""
        state = {True: ", changed", False: "", None: ", Git was too slow to tell what changed"}[told.git.dirty]
        found["git"] = f"{told.git.commit[:12] or 'no commit'}{branch}{state}"
    if isinstance(told.environment, Environment):
        packages = len(told.environment.packages)
        found["python"] = f"{told.environment.python}, {packages} packages, {told.environment.platform}"
    return found


def _measure(run: Run) -> float | None:
    if run.started_at is None or run.ended_at is None:
        return None
    return run.ended_at - run.started_at
