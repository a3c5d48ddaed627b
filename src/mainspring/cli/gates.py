"""``mainspring gates``: what guards which alias, and by whose word."""

from __future__ import annotations

import click

from mainspring.cli.asking import act, ask
from mainspring.cli.printing import Noun, dry_run, print_fields, print_json, print_next, print_table, wants_json
from mainspring.cli.texts import format_age, format_value
from mainspring.domain.gates import GateInForce, GetGate, ListGates, RemoveGate


@click.group(
    "gates",
    answer=list[GateInForce],
    cls=Noun,
    epilog="Examples: mainspring gates · mainspring gates show delays champion"
    ' · mainspring gates remove delays champion --reason "the task has changed"',
)
@click.pass_context
def command(context: click.Context) -> None:
    """List the gates in force; show or remove one. `mainspring apply` puts one in force."""
    if context.invoked_subcommand is not None:
        return
    gates: list[GateInForce] = ask(ListGates())
    if wants_json():
        print_json(gates)
        return
    rows = [
        (each.model, each.alias, each.body.get("target"), _tell(each), each.principal, format_age(each.applied_at))
        for each in gates
    ]
    columns = ("model", "alias", "target", "demands", "applied by", "age")
    print_table(columns, rows, empty="no gates: every alias moves freely; mainspring apply FILE")


@command.command("show", answer=GateInForce)
@click.argument("model")
@click.argument("alias")
def show(model: str, alias: str) -> None:
    """Show the gate of a model and an alias: every demand, and who applied it."""
    gate: GateInForce = ask(GetGate(model, alias))
    if wants_json():
        print_json(gate)
        return
    print_fields(
        {
            "gate": f"{gate.model}@{gate.alias}",
            **{name.replace("_", " "): _describe(value) for name, value in gate.body.items()},
            "applied": f"{format_age(gate.applied_at)} ago by {gate.principal}",
            "rules": gate.rules[:12],
        }
    )
    print_next(f"mainspring promote {gate.model} {gate.alias} --data DATASET")


@command.command("remove", answer=GateInForce)
@click.argument("model")
@click.argument("alias")
@click.option("--reason", required=True, help="Why; the audit keeps it.")
@dry_run
def remove(model: str, alias: str, reason: str) -> None:
    """Let an alias move without judgement from now on; only an approver may."""
    gate: GateInForce = act(RemoveGate(model, alias, reason))
    if wants_json():
        print_json(gate)
    else:
        click.echo(f"{gate.model}@{gate.alias} is no longer gated")


def _tell(gate: GateInForce) -> str:
    better = [f"better {each}" for each in gate.body.get("better", ())]
    margins = [f"{name} within {format_value(margin)}" for name, margin in gate.body.get("not_worse", {}).items()]
    return ", ".join([*better, *margins, *gate.body.get("tests", ())])


def _describe(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {format_value(each)}" for name, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
