"""Exports to an MLflow server: runs with history and files, found again by a tag, compared when they are there."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from mainspring.domain.errors import Invalid, NotFound
from mainspring.domain.experiments import (
    DatasetInput,
    Experiment,
    FoundExperiments,
    GetLoggedRun,
    LoggedRun,
    SearchExperiments,
)
from mainspring.domain.files import File, ListFiles
from mainspring.domain.imports import IMPORTED
from mainspring.domain.messages import SearchRuns
from mainspring.domain.records import Run
from mainspring.domain.tracking import GetSeries, ListArtifacts
from mainspring.sdk.client import Client
from mainspring.sdk.likeness import read_pairs, show_point
from mainspring.sdk.mlflowserver import MlflowServer
from mainspring.tracking.exhibits import list_exhibits

RUN_TAG = "mainspring.run_id"
"""Tag of a run there: the id that it has here."""

EXPORTED = "mainspring.exported"
"""Tag of a run there that is whole: a digest of what it was here."""

_BATCH = 900
_TEXTS = 100
_STATES = {"succeeded": "FINISHED", "failed": "FAILED", "running": "RUNNING", "queued": "SCHEDULED"}
_TOP_FLOAT = 1.7976931348623157e308

Points = list[tuple[str, int, float, float]]


class Exported(msgspec.Struct):
    """What an export did.

    Attributes
    ----------
    target : str
        Host, port and path of the server.
    experiments : list of str
        Their names.
    runs, params, points, files, bytes : int
        How many are there now, of what was exported.
    known : int
        Runs that had been brought before, and have not changed since.
    different : list of str
        Runs that are not there what they are here; empty: none.
    left_out : list of str
        What does not travel, and why.
    """

    target: str
    experiments: list[str] = []
    runs: int = 0
    params: int = 0
    points: int = 0
    files: int = 0
    bytes: int = 0
    known: int = 0
    different: list[str] = []
    left_out: list[str] = []


class Exporter:
    """Brings the runs of a project to an MLflow server.

    Parameters
    ----------
    server : MlflowServer
        Where they go.
    client : Client
        Of the home, or server, and project that they come from.
    tell : callable
        Called with a line about how far it is.

    Notes
    -----
    Guarantees: a run has one run there, however often this is begun again: it is found by its tag, and has the mark
    that it is whole only once it was read back. MLflow gives ids itself, so they differ.
    """

    def __init__(self, server: MlflowServer, client: Client, tell: Callable[[str], None]) -> None:
        self._server = server
        self._client = client
        self._tell = tell
        self._done = Exported(server.place)

    def run(self, names: Sequence[str] = ()) -> Exported:
        """Bring experiments, those of these names or all that have runs."""
        known = self._list_experiments()
        for name in names:
            if not any(each.name == name for each in known):
                raise NotFound("EXP-001", f"there is no experiment {name!r}", name=name)
        for each in known:
            if not names or each.name in names:
                self._export_experiment(each)
        return self._done

    def _list_experiments(self) -> list[Experiment]:
        found: list[Experiment] = []
        page: str | None = ""
        while page is not None:
            answer: FoundExperiments = self._client.ask(SearchExperiments(page=page))
            found, page = found + answer.experiments, answer.next
        return found

    def _export_experiment(self, experiment: Experiment) -> None:
        runs: Iterator[Run] = self._list_runs(experiment.name)
        number = ""
        for count, run in enumerate(runs, 1):
            number = number or self._find_experiment(experiment)
            self._export_run(run.id, number)
            self._tell(f"{experiment.name}: {count:,} runs")
        if number:
            self._done.experiments.append(experiment.name)

    def _list_runs(self, experiment: str) -> Iterator[Run]:
        page: str | None = ""
        while page is not None:
            quoted = experiment.replace("\\", "\\\\").replace('"', '\\"')
            found = self._client.ask(SearchRuns(filter=f'experiment = "{quoted}"', limit=1_000, page=page))
            yield from found.runs
            page = found.next

    def _find_experiment(self, experiment: Experiment) -> str:
        try:
            found = self._server.get("experiments/get-by-name", experiment_name=experiment.name)
        except NotFound:
            tags = _show_pairs(experiment.tags)
            return str(
                self._server.post("experiments/create", {"name": experiment.name, "tags": tags})["experiment_id"]
            )
        return str(found["experiment"]["experiment_id"])

    def _export_run(self, run_id: str, number: str) -> None:
        logged: LoggedRun = self._client.ask(GetLoggedRun(run_id=run_id))
        points: Points = [
            (key, step, time, _clamp(value))
            for key, *_ in logged.latest
            for step, time, value in self._client.ask(GetSeries(run_id=run_id, key=key))
        ]
        params = {name: _show_text(value) for name, value in logged.run.params.items()}
        files = self._list_files(run_id)
        mark = _mark(logged, points, params, files)
        told = self._find_run(run_id, number)
        if told is None:
            told = self._make_run(logged, number)
        elif read_pairs(told["data"].get("tags")).get(EXPORTED) == mark:
            self._done.known += 1
            self._count(params, points, files)
            return
        there, uri = str(told["info"]["run_id"]), str(told["info"].get("artifact_uri", ""))
        try:
            self._send(there, uri, logged, points, params, files)
        except Invalid as refused:
            self._done.left_out.append(f"{run_id}: {refused.what}")
            return
        self._count(params, points, files)
        if self._is_equal(there, uri, points, params, files):
            self._server.post("runs/set-tag", {"run_id": there, "key": EXPORTED, "value": mark})
        else:
            self._done.different.append(f"{run_id}: {there} is not equal")

    def _list_files(self, run_id: str) -> list[File]:
        found: list[File] = self._client.ask(ListFiles(run_id=run_id))
        taken = {each.path for each in found}
        native = list_exhibits(self._client.ask(ListArtifacts(run_id=run_id, native=True)), self._client.blobs.get)
        return [*found, *(each for each in native if each.path not in taken)]

    def _find_run(self, run_id: str, number: str) -> dict[str, Any] | None:
        asked = {"experiment_ids": [number], "filter": f"tags.`{RUN_TAG}` = '{run_id}'", "max_results": 1}
        found: list[dict[str, Any]] = self._server.post("runs/search", asked).get("runs", [])
        return found[0] if found else None

    def _make_run(self, logged: LoggedRun, number: str) -> dict[str, Any]:
        asked = {
            "experiment_id": number,
            "run_name": logged.run.name,
            "start_time": round((logged.run.started_at or logged.run.created_at) * 1000),
            "tags": _show_pairs({RUN_TAG: logged.run.id}),
        }
        made: dict[str, Any] = self._server.post("runs/create", asked)["run"]
        return made

    def _send(
        self, there: str, uri: str, logged: LoggedRun, points: Points, params: dict[str, str], files: list[File]
    ) -> None:
        tags = {name: value for name, value in logged.run.tags.items() if name != IMPORTED}
        for key, pairs in (("params", _show_pairs(params)), ("tags", _show_pairs(tags))):
            for place in range(0, len(pairs), _TEXTS):
                self._server.post("runs/log-batch", {"run_id": there, key: pairs[place : place + _TEXTS]})
        shown = [
            {"key": key, "step": step, "timestamp": round(time * 1000), "value": _show_value(value)}
            for key, step, time, value in points
        ]
        for place in range(0, len(shown), _BATCH):
            self._server.post("runs/log-batch", {"run_id": there, "metrics": shown[place : place + _BATCH]})
        if logged.datasets:
            self._server.post(
                "runs/log-inputs", {"run_id": there, "datasets": list(map(_show_dataset, logged.datasets))}
            )
        for each in files:
            path = self._client.blobs.path(each.digest)
            with path.open("rb") as content:
                self._server.send_file(uri, each.path, content, path.stat().st_size)
        ended = {"end_time": round(logged.run.ended_at * 1000)} if logged.run.ended_at else {}
        status = _STATES.get(logged.run.state, "KILLED")
        self._server.post("runs/update", {"run_id": there, "status": status, **ended})

    def _is_equal(self, there: str, uri: str, points: Points, params: dict[str, str], files: list[File]) -> bool:
        """Tell whether the server tells of a run what was sent."""
        data = self._server.get("runs/get", run_id=there)["run"]["data"]
        found = [
            show_point((key, int(each.get("step", 0)), int(each["timestamp"]) / 1000, float(each["value"])))
            for key in sorted({each["key"] for each in data.get("metrics", ())})
            for each in self._server.list_got("metrics/get-history", "metrics", run_id=there, metric_key=key)
        ]
        here = sorted({show_point(each) for each in points})
        listed = dict(self._server.list_files(uri)) if files else {}
        return (
            sorted(found) == here
            and read_pairs(data.get("params")) == params
            and listed == {each.path: each.size_bytes for each in files}
        )

    def _count(self, params: dict[str, str], points: Points, files: list[File]) -> None:
        done = self._done
        done.runs += 1
        done.params += len(params)
        done.points += len(points)
        done.files += len(files)
        done.bytes += sum(each.size_bytes for each in files)


def _mark(logged: LoggedRun, points: Points, params: dict[str, str], files: list[File]) -> str:
    run = logged.run
    parts = [run.name, run.state, run.ended_at, sorted(run.tags.items()), sorted(params.items())]
    shown = [sorted(map(show_point, points)), sorted((each.path, each.digest) for each in files)]
    return hashlib.sha256(json.dumps([parts, shown]).encode()).hexdigest()[:32]


def _clamp(value: float | None) -> float:
    """Return a value as MLflow's server keeps it: infinity is its greatest number."""
    if value is None or math.isnan(value):
        return math.nan
    return max(min(value, _TOP_FLOAT), -_TOP_FLOAT)


def _show_value(value: float) -> float | str:
    return "NaN" if math.isnan(value) else value


def _show_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _show_pairs(pairs: dict[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in pairs.items()]


def _show_dataset(each: DatasetInput) -> dict[str, Any]:
    dataset = {name: getattr(each, name) for name in ("name", "digest", "source_type", "source", "schema", "profile")}
    return {"dataset": {name: text for name, text in dataset.items() if text}, "tags": _show_pairs(each.tags)}
