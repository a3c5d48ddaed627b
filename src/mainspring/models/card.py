"""The card of a model version: what it is for, what it takes and how it was proven."""

from __future__ import annotations

from typing import Any

from mainspring.domain.records import Version


def write_card(version: Version) -> str:
    """Return the card as Markdown.

    Parameters
    ----------
    version : Version
        A registered model; everything stands in its details.
    """
    details: dict[str, Any] = version.details
    lines = [f"# {version.reference}", "", *_tell_goal(details.get("goal"))]
    lines += ["## Inputs", "", "| name | type | nulls | levels |", "|---|---|---|---|"]
    for column in details["signature"]["inputs"]:
        levels = column.get("categories")
        shown = "" if levels is None else f"{len(levels)}: {', '.join(levels[:8])}{' ...' if len(levels) > 8 else ''}"
        nulls = "yes" if column.get("nullable") else "no"
        lines.append(f"| {column['name']} | {column['datatype']} | {nulls} | {shown} |")
    outputs = ", ".join(f"{column['name']} ({column['datatype']})" for column in details["signature"]["outputs"])
    lines += ["", f"Outputs: {outputs}.", "", "## Proof", ""]
    lines.append(
        f"- answers as {details['format']}, {details['size_bytes']:,} bytes, {details['latency_ms']:.3g} ms a row"
    )
    lines.append(f"- {_tell_parity(details['parity'])}")
    lines += ["", "## Origin", "", f"- trained on {', '.join(details['trained_on']) or 'data outside the record'}"]
    lines.append(
        f"- made by run {details['made_by'] or 'outside of runs'}, code {details['code'].get('commit') or 'not in git'}"
    )
    settings = ", ".join(f"{name}={value}" for name, value in sorted(details["params"].items()))
    lines.append(f"- parameters: {settings or 'none'}")
    lines.append(f"- environment: {', '.join(f'{name} {number}' for name, number in details['environment'].items())}")
    return "\n".join([*lines, ""])


def _tell_goal(goal: dict[str, Any] | None) -> list[str]:
    if goal is None:
        return []
    target = "" if goal["target"] is None else f", target {goal['target']:g}"
    return [f"**{goal['text']}** (metric {goal['metric']}{target}; owner {goal['owner']})", ""]


def _tell_parity(parity: dict[str, Any]) -> str:
    if parity["problem"]:
        return f"no ONNX form: {parity['problem']}"
    compared = f"{parity['rows']:,} real rows, {parity['nan_rows']:,} with nulls"
    compared += f", {parity['unseen_rows']:,} with unseen categories"
    found = f"{parity['label_mismatches']:,} labels differ, probabilities by at most {parity['max_abs_dp']:.2g}"
    return f"ONNX against native on {compared}: {found} ({'passed' if parity['passed'] else 'failed'})"
