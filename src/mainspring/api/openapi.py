"""The OpenAPI 3.1 document of the native API, made from its table and the types of the wire."""

from __future__ import annotations

import inspect
import re
from typing import Any, Literal

import msgspec

from mainspring.api.answers import PROBLEM, ProblemAnswer
from mainspring.api.inputs import Inputs, find_inputs
from mainspring.api.routes import PREFIX, TABLE, TRANSFERS, Entry, Transfer, find_item
from mainspring.api.streams import PARAMETERS
from mainspring.domain.lists import PAGES
from mainspring.domain.messages import RunPage
from mainspring.domain.protocol import PROTOCOL

_REFERENCE = "#/components/schemas/{name}"
_PATH = re.compile(r"\{([a-z_]+):path\}")
_STRICT = r"^[\x21-\x7e]{1,200}$"
_MEANINGS = {
    "limit": "So many at most.",
    "page": "Where the page begins, as the one before said.",
    "wait_s": "The answer may take so many seconds, when there is nothing to tell yet.",
}
"""Parameter -> what it does, where its name leaves that open."""

_PROJECT = {
    "name": "project",
    "in": "query",
    "schema": {"type": "string", "default": "default", "pattern": "^[a-z][a-z0-9_-]{0,49}$"},
    "description": "Project in which it is asked.",
}
_RANGES = {
    "206": {"description": "a range of the bytes"},
    "307": {"description": "where an object store has the bytes, for a minute; only for who sends Mainspring-Direct"},
    "416": {"description": "a range beyond the bytes"},
}
_PROBLEMS = {
    "400": "the request cannot be read, or asks for what cannot be",
    "401": "no token, or none that holds",
    "403": "the role, the token's scopes or the page do not allow it",
    "404": "there is no such thing",
    "405": "the path does not know the verb",
    "409": "it is in another state or has failed, somebody was first, or the idempotency key is another request's",
    "413": "the body is larger than 1 MiB",
    "415": "the body is no application/json",
    "429": "too many failures from this address",
    "500": "a mistake of ours",
    "503": "something outside does not answer, or is full",
}


def make_document(actions: dict[str, str] | None = None) -> dict[str, Any]:
    """Return the document.

    Parameters
    ----------
    actions : dict of str to str, optional
        Name of a command -> the action that whoever asks must be allowed.

    Returns
    -------
    dict
        JSON, the same for the same code.
    """
    components = _Components()
    paths: dict[str, Any] = {}
    for entry in TABLE:
        path = _PATH.sub(r"{\1}", f"{PREFIX}{entry.path}")
        paths.setdefault(path, {})[entry.method.lower()] = _describe(entry, components, actions or {})
    for transfer in TRANSFERS:
        told = _describe_transfer(transfer, actions or {})
        paths.setdefault(f"{PREFIX}{transfer.path}", {})[transfer.method.lower()] = told
    paths[f"{PREFIX}/events/stream"] = {"get": _describe_stream(components)}
    problem = components.add(ProblemAnswer)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Mainspring",
            "version": f"1.{PROTOCOL}",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "The record of one home. Errors are problems of RFC 9457 with a code, a why and a fix.",
        },
        "security": [{"token": []}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted(components.schemas.items())),
            "responses": {
                status: {"description": text, "content": {PROBLEM: {"schema": problem}}}
                for status, text in _PROBLEMS.items()
            },
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "The home's token, or a principal's."}
            },
        },
    }


class _Components:
    """Schemas by name, each once."""

    def __init__(self) -> None:
        self.schemas: dict[str, Any] = {}

    def add(self, kind: Any) -> Any:
        """Return the schema of what a server sends: every field is always there."""
        (schema,), found = msgspec.json.schema_components([kind], ref_template=_REFERENCE)
        for name, each in found.items():
            self.schemas.setdefault(name, _tell_lengths(_tell_all(each)))
        return _tell_lengths(_allow_gaps(schema) if "prefixItems" in str(schema) else schema)

    def add_input(self, kind: Any) -> dict[str, Any]:
        """Return the schema of what a client sends."""
        (schema,), found = msgspec.json.schema_components([kind], ref_template=_REFERENCE)
        for name, each in found.items():
            self.schemas.setdefault(name, each)
        return schema

    def add_chosen(self, item: type[Any]) -> dict[str, Any]:
        """Return the schema of an item with chosen fields only."""
        self.add(item)
        whole = self.schemas[item.__name__]
        name = f"Chosen{item.__name__}"
        self.schemas[name] = {**whole, "title": name, "required": [], "description": "The fields that were chosen."}
        return {"$ref": _REFERENCE.format(name=name)}


def _tell_all(schema: dict[str, Any]) -> dict[str, Any]:
    if schema.get("type") != "object" or "properties" not in schema:
        return schema
    properties = {name: {**each} for name, each in schema["properties"].items()}
    for each in properties.values():
        each.pop("default", None)
    if "metrics" in properties:
        properties["metrics"] = _allow_gaps(properties["metrics"])
    return {**schema, "properties": properties, "required": list(properties)}


def _allow_gaps(schema: Any) -> Any:
    """JSON has no NaN and no infinity; they travel as null."""
    if isinstance(schema, list):
        return [_allow_gaps(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "number":
        return {**schema, "type": ["number", "null"]}
    return {name: _allow_gaps(each) for name, each in schema.items()}


def _tell_lengths(schema: Any) -> Any:
    """Tell a tuple as a list of fixed length: many readers of such documents know no `prefixItems`."""
    if isinstance(schema, list):
        return [_tell_lengths(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    told = {name: _tell_lengths(each) for name, each in schema.items() if name != "prefixItems"}
    if "prefixItems" in schema:
        kinds = [kind for at, kind in enumerate(schema["prefixItems"]) if kind not in schema["prefixItems"][:at]]
        told["items"] = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    return told


def _describe(entry: Entry, components: _Components, actions: dict[str, str]) -> dict[str, Any]:
    inputs = find_inputs(entry)
    text = inspect.cleandoc(entry.command.__doc__ or "")
    found: dict[str, Any] = {
        "operationId": f"{entry.method.lower()}{entry.name}",
        "summary": text.split("\n\n", 1)[0].replace("\n", " "),
        "tags": [entry.path.split("/")[1]],
        "parameters": _list_parameters(entry, inputs),
        "responses": {str(entry.status): _describe_answer(entry, components), **_refer_problems(entry)},
    }
    if entry.has_body:
        body = inputs.body
        required = any(field.required for field in msgspec.structs.fields(body))
        found["requestBody"] = {
            "required": required,
            "content": {"application/json": {"schema": components.add_input(body)}},
        }
    if entry.command.__name__ in actions:
        found["x-action"] = actions[entry.command.__name__]
    return found


def _describe_transfer(transfer: Transfer, actions: dict[str, str]) -> dict[str, Any]:
    octets = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    objects = {"application/json": {"schema": {"type": "object"}}}
    found: dict[str, Any] = {
        "operationId": transfer.name,
        "summary": transfer.text,
        "tags": [transfer.path.split("/")[1]],
        "parameters": [
            *(
                {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
                for name in re.findall(r"\{(\w+)\}", transfer.path)
            ),
            _PROJECT,
        ],
        "responses": {
            "200": {"description": "the answer", "content": objects if transfer.writes else octets},
            **({} if transfer.writes else _RANGES),
            **_refer_problems(transfer),
        },
    }
    if transfer.method == "PUT":
        found["requestBody"] = {"required": True, "content": octets}
    if transfer.command.__name__ in actions:
        found["x-action"] = actions[transfer.command.__name__]
    return found


def _list_parameters(entry: Entry, inputs: Inputs) -> list[dict[str, Any]]:
    found = [*_expand(inputs.path, "path"), *_expand(inputs.query, "query")]
    found.append(_PROJECT)
    item = find_item(entry)
    if not entry.writes and item is not None:
        names = list(item.__struct_fields__)
        found.append(
            {
                "name": "fields",
                "in": "query",
                "style": "form",
                "explode": False,
                "schema": {"type": "array", "items": {"enum": names}, "minItems": 1, "uniqueItems": True},
                "description": "Only these fields of each item.",
            }
        )
    if entry.writes:
        found.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "schema": {"type": "string", "pattern": _STRICT},
                "description": "Repetitions under one key take effect once, and are answered as the first was.",
            }
        )
    return found


def _expand(kind: type[msgspec.Struct], place: Literal["path", "query"]) -> list[dict[str, Any]]:
    _, found = msgspec.json.schema_components([kind], ref_template=_REFERENCE)
    schema = found[kind.__name__]
    required = set(schema.get("required", ()))
    return [
        {
            "name": name,
            "in": place,
            "required": name in required,
            "schema": _without_null(each),
            **({"description": _MEANINGS[name]} if name in _MEANINGS else {}),
        }
        for name, each in schema["properties"].items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter that is left out is the null of a query."""
    kept = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    return dict(kept[0]) if len(kept) == 1 else schema


def _describe_answer(entry: Entry, components: _Components) -> dict[str, Any]:
    if entry.answer is None:
        return {"description": "done"}
    schema = components.add(entry.answer)
    item = find_item(entry)
    if not entry.writes and item is not None:
        chosen = components.add_chosen(item)
        schema = {"anyOf": [schema, _choose(entry, chosen)]}
    told: dict[str, Any] = {"description": "the answer", "content": {"application/json": {"schema": schema}}}
    if entry.command in PAGES:
        link = {
            "description": 'The next page, `<PATH>; rel="next"`, when there may be one.',
            "schema": {"type": "string"},
        }
        told["headers"] = {"Link": link}
    return told


def _choose(entry: Entry, chosen: dict[str, Any]) -> dict[str, Any]:
    if entry.answer is RunPage:
        page = {
            "runs": {"type": "array", "items": chosen},
            "next": {"type": ["string", "null"]},
            "count": {"type": ["integer", "null"]},
        }
        return {"type": "object", "properties": page, "required": list(page)}
    return {"type": "array", "items": chosen} if find_item(entry) is not entry.answer else chosen


def _refer_problems(entry: Entry | Transfer) -> dict[str, Any]:
    writes = {"413", "415"}
    return {
        status: {"$ref": f"#/components/responses/{status}"}
        for status in _PROBLEMS
        if entry.writes or status not in writes
    }


def _describe_stream(components: _Components) -> dict[str, Any]:
    query = [each for each in TABLE if each.path == "/events"]
    kept = [
        each for each in _list_parameters(query[0], find_inputs(query[0])) if each["name"] in {*PARAMETERS, "project"}
    ]
    last = {"name": "Last-Event-ID", "in": "header", "schema": {"type": "integer", "minimum": 0}}
    return {
        "operationId": "streamEvents",
        "summary": "Events as they happen, as server-sent events; comments are heartbeats.",
        "tags": ["events"],
        "parameters": [*kept, last],
        "responses": {
            "200": {
                "description": "id: the event's number; event: its kind; data: the event as JSON",
                "content": {"text/event-stream": {"schema": components.add(find_item(query[0]))}},
            },
            **_refer_problems(query[0]),
        },
    }
