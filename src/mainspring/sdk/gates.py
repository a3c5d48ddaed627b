"""Gates: what a challenger must show, and the act of promoting it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mainspring.domain.messages import GetVerdict, GetVersion, MoveAlias, Promote, WaitRuns
from mainspring.domain.records import Declaration, Run, Verdict, Version
from mainspring.domain.references import parse_reference
from mainspring.domain.states import TERMINAL
from mainspring.sdk.context import active_run
from mainspring.sdk.datasets import Dataset
from mainspring.sdk.lineage import current_client
from mainspring.sdk.models import Model

_WAIT_S = 10.0


class Gate:
    """What a model must show before an alias moves to it; inert until it is applied.

    Parameters
    ----------
    model : str
        Name of the model.
    to : str, default "champion"
        The alias that it guards.
    target : str
        Column of the judging rows that holds the truth.
    better : iterable of str
        Metrics in which the challenger must beat the champion (without one, the best constant):
        the interval of the paired difference lies above zero. ``auc``, ``log_loss``, ``brier``,
        ``error_rate`` and ``ece`` for two classes, ``mse`` and ``mae`` for values.
    not_worse : mapping of str to float, optional
        Metric -> margin in its unit: the challenger must be shown to lose less than that.
    slices : iterable of str
        Columns of the judging rows; on no value of one may the challenger be shown to lose more
        than the margin (zero for metrics of `better` when `not_worse` is empty).
    limits : mapping of str to float, optional
        ``latency_ms`` of one row and ``size_mb`` (10**6 bytes), at most.
    tests : iterable of str
        Demands on the challenger alone, such as ``"auc >= 0.65"``.
    alpha : float, default 0.05
        Probability of passing a challenger that is no better.
    min_rows : int, default 1000
        Rows with a label that a judgement needs.

    Raises
    ------
    Invalid
        GATE-001 when a demand makes no sense; DATA-001 when a name is none.

    Examples
    --------
    >>> gate = Gate("delays", target="late", better=["auc"], slices=["shop"])
    """

    def __init__(
        self,
        model: str,
        *,
        to: str = "champion",
        target: str,
        better: Iterable[str] = (),
        not_worse: Mapping[str, float] | None = None,
        slices: Iterable[str] = (),
        limits: Mapping[str, float] | None = None,
        tests: Iterable[str] = (),
        alpha: float = 0.05,
        min_rows: int = 1000,
    ) -> None:
        parse_reference(f"{model}@{to}", "model")
        self.model = model
        self.to = to
        self.body: dict[str, Any] = {
            "target": target,
            "better": _list(better),
            "not_worse": dict(not_worse or {}),
            "slices": _list(slices),
            "limits": dict(limits or {}),
            "tests": _list(tests),
            "alpha": alpha,
            "min_rows": min_rows,
        }
        from mainspring.evaluation.rules import read_rules

        read_rules(self.body)

    def declaration(self) -> Declaration:
        """Return the inert form that `apply` hands over."""
        return Declaration("gate", f"{self.model}->{self.to}", self.body)

    def __repr__(self) -> str:
        return f"Gate({self.model!r}, to={self.to!r})"


def promote(
    model: Model | str, to: str, *, data: Dataset | str | None = None, reason: str = "", force: bool = False
) -> Verdict:
    """Run the gate of a model and an alias on unseen data; the verdict moves the alias, or not.

    Parameters
    ----------
    model : Model or str
        The challenger, a handle or reference.
    to : str
        The alias.
    data : Dataset or str, optional
        Labelled rows that neither training nor search read; lineage must prove it. None: nothing is
        judged; the alias moves at once where no gate is declared, to a version that the gate let
        through before, or by force.
    reason : str, default ""
        Why now; recorded.
    force : bool, default False
        Pass the gate over, without data; only an approver may, with a reason, and the audit keeps it.

    Returns
    -------
    Verdict
        Truthy when it passed: the alias moves now or, where a service follows it, when the
        canary is full. A refusal is recorded and moves nothing. Without a declared gate the alias
        moves without judgement. Where nothing was judged now, its `run_id` is empty.

    Raises
    ------
    Invalid
        GATE-012 when training read the data; GATE-002 and GATE-004 to GATE-006 when they cannot
        judge; GATE-008 when it is forced without a reason.
    Conflict
        GATE-003 without data, when a gate has not let the version through.
    Denied
        AUTH-005 when it is forced and you are no approver.
    NotFound
        MODEL-001 or DATA-002 when a reference names nothing.

    Notes
    -----
    Guarantees: asked again with nothing changed, it answers with the same verdict; so it does for
    a version that passed on these rows before, wherever the alias has moved since. Prints one line.

    Examples
    --------
    >>> ms.promote("delays@5", "champion", data="flight_rows.recent")  # doctest: +SKIP
    """
    reference = model.reference if isinstance(model, Model) else model
    if data is None or force:
        return _move(reference, to, reason, force=force)
    return _judge(reference, to, data.reference if isinstance(data, Dataset) else data, reason)


def _judge(reference: str, alias: str, data: str, reason: str) -> Verdict:
    client, active = current_client(), active_run()
    run: Run = client.ask(
        Promote(
            model=reference,
            alias=alias,
            data=data,
            reason=reason,
            run_id=active.run.id if active is not None else None,
        )
    )
    known = run.state in TERMINAL
    while run.state not in TERMINAL:
        (run,) = client.ask(WaitRuns(ids=[run.id], wait_s=_WAIT_S))
    verdict: Verdict = client.ask(GetVerdict(run_id=run.id))
    outcome = "PASSED" if verdict else "REFUSED"
    if active is not None and active.progress is not None:
        before = f"judged before, run {run.id[-6:]}: " if known else ""
        active.progress.tell("promote", f"{'HIT    ' if known else ''}{outcome}", before + verdict.summary)
    else:
        print(f"{outcome}  {verdict.model} for {alias}: {verdict.summary}  (evidence: run {run.id[-6:]})")  # noqa: T201 - the answer of an act
    return verdict


def _move(reference: str, alias: str, reason: str, *, force: bool) -> Verdict:
    client = current_client()
    version: Version = client.ask(GetVersion("model", reference))
    client.ask(MoveAlias("model", version.name, alias, version.number, reason, force))
    summary = f"{version.name}@{alias} is {version.reference}{', forced' if force else ''}, nothing was judged"
    print(f"MOVED  {summary}")  # noqa: T201 - the answer of an act
    return Verdict("", "", version.reference, alias, None, "", True, summary, None, project=version.project)


def _list(names: Iterable[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)
