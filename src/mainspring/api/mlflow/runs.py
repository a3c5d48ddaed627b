"""Endpoints of runs and of what they log."""

from __future__ import annotations

from typing import Any, ClassVar

from mainspring.api.mlflow.batches import ENDPOINTS as BATCHES
from mainspring.api.mlflow.checks import OfRun, Wanted, Whole, invalid
from mainspring.api.mlflow.endpoints import Call, Endpoint
from mainspring.api.mlflow.errors import MlflowError
from mainspring.api.mlflow.experiments import Pair, show_location, show_stage, show_tags, show_time
from mainspring.api.mlflow.metrics import show_point
from mainspring.api.mlflow.names import NAME, check_tag, read_experiment_id
from mainspring.api.mlflow.naming import make_name
from mainspring.domain import experiments as told
from mainspring.domain.searches import SHOWN_STATES, STATES, USER
from mainspring.domain.tracking import spell

PARENT = "mlflow.parentRunId"
_NUMBERED = ("", "RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED")


class _Create(Wanted):
    experiment_id: str = ""
    user_id: str = ""
    start_time: Whole | None = None
    tags: list[Pair] = []
    run_name: str = ""


class _Update(OfRun):
    status: str | Whole | None = None
    end_time: Whole | None = None
    run_name: str = ""


class _Get(OfRun):
    REQUIRED: ClassVar[tuple[str, ...]] = ("run_id",)


def show_run(found: told.LoggedRun) -> dict[str, Any]:
    """Return a run with all that was logged of it, as the protocol has it."""
    run = found.run
    return {
        "info": show_info(found),
        "data": {
            "metrics": [show_point(*point) for point in found.latest],
            "params": [{"key": key, "value": spell(value)} for key, value in run.params.items()],
            "tags": show_tags({NAME: run.name, **run.tags}),
        },
        "inputs": {
            "dataset_inputs": [_show_input(each) for each in found.datasets],
            "model_inputs": [{"model_id": each.model_id} for each in found.read],
        },
        "outputs": {"model_outputs": [{"model_id": each.model_id, "step": each.step} for each in found.made]},
    }


def show_info(found: told.LoggedRun) -> dict[str, Any]:
    """Return what a run is, without what it logged, as the protocol has it."""
    run = found.run
    info = {
        "run_uuid": run.id,
        "run_id": run.id,
        "run_name": run.name,
        "experiment_id": str(found.experiment),
        "user_id": run.tags.get(USER) or run.principal.partition(":")[2] or run.principal,
        "status": SHOWN_STATES[run.state],
        "start_time": show_time(run.started_at or run.created_at),
        "artifact_uri": f"{show_location(found.experiment)}/{run.id}/artifacts",
        "lifecycle_stage": show_stage(deleted=found.deleted),
    }
    if run.ended_at is not None:
        info["end_time"] = show_time(run.ended_at)
    return info


async def create(call: Call) -> Any:
    """Begin a run."""
    wanted = call.read(_Create)
    number = read_experiment_id(wanted.experiment_id)
    tags = {each.key: check_tag(each.key, each.value, f"tags[{place}]") for place, each in enumerate(wanted.tags)}
    tagged = tags.get(NAME, "")
    if wanted.run_name and tagged and wanted.run_name != tagged:
        raise MlflowError(
            "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values "
            f"(run_name='{wanted.run_name}', mlflow.runName='{tagged}')."
        )
    name = tags[NAME] = wanted.run_name or tagged or make_name()
    if wanted.user_id:
        tags.setdefault(USER, wanted.user_id)
    started_at = wanted.start_time / 1000 if wanted.start_time else None
    command = told.OpenRun(
        experiment=number, name=name, parent_id=tags.get(PARENT) or None, tags=tags, started_at=started_at
    )
    return {"run": show_run(await call.ask(command))}


async def get(call: Call) -> Any:
    """Answer with a run, deleted or not."""
    return {"run": show_run(await call.ask(told.GetLoggedRun(run_id=call.read(_Get).run_id)))}


async def update(call: Call) -> Any:
    """Say how a run ended, that it goes on, or what it is called."""
    wanted = call.read(_Update)
    status = wanted.status
    if isinstance(status, int):
        status = _NUMBERED[status] if 0 < status < len(_NUMBERED) else str(status)
    if status and status not in STATES:
        raise invalid("status", wanted.status)
    state: Any = STATES[status] if status else None
    ended_at = wanted.end_time / 1000 if wanted.end_time is not None else None
    tags = {NAME: wanted.run_name} if wanted.run_name else {}
    command = told.SetRun(run_id=wanted.run_id, state=state, ended_at=ended_at, name=wanted.run_name, tags=tags)
    return {"run_info": show_info(await call.ask(command))}


async def delete(call: Call) -> Any:
    """Hide a run."""
    await call.ask(told.HideRun(run_id=call.read(_Get).run_id))
    return {}


async def restore(call: Call) -> Any:
    """Show a deleted run again."""
    await call.ask(told.ShowRun(run_id=call.read(_Get).run_id))
    return {}


def _show_input(each: told.DatasetInput) -> dict[str, Any]:
    dataset = {"name": each.name, "digest": each.digest, "source_type": each.source_type, "source": each.source}
    dataset |= {name: text for name in ("schema", "profile") if (text := getattr(each, name)) is not None}
    return {"tags": show_tags(each.tags), "dataset": dataset}


_AT = "/api/2.0/mlflow/runs"
_AREA = "Runs"

ENDPOINTS = (
    Endpoint("POST", f"{_AT}/create", create, _AREA),
    Endpoint("GET", f"{_AT}/get", get, _AREA),
    Endpoint("POST", f"{_AT}/update", update, _AREA),
    Endpoint("POST", f"{_AT}/delete", delete, _AREA),
    Endpoint("POST", f"{_AT}/restore", restore, _AREA),
    *BATCHES,
)
