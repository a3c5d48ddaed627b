"""Exports to another platform: runs with history and files, models with theirs, compared when they are there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, Protocol

import msgspec

from mainspring.domain.errors import Denied, Invalid, NotFound
from mainspring.domain.experiments import Experiment, FoundExperiments, SearchExperiments
from mainspring.domain.lists import read_all
from mainspring.domain.messages import ListVersions, SearchRuns
from mainspring.domain.records import Run, Version
from mainspring.domain.registry import ListModels, RegisteredModel
from mainspring.sdk.client import Client
from mainspring.sdk.parcels import Parcel, read_models, read_run, read_version

Outcome = Literal["sent", "known", "different"]


class Exported(msgspec.Struct):
    """What an export did.

    Attributes
    ----------
    target : str
        Host, port and path of the server, or the folder.
    experiments : list of str
        Their names.
    runs, params, points, files, bytes, models, registered, versions : int
        How many are there now, of what was exported; `models` are logged ones.
    known : int
        Runs, models and versions that had been brought before, and have not changed since.
    different : list of str
        What is not there as it is here; empty: nothing.
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
    models: int = 0
    registered: int = 0
    versions: int = 0


class Target(Protocol):
    """Where an export goes. Everything may be put again; each answers what became of it."""

    @property
    def place(self) -> str:
        """How it is called."""

    def put_experiment(self, experiment: Experiment) -> None:
        """Have an experiment of that name."""

    def put_run(self, run: Parcel) -> Outcome:
        """Have a run, compared value by value, file by file."""

    def put_model(self, model: Parcel) -> Outcome:
        """Have a logged model, whose run was put before."""

    def put_name(self, model: RegisteredModel) -> None:
        """Have a registered model's name with its description and tags."""

    def put_version(self, version: Parcel) -> Outcome:
        """Have a version of a name that was put before, with its files, tags and stage."""

    def put_aliases(self, model: RegisteredModel) -> None:
        """Point the aliases of a name at its versions."""


class Exporter:
    """Brings the runs and models of a project elsewhere.

    Parameters
    ----------
    target : Target
        Where they go.
    client : Client
        Of the home, or server, and project that they come from.
    tell : callable
        Called with a line about how far it is.

    Notes
    -----
    Guarantees: a run is there once, however often this is begun again, and has the mark that it is whole only
    once it was read back. Cost: memory for the history of one run.
    """

    def __init__(self, target: Target, client: Client, tell: Callable[[str], None]) -> None:
        self._target = target
        self._client = client
        self._tell = tell
        self._done = Exported(target.place)

    def run(self, names: Sequence[str] = ()) -> Exported:
        """Bring experiments of these names; or all that have runs or logged models, and registered models."""
        known = self._list_experiments()
        for name in names:
            if not any(each.name == name for each in known):
                raise NotFound("EXP-001", f"there is no experiment {name!r}", name=name)
        for each in known:
            if not names or each.name in names:
                self._export_experiment(each)
        if not names:
            models: Iterator[RegisteredModel] = read_all(self._client.ask, ListModels())
            for model in models:
                self._export_registered(model)
        return self._done

    def _list_experiments(self) -> list[Experiment]:
        found: list[Experiment] = []
        page: str | None = ""
        while page is not None:
            answer: FoundExperiments = self._client.ask(SearchExperiments(page=page))
            found, page = found + answer.experiments, answer.next
        return found

    def _export_experiment(self, experiment: Experiment) -> None:
        quoted = experiment.name.replace("\\", "\\\\").replace('"', '\\"')
        runs: Iterator[Run] = read_all(self._client.ask, SearchRuns(filter=f'experiment = "{quoted}"', limit=1_000))
        made = False
        for count, run in enumerate(runs, 1):
            made = made or self._put_experiment(experiment)
            parcel = read_run(self._client, run.id)
            if self._put(f"run {run.id}", parcel, self._target.put_run):
                self._done.runs += 1
                self._done.params += len(parcel.told["data"]["params"])
                self._done.points += len(parcel.points)
            self._tell(f"{experiment.name}: {count:,} runs")
        for count, model in enumerate(read_models(self._client, experiment.number), 1):
            made = made or self._put_experiment(experiment)
            self._done.models += self._put(f"logged model m-{model.id}", model, self._target.put_model)
            self._tell(f"{experiment.name}: {count:,} logged models")

    def _put_experiment(self, experiment: Experiment) -> bool:
        self._target.put_experiment(experiment)
        self._done.experiments.append(experiment.name)
        return True

    def _export_registered(self, model: RegisteredModel) -> None:
        self._target.put_name(model)
        self._done.registered += 1
        listed: Iterator[Version] = read_all(self._client.ask, ListVersions(kind="model", name=model.name))
        for version in sorted(listed, key=lambda each: each.number):
            if isinstance(version.details, dict) and version.details.get("format") == "sealed":
                what = "it is code, sealed with the key of its project"
                self._done.left_out.append(f"{version.reference}: {what}")
                continue
            parcel = read_version(self._client, version)
            self._done.versions += self._put(version.reference, parcel, self._target.put_version)
        self._target.put_aliases(model)
        self._tell(f"{model.name}: {self._done.versions:,} versions")

    def _put(self, name: str, parcel: Parcel, put: Callable[[Parcel], Outcome]) -> bool:
        """Put one thing and count its files; tell whether it is there."""
        try:
            outcome = put(parcel)
        except (Invalid, Denied) as refused:
            self._done.left_out.append(f"{name}: {refused.what}")
            return False
        if outcome == "different":
            self._done.different.append(f"{name}: it is not equal there")
        self._done.known += outcome == "known"
        self._done.files += len(parcel.files)
        self._done.bytes += parcel.size_bytes
        return True
