"""Runs: open one, search them, start one elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from mainspring.domain.errors import Conflict, Invalid
from mainspring.domain.html import render_fields, render_pairs, render_table, tells_errors
from mainspring.domain.messages import (
    CancelRuns,
    Explain,
    GetLogs,
    GetRun,
    GetSeries,
    Logs,
    RunPage,
    RunSpec,
    SearchRuns,
    SubmitRuns,
)
from mainspring.domain.preemptions import PreemptRuns
from mainspring.domain.records import Call, Reason, Resources
from mainspring.domain.records import Run as Record
from mainspring.domain.states import TERMINAL
from mainspring.domain.tracking import TagRun
from mainspring.domain.upkeep import DeleteRuns, RestoreRuns
from mainspring.sdk.artifacts import Logged, list_logged
from mainspring.sdk.commands import start_command
from mainspring.sdk.context import active_run
from mainspring.sdk.futures import Future
from mainspring.sdk.inline import select_params
from mainspring.sdk.lineage import current_client
from mainspring.sdk.pipelines import Pipeline
from mainspring.sdk.provenance import provenance_of
from mainspring.sdk.steps import Step
from mainspring.security.masks import mask_all

_PAGE = 500


class Run:
    """One run, by its id; nothing is asked before it is needed.

    Parameters
    ----------
    id : str
        Its id, or a unique prefix or suffix of it.

    Examples
    --------
    >>> with ms.start_run("fit") as run:
    ...     ms.log(loss=0.5)
    >>> ms.Run(run.id).metrics["loss"]
    0.5
    """

    def __init__(self, id: str) -> None:  # noqa: A002 - the word of the record
        self._id = id
        self._known: Record | None = None

    @classmethod
    def current(cls) -> Run:
        """Return the active run.

        Raises
        ------
        Invalid
            STEP-006 outside of runs.
        """
        active = active_run()
        if active is None:
            raise Invalid("STEP-006", "nothing runs here")
        return cls._of(active.run)

    @classmethod
    def _of(cls, record: Record) -> Run:
        run = cls(record.id)
        run._known = record
        return run

    @property
    def record(self) -> Record:
        """The run as the owner has it now.

        Raises
        ------
        NotFound
            RUN-001 when no run has this id.
        """
        if self._known is None or self._known.ended_at is None:
            self._known = current_client().ask(GetRun(id=self._id))
        return self._known

    @property
    def id(self) -> str:
        """The whole id."""
        return self._known.id if self._known is not None else self.record.id

    @property
    def name(self) -> str:
        """Name of the step, pipeline or command."""
        return self.record.name

    @property
    def state(self) -> str:
        """One of queued, starting, running, succeeded, failed, cancelled, pruned."""
        return self.record.state

    @property
    def params(self) -> dict[str, Any]:
        """Its arguments that are short JSON, and what `log_params` added."""
        return self.record.params

    @property
    def metrics(self) -> dict[str, float]:
        """The latest value of each metric."""
        return self.record.metrics

    @property
    def tags(self) -> dict[str, str]:
        """Its tags."""
        return self.record.tags

    @property
    def experiment(self) -> str:
        """Name of the group of runs that it belongs to; empty: none."""
        return self.record.experiment

    @property
    def artifacts(self) -> dict[str, Logged]:
        """What it logged beside numbers, by name: ``run.artifacts["curve"].load()``."""
        return list_logged(self.id)

    def tag(self, **tags: object) -> None:
        """Set tags, now or long after its end; None removes one.

        Raises
        ------
        Invalid
            STEP-009 for a name that is none; LOG-002 for a text above 5,000 characters.
        """
        kept = mask_all({name: str(value) for name, value in tags.items() if value is not None})
        gone = tuple(name for name, value in tags.items() if value is None)
        self._known = current_client().ask(TagRun(run_id=self.id, tags=kept, remove=gone))

    def series(self, key: str) -> list[tuple[int, float, float]]:
        """Return the points of a metric: (step, time in seconds since 1970 UTC, value)."""
        points: list[tuple[int, float, float]] = current_client().ask(GetSeries(run_id=self.id, key=key))
        return points

    def result(self, timeout: float | None = None) -> Any:
        """Wait for what it returned; as `Future.result`."""
        return self._future().result(timeout)

    def wait(self, timeout: float | None = None) -> Run:
        """Wait for its end, however it ends.

        Raises
        ------
        TimeoutError
            It has not ended after `timeout` seconds; it goes on.
        Conflict
            RUN-002 for the run that asks.
        """
        self._known = self._future().wait(timeout)
        return self

    def logs(self, rank: int = 0) -> str:
        """Return the text that it has printed so far; runs of a user's own process print there.

        Parameters
        ----------
        rank : int, default 0
            Of the member of a gang whose text it is.

        Raises
        ------
        NotFound
            RUN-026 when it has no member of that rank.
        """
        text, offset = "", 0
        while True:
            part: Logs = current_client().ask(GetLogs(run_id=self.id, offset=offset, rank=rank))
            text += part.text
            if part.offset == offset:
                return text
            offset = part.offset

    def cancel(self, reason: str = "cancelled by the user") -> None:
        """Cancel it with everything below it."""
        current_client().ask(CancelRuns(ids=[self.id], reason=reason))

    def preempt(self) -> None:
        """Have it give way to others: it is told to end, and goes on from its last checkpoint when its turn comes.

        Raises
        ------
        Conflict
            RUN-025 when it holds no place that it could give back.
        """
        current_client().ask(PreemptRuns(ids=[self.id]))

    def delete(self) -> None:
        """Hide it with everything below it; it can be restored until it is purged.

        Raises
        ------
        Conflict
            KEEP-002 when one of them, or a run above it, has not ended, or an open renewal needs it.
        """
        current_client().ask(DeleteRuns(ids=[self.id]))

    def restore(self) -> None:
        """Show it again, with what was deleted along with it.

        Raises
        ------
        NotFound
            KEEP-004 when it is not among what was deleted.
        Conflict
            KEEP-003 when it was purged.
        """
        current_client().ask(RestoreRuns(ids=[self._id]))

    def why(self) -> Reason:
        """Explain it: why it waits, ran again, was a hit or failed."""
        reason: Reason = current_client().ask(Explain(thing=self.id))
        return reason

    def __repr__(self) -> str:
        known = self._known
        return f"<Run {self._id}>" if known is None else f"<Run {known.id} {known.name}, {known.state}>"

    @tells_errors
    def _repr_html_(self) -> str:
        record = self.record
        fields = {
            "state": f"hit of {record.cached_from[-6:]}" if record.cached_from else record.state,
            "reason": record.reason,
            "params": render_pairs(record.params),
            "metrics": render_pairs(record.metrics),
            "result": record.outputs.summary or record.outputs.codec if record.outputs else None,
            "problem": f"{record.problem.code}: {record.problem.what}" if record.problem else None,
        }
        again = "" if record.state in TERMINAL else "it has not ended; run this cell again to see how it goes on"
        return render_fields(f"{record.kind} {record.name} {record.id[-6:]}", fields, again)

    def _future(self) -> Future[Any]:
        here = active_run()
        if here is not None and here.run.id == self.id:
            raise Conflict("RUN-002", f"run {self.id[-6:]} goes on right here, and would wait for itself", run=self.id)
        return Future(self.record.name, current_client(), self.record, told=True)


class Runs(list[Run]):
    """Runs that a search found, newest first; prints as a table."""

    def polars(self) -> Any:
        """Return a Polars frame: a row for each run, params and metrics as columns."""
        import polars as pl

        return pl.DataFrame(self.rows(), infer_schema_length=None)

    def rows(self) -> list[dict[str, Any]]:
        """Return a dict for each run, with ``params.NAME`` and ``metrics.NAME``, all with the same keys."""
        found = []
        for run in self:
            record = run.record
            row: dict[str, Any] = {name: getattr(record, name) for name in ("id", "kind", "name", "state", "cpu_s")}
            row["wall_s"] = (record.ended_at or time.time()) - (record.started_at or record.created_at)
            row |= {f"params.{name}": value for name, value in record.params.items()}
            row |= {f"metrics.{name}": value for name, value in record.metrics.items()}
            found.append(row)
        names = dict.fromkeys(name for row in found for name in row)
        return [{name: row.get(name) for name in names} for row in found]

    def __repr__(self) -> str:
        return f"<Runs: {len(self)}>"

    def _repr_html_(self) -> str:
        columns = ("id", "kind", "name", "state", "params", "metrics")
        states = ["hit" if run.record.cached_from else run.state for run in self]
        found = [
            (run.id[-6:], run.record.kind, run.name, state, run.record) for run, state in zip(self, states, strict=True)
        ]
        return render_table(
            columns, [(*told, render_pairs(record.params), render_pairs(record.metrics)) for *told, record in found]
        )

    def __str__(self) -> str:
        rows = [[run.id[-6:], run.record.kind, run.name, run.state] for run in self]
        table = [["ID", "KIND", "NAME", "STATE"], *rows]
        widths = [max(len(row[at]) for row in table) for at in range(4)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
        )


def runs(filter: str = "", *, order_by: str | None = None, limit: int | None = 100) -> Runs:  # noqa: A002 - as in the CLI
    """Search runs.

    Parameters
    ----------
    filter : str, default ""
        Clauses joined by ``and``, ``or``, ``not`` and parentheses: ``state = failed and
        (params.rate > 0.1 or metrics.auc >= .7)``. Signs are ``= != > >= < <= ~`` (holds the
        text), ``in (a, b)``, ``= null``. Fields are kind, name, state, parent_id, times and
        others, and ``metrics.``, ``params.``, ``tags.`` with a key.
    order_by : str, optional
        A field, ``-`` in front for descending; runs without it come last. Default: newest first.
    limit : int or None, default 100
        At most so many, > 0; None: all. They are asked for in pages.

    Returns
    -------
    Runs
        A list that prints as a table.

    Raises
    ------
    Invalid
        RUN-011 for a filter that cannot be read; it tells the position.

    Examples
    --------
    >>> with ms.start_run("fit", params={"rate": 0.1}):
    ...     ms.log(auc=0.7)
    >>> [run.name for run in ms.runs("name = fit and metrics.auc >= .7 and params.rate < 1", limit=1)]
    ['fit']
    """
    found: list[Run] = []
    client, page = current_client(), ""
    while limit is None or len(found) < limit:
        count = _PAGE if limit is None else min(limit - len(found), _PAGE)
        wanted = SearchRuns(filter, order_by or "", count, page)
        answer: RunPage = client.ask(wanted)
        found += map(Run._of, answer.runs)
        if answer.next is None:
            break
        page = answer.next
    return Runs(found)


def run(target: Any, *args: Any, pool: str | None = None, gpus: float = 0, wait: bool = False, **kwargs: Any) -> Run:
    """Start a step, a pipeline or a command on a worker.

    Parameters
    ----------
    target : Step, Pipeline or sequence of str
        What to start; a sequence is a command with its arguments.
    *args, **kwargs
        Arguments of the step or pipeline; of a command ``name``, and ``cpus``, ``memory``, ``gpu_type``, ``nodes``,
        ``env`` and ``timeout`` as a step has them.
    pool : str, optional
        Where; default is the target's own pool, else any that may.
    gpus : float, default 0
        Devices.
    wait : bool, default False
        Wait for the end.

    Returns
    -------
    Run
        Goes on when this process ends.

    Raises
    ------
    Invalid
        STEP-004 for anything else, STEP-005 when it cannot be sent to another process.

    Examples
    --------
    >>> ms.run(["nvidia-smi"], wait=True)  # doctest: +SKIP
    """
    if isinstance(target, Step):
        changed = target.options(pool=pool, gpus=gpus or None)
        started = Run(changed.submit(*args, **kwargs).id)
    elif isinstance(target, Pipeline):
        named = select_params(target.bind(*args, **kwargs))
        call = target.pack(current_client(), args, kwargs)
        started = _start("pipeline", target.name, call, named, pool or target.pool, gpus)
    elif isinstance(target, Sequence) and not isinstance(target, str) and all(isinstance(part, str) for part in target):
        started = Run._of(start_command(target, *args, pool=pool, gpus=gpus, **kwargs))
    else:
        raise Invalid("STEP-004", f"{target!r} is no step, pipeline or command")
    return started.wait() if wait else started


def _start(kind: str, name: str, call: Call, params: dict[str, Any], pool: str | None, gpus: float) -> Run:
    client, above = current_client(), active_run()
    spec = RunSpec(
        kind=kind,
        name=name,
        call=call,
        parent_id=above.run.id if above is not None else None,
        params=params,
        resources=Resources(gpus=float(gpus), pool=pool),
        provenance=provenance_of(client),
    )
    (record,) = client.ask(SubmitRuns(runs=[spec]))
    return Run._of(record)
