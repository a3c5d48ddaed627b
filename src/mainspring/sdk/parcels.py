"""What leaves the record for another platform: runs and models in the words of MLflow's protocol, with their files."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from typing import Any

import msgspec

from mainspring.domain.experiments import DatasetInput, GetLoggedRun, LoggedRun, ModelUse
from mainspring.domain.files import File, ListFiles
from mainspring.domain.imports import IMPORTED
from mainspring.domain.lineage import GetLineage, Lineage
from mainspring.domain.loggedmodels import LoggedModel, SearchLoggedModels
from mainspring.domain.records import Version
from mainspring.domain.tracking import GetSeries, ListArtifacts
from mainspring.sdk.client import Client
from mainspring.sdk.exchange import describe_origin
from mainspring.sdk.likeness import show_point
from mainspring.tracking.exhibits import list_exhibits

_STATES = {"succeeded": "FINISHED", "failed": "FAILED", "running": "RUNNING", "queued": "SCHEDULED"}
_MODEL_STATES = {"ready": "LOGGED_MODEL_READY", "pending": "LOGGED_MODEL_PENDING"}

Point = tuple[str, int, float, float]


class Parcel(msgspec.Struct):
    """A run, a logged model, or a version of a registered one, with all that goes along.

    Attributes
    ----------
    id : str
        Its id here.
    told : dict
        As a search of MLflow's protocol tells of it.
    points : list of tuple
        Of a run: (key, step, time in seconds, value) of every point.
    files : list of File
        By path.
    """

    id: str
    told: dict[str, Any]
    points: list[Point] = []
    files: list[File] = []

    @property
    def mark(self) -> str:
        """A digest of all of it: as long as that is the same, it need not go again."""
        shown = [sorted(map(show_point, self.points)), sorted((each.path, each.digest) for each in self.files)]
        return hashlib.sha256(json.dumps([self.told, shown], sort_keys=True).encode()).hexdigest()[:32]

    @property
    def size_bytes(self) -> int:
        """The length of its files."""
        return sum(each.size_bytes for each in self.files)


def read_run(client: Client, run_id: str) -> Parcel:
    """Return a run; what `ms.log` kept as a picture, text, JSON or path is a file of it."""
    logged: LoggedRun = client.ask(GetLoggedRun(run_id=run_id))
    points = [
        (key, step, time, math.nan if value is None else value)
        for key, *_ in logged.latest
        for step, time, value in client.ask(GetSeries(run_id=run_id, key=key))
    ]
    found: list[File] = client.ask(ListFiles(run_id=run_id))
    taken = {each.path for each in found}
    native = list_exhibits(client.ask(ListArtifacts(run_id=run_id, native=True)), client.blobs.get)
    return Parcel(run_id, _show_run(logged), points, [*found, *(each for each in native if each.path not in taken)])


def read_models(client: Client, experiment: int) -> Iterator[Parcel]:
    """Yield the logged models of an experiment."""
    page: str | None = ""
    while page is not None:
        answer = client.ask(SearchLoggedModels(experiments=(experiment,), page=page))
        for model in answer.models:
            yield Parcel(model.id, _show_model(model), [], client.ask(ListFiles(model_id=model.id)))
        page = answer.next


def read_version(client: Client, version: Version) -> Parcel:
    """Return a version of a registered model; its files are those of its manifest."""
    lineage: Lineage = client.ask(GetLineage("model", version.reference))
    origin: dict[str, Any] = msgspec.to_builtins(describe_origin(lineage, "an export"))
    manifest: dict[str, str] = version.manifest
    files = [File(path, digest, client.blobs.path(digest).stat().st_size) for path, digest in sorted(manifest.items())]
    details = version.details if isinstance(version.details, dict) else {}
    told = {
        "name": version.name,
        "version": str(version.number),
        "description": version.description,
        "tags": show_pairs(drop_mark(version.tags)),
        "current_stage": version.stage or "None",
        "source": str(details.get("source", "")),
        "model_id": str(details.get("model_id", "")),
        "run_id": version.run_id or "",
        "content": {"digest": version.digest, "manifest": manifest, "details": details, "origin": origin},
    }
    return Parcel(version.id, told, [], files)


def drop_mark(tags: dict[str, str]) -> dict[str, str]:
    """Return tags without the one by which an import knows again what it brought."""
    return {name: value for name, value in tags.items() if name != IMPORTED}


def show_pairs(pairs: dict[str, str]) -> list[dict[str, str]]:
    """Return a mapping as the protocol has it."""
    return [{"key": key, "value": value} for key, value in pairs.items()]


def show_number(value: float) -> float | str:
    """Return a number as JSON can hold it."""
    return value if math.isfinite(value) else str(value)


def _show_run(logged: LoggedRun) -> dict[str, Any]:
    run = logged.run
    params = {name: value if isinstance(value, str) else json.dumps(value) for name, value in run.params.items()}
    ended = {"end_time": round(run.ended_at * 1000)} if run.ended_at else {}
    latest = [
        {
            "key": key,
            "step": step,
            "timestamp": round(time * 1000),
            "value": show_number(math.nan if value is None else value),
        }
        for key, step, time, value in logged.latest
    ]
    return {
        "info": {
            "run_id": run.id,
            "run_name": run.name,
            "experiment_id": str(logged.experiment),
            "status": _STATES.get(run.state, "KILLED"),
            "start_time": round((run.started_at or run.created_at) * 1000),
            **ended,
        },
        "data": {"metrics": latest, "params": show_pairs(params), "tags": show_pairs(drop_mark(run.tags))},
        "inputs": {
            "dataset_inputs": list(map(_show_dataset, logged.datasets)),
            "model_inputs": list(map(_show_use, logged.read)),
        },
        "outputs": {"model_outputs": list(map(_show_use, logged.made))},
    }


def _show_model(model: LoggedModel) -> dict[str, Any]:
    metrics = [
        {
            "key": each.key,
            "step": each.step,
            "timestamp": round(each.time * 1000),
            "value": show_number(math.nan if each.value is None else each.value),
            "run_id": each.run_id,
            "dataset_name": each.dataset,
            "dataset_digest": each.dataset_digest,
        }
        for each in model.metrics
    ]
    info = {
        "model_id": f"m-{model.id}",
        "experiment_id": str(model.experiment),
        "name": model.name,
        "model_type": model.kind,
        "source_run_id": model.run_id or "",
        "status": _MODEL_STATES.get(model.state, "LOGGED_MODEL_UPLOAD_FAILED"),
        "creation_timestamp_ms": round(model.created_at * 1000),
        "last_updated_timestamp_ms": round(model.changed_at * 1000),
        "tags": show_pairs(drop_mark(model.tags)),
    }
    return {"info": info, "data": {"params": show_pairs(model.params), "metrics": metrics}}


def _show_dataset(each: DatasetInput) -> dict[str, Any]:
    dataset = {name: getattr(each, name) for name in ("name", "digest", "source_type", "source", "schema", "profile")}
    return {"dataset": {name: text for name, text in dataset.items() if text}, "tags": show_pairs(each.tags)}


def _show_use(use: ModelUse) -> dict[str, Any]:
    return {"model_id": use.model_id, "step": use.step}
