"""The endpoint that searches runs."""

from __future__ import annotations

from typing import Any

import msgspec

from mainspring.api.mlflow.checks import Wanted, Whole, invalid
from mainspring.api.mlflow.endpoints import Call, Endpoint
from mainspring.api.mlflow.errors import MlflowError
from mainspring.api.mlflow.experiments import VIEWS
from mainspring.api.mlflow.names import read_experiment_id
from mainspring.api.mlflow.runs import show_run
from mainspring.domain.experiments import LoggedRun
from mainspring.domain.records import Run
from mainspring.domain.searches import MOST_RUNS, FindRuns, FoundRun, FoundRuns

_params = msgspec.json.Decoder(dict[str, Any])
_tags = msgspec.json.Decoder(dict[str, str])


class _Search(Wanted):
    experiment_ids: list[str] = []
    filter: str = ""
    run_view_type: str = "ACTIVE_ONLY"
    max_results: Whole = 1_000
    order_by: list[str] = []
    page_token: str = ""


async def search(call: Call) -> Any:
    """Answer with a page of runs."""
    wanted = call.read(_Search)
    if wanted.run_view_type not in VIEWS:
        raise invalid("run_view_type", wanted.run_view_type)
    if not 1 <= wanted.max_results <= MOST_RUNS:
        why = f"It must be at least 1 and at most {MOST_RUNS}, but got value {wanted.max_results}"
        raise MlflowError(f"Invalid value for max_results. {why}")
    command = FindRuns(
        experiments=tuple(map(read_experiment_id, wanted.experiment_ids)),
        filter=wanted.filter,
        order_by=tuple(wanted.order_by),
        shown=VIEWS[wanted.run_view_type],
        limit=wanted.max_results,
        page=wanted.page_token,
    )
    found: FoundRuns = await call.ask(command)
    following = {} if found.next is None else {"next_page_token": found.next}
    return {"runs": [show_run(_complete(each)) for each in found.runs], **following}


def _complete(found: FoundRun) -> LoggedRun:
    run = Run(
        found.id,
        "",
        "script",
        found.name,
        found.state,  # type: ignore[arg-type]
        params=_params.decode(found.params),
        tags=_tags.decode(found.tags),
        principal=found.principal,
        started_at=found.started_at,
        ended_at=found.ended_at,
    )
    return LoggedRun(run, found.experiment, found.deleted, found.latest, found.datasets, found.read, found.made)


ENDPOINTS = (Endpoint("POST", "/api/2.0/mlflow/runs/search", search, "Runs"),)
