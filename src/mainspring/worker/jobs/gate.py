"""The job ``gate``: judge a challenger against the champion on rows that training never saw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mainspring.domain.errors import Invalid
from mainspring.domain.messages import GetVersion
from mainspring.evaluation.gate import judge
from mainspring.evaluation.rules import Rules, read_rules
from mainspring.evaluation.scores import read_answers, read_truth, require_columns
from mainspring.models.columns import Array, to_columns
from mainspring.models.package import measure_latency_ms
from mainspring.models.runtime import Predictor, load_predictor
from mainspring.sdk.context import active_run
from mainspring.sdk.datasets import Dataset

if TYPE_CHECKING:
    import polars as pl

    from mainspring.sdk.client import Client

_BATCH_ROWS = 50_000


def run(arguments: dict[str, Any], client: Client) -> dict[str, Any]:
    """Judge a model.

    Parameters
    ----------
    arguments : dict
        ``model`` and ``data`` (pinned references), ``champion`` (the same, or None), ``gate``
        (the body of the declared gate, or None).
    client : Client
        Of the home.

    Returns
    -------
    dict
        ``passed``, ``summary`` and ``evidence``.

    Raises
    ------
    Invalid
        GATE-002, GATE-004 to GATE-007 for rows or predictions that cannot be judged; MODEL-005
        and MODEL-007 to MODEL-009 when the rows do not fit a model's signature.

    Notes
    -----
    Without a champion, the baseline is the best constant: the rate (or the mean) of the judging
    rows themselves, which no model could have known.
    """
    if arguments["gate"] is None:
        return {"passed": True, "summary": "no gate is declared", "evidence": {}}
    rules = read_rules(arguments["gate"])
    data = Dataset(arguments["data"])
    rows = data.polars()
    require_columns(rows, rules.slices)
    hidden = [name for name in rules.slices if name in (data.version.details.get("sealed") or ())]
    if hidden:
        raise Invalid("GATE-007", f"the gate slices by {hidden[0]!r}, which is sensitive", column=hidden[0])
    truth = read_truth(rows, rules.target)
    challenger, answers = _ask_model(arguments["model"], rows, client)
    evidence: dict[str, Any] = {"data": arguments["data"], "form": challenger.format}
    if arguments["champion"] is None:
        evidence["champion"] = "the best constant"
        against = np.full(len(truth), np.nanmean(truth)) if np.isfinite(truth).any() else np.zeros(len(truth))
    else:
        evidence["champion"] = arguments["champion"]
        _, against = _ask_model(arguments["champion"], rows, client)
    slices = {name: rows[name].to_numpy() for name in rules.slices}
    measurements = _measure(rules, arguments["model"], challenger, rows, client)
    verdict = judge(arguments["gate"], truth, answers, against, slices, measurements)
    verdict["evidence"] = {**evidence, **verdict["evidence"]}
    return verdict


def _ask_model(reference: str, rows: pl.DataFrame, client: Client) -> tuple[Predictor, Array]:
    """Load a model as a service does, and return it with its answers to all rows."""
    active = active_run()
    run_id = active.run.id if active is not None else None
    version = client.ask(GetVersion(kind="model", reference=reference, run_id=run_id))
    files = {name: client.blobs.path(digest) for name, digest in version.manifest.items()}
    predictor = load_predictor(files, seal=client.seal)
    parts = []
    for start in range(0, len(rows), _BATCH_ROWS):
        columns = _select_inputs(predictor, rows[start : start + _BATCH_ROWS])
        parts.append(read_answers(predictor.predict(columns), reference))
    return predictor, np.concatenate(parts) if parts else np.empty(0)


def _select_inputs(predictor: Predictor, rows: pl.DataFrame) -> dict[str, Array]:
    names = [each.name for each in predictor.signature.inputs if each.name in rows.columns]
    return predictor.signature.check(to_columns(rows.select(names)))


def _measure(
    rules: Rules, reference: str, predictor: Predictor, rows: pl.DataFrame, client: Client
) -> dict[str, float]:
    found: dict[str, float] = {}
    if "latency_ms" in rules.limits:
        found["latency_ms"] = measure_latency_ms(predictor, _select_inputs(predictor, rows[:1]))
    if "size_mb" in rules.limits:
        version = client.ask(GetVersion(kind="model", reference=reference))
        found["size_mb"] = float(version.details["size_bytes"]) / 1e6
    return found
