"""``mainspring plan``: the last weeks again, with other machines, quotas or demand."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import click

from mainspring.cli.asking import ask
from mainspring.cli.drawing import draw_waits
from mainspring.cli.offering import offer
from mainspring.cli.printing import Verb, print_fields, print_json, print_table, wants_json
from mainspring.compute.scheduling.plans import Plan, Played
from mainspring.domain.errors import Invalid
from mainspring.domain.quotas import ListQuotas, Quota
from mainspring.domain.units import format_span

_WEEK_S = 7 * 86_400.0


class _Wanted(NamedTuple):
    """What is to be changed."""

    pool: str
    gpus: int
    nodes: int
    demand: float
    quotas: dict[str, float]

    def tell(self) -> str:
        """Return it in words."""
        words = [
            f"{abs(number)} {noun}{'' if abs(number) == 1 else 's'} {'more' if number > 0 else 'fewer'} in {self.pool}"
            for number, noun in ((self.gpus, "gpu"), (self.nodes, "machine"))
            if number
        ]
        if self.demand != 1:
            words.append(f"{abs(self.demand - 1):.0%} {'more' if self.demand > 1 else 'less'} demand")
        words += [f"a limit of {amount:g} gpus for {tenant}" for tenant, amount in self.quotas.items()]
        return " and ".join(words)


@click.command(
    "plan",
    answer=Plan,
    untried="it changes nothing",
    cls=Verb,
    epilog="Examples: mainspring plan --pool lab --gpus +2 · mainspring plan --demand +20% --weeks 4 --plot waits.svg",
)
@click.option("--pool", default="local", show_default=True, shell_complete=offer("pool"), help="Whose machines change.")
@click.option("--gpus", type=int, default=0, help="So many devices more there, or fewer: +2, -1.")
@click.option("--nodes", type=int, default=0, help="So many machines more there, like its largest, or fewer.")
@click.option("--demand", default="", metavar="PERCENT", help="So many more runs, or fewer: +20%, -10%.")
@click.option("--quota", "quotas", multiple=True, metavar="TENANT=GPUS", help="A tenant holds so many devices at most.")
@click.option("--weeks", type=click.FloatRange(0.01, 520), default=6.0, show_default=True, help="Of the past.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Write how long runs wait as SVG, too.")
def command(
    pool: str, gpus: int, nodes: int, demand: str, quotas: tuple[str, ...], weeks: float, plot: Path | None
) -> None:
    """Play the last weeks of the queue as they were and with a change, and tell what it does to the wait.

    Runs come when they came and last as long as they lasted; what starts when is decided by the policy of the queue,
    on the machines that there are now. It is played in this process; the queue goes on meanwhile.
    """
    wanted = _Wanted(pool, gpus, nodes, _read_demand(demand), dict(map(_read_quota, quotas)))
    if not wanted.tell():
        raise Invalid("PLAN-001", "nothing is to be changed", fix="mainspring plan --gpus +2")
    found = _play(wanted, weeks * _WEEK_S)
    if plot is not None:
        try:
            plot.write_text(draw_waits(found), "utf-8")
        except OSError as fault:
            raise Invalid("SIM-001", f"{plot} cannot be written: {fault.strerror}") from None
    (print_json if wants_json() else _show)(found)


def _play(wanted: _Wanted, last_s: float) -> Plan:
    from mainspring.cli.replaying import read_cluster, read_replay
    from mainspring.compute.scheduling.entitlements import FREE, make_entitlement
    from mainspring.compute.scheduling.plans import play, tell_answer
    from mainspring.compute.scheduling.replays import change_demand, change_machines

    agreements: list[Quota] = ask(ListQuotas())
    agreed = {each.tenant: make_entitlement(each) for each in agreements}
    machines, replay = read_cluster(), read_replay(last_s)
    others = change_machines(machines, wanted.pool, gpus=wanted.gpus, nodes=wanted.nodes)
    more = change_demand(replay.arrivals, wanted.demand)
    limited = dict(agreed)
    for tenant, gpus in wanted.quotas.items():
        before = agreed.get(tenant, FREE)
        limited[tenant] = before._replace(limit=(*before.limit[:-1], gpus * 1000))
    with click.progressbar(length=len(replay.arrivals) + len(more), file=sys.stderr) as bar:
        today = play(machines, replay.arrivals, agreed, told=lambda ended: bar.update(ended - bar.pos))
        bar.update(len(replay.arrivals) - bar.pos)
        planned = play(others, more, limited, told=lambda ended: bar.update(len(replay.arrivals) + ended - bar.pos))
    waits = sorted(each.waited_s for each in replay.arrivals if each.waited_s is not None)
    return Plan(
        wanted.tell(),
        tell_answer(wanted.tell(), today.figures, planned.figures),
        last_s,
        today,
        planned,
        waits[len(waits) // 2] if waits else None,
        replay.notes,
    )


def _read_demand(text: str) -> float:
    """Return by what the number of runs is multiplied: 1.2 for ``+20%``."""
    if not text:
        return 1.0
    try:
        factor = 1 + float(text.strip().removesuffix("%")) / 100
    except ValueError:
        factor = 0.0
    if not 0 < factor <= 100:
        raise Invalid("PLAN-001", f"a demand of {text!r} is no change in per cent above -100", fix="--demand +20%")
    return factor


def _read_quota(text: str) -> tuple[str, float]:
    tenant, _, amount = text.rpartition("=")
    try:
        gpus = float(amount)
    except ValueError:
        gpus = 0.0
    if not tenant or not 0 < gpus < 1e9:
        raise Invalid("PLAN-001", f"a quota of {text!r} names no tenant and devices above 0", fix="--quota air=4")
    return tenant, gpus


def _show(plan: Plan) -> None:
    for note in plan.notes:
        click.echo(f"note: {note}", err=True)
    click.echo(plan.answer)
    rows = [(name, *cells) for name, *cells in zip(_ROWS, _cells(plan.today), _cells(plan.planned), strict=True)]
    print_table(("", "today", "planned"), [row for row in rows if set(row[1:]) != {"-"}])
    if plan.waited_p50_s is not None:
        print_fields({"recorded": f"half of the runs really waited up to {format_span(plan.waited_p50_s)}"})


_ROWS = (
    "machines", "gpus", "runs", "wait, mean", "wait, half within", "wait, 99 % within", "took, mean",
    "took, 99 % within", "devices given out", "Jain over tenants", "could never start", "cost",
)  # fmt: skip


def _cells(played: Played) -> tuple[str, ...]:
    figures = played.figures
    return (
        f"{played.machines:,}",
        f"{played.gpus:,}",
        f"{figures.runs:,}",
        format_span(figures.wait_mean_s),
        format_span(figures.wait_p50_s),
        format_span(figures.wait_p99_s),
        format_span(figures.completion_mean_s),
        format_span(figures.completion_p99_s),
        f"{figures.utilisation:.1%}" if played.gpus else "-",
        f"{figures.jain:.3f}" if played.gpus else "-",
        f"{figures.refused:,}",
        f"{figures.cost:,.2f}" if figures.cost else "-",
    )
