"""An MLflow server as the target of an export: it gives ids itself, so what was brought is found again by a tag."""

from __future__ import annotations

import hashlib
import math
from typing import Any

from mainspring.domain.errors import NotFound
from mainspring.domain.experiments import Experiment
from mainspring.domain.files import File
from mainspring.domain.registry import RegisteredModel
from mainspring.sdk.client import Client
from mainspring.sdk.exports import Outcome
from mainspring.sdk.likeness import read_pairs, show_point
from mainspring.sdk.mlflowserver import MlflowServer
from mainspring.sdk.parcels import Parcel, show_pairs

RUN_TAG = "mainspring.run_id"
"""Tag of a run there: the id that it has here."""

MODEL_TAG = "mainspring.model_id"
"""Tag of a logged model there: the id of the logged model, or of the version, that it has here."""

VERSION_TAG = "mainspring.version_id"
"""Tag of a version there: the id that it has here."""

EXPORTED = "mainspring.exported"
"""Tag of what is whole there: a digest of what it was here."""

_BATCH = 900
_TEXTS = 100
_PART = 1024 * 1024
_TOP_FLOAT = 1.7976931348623157e308
_DEFAULT = "0"


class ServerTarget:
    """Puts runs and models on an MLflow server.

    Parameters
    ----------
    server : MlflowServer
        Where they go.
    client : Client
        Whose blobs are sent.

    Notes
    -----
    Files of versions go as those of a logged model, since a server of MLflow's registers only what was logged.
    """

    def __init__(self, server: MlflowServer, client: Client) -> None:
        self.place = server.place
        self._server = server
        self._client = client
        self._experiments: dict[str, str] = {}
        self._runs: dict[str, tuple[str, str]] = {}
        self._models: dict[str, str] = {}
        self._known: dict[str, dict[str, Any]] = {}
        self._versions: dict[int, str] = {}

    def put_experiment(self, experiment: Experiment) -> None:
        """Find the experiment of a name, or make it."""
        try:
            found = self._server.get("experiments/get-by-name", experiment_name=experiment.name)["experiment"]
        except NotFound:
            found = self._server.post(
                "experiments/create", {"name": experiment.name, "tags": show_pairs(experiment.tags)}
            )
        self._experiments[str(experiment.number)] = str(found["experiment_id"])

    def put_run(self, run: Parcel) -> Outcome:
        """Send a run, read it back and compare it."""
        number = self._experiments[run.told["info"]["experiment_id"]]
        told = self._find("runs/search", "runs", number, RUN_TAG, run.id) or self._make_run(run, number)
        there, uri = str(told["info"]["run_id"]), str(told["info"].get("artifact_uri", ""))
        self._runs[run.id] = number, there
        if read_pairs(told["data"].get("tags")).get(EXPORTED) == run.mark:
            return "known"
        self._send_run(there, run)
        self._send_files(uri, run.files)
        info = {name: run.told["info"][name] for name in ("status", "end_time") if name in run.told["info"]}
        self._server.post("runs/update", {"run_id": there, **info})
        if not self._is_equal(there, run) or not self._has_files(uri, run.files):
            return "different"
        self._server.post("runs/set-tag", {"run_id": there, "key": EXPORTED, "value": run.mark})
        return "sent"

    def _find(self, path: str, key: str, number: str, tag: str, known: str) -> dict[str, Any] | None:
        asked = {"experiment_ids": [number], "filter": f"tags.`{tag}` = '{known}'", "max_results": 1}
        found: list[dict[str, Any]] = self._server.post(path, asked).get(key, [])
        return found[0] if found else None

    def _make_run(self, run: Parcel, number: str) -> dict[str, Any]:
        info = run.told["info"]
        asked = {
            "experiment_id": number,
            "run_name": info["run_name"],
            "start_time": info["start_time"],
            "tags": show_pairs({RUN_TAG: run.id}),
        }
        made: dict[str, Any] = self._server.post("runs/create", asked)["run"]
        return made

    def _send_run(self, there: str, run: Parcel) -> None:
        data = run.told["data"]
        for key in ("params", "tags"):
            for place in range(0, len(data[key]), _TEXTS):
                self._server.post("runs/log-batch", {"run_id": there, key: data[key][place : place + _TEXTS]})
        shown = [
            {"key": key, "step": step, "timestamp": round(time * 1000), "value": _show_value(value)}
            for key, step, time, value in run.points
        ]
        for place in range(0, len(shown), _BATCH):
            self._server.post("runs/log-batch", {"run_id": there, "metrics": shown[place : place + _BATCH]})
        datasets = run.told["inputs"]["dataset_inputs"]
        if datasets:
            self._server.post("runs/log-inputs", {"run_id": there, "datasets": datasets})

    def _is_equal(self, there: str, run: Parcel) -> bool:
        """Tell whether the server tells of a run what was sent."""
        data = self._server.get("runs/get", run_id=there)["run"]["data"]
        found = [
            show_point((key, int(each.get("step", 0)), int(each["timestamp"]) / 1000, float(each["value"])))
            for key in sorted({each["key"] for each in data.get("metrics", ())})
            for each in self._server.list_got("metrics/get-history", "metrics", run_id=there, metric_key=key)
        ]
        here = sorted({show_point((*point[:3], _clamp(point[3]))) for point in run.points})
        return sorted(found) == here and read_pairs(data.get("params")) == read_pairs(run.told["data"]["params"])

    def put_model(self, model: Parcel) -> Outcome:
        """Send a logged model; its run is the one that was sent."""
        number = self._experiments[model.told["info"]["experiment_id"]]
        return self._put_logged(model.told, model, number)

    def _put_logged(self, told: dict[str, Any], model: Parcel, number: str) -> Outcome:
        info = told["info"]
        found = self._find("logged-models/search", "models", number, MODEL_TAG, model.id)
        if found is None:
            asked = {
                "experiment_id": number,
                "name": info["name"],
                "model_type": info["model_type"],
                "source_run_id": self._runs.get(info["source_run_id"], ("", ""))[1],
                "params": told["data"]["params"],
                "tags": [*info["tags"], *show_pairs({MODEL_TAG: model.id})],
            }
            found = self._server.post("logged-models", {name: value for name, value in asked.items() if value})["model"]
        there, uri = str(found["info"]["model_id"]), str(found["info"].get("artifact_uri", ""))
        self._models[model.id] = there
        if read_pairs(found["info"].get("tags")).get(EXPORTED) == model.mark:
            return "known"
        self._send_files(uri, model.files)
        for each in told["data"]["metrics"]:
            if each["run_id"] in self._runs:
                self._send_metric(each, there)
        if info["status"] != "LOGGED_MODEL_PENDING":
            self._server.post(f"logged-models/{there}", {"model_id": there, "status": info["status"]}, "PATCH")
        if not self._has_files(uri, model.files):
            return "different"
        tags = [*info["tags"], *show_pairs({EXPORTED: model.mark})]
        self._server.post(f"logged-models/{there}/tags", {"model_id": there, "tags": tags}, "PATCH")
        return "sent"

    def _send_metric(self, told: dict[str, Any], model_id: str) -> None:
        shown = {name: told[name] for name in ("key", "step", "timestamp", "dataset_name", "dataset_digest")}
        shown |= {"value": _show_value(_clamp(float(told["value"]))), "model_id": model_id}
        metric = {name: value for name, value in shown.items() if value != ""}
        self._server.post("runs/log-batch", {"run_id": self._runs[told["run_id"]][1], "metrics": [metric]})

    def put_name(self, model: RegisteredModel) -> None:
        """Make a registered model, or bring what is noted on it up to date."""
        notes = {"name": model.name, "description": model.description}
        try:
            self._server.get("registered-models/get", name=model.name)
        except NotFound:
            self._server.post("registered-models/create", {**notes, "tags": show_pairs(model.tags)})
        else:
            self._server.post("registered-models/update", notes, "PATCH")
            for each in show_pairs(model.tags):
                self._server.post("registered-models/set-tag", {"name": model.name, **each})
        self._known, self._versions = self._list_versions(model.name), {}

    def put_version(self, version: Parcel) -> Outcome:
        """Register a version, its files beside it; numbers are the server's own."""
        told = version.told
        known = self._known.get(version.id)
        number = str(known["version"]) if known is not None else self._register(version)
        self._versions[int(told["version"])] = number
        if known is not None and read_pairs(known.get("tags")).get(EXPORTED) == version.mark:
            return "known"
        place = {"name": told["name"], "version": number}
        self._server.post("model-versions/update", {**place, "description": told["description"]}, "PATCH")
        if told["current_stage"] != (known or {}).get("current_stage", "None"):
            self._server.post("model-versions/transition-stage", {**place, "stage": told["current_stage"]})
        found = self._server.get("model-versions/get", **place)["model_version"]
        uri = self._server.get("model-versions/get-download-uri", **place)["artifact_uri"]
        if found.get("description", "") != told["description"] or not self._has_files(self._locate(uri), version.files):
            return "different"
        for each in [*told["tags"], *show_pairs({EXPORTED: version.mark})]:
            self._server.post("model-versions/set-tag", {**place, **each})
        return "sent"

    def _register(self, version: Parcel) -> str:
        told = version.told
        model_id = self._models.get(told["model_id"].removeprefix("m-"))
        number, run_id = self._runs.get(told["run_id"], (_DEFAULT, ""))
        if model_id is None:
            info = {
                "name": _clean(told["name"]),
                "model_type": "",
                "source_run_id": told["run_id"],
                "status": "LOGGED_MODEL_READY",
                "tags": [],
            }
            self._put_logged({"info": info, "data": {"params": [], "metrics": []}}, version, number)
            model_id = self._models[version.id]
        asked = {
            "name": told["name"],
            "source": f"models:/{model_id}",
            "model_id": model_id,
            "run_id": run_id,
            "description": told["description"],
            "tags": [*told["tags"], *show_pairs({VERSION_TAG: version.id})],
        }
        made = self._server.post("model-versions/create", {name: value for name, value in asked.items() if value})
        return str(made["model_version"]["version"])

    def _list_versions(self, name: str) -> dict[str, dict[str, Any]]:
        """Return the versions that an export has brought, by their ids here."""
        return {
            tag: each
            for each in self._server.list_versions(name)
            if (tag := read_pairs(each.get("tags")).get(VERSION_TAG))
        }

    def put_aliases(self, model: RegisteredModel) -> None:
        """Point aliases at the versions that were brought."""
        for alias, at in sorted(model.aliases.items()):
            number = self._versions.get(at)
            if number is not None:
                body = {"name": model.name, "alias": alias, "version": number}
                self._server.post("registered-models/alias", body)

    def _locate(self, uri: str) -> str:
        """Return where files lie, of an address that may name a logged model."""
        if not uri.startswith("models:/"):
            return uri
        return str(self._server.get(f"logged-models/{uri.removeprefix('models:/')}")["model"]["info"]["artifact_uri"])

    def _send_files(self, uri: str, files: list[File]) -> None:
        for each in files:
            path = self._client.blobs.path(each.digest)
            with path.open("rb") as content:
                self._server.send_file(uri, each.path, content, path.stat().st_size)

    def _has_files(self, uri: str, files: list[File]) -> bool:
        """Tell whether the server has these files and no others, by their SHA-256."""
        if not files:
            return True
        if dict(self._server.list_files(uri)) != {each.path: each.size_bytes for each in files}:
            return False
        return all(self._hash(uri, each.path) == each.digest for each in files)

    def _hash(self, uri: str, path: str) -> str:
        hashed = hashlib.sha256()
        with self._server.open_file(uri, path) as answer:
            while part := answer.read(_PART):
                hashed.update(part)
        return hashed.hexdigest()


def _clean(name: str) -> str:
    """Return a name that a logged model may have."""
    return "".join("-" if each in "/:.%\"'" else each for each in name)


def _clamp(value: float) -> float:
    """Return a value as MLflow's server keeps it: infinity is its greatest number."""
    return value if math.isnan(value) else max(min(value, _TOP_FLOAT), -_TOP_FLOAT)


def _show_value(value: float) -> float | str:
    value = _clamp(value)
    return "NaN" if math.isnan(value) else value
