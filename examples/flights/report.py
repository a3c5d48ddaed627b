"""The report of a replay: one HTML page with its plots, where each number names its run."""

from __future__ import annotations

import base64
import html
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

LIVE, FROZEN, GREY = "#0b6e4f", "#c8553d", "#8a8a8a"
STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:960px;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .6rem;text-align:right;border-bottom:1px solid #ddd}
th:first-child,td:first-child{text-align:left}
a,abbr{color:inherit;text-decoration:underline dotted #999}
img{max-width:100%;margin:1rem 0}
code{background:#f3f3f3;padding:.1rem .3rem}
.better{color:#0b6e4f;font-weight:600}
"""


def write_report(folder: Path, results: dict[str, Any]) -> Path:
    """Write ``report.html`` and its plots as PNG files.

    Parameters
    ----------
    folder : Path
        Where to; made when missing.
    results : dict
        What `replay.py` measured: ``months``, ``figure``, ``study``, ``renewals``, ``counts``.

    Returns
    -------
    Path
        The page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    plots = {
        "months.png": plot_months(results["months"], results["renewals"]),
        "search.png": plot_search(results["study"]),
        "gates.png": plot_gates(results["renewals"]),
    }
    for name, figure in plots.items():
        figure.savefig(folder / name, dpi=110)
        plt.close(figure)
    page = folder / "report.html"
    page.write_text(render(folder, results), encoding="utf-8")
    return page


def plot_months(months: list[dict[str, Any]], renewals: list[dict[str, Any]]) -> plt.Figure:
    """AUC and log-loss by month, with the renewals where they took over."""
    figure, axes = plt.subplots(1, 2, figsize=(10.5, 3.8), layout="constrained")
    names = [month["month"] for month in months]
    for axis, key, title in zip(
        axes, ("auc", "log_loss"), ("AUC (higher is better)", "log-loss (lower is better)"), strict=True
    ):
        for kind, colour, label in (("frozen", FROZEN, "frozen, January-February"), ("live", LIVE, "live, renewed")):
            values = [month[f"{key}_{kind}"] for month in months]
            axis.plot(names, values, "o-", color=colour, label=label, linewidth=2, markersize=4)
        for renewal in renewals:
            if renewal["state"] == "promoted" and renewal["takes_over"] in names:
                axis.axvline(renewal["takes_over"], color=GREY, linestyle=":", linewidth=1)
        axis.set_title(title, fontsize=11)
        axis.tick_params(axis="x", rotation=45)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False, fontsize=9)
    return figure


def plot_search(study: dict[str, Any]) -> plt.Figure:
    """The curve of each trial, and which parameters mattered."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 3.8), layout="constrained", width_ratios=(2, 1))
    for trial in study["trials"]:
        steps = [step for step, _ in trial["curve"]]
        values = [value for _, value in trial["curve"]]
        best = trial["number"] == study["best"]
        colour = LIVE if best else (FROZEN if trial["state"] == "pruned" else GREY)
        left.plot(
            steps, values, color=colour, linewidth=2.5 if best else 1, alpha=1 if best else 0.6, zorder=3 if best else 1
        )
        if trial["state"] == "pruned" and steps:
            left.plot(steps[-1], values[-1], "x", color=FROZEN, markersize=6)
    left.set_title(f"{len(study['trials'])} trials: best (green), given up (x)", fontsize=11)
    left.set_xlabel("trees")
    left.set_ylabel(study["metric"])
    names = list(study["importances"])[::-1]
    right.barh(names, [study["importances"][name] for name in names], color=LIVE)
    right.set_title("importance of the parameters", fontsize=11)
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def plot_gates(renewals: list[dict[str, Any]]) -> plt.Figure:
    """The paired AUC difference with its interval, of every gate."""
    judged = [renewal for renewal in renewals if renewal.get("auc_difference")]
    figure, axis = plt.subplots(figsize=(10.5, 0.5 * len(judged) + 1.4), layout="constrained")
    for row, renewal in enumerate(judged):
        value, low, high = renewal["auc_difference"]
        colour = {"promoted": LIVE, "canary": GREY}.get(renewal["state"], FROZEN)
        axis.plot([low, high], [row, row], color=colour, linewidth=3, solid_capstyle="butt")
        axis.plot(value, row, "o", color=colour)
    axis.set_yticks(range(len(judged)), [f"{r['candidate']} against {r['champion'] or 'baseline'}" for r in judged])
    axis.axvline(0, color=GREY, linewidth=1)
    axis.set_title(
        "gates: AUC of candidate minus champion, 95 % (green promoted, grey in canary, red refused)",
        fontsize=11,
    )
    axis.invert_yaxis()
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def render(folder: Path, results: dict[str, Any]) -> str:
    """The page as text."""
    images = {path.name: base64.b64encode(path.read_bytes()).decode() for path in sorted(folder.glob("*.png"))}
    shown = {name: f'<img alt="{name}" src="data:image/png;base64,{content}">' for name, content in images.items()}
    figure, counts, study = results["figure"], results["counts"], results["study"]
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>A year of flights</title><style>{STYLE}</style>
<h1>A year of flights, and a service that renewed itself</h1>
<p>Live minus frozen over {len(results["months"])} months: AUC {_interval(figure["auc"])},
log-loss {_interval(figure["log_loss"])}, {figure["renewals"]} of {len(results["renewals"])} renewals promoted.</p>
{_table(results["months"])}
<p>Hover over a number for its run; <code>mainspring why RUN</code> tells the rest.</p>
{shown["months.png"]}
<h2>The search</h2>
<p>Run {_link(study["run"])}. Best {html.escape(study["metric"])} {study["value"]:.4f} with
<code>{html.escape(str(study["params"]))}</code>.</p>
{shown["search.png"]}
<h2>The renewals</h2>
{_list_renewals(results["renewals"])}
{shown["gates.png"]}
<h2>The counts</h2>
<p>{counts["service"]:,} requests counted by the service, {counts["client"]:,} in the client's ledger,
{counts["captured"]:,} captured;
{counts["rows"]:,} flights asked, {counts["captured_rows"]:,} rows captured.</p>
</html>
"""


def _table(months: list[dict[str, Any]]) -> str:
    head = "".join(
        f"<th>{name}"
        for name in (
            "month",
            "flights",
            "late",
            "AUC frozen",
            "live",
            "log-loss frozen",
            "live",
            "alarms",
            "renewals",
            "model",
        )
    )
    body = "".join(f"<tr>{_row(month)}" for month in months)
    return f"<table><tr>{head}{body}</table>"


def _row(month: dict[str, Any]) -> str:
    run = month["run"]
    cells = [
        html.escape(month["month"]),
        _name(f"{month['rows']:,}", run),
        _name(f"{month['late']:.1%}", run),
        _name(f"{month['auc_frozen']:.3f}", run),
        _name(f"{month['auc_live']:.3f}", run, better=month["auc_live"] > month["auc_frozen"]),
        _name(f"{month['log_loss_frozen']:.3f}", run),
        _name(f"{month['log_loss_live']:.3f}", run, better=month["log_loss_live"] < month["log_loss_frozen"]),
        _name(str(month["alarms"]), month["check"]),
        _name(str(month["renewals"]), month["check"]),
        html.escape(month["version"]),
    ]
    return "".join(f"<td>{cell}" for cell in cells)


def _list_renewals(renewals: list[dict[str, Any]]) -> str:
    items = []
    for renewal in renewals:
        steps = " &rarr; ".join(dict.fromkeys(html.escape(step) for step in renewal["steps"]))
        cause = html.escape(renewal["cause"])
        head = f"{_link(renewal['id'])} {html.escape(renewal['opened'])}: {steps}"
        items.append(f"<li>{head}. {cause}. Trained by {_link(renewal['run'])}.")
    return f"<ol>{''.join(items)}</ol>"


def _name(text: str, run: str | None, *, better: bool = False) -> str:
    shown = f'<span class="better">{text}</span>' if better else text
    return f'<abbr title="run {run}">{shown}</abbr>' if run else shown


def _link(ident: str | None) -> str:
    return f"<code>{ident[-6:]}</code>" if ident else "none"


def _interval(estimate: list[float]) -> str:
    value, low, high = estimate
    return f"{value:+.4f} [{low:+.4f}, {high:+.4f}]"
