"""Endpoints of registered models: names, notes, aliases."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from mainspring.api.mlflow.checks import Wanted, Whole, invalid
from mainspring.api.mlflow.endpoints import Call, Endpoint
from mainspring.api.mlflow.errors import MlflowError
from mainspring.api.mlflow.experiments import Pair, show_tags, show_time
from mainspring.api.mlflow.names import check_key, check_length
from mainspring.api.mlflow.versions import check_tag, read_number, read_stage, show_version
from mainspring.domain import registry as told
from mainspring.domain.messages import GetVersion, MoveAlias
from mainspring.domain.records import Version
from mainspring.domain.upkeep import DeleteVersions

MOST_MODELS = 1_000
_MOST_ALIAS = 255
_ALIAS = re.compile(r"[\w\-]*")
_NUMBERED = re.compile(r"[vV]\d+")
_LATEST = "latest"


class OfModel(Wanted, kw_only=True):
    """A request about one model."""

    REQUIRED: ClassVar[tuple[str, ...]] = ("name",)
    name: str = ""


class _Described(OfModel):
    description: str = ""


class _Create(_Described):
    tags: list[Pair] = []


class _Rename(OfModel):
    REQUIRED: ClassVar[tuple[str, ...]] = ("name", "new_name")
    new_name: str = ""


class _Tag(OfModel):
    REQUIRED: ClassVar[tuple[str, ...]] = ("name", "key")
    key: str = ""
    value: str = ""


class _Alias(OfModel):
    REQUIRED: ClassVar[tuple[str, ...]] = ("name", "alias")
    alias: str = ""


class _SetAlias(_Alias):
    REQUIRED: ClassVar[tuple[str, ...]] = ("name", "alias", "version")
    version: str = ""


class _Latest(OfModel):
    stages: list[str] = []


class Search(Wanted, kw_only=True):
    """A search with its filter, order and page."""

    filter: str = ""
    max_results: Whole = 100
    order_by: list[str] = []
    page_token: str = ""


def show_model(model: told.RegisteredModel) -> dict[str, Any]:
    """Return a registered model as the protocol has it."""
    shown: dict[str, Any] = {
        "name": model.name,
        "creation_timestamp": show_time(model.created_at),
        "last_updated_timestamp": show_time(model.changed_at),
        "latest_versions": [show_version(each) for each in model.newest],
        "tags": show_tags(model.tags),
        "aliases": [{"alias": alias, "version": str(number)} for alias, number in model.aliases.items()],
    }
    return {**shown, "description": model.description} if model.description else shown


async def create(call: Call) -> Any:
    """Make a name without versions."""
    wanted = call.read(_Create)
    check_name(wanted.name)
    tags = {each.key: each.value for each in wanted.tags}
    for key, value in tags.items():
        check_tag(key, value)
    made = await call.ask(told.RegisterModel(wanted.name, wanted.description, tags))
    return {"registered_model": show_model(made)}


async def get(call: Call) -> Any:
    """Answer with one model."""
    return {"registered_model": show_model(await find_model(call, call.read(OfModel).name))}


async def update(call: Call) -> Any:
    """Change the description."""
    wanted = call.read(_Described)
    check_name(wanted.name)
    changed = await call.ask(told.DescribeModel(wanted.name, description=wanted.description))
    return {"registered_model": show_model(changed)}


async def rename(call: Call) -> Any:
    """Give a model another name."""
    wanted = call.read(_Rename)
    check_name(wanted.new_name, "new_name")
    check_name(wanted.name)
    return {"registered_model": show_model(await call.ask(told.RenameModel(wanted.name, wanted.new_name)))}


async def delete(call: Call) -> Any:
    """Hide a model with every version; `mainspring models restore NAME --all` brings it back."""
    name = call.read(OfModel).name
    check_name(name)
    await call.ask(DeleteVersions(kind="model", reference=name, all=True))
    return {}


async def search(call: Call) -> Any:
    """Answer with a page of models, by name where the order leaves it open; prompts are hidden unless asked for."""
    wanted = call.read(Search)
    if not 1 <= wanted.max_results <= MOST_MODELS:
        raise invalid("max_results", wanted.max_results)
    asked = told.SearchModels(
        filter=wanted.filter, order_by=tuple(wanted.order_by), limit=wanted.max_results, page=wanted.page_token
    )
    page: told.ModelPage = await call.ask(asked)
    following = {"next_page_token": page.next} if page.next else {}
    return {"registered_models": [show_model(each) for each in page.models], **following}


async def list_latest(call: Call) -> Any:
    """Answer with the newest version of each stage that is asked for."""
    wanted = call.read(_Latest)
    stages = {read_stage(each) for each in wanted.stages}
    model = await find_model(call, wanted.name)
    return {"model_versions": [show_version(each) for each in model.newest if not stages or each.stage in stages]}


async def set_tag(call: Call) -> Any:
    """Set a tag of a model."""
    wanted = call.read(_Tag)
    check_name(wanted.name)
    check_tag(wanted.key, wanted.value)
    await call.ask(told.DescribeModel(wanted.name, tags={wanted.key: wanted.value}))
    return {}


async def delete_tag(call: Call) -> Any:
    """Remove a tag of a model, if it is there."""
    wanted = call.read(_Tag)
    check_name(wanted.name)
    check_key(wanted.key, "key")
    await call.ask(told.DescribeModel(wanted.name, untag=[wanted.key]))
    return {}


async def set_alias(call: Call) -> Any:
    """Point an alias at a version, as far as its gate allows."""
    wanted = call.read(_SetAlias)
    check_name(wanted.name)
    _check_alias(wanted.alias)
    if wanted.alias.lower() == _LATEST:
        raise MlflowError("'latest' alias name (case insensitive) is reserved.")
    if _NUMBERED.fullmatch(wanted.alias):
        raise MlflowError(f"Version alias name '{wanted.alias}' is reserved.")
    number = read_number(wanted.name, wanted.version)
    await call.ask(MoveAlias("model", wanted.name, wanted.alias, number, "over MLflow's protocol"))
    return {}


async def delete_alias(call: Call) -> Any:
    """Take an alias away, as far as its gate allows; one that is not there is no fault."""
    wanted = call.read(_Alias)
    check_name(wanted.name)
    _check_alias(wanted.alias)
    await call.ask(told.DropAlias(wanted.name, wanted.alias, "over MLflow's protocol"))
    return {}


async def get_by_alias(call: Call) -> Any:
    """Answer with the version that an alias points at; ``latest`` stands for the newest."""
    wanted = call.read(_Alias)
    check_name(wanted.name)
    _check_alias(wanted.alias)
    model = await find_model(call, wanted.name)
    if wanted.alias.lower() == _LATEST:
        if model.latest is None:
            raise MlflowError(f"Latest version not found for model {wanted.name}.", "RESOURCE_DOES_NOT_EXIST")
        return {"model_version": show_version(model.latest)}
    if wanted.alias not in model.aliases:
        raise MlflowError(f"Registered model alias {wanted.alias} not found.")
    version: Version = await call.ask(GetVersion("model", f"{wanted.name}@{wanted.alias}"))
    return {"model_version": show_version(version)}


async def find_model(call: Call, name: str) -> told.RegisteredModel:
    """Return a model; it raises MlflowError for a name that is none, and NotFound."""
    check_name(name)
    found: told.RegisteredModel = await call.ask(told.GetModel(name))
    return found


def check_name(name: str, field: str = "name") -> None:
    """Refuse what MLflow would not take as the name of a model; what we take is the owner's to say."""
    if not name.strip():
        raise MlflowError(f"Missing value for required parameter '{field}'.")
    if "/" in name or ":" in name:
        raise MlflowError(f"Invalid model name '{name[:300]}'. Names cannot contain '/' or ':'.")


def _check_alias(alias: str) -> None:
    if not _ALIAS.fullmatch(alias):
        characters = "Names may only contain alphanumerics, underscores (_), and dashes (-)."
        raise MlflowError(f"Invalid alias name: '{alias[:300]}'. {characters}")
    check_length("Registered model alias name", _MOST_ALIAS, alias)


_AT = "/api/2.0/mlflow/registered-models"
_AREA = "Registered models"
_GATED = "an alias with a gate moves by its verdict only"

ENDPOINTS = (
    Endpoint(
        "POST",
        f"{_AT}/create",
        create,
        _AREA,
        "a name has up to 100 printable characters, none of `@ # ; % ? * < >`, backslash, bar, quotes",
    ),
    Endpoint("GET", f"{_AT}/get", get, _AREA),
    Endpoint("PATCH", f"{_AT}/update", update, _AREA),
    Endpoint("POST", f"{_AT}/rename", rename, _AREA, "refused while a service goes by the name"),
    Endpoint("DELETE", f"{_AT}/delete", delete, _AREA, "hidden until it is purged; later numbers go on"),
    Endpoint("GET", f"{_AT}/search", search, _AREA),
    Endpoint("GET", f"{_AT}/get-latest-versions", list_latest, _AREA),
    Endpoint("POST", f"{_AT}/get-latest-versions", list_latest, _AREA),
    Endpoint("POST", f"{_AT}/set-tag", set_tag, _AREA),
    Endpoint("DELETE", f"{_AT}/delete-tag", delete_tag, _AREA),
    Endpoint("POST", f"{_AT}/alias", set_alias, _AREA, _GATED),
    Endpoint("GET", f"{_AT}/alias", get_by_alias, _AREA),
    Endpoint("DELETE", f"{_AT}/alias", delete_alias, _AREA, _GATED),
)
