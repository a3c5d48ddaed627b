"""Endpoints of artifacts: lists of files, and their bytes, streamed both ways."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, ClassVar

from anyio import to_thread
from starlette.responses import Response

from mainspring.api.mlflow.checks import OfRun, Wanted
from mainspring.api.mlflow.endpoints import Call, Endpoint
from mainspring.api.mlflow.errors import MlflowError
from mainspring.api.transfers import UNKNOWN_BYTES
from mainspring.domain.errors import NotFound
from mainspring.domain.experiments import GetLoggedRun, LoggedRun
from mainspring.domain.files import File, FindFile, ListFiles, OfferFile, PutFiles, RemoveFiles
from mainspring.domain.messages import GetVersion
from mainspring.domain.places import SCHEME, ModelPlace, Place, RunPlace, VersionPlace, parse_place
from mainspring.domain.records import Version
from mainspring.domain.tracking import Artifact, ListArtifacts
from mainspring.domain.transfers import Held
from mainspring.security.paths import check_artifact_path
from mainspring.tracking.exhibits import list_exhibits

AREA = "Artifacts"
_ROOT = "/api/2.0/mlflow-artifacts"


class _List(OfRun):
    path: str = ""
    page_token: str = ""


class _ListBelow(Wanted):
    path: str = ""


class _OfVersion(Wanted):
    REQUIRED: ClassVar[tuple[str, ...]] = ("name", "version", "path")
    name: str = ""
    version: str = ""
    path: str = ""


class _OfPath(OfRun):
    REQUIRED: ClassVar[tuple[str, ...]] = ("run_id", "path")
    path: str = ""


async def list_artifacts(call: Call) -> dict[str, Any]:
    """Answer with the files and folders of a run, by their paths below it."""
    asked = call.read(_List)
    below = check_artifact_path(asked.path.rstrip("/")) if asked.path else ""
    run: LoggedRun = await call.ask(GetLoggedRun(run_id=asked.run_id))
    found = await _list_files(call, RunPlace(asked.run_id, below))
    root = f"{SCHEME}{run.experiment}/{asked.run_id}/artifacts"
    return {"root_uri": root, **show_files(found, below)}


async def list_below(call: Call) -> dict[str, Any]:
    """Answer with the files and folders of one folder, by their names."""
    path = call.read(_ListBelow).path.strip("/")
    place = parse_place(check_artifact_path(path))
    shown = show_files(await _list_files(call, place), place.path)
    return {"files": [{**each, "path": each["path"].rpartition("/")[2]} for each in shown["files"]]}


async def download(call: Call) -> Response:
    """Answer with the bytes of a file."""
    place = parse_place(check_artifact_path(call.places["path"]))
    return await call.transfers.send(await _find_file(call, place))


async def upload(call: Call) -> dict[str, Any]:
    """Take the bytes of a file; they are hashed while they come, and nobody sees a part of them."""
    place = parse_place(check_artifact_path(call.places["path"]))
    told = call.request.headers.get("content-length", "")
    size_bytes = int(told[:18]) if told.isdecimal() else 0
    named = _name_owner(place)
    held: Held = await call.ask(OfferFile(path=place.path, size_bytes=size_bytes, **named))
    digest, taken_bytes = await call.transfers.take(call.request, held.holder, call.project)
    await call.ask(PutFiles(files=[File(place.path, digest, taken_bytes)], **named))
    return {}


async def remove(call: Call) -> dict[str, Any]:
    """Remove a file, or a folder with all below it."""
    place = parse_place(check_artifact_path(call.places["path"].rstrip("/")))
    await call.ask(RemoveFiles(path=place.path, **_name_owner(place)))
    return {}


async def get_artifact(call: Call) -> Response:
    """Answer with the bytes of a file of a run."""
    asked = call.read(_OfPath)
    return await call.transfers.send(await _find_file(call, RunPlace(asked.run_id, check_artifact_path(asked.path))))


async def get_version_artifact(call: Call) -> Response:
    """Answer with the bytes of a file of a version of a registered model."""
    asked = call.read(_OfVersion)
    if not asked.version.isdecimal():
        raise MlflowError(f"Invalid model version: {asked.version[:100]!r} is no number")
    place = VersionPlace(asked.name, int(asked.version[:18]), check_artifact_path(asked.path))
    return await call.transfers.send(await _find_file(call, place))


async def refuse_parts(call: Call) -> Response:
    """Say that files come and go in one piece, in the words by which clients then send and bring them so."""
    way = "download" if call.request.method == "GET" else "upload"
    raise MlflowError(f"Multipart {way} is not supported for the current artifact repository", "NOT_IMPLEMENTED")


def show_files(found: list[File], below: str = "") -> dict[str, list[dict[str, Any]]]:
    """Return the files and folders right below a folder as MLflow's clients want them, by path."""
    head = f"{below}/" if below else ""
    shown: dict[str, dict[str, Any]] = {}
    for each in found:
        name, deeper, _ = each.path.removeprefix(head).partition("/")
        path = head + name
        if deeper:
            shown[path] = {"path": path, "is_dir": True}
        else:
            size = {} if each.size_bytes == UNKNOWN_BYTES else {"file_size": each.size_bytes}
            shown[path] = {"path": path, "is_dir": False, **size}
    return {"files": [shown[path] for path in sorted(shown)]}


async def _list_files(call: Call, place: Place) -> list[File]:
    """Return the files below a place, those that were logged natively too."""
    if isinstance(place, VersionPlace):
        found = await _list_of_version(call, place)
    else:
        found = await call.ask(ListFiles(below=place.path, **_name_owner(place)))
        if isinstance(place, RunPlace):
            taken = {each.path for each in found}
            found += [each for each in await _list_native(call, place.id) if each.path not in taken]
    return [each for each in found if not place.path or each.path.startswith(f"{place.path}/")]


async def _list_native(call: Call, run_id: str) -> list[File]:
    logged: list[Artifact] = await call.ask(ListArtifacts(run_id=run_id, native=True))
    if not logged:
        return []
    return await to_thread.run_sync(partial(list_exhibits, logged, call.transfers.read))


async def _list_of_version(call: Call, place: VersionPlace) -> list[File]:
    version: Version = await call.ask(GetVersion(kind="model", reference=f"{place.name}@{place.number}"))
    manifest = version.manifest if isinstance(version.manifest, dict) else {}
    named = {path: digest for path, digest in manifest.items() if isinstance(digest, str)}
    lengths = await asyncio.gather(*map(call.transfers.measure, named.values()))
    return [
        File(path, digest, UNKNOWN_BYTES if length is None else length)
        for (path, digest), length in zip(named.items(), lengths, strict=True)
    ]


async def _find_file(call: Call, place: Place) -> File:
    if isinstance(place, VersionPlace):
        found = {each.path: each for each in await _list_of_version(call, place)}.get(place.path)
        if found is None:
            raise NotFound("FILE-002", f"{place.name}@{place.number} has no file {place.path[:200]!r}")
        return found
    try:
        file: File = await call.ask(FindFile(path=place.path, **_name_owner(place)))
    except NotFound as missing:
        native = (
            await _list_native(call, place.id) if missing.code == "FILE-002" and isinstance(place, RunPlace) else []
        )
        exhibits = {each.path: each for each in native}
        if place.path not in exhibits:
            raise
        return exhibits[place.path]
    return file


def _name_owner(place: Place) -> dict[str, str]:
    """Return the fields of a command that say whose files are meant.

    Raises
    ------
    MlflowError
        PERMISSION_DENIED for a version, which nobody changes.
    """
    if isinstance(place, VersionPlace):
        what = f"{place.name}@{place.number} is a version: its files are what they were when it was registered"
        raise MlflowError(what, "PERMISSION_DENIED")
    return {"model_id" if isinstance(place, ModelPlace) else "run_id": place.id}


_PARTS = (
    ("POST", "mpu/create/{path:path}"),
    ("POST", "mpu/complete/{path:path}"),
    ("POST", "mpu/abort/{path:path}"),
    ("GET", "presigned/{path:path}"),
)

ENDPOINTS = (
    Endpoint("GET", "/api/2.0/mlflow/artifacts/list", list_artifacts, AREA),
    Endpoint("GET", f"{_ROOT}/artifacts", list_below, AREA),
    Endpoint("GET", f"{_ROOT}/artifacts/{{path:path}}", download, AREA, "ranges too"),
    Endpoint("PUT", f"{_ROOT}/artifacts/{{path:path}}", upload, AREA, streams=True),
    Endpoint("DELETE", f"{_ROOT}/artifacts/{{path:path}}", remove, AREA),
    *(Endpoint(method, f"{_ROOT}/{path}", refuse_parts, AREA, "refused") for method, path in _PARTS),
    Endpoint("GET", "/get-artifact", get_artifact, AREA),
    Endpoint("GET", "/model-versions/get-artifact", get_version_artifact, AREA),
)
