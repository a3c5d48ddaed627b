"""A folder as the target of an export; what was written is read back before it counts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mainspring.domain.crashpoints import crash_point
from mainspring.domain.errors import Invalid
from mainspring.domain.experiments import Experiment
from mainspring.domain.registry import RegisteredModel
from mainspring.sdk.client import Client
from mainspring.sdk.exports import Outcome
from mainspring.sdk.parcels import Parcel, show_number, show_pairs
from mainspring.sdk.recordfolder import FORMAT, HEAD, POINTS, RecordFolder, place_name
from mainspring.security.paths import check_artifact_path, safe_join
from mainspring.store.files import LocalFileSystem, write_faults

_PART = 1024 * 1024


class FolderTarget:
    """Puts runs and models into a folder, under the ids that they have.

    Parameters
    ----------
    root : Path
        It is made if it is not there.
    client : Client
        Whose blobs are copied.

    Raises
    ------
    Invalid
        IMPORT-009 for a folder with something else in it.

    Notes
    -----
    Guarantees: the line of a run or model is written last and whole, so what has one is complete.
    """

    def __init__(self, root: Path, client: Client) -> None:
        self._root = root.absolute()
        self._client = client
        self._files = LocalFileSystem()
        if root.exists() and (not root.is_dir() or (any(root.iterdir()) and not (root / HEAD).exists())):
            raise Invalid("IMPORT-009", f"{root} holds something else", path=str(root))
        self._write(HEAD, [{"format": FORMAT}])
        self._folder = RecordFolder(self._root)
        self.place = self._folder.place

    def put_experiment(self, experiment: Experiment) -> None:
        """Write the line of an experiment."""
        number = str(experiment.number)
        told = {"experiment_id": number, "name": experiment.name, "tags": show_pairs(experiment.tags)}
        self._write(f"experiments/{number}/experiment.json", [told])

    def put_run(self, run: Parcel) -> Outcome:
        """Write a run."""
        return self._put(f"experiments/{run.told['info']['experiment_id']}/runs/{run.id}", "run.json", "artifacts", run)

    def put_model(self, model: Parcel) -> Outcome:
        """Write a logged model."""
        folder = f"experiments/{model.told['info']['experiment_id']}/logged-models/{model.id}"
        return self._put(folder, "model.json", "artifacts", model)

    def put_name(self, model: RegisteredModel) -> None:
        """Write the line of a registered model; its aliases follow its versions."""
        self._put_name(model, {})

    def put_version(self, version: Parcel) -> Outcome:
        """Write a version."""
        folder = f"{place_name(version.told['name'])}/{version.told['version']}"
        return self._put(folder, "version.json", "files", version)

    def put_aliases(self, model: RegisteredModel) -> None:
        """Write the line of a registered model again, with its aliases."""
        self._put_name(model, model.aliases)

    def _put_name(self, model: RegisteredModel, aliases: dict[str, int]) -> None:
        told = {
            "name": model.name,
            "description": model.description,
            "tags": show_pairs(model.tags),
            "aliases": [{"alias": alias, "version": str(at)} for alias, at in sorted(aliases.items())],
        }
        self._write(f"{place_name(model.name)}/model.json", [told])

    def _put(self, folder: str, name: str, below: str, parcel: Parcel) -> Outcome:
        found = self._folder.read_parcel(folder, name)
        if found is not None and found.mark == parcel.mark:
            return "known"
        for each in parcel.files:
            check_artifact_path(each.path)
        crash_point("export.writing")
        for each in parcel.files:
            self._copy(f"{folder}/{below}/{each.path}", each.digest)
        if parcel.points:
            self._write(f"{folder}/{POINTS}", list(map(_show_point, parcel.points)))
        self._write(f"{folder}/{name}", [_complete(parcel, f"{folder}/{below}")])
        found = self._folder.read_parcel(folder, name)
        return "sent" if found is not None and found.mark == parcel.mark else "different"

    def _copy(self, place: str, digest: str) -> None:
        folder, _, name = place.rpartition("/")
        path = safe_join(self._root, folder) / name  # a link that lies there is replaced, not followed
        with write_faults(path), self._client.blobs.path(digest).open("rb") as content:
            self._files.make_folder(path.parent)
            self._files.write_atomic(path, iter(lambda: content.read(_PART), b""))

    def _write(self, place: str, lines: list[dict[str, Any]]) -> None:
        path = safe_join(self._root, place)
        with write_faults(path):
            self._files.make_folder(path.parent)
            self._files.write_atomic(path, _show_lines(lines))


def _show_lines(lines: list[dict[str, Any]]) -> Iterator[bytes]:
    return (f"{json.dumps(line, sort_keys=True)}\n".encode() for line in lines)


def _show_point(point: tuple[str, int, float, float]) -> dict[str, Any]:
    key, step, time, value = point
    return {"key": key, "step": step, "timestamp": round(time * 1000), "value": show_number(value)}


def _complete(parcel: Parcel, uri: str) -> dict[str, Any]:
    """Return the line of a parcel, with its files and where they lie."""
    told = {**parcel.told}
    if "info" in told:
        told["info"] = {**told["info"], "artifact_uri": uri}
    if "content" in told:
        told["content"] = {**told["content"], "uri": uri}
    files = [{"path": each.path, "sha256": each.digest, "size_bytes": each.size_bytes} for each in parcel.files]
    return {**told, "id": parcel.id, "files_at": uri, "files": files}
