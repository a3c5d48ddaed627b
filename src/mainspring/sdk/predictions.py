"""Predictions of whole datasets: asked for here, made by a worker of the home."""

from __future__ import annotations

import sys
from typing import Any

from mainspring.domain.errors import Invalid
from mainspring.domain.messages import WaitRuns
from mainspring.domain.predictions import Predict
from mainspring.domain.records import Run
from mainspring.domain.states import TERMINAL
from mainspring.domain.wire import restore
from mainspring.sdk.context import active_run
from mainspring.sdk.datasets import Dataset
from mainspring.sdk.futures import explain_end
from mainspring.sdk.lineage import current_client
from mainspring.sdk.progress import clear_live, is_quiet, show_live

_WAIT_S = 1.0


def predict_dataset(model: str, data: Any, to: str, **columns: Any) -> Dataset:
    """Have every row of a dataset answered into another one; `mainspring.sdk.models.Model.predict` tells all."""
    if not isinstance(data, Dataset | str):
        raise Invalid("BATCH-004", f"predictions into {to} are asked for a {type(data).__name__}")
    client, active = current_client(), active_run()
    reference = data if isinstance(data, str) else data.reference
    run_id = active.run.id if active is not None else None
    run: Run = client.ask(Predict(model=model, data=reference, to=to, run_id=run_id, **columns))
    known = run.state in TERMINAL
    run = wait_for_predictions(run)
    made = Dataset(run.details["version"])
    told = f"{'HIT    ' if known else ''}{run.details['rows']:,} rows"
    line = f"{run.params['model']} answered {run.params['data']}: {made.reference}"
    if active is not None and active.progress is not None:
        active.progress.tell("predict", told, line)
    elif not is_quiet():
        print(f"{told}  {line}  (run {run.id[-6:]})", file=sys.stderr)  # noqa: T201 - the answer of an act
    return made


def wait_for_predictions(run: Run) -> Run:
    """Wait for a run of predictions, showing on a terminal how far it is.

    Parameters
    ----------
    run : Run
        As `Predict` was answered.

    Raises
    ------
    MainspringError
        The problem that it ended with; RUN-007 when it was cancelled.
    """
    client = current_client()
    while run.state not in TERMINAL:
        (run,) = client.ask(WaitRuns(ids=[run.id], wait_s=_WAIT_S))
        show_live(f"predict {run.name}: {run.state}, {int(run.metrics.get('rows', 0)):,} rows")
    print(clear_live(), end="", file=sys.stderr)  # noqa: T201 - wipes that line
    if run.problem is not None:
        raise restore(run.problem)
    if run.state != "succeeded":
        raise explain_end(run)
    return run
