"""What is compared of a record on two sides: runs, logged and registered models in few words."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec

from mainspring.domain.experiments import DatasetInput
from mainspring.domain.files import File
from mainspring.domain.imports import IMPORTED
from mainspring.domain.loggedmodels import ModelMetric
from mainspring.domain.records import Version
from mainspring.domain.registry import RegisteredModel


class Tally(msgspec.Struct):
    """What was counted on one side.

    Attributes
    ----------
    runs, params, tags, points, datasets, files, bytes, models, registered, versions : int
        How many, over all experiments.
    digest : str
        SHA-256 over all of it, run by run in the order of their ids.
    """

    runs: int = 0
    params: int = 0
    tags: int = 0
    points: int = 0
    datasets: int = 0
    files: int = 0
    bytes: int = 0
    models: int = 0
    registered: int = 0
    versions: int = 0
    digest: str = ""


class Imported(msgspec.Struct):
    """What an import did.

    Attributes
    ----------
    source : str
        Host, port and path of the server.
    experiments : list of str
        Their names.
    there, here : Tally
        What the server told, and what the record holds of it afterwards, read back.
    known : int
        Runs and models that had come before and were only compared.
    different : list of str
        What is not equal on both sides; empty: nothing.
    left_out : list of str
        What does not travel, and why.
    """

    source: str
    experiments: list[str] = []
    there: Tally = msgspec.field(default_factory=Tally)
    here: Tally = msgspec.field(default_factory=Tally)
    known: int = 0
    different: list[str] = []
    left_out: list[str] = []


class Seen(msgspec.Struct):
    """A run or model as one side has it, in few words; its text is the mark of what is whole."""

    id: str
    digest: str
    counts: dict[str, int]

    def write(self, mark: str) -> str:
        """Return the text of the mark."""
        return f"{mark} {self.digest} {json.dumps(self.counts, sort_keys=True)}"


class Facts(msgspec.Struct):
    """All of a run or model that is compared."""

    id: str
    name: str
    state: str
    params: dict[str, str]
    tags: dict[str, str]
    points: list[tuple[str, ...]]
    datasets: list[tuple[str, str]]
    files: list[File]
    times_ms: tuple[int, int] = (0, 0)
    is_model: bool = False

    def see(self) -> Seen:
        """Return it in few words, whatever order its parts came in."""
        files = sorted((each.path, each.digest) for each in self.files)
        parts = (self.id, self.name, self.state, self.params, self.tags, sorted(self.points), sorted(self.datasets))
        written = json.dumps([*parts, files, self.times_ms], sort_keys=True).encode()
        counts = {
            "runs": int(not self.is_model),
            "models": int(self.is_model),
            "params": len(self.params),
            "tags": len(self.tags),
            "points": len(self.points),
            "datasets": len(self.datasets),
            "files": len(self.files),
            "bytes": sum(each.size_bytes for each in self.files),
        }
        return Seen(self.id, hashlib.sha256(written).hexdigest(), counts)


def read_seen(thing_id: str, text: str, mark: str) -> Seen | None:
    """Return what a mark says was brought; None when it says nothing of what is there now."""
    found, _, rest = text.partition(" ")
    digest, _, counts = rest.partition(" ")
    return Seen(thing_id, digest, json.loads(counts)) if found == mark and counts else None


def read_dataset(told: dict[str, Any]) -> DatasetInput:
    """Return a dataset that a run read, as MLflow's server tells it."""
    dataset = told["dataset"]
    return DatasetInput(
        dataset["name"],
        dataset["digest"],
        dataset.get("source_type", ""),
        dataset.get("source", ""),
        dataset.get("schema"),
        dataset.get("profile"),
        {each["key"]: each.get("value", "") for each in told.get("tags", ())},
    )


def read_metric(told: dict[str, Any], model_id: str) -> ModelMetric:
    """Return a metric of a logged model, as MLflow's server tells it."""
    return ModelMetric(
        told["key"],
        int(told.get("step", 0)),
        int(told["timestamp"]) / 1000,
        float(told["value"]),
        model_id,
        told.get("run_id", ""),
        told.get("dataset_name", ""),
        told.get("dataset_digest", ""),
    )


def show_point(point: tuple[str, int, float, float]) -> tuple[str, ...]:
    """Return a point as it is compared: whole milliseconds, and every digit of the value."""
    key, step, time, value = point
    return key, str(step), str(round(time * 1000)), repr(float(value))


def show_metric(metric: ModelMetric) -> tuple[str, ...]:
    """Return a metric of a logged model as it is compared."""
    value = float("nan") if metric.value is None else metric.value
    where = (metric.run_id, metric.dataset, metric.dataset_digest)
    return (*show_point((metric.key, metric.step, metric.time, value)), *where)


def see_registered(told: dict[str, Any], versions: list[dict[str, Any]]) -> Seen:
    """Return a registered model as MLflow's server tells it."""
    aliases = {str(each["alias"]): int(each["version"]) for each in told.get("aliases", ())}
    shown = [
        (int(each["version"]), each.get("description", ""), read_pairs(each.get("tags")), read_stage(each))
        for each in versions
    ]
    return _see(told["name"], told.get("description", ""), read_pairs(told.get("tags")), aliases, shown)


def see_model(model: RegisteredModel, versions: list[Version]) -> Seen:
    """Return a registered model as the record has it."""
    shown = [
        (
            each.number,
            each.description,
            {name: value for name, value in each.tags.items() if name != IMPORTED},
            each.stage or "",
        )
        for each in versions
    ]
    return _see(model.name, model.description, model.tags, model.aliases, shown)


def read_stage(told: dict[str, Any]) -> str:
    """Return the stage of a version, empty for none."""
    stage = str(told.get("current_stage", ""))
    return "" if stage == "None" else stage


def read_pairs(told: list[dict[str, str]] | None) -> dict[str, str]:
    """Return keys and values as a mapping."""
    return {each["key"]: each.get("value", "") for each in told or ()}


def _see(
    name: str,
    description: str,
    tags: dict[str, str],
    aliases: dict[str, int],
    versions: list[tuple[int, str, dict[str, str], str]],
) -> Seen:
    written = json.dumps([name, description, tags, aliases, sorted(versions, key=lambda each: each[0])], sort_keys=True)
    counts = {"registered": 1, "versions": len(versions)}
    return Seen(f"model {name}", hashlib.sha256(written.encode()).hexdigest(), counts)
