"""What a replay showed: the live service beside the frozen first model, month by month."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import mainspring as ms

MODEL, SERVICE = "delays", "delays"


@ms.step
def judge_month(month: int, requests: ms.Dataset, outcomes: ms.Dataset, frozen: str) -> dict[str, Any]:
    """Compare what the service answered in a month with what the frozen model says of the same rows."""
    import polars as pl

    from mainspring.statistics.intervals import compare_auc, estimate_mean
    from mainspring.statistics.metrics import auc, log_losses

    asked = requests.polars().filter(pl.col("request_id").str.starts_with(f"{month:02d}-"))
    rows = asked.join(outcomes.polars().select("flight_id", "late"), on="flight_id", how="inner").sort("flight_id")
    model = ms.Model(frozen)
    inputs = [column.name for column in model.signature.inputs]
    late = rows["late"].cast(pl.Float64).to_numpy()
    live = rows["probability"].to_numpy()
    cold = model.predict(rows.select(inputs))["probability"].to_numpy()
    losses = {"live": log_losses(late, live), "frozen": log_losses(late, cold)}
    gain, loss = compare_auc(late, live, cold), estimate_mean(losses["live"] - losses["frozen"])
    return {
        "month": f"2013-{month:02d}",
        "rows": asked.height,
        "labelled": rows.height,
        "late": float(late.mean()),
        "auc_live": auc(late, live),
        "auc_frozen": auc(late, cold),
        "log_loss_live": float(losses["live"].mean()),
        "log_loss_frozen": float(losses["frozen"].mean()),
        "auc_difference": [gain.estimate, gain.low, gain.high],
        "log_loss_difference": [loss.estimate, loss.low, loss.high],
        "models": rows.group_by("model").len().sort("len", descending=True)["model"].to_list(),
        "run": ms.Run.current().id,
    }


@ms.pipeline
def judge(months: list[int]) -> dict[str, Any]:
    """Judge every month, and count what was asked, answered and captured."""
    requests, outcomes = ms.Dataset(f"{SERVICE}.requests"), ms.Dataset("outcomes")
    judged = [judge_month(month, requests, outcomes, f"{MODEL}@1") for month in months]
    renewals = list_renewals()
    for month in judged:
        add_events(month, renewals)
    return {"months": judged, "renewals": renewals, "figure": summarise(judged, renewals), "captured": requests.rows}


def summarise(months: list[dict[str, Any]], renewals: list[dict[str, Any]]) -> dict[str, Any]:
    """Return live minus frozen as means over the months, with 95 % intervals of independent months' errors."""
    figure: dict[str, Any] = {"renewals": sum(each["state"] == "promoted" for each in renewals)}
    for metric in ("auc", "log_loss"):
        parts = [month[f"{metric}_difference"] for month in months]
        mean = sum(value for value, _, _ in parts) / len(parts)
        error = math.sqrt(sum(((high - low) / 2) ** 2 for _, low, high in parts)) / len(parts)
        figure[metric] = [mean, mean - error, mean + error]
    return figure


def list_renewals() -> list[dict[str, Any]]:
    """Return the service's renewals, oldest first, each with its verdict."""
    from mainspring.domain.messages import ListAlarms, ListRenewals
    from mainspring.sdk.client import get_client

    client = get_client()
    alarms = client.ask(ListAlarms(service=SERVICE))
    found = []
    for case in reversed(client.ask(ListRenewals(service=SERVICE))):
        verdict = ms.why(case.verdict_id).data if case.verdict_id else None
        better = {each["metric"]: each for each in verdict["evidence"]["better"]} if verdict else {}
        auc = better.get("auc")
        found.append(
            {
                "id": case.id,
                "state": case.state,
                "cause": case.cause,
                "opened": month_before(case.event_time),
                "takes_over": month_of(case.event_time + 86_400),
                "steps": [step["state"] for step in case.steps],
                "run": case.run_id,
                "candidate": case.candidate,
                "champion": case.champion,
                "summary": verdict["summary"] if verdict else "",
                "auc_difference": [auc["change"], auc["low"], auc["high"]] if auc else None,
                "alarms": sum(alarm.renewal_id == case.id for alarm in alarms),
            }
        )
    return found


def add_events(month: dict[str, Any], renewals: list[dict[str, Any]]) -> None:
    """Add to a month what its truth set off."""
    from mainspring.domain.messages import ListAlarms, ListRuns
    from mainspring.sdk.client import get_client

    client = get_client()
    checks = client.ask(ListRuns(kind="check", name=SERVICE, limit=1000))
    month["check"] = next((run.id for run in checks if month_before(run.params["until"]) == month["month"]), None)
    month["alarms"] = sum(
        month_of(alarm.event_time) == month["month"] for alarm in client.ask(ListAlarms(service=SERVICE))
    )
    month["renewals"] = sum(each["opened"] == month["month"] for each in renewals)
    month["version"] = month["models"][0] if month["models"] else ""


def month_of(time_s: float) -> str:
    """Return the month in which an event time lies, in New York."""
    from datetime import UTC, datetime, timedelta

    return (datetime.fromtimestamp(time_s, UTC) - timedelta(hours=5)).strftime("%Y-%m")


def month_before(time_s: float) -> str:
    """Return the month that a check at its end is about: the one a day before."""
    return month_of(time_s - 86_400)


def write_results(months: list[int], counts: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Judge the replay, print its table and write its report."""
    from report import write_report

    results = judge(months)
    results["counts"] = {**counts, "captured_rows": results["captured"]}
    results["study"] = find_study()
    print_table(results)
    page = write_report(folder, results)
    print(f"\nreport  {page}")
    print("next    mainspring why delays@champion · mainspring services · mainspring alarms · mainspring runs")
    return results


def find_study() -> dict[str, Any]:
    """Return the first search, for its plot."""
    run = ms.runs("kind = study and state = succeeded", limit=1000)[-1]
    body = run.result()
    trials = body["trials"]
    best = min((trial for trial in trials if trial["state"] == "succeeded"), key=lambda trial: trial["value"])
    return {
        "run": run.id,
        "metric": "log_loss",
        "trials": trials,
        "best": best["number"],
        "value": best["value"],
        "params": best["params"],
        "importances": body["importances"],
    }


def print_table(results: dict[str, Any]) -> None:
    """Print the months, the figure and the counts."""
    print("\nmonth    flights   late    AUC frozen   live     log-loss frozen   live    alarms  renewals  model")
    for month in results["months"]:
        auc = f"{month['auc_frozen']:>8.3f}  {month['auc_live']:>6.3f}"
        loss = f"{month['log_loss_frozen']:>12.3f}  {month['log_loss_live']:>6.3f}"
        head = f"{month['month']}  {month['rows']:>7,}  {month['late']:>5.1%}    {auc}    {loss}"
        print(f"{head}  {month['alarms']:>7}  {month['renewals']:>8}  {month['version']}")
    figure, counts = results["figure"], results["counts"]
    auc, loss = figure["auc"], figure["log_loss"]
    print(f"\nlive minus frozen: AUC {auc[0]:+.4f} [{auc[1]:+.4f}, {auc[2]:+.4f}], ", end="")
    print(f"log-loss {loss[0]:+.4f} [{loss[1]:+.4f}, {loss[2]:+.4f}] (paired, 95 %)")
    print(f"renewals: {len(results['renewals'])} opened, {figure['renewals']} promoted")
    agree = counts["service"] == counts["client"] == counts["captured"] and counts["rows"] == counts["captured_rows"]
    print(
        f"requests: {counts['service']:,} counted by the service, {counts['client']:,} in the client's ledger, "
        f"{counts['captured']:,} captured; {counts['rows']:,} flights, {counts['captured_rows']:,} rows captured: "
        f"{'they agree' if agree else 'THEY DO NOT AGREE'}"
    )
