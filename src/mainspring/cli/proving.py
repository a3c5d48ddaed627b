"""``mainspring models test`` and ``compare``: whether a version answers, and which of two is better."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mainspring.cli.asking import ask
from mainspring.cli.offering import offer
from mainspring.cli.printing import print_fields, print_json, print_table, wants_json
from mainspring.cli.texts import shorten_id
from mainspring.domain.messages import WaitRuns
from mainspring.domain.records import Run
from mainspring.domain.registry import ProveModel
from mainspring.domain.states import TERMINAL
from mainspring.domain.wire import restore

_WAIT_S = 5.0
_FAILED = 5


def add_proofs(group: click.Group) -> None:
    """Give the models their ``test`` and ``compare``."""

    @group.command("test", answer=Run, untried="it changes nothing but adds a run")
    @click.argument("reference", shell_complete=offer("model"))
    @click.pass_context
    def test(context: click.Context, reference: str) -> None:
        """Load a version in a worker, let it answer its example, and compare its two forms again."""
        run: Run = ask(ProveModel(reference))
        while run.state not in TERMINAL:
            (run,) = ask(WaitRuns([run.id], _WAIT_S))
        if run.problem is not None:
            raise restore(run.problem)
        found: dict[str, Any] = run.details or {}
        if wants_json():
            print_json(run)
        else:
            parity = found.get("parity")
            print_fields(
                {
                    "model": run.params["model"],
                    "outcome": "answers" if found.get("passed") else "FAILED",
                    "form": found.get("format"),
                    "example": f"{found.get('rows', 0)} rows answered",
                    "parity": f"{parity['label_mismatches']} labels differ, |dp| <= {parity['max_abs_dp']:.2g}"
                    if parity
                    else None,
                    "evidence": f"mainspring runs show {shorten_id(run.id)}",
                }
            )
        if not found.get("passed"):
            context.exit(_FAILED)

    @group.command("compare", answer="mainspring.sdk.comparing:ModelComparison")
    @click.argument("first", shell_complete=offer("model"))
    @click.argument("second", shell_complete=offer("model"))
    @click.option("--data", required=True, metavar="REFERENCE", shell_complete=offer("dataset"), help="Labelled rows.")
    @click.option("--target", required=True, metavar="COLUMN", help="Where the truth stands.")
    @click.option(
        "--alpha", type=click.FloatRange(0, 0.5, min_open=True, max_open=True), default=0.05, show_default=True,
        help="Each end of an interval errs so often.",
    )  # fmt: skip
    @click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Write the intervals as SVG, too.")
    def compare(first: str, second: str, data: str, target: str, alpha: float, plot: Path | None) -> None:
        """Compare two versions on the same rows, metric by metric, with paired intervals."""
        from mainspring.sdk.comparing import ModelComparison, compare_models, draw_comparison

        found: ModelComparison = compare_models(first, second, data, target, alpha=alpha)
        if plot is not None:
            plot.write_text(draw_comparison(found), "utf-8")
        if wants_json():
            print_json(found)
            return
        print_table(("metric", found.first, found.second, "change", "better"), found.table())
        click.echo(f"{found.rows:,} rows of {found.data}, paired intervals of {found.level:.0%}", err=True)
