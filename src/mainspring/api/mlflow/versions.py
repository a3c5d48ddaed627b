"""Endpoints of the versions of registered models."""

from __future__ import annotations

from typing import Any, ClassVar

from mainspring.api.mlflow.checks import Wanted, Whole
from mainspring.api.mlflow.endpoints import Call, Endpoint
from mainspring.api.mlflow.errors import MlflowError
from mainspring.api.mlflow.experiments import Pair, show_tags, show_time
from mainspring.api.mlflow.names import MOST_KEY, check_key, check_length
from mainspring.domain import registry as told
from mainspring.domain.messages import GetVersion
from mainspring.domain.places import SCHEME
from mainspring.domain.records import Version
from mainspring.domain.upkeep import DeleteVersions

MOST_VERSIONS = 200_000
_PART = 1_000
_STAGES = ("None", "Staging", "Production", "Archived")
_ACTIVE = ("Staging", "Production")


class OfVersion(Wanted, kw_only=True):
    """A request about one version."""

    REQUIRED: ClassVar[tuple[str, ...]] = ("name", "version")
    name: str = ""
    version: str = ""


class _Create(Wanted):
    REQUIRED: ClassVar[tuple[str, ...]] = ("name", "source")
    name: str = ""
    source: str = ""
    run_id: str = ""
    model_id: str = ""
    run_link: str = ""
    description: str = ""
    tags: list[Pair] = []


class _Update(OfVersion):
    description: str | None = None


class _Stage(OfVersion):
    REQUIRED: ClassVar[tuple[str, ...]] = ("name", "version", "stage")
    stage: str = ""
    archive_existing_versions: bool = False


class _Tag(OfVersion):
    REQUIRED: ClassVar[tuple[str, ...]] = ("name", "version", "key")
    key: str = ""
    value: str = ""


class _Search(Wanted):
    filter: str = ""
    max_results: Whole = 10_000
    order_by: list[str] = []
    page_token: str = ""


def show_version(version: Version) -> dict[str, Any]:
    """Return a version as the protocol has it."""
    details: dict[str, Any] = version.details if isinstance(version.details, dict) else {}
    shown: dict[str, Any] = {
        "name": version.name,
        "version": str(version.number),
        "creation_timestamp": show_time(version.created_at),
        "last_updated_timestamp": show_time(version.changed_at or version.created_at),
        "description": version.description,
        "current_stage": version.stage or "None",
        "source": str(details.get("source") or show_place(version)),
        "status": "READY",
        "tags": show_tags(version.tags),
        "aliases": list(version.aliases),
    }
    if version.run_id:
        shown["run_id"] = version.run_id
    if details.get("link"):
        shown["run_link"] = str(details["link"])
    return shown


def show_place(version: Version) -> str:
    """Return where the files of a version lie, as clients of MLflow are told."""
    return f"{SCHEME}models/{version.name}/{version.number}"


def read_number(name: str, text: str) -> int:
    """Return the number of a version.

    Raises
    ------
    MlflowError
        INVALID_PARAMETER_VALUE for what is no number, RESOURCE_DOES_NOT_EXIST for one that no version can have.
    """
    try:
        number = int(text)
    except ValueError:
        raise MlflowError(f"Parameter 'version' must be an integer, got '{text[:100]}'.") from None
    if not 0 < number < 10**9:
        raise MlflowError(f"Model Version (name={name}, version={number}) not found", "RESOURCE_DOES_NOT_EXIST")
    return number


def read_stage(text: str) -> told.Stage:
    """Return a stage as the record has it; capitals do not matter.

    Raises
    ------
    MlflowError
        INVALID_PARAMETER_VALUE for what is none.
    """
    stages: dict[str, told.Stage] = {"none": "", "staging": "Staging", "production": "Production"}
    stages["archived"] = "Archived"
    if text.lower() not in stages:
        raise MlflowError(f"Invalid Model Version stage: {text[:100]}. Value must be one of {', '.join(_STAGES)}.")
    return stages[text.lower()]


def check_tag(key: str, value: str) -> None:
    """Refuse a tag of a model or version that is none; it raises MlflowError."""
    check_key(key, "key")
    check_length("key", MOST_KEY, key)
    check_length("value", told.MOST_TAG, value)


async def create(call: Call) -> Any:
    """Register what was logged; its files, as they are now, are the version's."""
    wanted = call.read(_Create)
    tags = {each.key: each.value for each in wanted.tags}
    for key, value in tags.items():
        check_tag(key, value)
    asked = told.AddVersion(
        name=wanted.name,
        source=wanted.source,
        run_id=wanted.run_id,
        model_id=wanted.model_id.removeprefix("m-"),
        link=wanted.run_link,
        description=wanted.description,
        tags=tags,
    )
    return {"model_version": show_version(await call.ask(asked))}


async def get(call: Call) -> Any:
    """Answer with one version."""
    return {"model_version": show_version(await _find(call, call.read(OfVersion)))}


async def update(call: Call) -> Any:
    """Change the description."""
    wanted = call.read(_Update)
    number = read_number(wanted.name, wanted.version)
    await call.ask(told.DescribeModel(wanted.name, number, wanted.description or ""))
    return {"model_version": show_version(await _find(call, wanted))}


async def move_stage(call: Call) -> Any:
    """Move a version to a stage, as far as a gate of the stage's name allows."""
    wanted = call.read(_Stage)
    number, stage = read_number(wanted.name, wanted.version), read_stage(wanted.stage)
    if wanted.archive_existing_versions and stage not in _ACTIVE:
        raise MlflowError(
            "Model version transition cannot archive existing model versions because "
            f"'{wanted.stage}' is not an Active stage. Valid stages are {list(_ACTIVE)}"
        )
    asked = told.StageVersion(wanted.name, number, stage, wanted.archive_existing_versions)
    return {"model_version": show_version(await call.ask(asked))}


async def delete(call: Call) -> Any:
    """Hide a version, and take its aliases away as far as their gates allow."""
    version = await _find(call, call.read(OfVersion))
    await call.ask(DeleteVersions(kind="model", reference=version.reference, unalias=True))
    return {}


async def get_place(call: Call) -> Any:
    """Answer with where the files of a version lie."""
    return {"artifact_uri": show_place(await _find(call, call.read(OfVersion)))}


async def search(call: Call) -> Any:
    """Answer with a page of versions, the newest of each name first where the order leaves it open."""
    wanted = call.read(_Search)
    if wanted.max_results < 1:
        fault = f"Invalid value for max_results. It must be a positive integer, but got {wanted.max_results}"
        raise MlflowError(fault)
    if wanted.max_results > MOST_VERSIONS:
        what = f"It must be at most {MOST_VERSIONS}, but got value {wanted.max_results}"
        raise MlflowError(f"Invalid value for request parameter max_results. {what}")
    found: list[Version] = []
    following: str | None = wanted.page_token
    while following is not None and len(found) < wanted.max_results:
        limit = min(_PART, wanted.max_results - len(found))
        asked = told.SearchVersions(filter=wanted.filter, order_by=tuple(wanted.order_by), limit=limit, page=following)
        page: told.VersionPage = await call.ask(asked)
        found += page.versions
        following = page.next
    token = {"next_page_token": following} if following else {}
    return {"model_versions": [show_version(each) for each in found], **token}


async def set_tag(call: Call) -> Any:
    """Set a tag of a version."""
    wanted = call.read(_Tag)
    number = read_number(wanted.name, wanted.version)
    check_tag(wanted.key, wanted.value)
    await call.ask(told.DescribeModel(wanted.name, number, tags={wanted.key: wanted.value}))
    return {}


async def delete_tag(call: Call) -> Any:
    """Remove a tag of a version, if it is there."""
    wanted = call.read(_Tag)
    check_key(wanted.key, "key")
    await call.ask(told.DescribeModel(wanted.name, read_number(wanted.name, wanted.version), untag=[wanted.key]))
    return {}


async def _find(call: Call, wanted: OfVersion) -> Version:
    number = read_number(wanted.name, wanted.version)
    found: Version = await call.ask(GetVersion("model", f"{wanted.name}@{number}"))
    return found


_AT = "/api/2.0/mlflow/model-versions"
_AREA = "Model versions"

ENDPOINTS = (
    Endpoint("POST", f"{_AT}/create", create, _AREA, "`source` is `runs:/`, `models:/` or `mlflow-artifacts:/`"),
    Endpoint("GET", f"{_AT}/get", get, _AREA),
    Endpoint("PATCH", f"{_AT}/update", update, _AREA),
    Endpoint("POST", f"{_AT}/transition-stage", move_stage, _AREA, "a gate named like the stage binds it"),
    Endpoint("DELETE", f"{_AT}/delete", delete, _AREA, "hidden until it is purged"),
    Endpoint("GET", f"{_AT}/search", search, _AREA),
    Endpoint("GET", f"{_AT}/get-download-uri", get_place, _AREA),
    Endpoint("POST", f"{_AT}/set-tag", set_tag, _AREA),
    Endpoint("DELETE", f"{_AT}/delete-tag", delete_tag, _AREA),
)
