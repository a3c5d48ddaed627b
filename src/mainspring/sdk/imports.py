"""Imports of a record of elsewhere: every run under its id, with all of its history, compared when it is here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, BinaryIO, Protocol, cast

from mainspring.domain.crashpoints import crash_point
from mainspring.domain.errors import Conflict, Denied, Invalid, NotFound
from mainspring.domain.experiments import (
    DEFAULT_EXPERIMENT,
    AddExperiment,
    Experiment,
    GetExperiment,
    GetLoggedRun,
    LogBatch,
    LoggedRun,
    LogInputs,
    ModelUse,
    SetRun,
    TagExperiment,
)
from mainspring.domain.files import File, ListFiles, PutFiles
from mainspring.domain.imports import IMPORTED, ImportLoggedModel, ImportRun
from mainspring.domain.lists import read_all
from mainspring.domain.loggedmodels import GetLoggedModel, LoggedModel, ModelMetric, SetLoggedModel
from mainspring.domain.messages import ListVersions, MoveAlias, PutVersion
from mainspring.domain.records import Version
from mainspring.domain.registry import AddVersion, DescribeModel, GetModel, RegisteredModel, RegisterModel, StageVersion
from mainspring.domain.tracking import GetSeries
from mainspring.sdk.blobs import store_plainly
from mainspring.sdk.client import Client
from mainspring.sdk.likeness import (
    Facts,
    Imported,
    Seen,
    read_dataset,
    read_metric,
    read_pairs,
    read_seen,
    read_stage,
    see_model,
    see_registered,
    show_metric,
    show_point,
)

BATCH = 1_000
"""So many points go in one command."""

_STATES = {"RUNNING": "running", "SCHEDULED": "queued", "FINISHED": "succeeded", "FAILED": "failed"}
_MODEL_STATES = {"LOGGED_MODEL_READY": "ready", "LOGGED_MODEL_PENDING": "pending"}

Points = list[tuple[str, int, float, float]]


class Stream(Protocol):
    """Bytes of a file."""

    def read(self, size: int = -1, /) -> bytes:
        """Return so many bytes, fewer at the end."""


class Source(Protocol):
    """Where a record comes from, told in the words of MLflow's protocol; lists are those of its searches."""

    place: str

    def list_experiments(self) -> Iterator[dict[str, Any]]:
        """Yield the experiments."""

    def list_runs(self, experiment_id: str) -> Iterator[dict[str, Any]]:
        """Yield the runs of an experiment."""

    def list_models(self, experiment_id: str) -> Iterator[dict[str, Any]]:
        """Yield the logged models of an experiment."""

    def list_history(self, run_id: str, key: str) -> Iterator[dict[str, Any]]:
        """Yield the points of a series."""

    def list_names(self) -> Iterator[dict[str, Any]]:
        """Yield the registered models."""

    def list_versions(self, name: str) -> Iterator[dict[str, Any]]:
        """Yield the versions of a registered model."""

    def list_files(self, uri: str) -> Iterator[tuple[str, int]]:
        """Yield path and length of every file below an address of files."""

    def open_file(self, uri: str, path: str) -> AbstractContextManager[Stream]:
        """Return the bytes of a file."""


class Importer:
    """Brings a record of elsewhere into a project.

    Parameters
    ----------
    source : Source
        Where it comes from: a server, or a folder that was exported.
    client : Client
        Of the home, or server, and project that it goes to.
    tell : callable
        Called with a line about how far it is.
    files : bool, default True
        False: artifacts stay where they are.

    Notes
    -----
    Guarantees: what was brought is not brought twice; a run carries the mark that it is whole only once
    all of it is there and was read back, so an import that was killed goes on with the run it was at.
    Cost: memory for the history of one run.
    """

    def __init__(self, source: Source, client: Client, tell: Callable[[str], None], *, files: bool = True) -> None:
        self._source = source
        self._client = client
        self._tell = tell
        self._files = files
        self._done = Imported(source.place)
        self._hashes: dict[str, tuple[str, str]] = {}

    def run(self, names: Sequence[str] = ()) -> Imported:
        """Bring experiments, those of these names or all, and tell what became of them."""
        wanted = [each for each in self._source.list_experiments() if not names or each["name"] in names]
        for name in names:
            if not any(each["name"] == name for each in wanted):
                raise NotFound("IMPORT-003", f"{self._done.source} has no experiment {name!r}", name=name)
        for each in wanted:
            self._import_experiment(each)
        if not names:
            for model in self._source.list_names():
                self._import_registered(model)
        for side, place in ((self._done.there, 0), (self._done.here, 1)):
            whole = hashlib.sha256("".join(self._hashes[key][place] for key in sorted(self._hashes)).encode())
            side.digest = whole.hexdigest()
        return self._done

    def _import_experiment(self, told: dict[str, Any]) -> None:
        experiment = self._find_experiment(told["name"])
        tags = read_pairs(told.get("tags"))
        if any(experiment.tags.get(name) != value for name, value in tags.items()):
            self._client.ask(TagExperiment(number=experiment.number, tags=tags))
        self._done.experiments.append(experiment.name)
        for count, run in enumerate(self._source.list_runs(told["experiment_id"]), 1):
            self._import_run(run, experiment)
            self._tell(f"{experiment.name}: {count:,} runs")
        for count, model in enumerate(self._source.list_models(told["experiment_id"]), 1):
            self._import_model(model, experiment)
            self._tell(f"{experiment.name}: {count:,} logged models")

    def _find_experiment(self, name: str) -> Experiment:
        if name == DEFAULT_EXPERIMENT:
            found: Experiment = self._client.ask(GetExperiment(number=0))
            return found
        try:
            found = self._client.ask(AddExperiment(name=name))
        except Conflict:
            found = self._client.ask(GetExperiment(name=name))
        return found

    def _import_run(self, told: dict[str, Any], experiment: Experiment) -> None:
        info = told["info"]
        run_id, mark = info["run_id"], self._mark(told)
        made: LoggedRun = self._client.ask(
            ImportRun(
                run_id=run_id,
                experiment=experiment.number,
                name=info.get("run_name", ""),
                started_at=info.get("start_time", 0) / 1000,
            )
        )
        before = read_seen(run_id, made.run.tags.get(IMPORTED, ""), mark)
        there = before or self._bring_run(told).see()
        crash_point("import.brought")
        if self._compare(there, self._read_run(run_id).see()) and before is None:
            self._client.ask(LogBatch(run_id=run_id, tags={IMPORTED: there.write(mark)}))
        self._done.known += before is not None

    def _bring_run(self, told: dict[str, Any]) -> Facts:
        info, data = told["info"], told.get("data", {})
        run_id = info["run_id"]
        params = read_pairs(data.get("params"))
        tags = read_pairs(data.get("tags"))
        points: Points = []
        for each in data.get("metrics", ()):
            points += self._list_history(run_id, each["key"])
        batches = [points[place : place + BATCH] for place in range(0, len(points), BATCH)] or [[]]
        self._client.ask(LogBatch(run_id=run_id, params=params, tags=tags, points=batches[0]))
        for batch in batches[1:]:
            self._client.ask(LogBatch(run_id=run_id, points=batch))
        datasets = [read_dataset(each) for each in told.get("inputs", {}).get("dataset_inputs", ())]
        read = [ModelUse(each["model_id"]) for each in told.get("inputs", {}).get("model_inputs", ())]
        made = [
            ModelUse(each["model_id"], each.get("step", 0)) for each in told.get("outputs", {}).get("model_outputs", ())
        ]
        if datasets or read or made:
            self._client.ask(LogInputs(run_id=run_id, datasets=datasets, read=read, made=made))
        files = self._bring_files(info.get("artifact_uri", ""), {"run_id": run_id})
        state: Any = _STATES.get(info.get("status", ""), "cancelled")
        ended_ms = info.get("end_time", 0)
        self._client.ask(SetRun(run_id=run_id, state=state, ended_at=ended_ms / 1000 if ended_ms else None))
        return Facts(
            run_id,
            info.get("run_name", ""),
            state,
            params,
            tags,
            [show_point(each) for each in points],
            [(each.name, each.digest) for each in datasets],
            files,
            (info.get("start_time", 0), ended_ms),
        )

    def _list_history(self, run_id: str, key: str) -> Iterator[tuple[str, int, float, float]]:
        for each in self._source.list_history(run_id, key):
            yield key, int(each.get("step", 0)), int(each["timestamp"]) / 1000, float(each["value"])

    def _bring_files(self, uri: str, owner: dict[str, str]) -> list[File]:
        """Bring the files below an address; those that are here already are not put again."""
        if not self._files or not uri:
            return []
        here = {each.path: each for each in self._client.ask(ListFiles(**owner))}
        found = []
        try:
            listed = list(self._source.list_files(uri))
        except Invalid as refused:
            if refused.code != "IMPORT-002":
                raise
            self._done.left_out.append(f"files of {next(iter(owner.values()))}: {refused.what}")
            return []
        for path, _ in listed:
            with self._source.open_file(uri, path) as answer:
                counted = _Counted(answer)
                digest = self._client.blobs.put(cast("BinaryIO", counted))
            found.append(File(path, digest, counted.size_bytes))
        new = [each for each in found if each.path not in here or here[each.path].digest != each.digest]
        if new:
            self._client.ask(PutFiles(files=new, **owner))
        return found

    def _read_run(self, run_id: str) -> Facts:
        """Return what the record holds of a run."""
        logged: LoggedRun = self._client.ask(GetLoggedRun(run_id=run_id))
        points = [
            show_point((key, step, time, value))
            for key, *_ in logged.latest
            for step, time, value in self._client.ask(GetSeries(run_id=run_id, key=key))
        ]
        files: list[File] = self._client.ask(ListFiles(run_id=run_id)) if self._files else []
        run = logged.run
        return Facts(
            run.id,
            run.name,
            run.state,
            {name: str(value) for name, value in run.params.items()},
            {name: value for name, value in run.tags.items() if name != IMPORTED},
            points,
            [(each.name, each.digest) for each in logged.datasets],
            files,
            (round((run.started_at or 0) * 1000), round((run.ended_at or 0) * 1000)),
        )

    def _import_model(self, told: dict[str, Any], experiment: Experiment) -> None:
        info, data = told["info"], told.get("data", {})
        model_id, mark = info["model_id"].removeprefix("m-"), self._mark(told)
        tags = read_pairs(info.get("tags"))
        params = read_pairs(data.get("params"))
        state: Any = _MODEL_STATES.get(info.get("status", ""), "failed")
        made: LoggedModel = self._client.ask(
            ImportLoggedModel(
                model_id=model_id,
                experiment=experiment.number,
                name=info.get("name", ""),
                kind=info.get("model_type", ""),
                run_id=info.get("source_run_id") or None,
                state=state,
                params=params,
                tags=tags,
                created_at=info.get("creation_timestamp_ms", 0) / 1000,
                changed_at=info.get("last_updated_timestamp_ms", 0) / 1000,
            )
        )
        before = read_seen(model_id, made.tags.get(IMPORTED, ""), mark)
        if before is not None:
            self._done.known += 1
            self._compare(before, self._read_model(model_id).see())
            return
        metrics = [read_metric(each, model_id) for each in data.get("metrics", ())]
        by_run: dict[str, list[ModelMetric]] = {}
        for each in metrics:
            by_run.setdefault(each.run_id, []).append(each)
        for run_id, some in by_run.items():
            self._client.ask(LogBatch(run_id=run_id, of_models=some))
        files = self._bring_files(info.get("artifact_uri", ""), {"model_id": model_id})
        self._client.ask(SetLoggedModel(model_id=model_id, state=state, params=params, tags=tags))
        name, points = info.get("name", ""), [show_metric(each) for each in metrics]
        facts = Facts(model_id, name, state, params, tags, points, [], files, is_model=True)
        there = facts.see()
        if self._compare(there, self._read_model(model_id).see()):
            self._client.ask(SetLoggedModel(model_id=model_id, tags={IMPORTED: there.write(mark)}))

    def _read_model(self, model_id: str) -> Facts:
        """Return what the record holds of a logged model."""
        model: LoggedModel = self._client.ask(GetLoggedModel(model_id=model_id))
        files: list[File] = self._client.ask(ListFiles(model_id=model_id)) if self._files else []
        tags = {name: value for name, value in model.tags.items() if name != IMPORTED}
        points = [show_metric(each) for each in model.metrics]
        return Facts(model.id, model.name, model.state, model.params, tags, points, [], files, is_model=True)

    def _import_registered(self, told: dict[str, Any]) -> None:
        name, tags = told["name"], read_pairs(told.get("tags"))
        description = told.get("description", "")
        try:
            self._client.ask(RegisterModel(name=name, description=description, tags=tags))
        except Conflict:
            self._client.ask(DescribeModel(name=name, description=description, tags=tags))
        except Invalid as refused:  # it has a name that references could not name
            self._done.left_out.append(f"registered model {name!r}: {refused.what}")
            return
        versions = sorted(self._source.list_versions(name), key=lambda each: int(each["version"]))
        here = {each.tags.get(IMPORTED): each.number for each in self._list_versions(name)}
        numbers: dict[int, int] = {}
        for each in versions:
            number, mark = int(each["version"]), f"{self._done.source} {each['version']}"
            if mark in here:
                self._done.known += 1
                numbers[number] = here[mark]
            else:
                self._add_version(each, mark, numbers)
        self._move_aliases(told, numbers)
        model: RegisteredModel = self._client.ask(GetModel(name=name))
        self._compare(see_registered(told, versions), see_model(model, self._list_versions(name)))
        self._tell(f"{name}: {len(versions):,} versions")

    def _list_versions(self, name: str) -> list[Version]:
        return list(read_all(self._client.ask, ListVersions(kind="model", name=name)))

    def _add_version(self, told: dict[str, Any], mark: str, numbers: dict[int, int]) -> None:
        """Register what was imported of a version; its files are those of the run or logged model here."""
        name, number = told["name"], int(told["version"])
        source = told.get("source", "")
        if told.get("model_id"):
            source = f"models:/m-{told['model_id'].removeprefix('m-')}"
        tags = {**read_pairs(told.get("tags")), IMPORTED: mark}
        try:
            adding = AddVersion(name=name, source=source, description=told.get("description", ""), tags=tags)
            made: Version = self._client.ask(self._take_content(told, tags) if "content" in told else adding)
            stage: Any = read_stage(told)
            if stage:
                self._client.ask(StageVersion(name=name, number=made.number, stage=stage))
        except (NotFound, Invalid, Conflict, Denied) as refused:
            self._done.left_out.append(f"{name} version {number}: {refused.what}")
            return
        numbers[number] = made.number

    def _take_content(self, told: dict[str, Any], tags: dict[str, str]) -> PutVersion:
        """Bring the files of a version that is told whole; what it was trained on there is told, and proves nothing."""
        content = told["content"]
        for path in content["manifest"]:
            with self._source.open_file(content["uri"], path) as answer:
                store_plainly(self._client.blobs).put(cast("BinaryIO", answer))
        details = {**content["details"], "trained_on": [], "made_by": None, "origin": content["origin"]}
        return PutVersion(
            kind="model",
            name=told["name"],
            digest=content["digest"],
            manifest=content["manifest"],
            details=details,
            more=True,
            description=told["description"],
            tags=tags,
        )

    def _move_aliases(self, told: dict[str, Any], numbers: dict[int, int]) -> None:
        model: RegisteredModel = self._client.ask(GetModel(name=told["name"]))
        for each in told.get("aliases", ()):
            number = numbers.get(int(each["version"]))
            if number is None or model.aliases.get(each["alias"]) == number:
                continue
            moved = MoveAlias(
                kind="model",
                name=told["name"],
                alias=each["alias"],
                number=number,
                reason=f"import {self._done.source}",
            )
            try:
                self._client.ask(moved)
            except (Conflict, Denied, Invalid) as refused:
                self._done.left_out.append(f"{told['name']}@{each['alias']}: {refused.what}")

    def _compare(self, there: Seen, here: Seen) -> bool:
        """Count a run or model on both sides, and note it when it is not equal."""
        for side, seen in ((self._done.there, there), (self._done.here, here)):
            for name, count in seen.counts.items():
                setattr(side, name, getattr(side, name) + count)
        self._hashes[there.id] = (there.digest, here.digest)
        if there.digest == here.digest:
            return True
        counts = [f"{name} {there.counts[name]} and {here.counts[name]}" for name in there.counts]
        differing = [
            each for each, name in zip(counts, there.counts, strict=True) if there.counts[name] != here.counts[name]
        ]
        self._done.different.append(f"{there.id}: {', '.join(differing) or 'equal counts, other values'}")
        return False

    def _mark(self, told: dict[str, Any]) -> str:
        """Name what a search told of a run or model: as long as that is the same, it need not be brought again."""
        return hashlib.sha256(json.dumps([self._done.source, self._files, told], sort_keys=True).encode()).hexdigest()[
            :16
        ]


class _Counted:
    """A stream that counts what is read of it."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.size_bytes = 0

    def read(self, size: int = -1) -> bytes:
        """Return so many bytes, fewer at the end."""
        part = self._stream.read(size)
        self.size_bytes += len(part)
        return part
