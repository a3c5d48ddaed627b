"""The card of a model version: what it is for, what it takes, how it was proven, and where it comes from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import Any, NamedTuple

import msgspec

from mainspring.domain.html import render_table
from mainspring.domain.lineage import Lineage
from mainspring.domain.records import Verdict, Version
from mainspring.domain.units import format_size

_LEVELS = 8
_SLICES = 5
_MARKS = re.compile(r"([\\`*_\[\]<>|#~])")


class Table(NamedTuple):
    """Rows under headings."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


class Section(NamedTuple):
    """A part of the card: remarks, then a table."""

    title: str
    lines: Sequence[str]
    table: Table | None = None


def write_card(version: Version, lineage: Lineage | None = None) -> str:
    """Return the card as Markdown.

    Parameters
    ----------
    version : Version
        A registered model.
    lineage : Lineage, optional
        What gates said of it and who serves it; None: only what stands in the version itself.

    Notes
    -----
    Guarantees: what people and programs have written is text in it, whatever marks it holds.
    """
    lines = [f"# {_mark(version.reference)}", ""]
    for section in _list_sections(version, lineage):
        lines += [f"## {section.title}", ""] if section.title else []
        lines += [*(f"- {_mark(line)}" if section.title else _mark(line) for line in section.lines), ""]
        if section.table is not None and section.table.rows:
            columns, rows = section.table
            lines += [_write_row(columns), _write_row(["---"] * len(columns), plain=True)]
            lines += [*(_write_row(row) for row in rows), ""]
    return "\n".join(lines)


def render_card(version: Version, lineage: Lineage | None = None) -> str:
    """Return the card as a page of HTML without scripts; parameters and guarantees are those of `write_card`."""
    parts = [f"<h1>{escape(version.reference)}</h1>"]
    for section in _list_sections(version, lineage):
        parts += [f"<h2>{escape(section.title)}</h2>"] if section.title else []
        parts += [f"<p>{escape(line)}</p>" for line in section.lines]
        if section.table is not None and section.table.rows:
            parts.append(render_table(*section.table))
    head = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(version.reference)}</title></head>'
    )
    return f"{head}<body>{''.join(parts)}</body></html>\n"


def _list_sections(version: Version, lineage: Lineage | None) -> list[Section]:
    details: dict[str, Any] = version.details if isinstance(version.details, dict) else {}
    verdicts = lineage.verdicts if lineage is not None else []
    found = [
        Section("", [*_tell_purpose(version, details.get("goal"))]),
        _tell_inputs(details.get("signature") or {}),
        Section("Proof", _tell_proof(details)),
        Section("Metrics", [], Table(("metric", "value", "against", "change", "data"), _list_metrics(verdicts))),
        Section("Slices", [], Table(("slice", "rows", "metric", "value", "change"), _list_slices(verdicts))),
        Section("Verdicts", [_tell_verdict(each) for each in verdicts]),
        Section("Origin", _tell_origin(version, details, lineage)),
        Section("Environment", [f"{name} {number}" for name, number in (details.get("environment") or {}).items()]),
    ]
    return [each for each in found if each.lines or (each.table is not None and each.table.rows)]


def _tell_purpose(version: Version, goal: dict[str, Any] | None) -> list[str]:
    told = [version.description] if version.description else []
    if goal is not None:
        target = "" if goal.get("target") is None else f", target {goal['target']:g}"
        told.append(f"{goal['text']} (metric {goal['metric']}{target}; owner {goal['owner']})")
    return told


def _tell_inputs(signature: dict[str, Any]) -> Section:
    rows = []
    for column in signature.get("inputs") or ():
        levels = column.get("categories")
        shown = ", ".join(map(str, levels[:_LEVELS])) + (" ..." if len(levels) > _LEVELS else "") if levels else ""
        nulls = "yes" if column.get("nullable") else "no"
        rows.append((column["name"], column["datatype"], nulls, f"{len(levels)}: {shown}" if levels else ""))
    outputs = ", ".join(f"{column['name']} ({column['datatype']})" for column in signature.get("outputs") or ())
    lines = [f"gives {outputs}"] if outputs else []
    return Section("Inputs", lines, Table(("name", "type", "nulls", "levels"), rows))


def _tell_proof(details: dict[str, Any]) -> list[str]:
    facts = [f"answers as {details['format']}"] if details.get("format") else []
    facts += [format_size(details["size_bytes"])] if details.get("size_bytes") is not None else []
    facts += [f"{details['latency_ms']:.3g} ms a row"] if details.get("latency_ms") is not None else []
    parity = details.get("parity")
    return [*([", ".join(facts)] if facts else []), *([_tell_parity(parity)] if parity else [])]


def _tell_parity(parity: dict[str, Any]) -> str:
    if parity["problem"]:
        return f"no ONNX form: {parity['problem']}"
    compared = f"{parity['rows']:,} real rows, {parity['nan_rows']:,} with nulls"
    compared += f", {parity['unseen_rows']:,} with unseen categories"
    found = f"{parity['label_mismatches']:,} labels differ, probabilities by at most {parity['max_abs_dp']:.2g}"
    return f"ONNX against native on {compared}: {found} ({'passed' if parity['passed'] else 'failed'})"


def _list_metrics(verdicts: Sequence[Verdict]) -> list[Sequence[Any]]:
    return [
        (
            each["metric"],
            f"{each['challenger']:.4f}",
            f"{each['champion']:.4f} ({verdict.champion or 'the best constant'})",
            f"{each['change']:+.4f} [{each['low']:+.4f}, {each['high']:+.4f}]",
            verdict.data,
        )
        for verdict in verdicts
        for each in (*(verdict.evidence or {}).get("better", ()), *(verdict.evidence or {}).get("not_worse", ()))
    ]


def _list_slices(verdicts: Sequence[Verdict]) -> list[Sequence[Any]]:
    """Return the slices that lost most, of the newest verdict that has some."""
    for verdict in verdicts:
        worst = ((verdict.evidence or {}).get("slices") or {}).get("worst")
        if worst:
            return [
                (
                    f"{each['column']}={each['value']}",
                    f"{each['rows']:,}",
                    each["metric"],
                    f"{each['challenger']:.4f}",
                    f"{each['change']:+.4f} [{each['low']:+.4f}, {each['high']:+.4f}]",
                )
                for each in worst[:_SLICES]
            ]
    return []


def _tell_verdict(verdict: Verdict) -> str:
    outcome = "passed" if verdict.passed else "REFUSED"
    against = verdict.champion or "the baseline"
    return f"{outcome} for {verdict.alias} against {against} on {verdict.data}: {verdict.summary}"


def _tell_origin(version: Version, details: dict[str, Any], lineage: Lineage | None) -> list[str]:
    code, made_by = details.get("code") or {}, details.get("made_by") or version.run_id
    settings = ", ".join(f"{name}={value}" for name, value in sorted((details.get("params") or {}).items()))
    told = [
        f"trained on {', '.join(details.get('trained_on') or ()) or 'data outside the record'}",
        f"made by run {made_by or 'outside of runs'}, code {code.get('commit') or 'not in git'}",
        f"parameters: {settings or 'none'}",
        f"content {version.digest}",
    ]
    told += [f"registered from {details['source']}"] if details.get("source") else []
    origin = details.get("origin")
    if origin:
        told.append(f"came from {origin['reference']} of {origin['place'] or 'another record'}")
        told += [f"trained there on {each['reference']} ({each['digest'][:12]})" for each in origin["datasets"]]
        told += [f"there: {_tell_verdict(msgspec.convert(each, Verdict))}" for each in origin["verdicts"]]
    if lineage is not None:
        before = [
            each.reference for each in lineage.datasets if each.reference not in (details.get("trained_on") or ())
        ]
        told += [f"which were made of {', '.join(before)}"] if before else []
        told += [f"served by {', '.join(lineage.services)}"] if lineage.services else []
    return [*told, *(f"tag {name} = {value}" for name, value in version.tags.items())]


def _write_row(cells: Sequence[Any], *, plain: bool = False) -> str:
    return f"| {' | '.join(str(cell) if plain else _mark(str(cell)) for cell in cells)} |"


def _mark(text: str) -> str:
    """Return a text that Markdown shows as it is, in one line."""
    return _MARKS.sub(r"\\\1", " ".join(text.split()))
