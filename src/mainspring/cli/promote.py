"""``mainspring promote``: a gate judges a model, and an alias moves or stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from mainspring.cli.asking import ask
from mainspring.cli.offering import offer
from mainspring.cli.printing import Verb, print_fields, print_json, print_next, wants_json
from mainspring.cli.texts import shorten_id
from mainspring.domain.messages import GetVerdict, GetVersion, MoveAlias, Promote, WaitRuns
from mainspring.domain.records import Run, Verdict, Version
from mainspring.domain.states import TERMINAL

REFUSED = 5
"""How a command ends whose gate has refused."""

_WAIT_S = 5.0


@click.command(
    "promote",
    answer=(Verdict, Version),
    untried="the verdict is known when the gate has run, and the data is no longer unseen then",
    cls=Verb,
    epilog="Examples: mainspring promote delays@5 champion --data flight_rows.recent@7"
    " · mainspring promote delays@4 next",
)
@click.argument("model", shell_complete=offer("model"))
@click.argument("alias")
@click.option(
    "--data",
    shell_complete=offer("dataset"),
    metavar="REFERENCE",
    help="A dataset version that the model has not seen; without one nothing is judged.",
)
@click.option("--reason", default="", help="Kept in the record.")
@click.option("--force", is_flag=True, help="Pass the gate over; only an approver may, with a reason.")
@click.pass_context
def command(context: click.Context, model: str, alias: str, data: str | None, reason: str, force: bool) -> None:
    """Run the gate of MODEL's name and ALIAS on unseen data.

    Passed: the alias moves now or, where a service follows it, when its canary is full; exit 0.
    Refused: nothing moves and the refusal is recorded; exit 5.

    Without --data the alias moves at once: where no gate is declared, to a version that the gate let through
    before, or by --force.
    """
    if data is None:
        _move(model, alias, reason, force=force)
        return
    if force:
        raise click.UsageError("--force judges nothing: leave --data out")
    verdict, run = judge(ask, Promote(model, alias, data, reason))
    if wants_json():
        print_json(verdict)
    else:
        click.echo(str(verdict))
        print_fields(
            {
                "model": f"{verdict.model} for {verdict.alias}, against {verdict.champion or 'the baseline'}",
                "data": verdict.data,
                "evidence": f"mainspring runs show {shorten_id(run.id)}",
            }
        )
        print_next(f"mainspring why {verdict.model}")
    if not verdict.passed:
        context.exit(REFUSED)


def judge(ask: Callable[[Any], Any], wanted: Promote) -> tuple[Verdict, Run]:
    """Have a gate run, here or at a server, and wait for what it says."""
    run: Run = ask(wanted)
    while run.state not in TERMINAL:
        (run,) = ask(WaitRuns([run.id], _WAIT_S))
    return ask(GetVerdict(run.id)), run


def _move(model: str, alias: str, reason: str, *, force: bool) -> None:
    version: Version = ask(GetVersion("model", model))
    moved: Version = ask(MoveAlias("model", version.name, alias, version.number, reason, force))
    if wants_json():
        print_json(moved)
    else:
        click.echo(f"{moved.name}@{alias} is {moved.reference}")
        print_next(f"mainspring why {moved.name}@{alias}")
