"""``mainspring pipelines``: what was applied, when it starts next, and why it did not start."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from mainspring.cli.asking import act, ask
from mainspring.cli.offering import offer
from mainspring.cli.printing import Noun, dry_run, print_fields, print_json, print_next, print_table, wants_json
from mainspring.cli.texts import format_age, format_moment, shorten_id
from mainspring.domain.records import Run
from mainspring.domain.triggers import (
    GetPipeline,
    ListPipelines,
    PausePipeline,
    Pipeline,
    RemovePipeline,
    ResumePipeline,
    Standing,
    StartPipeline,
)
from mainspring.domain.units import format_duration


@click.group(
    "pipelines",
    answer=list[Pipeline],
    cls=Noun,
    epilog="Examples: mainspring pipelines · mainspring pipelines show train · mainspring pipelines start train"
    " · mainspring pipelines pause train",
)
@click.pass_context
def command(context: click.Context) -> None:
    """List applied pipelines: when each starts next, its last run, and why it started nothing."""
    if context.invoked_subcommand is None:
        pipelines: list[Pipeline] = ask(ListPipelines())
        if wants_json():
            print_json(pipelines)
            return
        rows = [(each.name, _tell_next(each), _tell_last(each.last), each.why or "-") for each in pipelines]
        columns = ("name", "next", "last run", "started nothing because")
        print_table(columns, rows, empty="no pipelines are applied; mainspring apply FILE")


@command.command("show", answer=Pipeline)
@click.argument("name", shell_complete=offer("pipeline"))
def show(name: str) -> None:
    """Show one pipeline: who applied it, its triggers, and what became of each."""
    _show(ask(GetPipeline(name)))
    print_next(f"mainspring why {name}")


@command.command("start", answer=Run)
@click.argument("name", shell_complete=offer("pipeline"))
@dry_run
def start(name: str) -> None:
    """Start what was applied, now, in your name; a pause does not keep it."""
    run: Run = act(StartPipeline(name))
    if wants_json():
        print_json(run)
        return
    click.echo(f"{run.name} {run.state}, run {shorten_id(run.id)}")
    print_next(f"mainspring logs {shorten_id(run.id)} -f")


@command.command("pause", answer=Pipeline)
@click.argument("name", shell_complete=offer("pipeline"))
@dry_run
def pause(name: str) -> None:
    """Let no trigger start a pipeline; what happens meanwhile is passed over."""
    _show(act(PausePipeline(name)))
    print_next(f"mainspring pipelines resume {name}")


@command.command("resume", answer=Pipeline)
@click.argument("name", shell_complete=offer("pipeline"))
@dry_run
def resume(name: str) -> None:
    """Let triggers start a pipeline again, from now on."""
    _show(act(ResumePipeline(name)))


@command.command("remove", answer=Pipeline)
@click.argument("name", shell_complete=offer("pipeline"))
@dry_run
def remove(name: str) -> None:
    """Forget that a pipeline was applied, with its triggers; its runs stay."""
    removed: Pipeline = act(RemovePipeline(name))
    if wants_json():
        print_json(removed)
    else:
        click.echo(f"pipeline {removed.name} is no longer applied")


def _show(pipeline: Pipeline) -> None:
    if wants_json():
        print_json(pipeline)
        return
    paused = f"since {format_moment(pipeline.paused_at)} by {pipeline.paused_by}" if pipeline.paused_at else ""
    print_fields(
        {
            "pipeline": f"{pipeline.name} in {pipeline.project}",
            "applied": f"{format_age(pipeline.applied_at)} ago by {pipeline.principal}",
            "code": f"{pipeline.snapshot[:12]} {pipeline.entry}",
            "folder": pipeline.folder,
            "paused": paused,
            "next": _tell_next(pipeline),
            "last run": _tell_last(pipeline.last),
        }
    )
    if pipeline.triggers:
        click.echo()
        counts = ("starts", "shared", "passed", "waiting")
        columns = ("trigger", "cooldown", "last start", *counts, "started nothing because")
        print_table(columns, [_tell_trigger(each) for each in pipeline.triggers])
    for each in pipeline.triggers:
        if each.event == "webhook":
            click.echo(f"call it: POST /hooks/{each.project}/{each.pipeline}/{each.match['name']} at mainspring up")


def _tell_trigger(trigger: Standing) -> tuple[object, ...]:
    return (
        str(trigger),
        format_duration(trigger.cooldown_s) if trigger.cooldown_s else "-",
        f"{format_age(trigger.started_at)} ago" if trigger.started_at else "-",
        trigger.starts,
        trigger.coalesced,
        trigger.passed,
        trigger.waiting,
        f"{trigger.outcome} ({format_age(trigger.outcome_at)} ago)" if trigger.outcome else "-",
    )


def _tell_next(pipeline: Pipeline) -> str:
    if pipeline.paused_at:
        return "paused"
    if pipeline.next_at is not None:
        return datetime.fromtimestamp(pipeline.next_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return "on its events" if pipeline.triggers else "when started"


def _tell_last(run: Run | None) -> str:
    return "-" if run is None else f"{shorten_id(run.id)} {run.state} {format_age(run.created_at)} ago"
