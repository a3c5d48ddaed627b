"""Refusals in MLflow's shape: a code by name, a message, and the status that goes with the code."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from starlette.responses import Response

from mainspring.api.answers import HEADERS
from mainspring.domain.catalogue import find_entry
from mainspring.domain.errors import MainspringError

STATUS = {
    "BAD_REQUEST": 400,
    "INVALID_PARAMETER_VALUE": 400,
    "RESOURCE_ALREADY_EXISTS": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "ENDPOINT_NOT_FOUND": 404,
    "RESOURCE_DOES_NOT_EXIST": 404,
    "RESOURCE_CONFLICT": 409,
    "REQUEST_LIMIT_EXCEEDED": 429,
    "INTERNAL_ERROR": 500,
    "INVALID_STATE": 500,
    "NOT_IMPLEMENTED": 501,
    "TEMPORARILY_UNAVAILABLE": 503,
}
"""MLflow's codes that are answered with, and their status of HTTP."""

_BY_STATUS = {
    400: "INVALID_PARAMETER_VALUE",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    409: "RESOURCE_CONFLICT",
    413: "INVALID_PARAMETER_VALUE",
    415: "INVALID_PARAMETER_VALUE",
    429: "REQUEST_LIMIT_EXCEEDED",
    503: "TEMPORARILY_UNAVAILABLE",
}

CODES: dict[str, str] = {
    "API-002": "ENDPOINT_NOT_FOUND",
    "EXP-002": "RESOURCE_ALREADY_EXISTS",
    "EXP-003": "INVALID_PARAMETER_VALUE",
    "EXP-004": "INVALID_PARAMETER_VALUE",
    "GATE-003": "PERMISSION_DENIED",
    "MODEL-050": "RESOURCE_ALREADY_EXISTS",
}
"""Codes of ours whose status alone does not tell MLflow's code."""

TEXTS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "DATA-001": lambda known: (
        f"Invalid model name or alias '{known.get('reference', known.get('alias', ''))}'. A name has up to 100 "
        "printable characters without @ / : \\ # ; % ? * | < > and quotes; an alias begins with a letter and "
        "has up to 50."
    ),
    "LMODEL-001": lambda known: f"Logged model with ID 'm-{known.get('id', '')}' not found.",
    "RUN-001": lambda known: f"Run with id={known.get('id', '')} not found",
    "EXP-001": lambda known: f"No Experiment with id={known.get('number', '')} exists",
    "EXP-002": lambda known: (
        f"Experiment(name={known['name']}) already exists. It has the id {known['number']} and is {known['state']}."
    ),
    "EXP-003": lambda known: f"The {_name(known)} must be in the 'active' state. Current state is {known['state']}.",
    "MODEL-001": lambda known: _miss(str(known.get("reference", ""))),
    "MODEL-050": lambda known: f"Registered Model (name={known['model']}) already exists.",
    "EXP-006": lambda known: f"No tag with name: {known['name']} in {_place(known)}",
}
"""Codes of ours that MLflow has words of its own for; programs compare them."""


class MlflowError(Exception):
    """A refusal that only this protocol knows: what a request of MLflow's lacks or has too much of.

    Parameters
    ----------
    message : str
        MLflow's own words where it has some.
    code : str, default "INVALID_PARAMETER_VALUE"
        A key of `STATUS`.
    """

    def __init__(self, message: str, code: str = "INVALID_PARAMETER_VALUE") -> None:
        super().__init__(message)
        self.message = message
        self.code = code


def _name(known: Mapping[str, Any]) -> str:
    return f"run {known['run']}" if "run" in known else f"experiment {known['experiment']}"


def _place(known: Mapping[str, Any]) -> str:
    return f"run with id {known['run']}" if "run" in known else f"experiment with id {known['experiment']}"


def _miss(reference: str) -> str:
    name, mark, number = reference.partition("@")
    if mark:
        return f"Model Version (name={name}, version={number}) not found"
    return f"Registered Model with name={name} not found"


def translate(error: MainspringError) -> MlflowError:
    """Return a refusal of ours as MLflow tells it: its words where it has some, else ours with code and fix."""
    status = find_entry(error.code).http_status
    code = CODES.get(error.code) or _BY_STATUS.get(status, "INTERNAL_ERROR")
    words = TEXTS.get(error.code)
    if words is not None:
        return MlflowError(words(error.context), code)
    return MlflowError(f"{error.what} ({error.code}). {error.fix}".rstrip(), code)


def reply_error(error: MlflowError | MainspringError) -> Response:
    """Answer with a refusal."""
    told = translate(error) if isinstance(error, MainspringError) else error
    headers = dict(HEADERS)
    if told.code == "UNAUTHENTICATED":
        headers["WWW-Authenticate"] = 'Basic realm="mainspring", charset="UTF-8"'
    if isinstance(error, MainspringError):
        headers["Mainspring-Code"] = error.code
        if "wait_s" in error.context:
            headers["Retry-After"] = str(math.ceil(error.context["wait_s"]))
    body = msgspec.json.encode({"error_code": told.code, "message": told.message})
    return Response(body, STATUS[told.code], headers, "application/json")
