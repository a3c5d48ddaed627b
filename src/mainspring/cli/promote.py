"""``mainspring promote``: a gate judges a model, and an alias moves or stays."""

from __future__ import annotations

import click

from mainspring.cli.asking import ask
from mainspring.cli.offering import offer
from mainspring.cli.printing import Verb, print_fields, print_json, print_next, wants_json
from mainspring.cli.texts import shorten_id
from mainspring.domain.messages import GetVerdict, Promote, WaitRuns
from mainspring.domain.records import Run, Verdict
from mainspring.domain.states import TERMINAL

_WAIT_S = 5.0
_REFUSED = 5


@click.command(
    "promote",
    answer=Verdict,
    untried="the verdict is known when the gate has run, and the data is no longer unseen then",
    cls=Verb,
    epilog="Example: mainspring promote delays@5 champion --data flight_rows.recent@7",
)
@click.argument("model", shell_complete=offer("model"))
@click.argument("alias")
@click.option(
    "--data",
    required=True,
    shell_complete=offer("dataset"),
    metavar="REFERENCE",
    help="A dataset version that the model has not seen.",
)
@click.option("--reason", default="", help="Kept in the record.")
@click.pass_context
def command(context: click.Context, model: str, alias: str, data: str, reason: str) -> None:
    """Run the gate of MODEL's name and ALIAS on unseen data.

    Passed: the alias moves now or, where a service follows it, when its canary is full; exit 0.
    Refused: nothing moves and the refusal is recorded; exit 5.
    """
    run: Run = ask(Promote(model, alias, data, reason))
    while run.state not in TERMINAL:
        (run,) = ask(WaitRuns([run.id], _WAIT_S))
    verdict: Verdict = ask(GetVerdict(run.id))
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
        context.exit(_REFUSED)
