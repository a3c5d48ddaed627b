"""``mainspring studies``: list, show, stop and resume searches."""

from __future__ import annotations

import shutil
import sys
import time
from collections import Counter
from typing import Any

import click
import msgspec

from mainspring.cli.asking import ask
from mainspring.cli.printing import Noun, print_fields, print_json, print_line, print_next, print_table, wants_json
from mainspring.cli.texts import format_age, format_value, shorten_id
from mainspring.domain.errors import Conflict
from mainspring.domain.messages import CancelRuns, GetRun, RunPage, SearchRuns
from mainspring.domain.records import Run
from mainspring.domain.retries import RetryRuns
from mainspring.domain.states import STOPPED, TERMINAL
from mainspring.domain.tracking import TagRun
from mainspring.domain.units import format_span

_LOOK_EVERY_S = 1.0
_MOST_TRIALS = 1_000
_SHOWN = 20
_LEAST_SHOWN = 3
_ABOVE = 15
"""Lines of a search that are no trials, and the one for the cursor."""


class ShownStudy(msgspec.Struct):
    """A search, its trials with the best first, and what is kept of it once it has ended."""

    study: Run
    trials: list[Run]
    importances: dict[str, float]
    remark: str


@click.group(
    "studies",
    answer=RunPage,
    cls=Noun,
    epilog="Examples: mainspring studies · mainspring studies show c07e12 -w · mainspring studies resume c07e12",
)
@click.option("--limit", type=click.IntRange(1, 1_000), default=20, show_default=True, help="So many on a page.")
@click.option("--page", default="", help="What the page before named as the next.")
@click.pass_context
def command(context: click.Context, limit: int, page: str) -> None:
    """List searches, newest first; show, stop or resume one."""
    if context.invoked_subcommand is not None:
        return
    found: RunPage = ask(SearchRuns("kind = study", limit=limit, page=page, count=True))
    if wants_json():
        print_json(found)
        return
    rows = [
        (
            shorten_id(run.id),
            run.name,
            describe_state(run),
            " ".join(f"{key}={format_value(value)}" for key, value in run.metrics.items()),
            run.params.get("searcher"),
            run.params.get("pruner"),
            describe_budget(run),
            format_age(run.created_at),
        )
        for run in found.runs
    ]
    columns = ("id", "name", "state", "best", "searcher", "pruner", "budget", "age")
    print_table(columns, rows, empty="no studies; the first one: mainspring tune FILE::FN")


@command.command("show", answer=ShownStudy, lines=True)
@click.argument("id")
@click.option("-w", "--watch", is_flag=True, help="Go on until it ends; on a terminal in place.")
def show(id: str, *, watch: bool) -> None:  # noqa: A002
    """Show a search: what it looks for, its best trials, and which parameters matter."""
    height = 0
    while True:
        found = find_study(id)
        ended = found.study.state in TERMINAL
        if wants_json():
            (print_line if watch else print_json)(found)
        else:
            if height and sys.stdout.isatty():
                click.echo(f"\x1b[{height}F\x1b[J", nl=False)
            height = print_study(found, _count_rows() if watch else _SHOWN)
        if ended or not watch:
            break
        time.sleep(_LOOK_EVERY_S)
    if not wants_json() and found.trials:
        print_next(f"mainspring why {shorten_id(found.trials[-1].id)}")


@command.command("stop", answer=Run)
@click.argument("id")
def stop(id: str) -> None:  # noqa: A002
    """End a search now: its running trials are cancelled, and it returns the best that it has.

    Asked for again, in Python or by `resume`, it goes on with the trials that it has. There is no --dry-run: `show`
    tells what would be cancelled.
    """
    run = _get_study(id)
    if run.state in TERMINAL:
        raise Conflict("TUNE-011", f"the search {run.name} {shorten_id(run.id)} has {run.state}", run=run.id)
    run = ask(TagRun(run_id=run.id, tags={STOPPED: "yes"}))
    live = [each.id for each in _list_trials(run) if each.state not in TERMINAL]
    if live:
        ask(CancelRuns(live, "the search was stopped"))
    _print_run(run)


@command.command("resume", answer=Run)
@click.argument("id")
def resume(id: str) -> None:  # noqa: A002
    """Go on with a search that was stopped, killed or has failed, on a worker, with the trials that it has.

    There is no --dry-run: `show` tells what it has, and its budget.
    """
    run = _get_study(id)
    if run.state not in TERMINAL:
        raise Conflict("TUNE-011", f"the search {run.name} {shorten_id(run.id)} is {run.state}", run=run.id)
    (again,) = ask(RetryRuns([run.id]))
    _print_run(again)


def find_study(id: str) -> ShownStudy:  # noqa: A002
    """Return a search with its trials, the best first and those that have not ended last."""
    run = _get_study(id)
    kept = _load_kept(run)
    metric, mode = run.params.get("metric"), run.params.get("mode")

    def place(trial: Run) -> tuple[bool, float, str]:
        value = trial.metrics.get(metric) if isinstance(metric, str) else None
        sign = -1.0 if mode == "max" else 1.0
        return trial.state != "succeeded" or value is None, sign * (value or 0.0), trial.id

    trials = sorted(_list_trials(run), key=place)
    return ShownStudy(run, trials, kept.get("importances", {}), kept.get("remark", ""))


def print_study(found: ShownStudy, shown: int = _SHOWN) -> int:
    """Print a search for people, with so many trials at most; return how many lines that took."""
    run = found.study
    counts = Counter(trial.state for trial in found.trials)
    metric, mode = run.params.get("metric"), run.params.get("mode")
    fields = {
        "study": run.id,
        "name": run.name,
        "state": describe_state(run),
        "looks for": f"{mode} {metric}",
        "by": f"{run.params.get('searcher')}, pruned by {run.params.get('pruner')}, seed {run.params.get('seed')}",
        "budget": describe_budget(run),
        "trials": ", ".join(f"{count} {state}" for state, count in counts.items()) or "none",
        "best": ", ".join(f"{name} {format_value(value)}" for name, value in run.metrics.items()),
        "matters": ", ".join(f"{name} {share:.0%}" for name, share in found.importances.items()),
        "remark": found.remark,
        "problem": f"{run.problem.code}: {run.problem.what}" if run.problem else "",
    }
    print_fields(fields)
    click.echo()
    metrics = [metric] if isinstance(metric, str) else list(metric or [])
    params = list(dict.fromkeys(name for trial in found.trials for name in trial.params))
    rows = [_describe_trial(trial, metrics, params) for trial in found.trials[:shown]]
    print_table(("trial", "id", "state", *metrics, *params, "time"), rows, empty="no trials yet")
    return sum(1 for value in fields.values() if value) + 1 + (len(rows) + 1 if rows else 0)


def describe_state(run: Run) -> str:
    """Return how a search ended; one that was stopped has succeeded with a part of its budget."""
    if run.cached_from:
        return "hit"
    return "stopped" if STOPPED in run.tags and run.state == "succeeded" else run.state


def describe_budget(run: Run) -> str:
    """Return the limits of a search in one line."""
    budget: dict[str, Any] = run.params.get("budget") or {}
    return ", ".join(f"{value:g} {name.replace('_', ' ')}" for name, value in budget.items() if value)


def _count_rows() -> int:
    """Return how many trials a terminal has room for, below what is told of the search."""
    return max(_LEAST_SHOWN, shutil.get_terminal_size().lines - _ABOVE) if sys.stdout.isatty() else _SHOWN


def _describe_trial(trial: Run, metrics: list[str], params: list[str]) -> tuple[Any, ...]:
    seed = trial.tags.get("fresh_seed")
    number = trial.tags.get("trial", "-") + (f" seed {seed}" if seed else "")
    values = [trial.metrics.get(name) for name in metrics]
    took_s = (trial.ended_at or time.time()) - trial.started_at if trial.started_at else None
    return (
        number,
        shorten_id(trial.id),
        trial.state,
        *(None if value is None else format_value(value) for value in values),
        *(None if name not in trial.params else format_value(trial.params[name]) for name in params),
        format_span(took_s),
    )


def _get_study(id: str) -> Run:  # noqa: A002
    run: Run = ask(GetRun(id))
    if run.kind != "study":
        raise Conflict("TUNE-011", f"{run.kind} {run.name} {shorten_id(run.id)} is no search", run=run.id)
    return run


def _list_trials(run: Run) -> list[Run]:
    """Return the trials of a search, those of earlier attempts at it included."""
    if "study" not in run.tags:
        return []
    wanted = f"kind = trial and tags.study = {run.tags['study']}"
    found: RunPage = ask(SearchRuns(wanted, limit=_MOST_TRIALS))
    ours = [trial for trial in found.runs if not (trial.state == "cancelled" and trial.parent_id != run.id)]
    return ours[::-1]


def _load_kept(run: Run) -> dict[str, Any]:
    if run.outputs is None:
        return {}
    from mainspring.sdk.client import get_client
    from mainspring.tracking.codecs import load_value

    client = get_client()
    kept: dict[str, Any] = load_value(run.outputs, client.blobs, client.seal)
    return kept


def _print_run(run: Run) -> None:
    if wants_json():
        print_json(run)
    else:
        print_fields({"run": run.id, "name": run.name, "state": describe_state(run)})
        print_next(f"mainspring studies show {shorten_id(run.id)}")
