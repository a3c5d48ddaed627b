"""The HTTP application: each route names its policy and the command that answers it."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mainspring.domain import messages
from mainspring.domain.catalogue import find_entry
from mainspring.domain.errors import Denied, Invalid, MainspringError, NotFound
from mainspring.security.tokens import is_token

Ask = Callable[[messages.Command], Any]
Translate = Callable[[Request], messages.Command]

HOSTS = ("127.0.0.1", "localhost")
_LIMIT = 1000
_NUMBER = re.compile("[0-9]{1,18}")
_STRANGER = "API-001"
_UNAUTHORIZED = 401


class Policy(Enum):
    """Who may use a route."""

    PUBLIC = "anybody"
    TOKEN = "who holds the home's token"  # noqa: S105 - a sentence, no secret


def make_app(ask: Ask, token_digest: str) -> Starlette:
    """Build the application.

    Parameters
    ----------
    ask : callable
        Sends a command to the owner and returns its answer; called in a thread.
    token_digest : str
        SHA-256 of the home's token, 64 hexadecimal characters.

    Returns
    -------
    Starlette
        An ASGI application that reads; it refuses any host but loopback, so that a page of
        another site cannot reach it under a name of its own.

    Raises
    ------
    RuntimeError
        A route without a policy.
    """
    routes: list[BaseRoute] = [
        _route("/health", Policy.PUBLIC, None, ask, token_digest),
        *(_route(f"/api/v1{path}", Policy.TOKEN, make, ask, token_digest) for path, make in READS.items()),
        _route("/{path:path}", Policy.TOKEN, _refuse_path, ask, token_digest),
    ]
    check_policies(routes)
    return Starlette(routes=routes, middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(HOSTS))])


def check_policies(routes: list[BaseRoute]) -> None:
    """Refuse to start with a route that names no policy.

    Raises
    ------
    RuntimeError
        Such a route was made.
    """
    for route in routes:
        if not isinstance(getattr(getattr(route, "endpoint", None), "policy", None), Policy):
            raise RuntimeError(f"{route} has no policy")  # noqa: TRY004 - a mistake of the programmer


def _search_runs(request: Request) -> messages.Command:
    query = request.query_params
    return messages.SearchRuns(
        query.get("filter", ""), query.get("order_by", ""), _read_limit(request), query.get("page", ""), count=True
    )


def _read_limit(request: Request) -> int:
    text = request.query_params.get("limit", "100")
    if not (_NUMBER.fullmatch(text) and 1 <= int(text) <= _LIMIT):
        raise Invalid("API-003", f"limit is {text[:40]!r}, not a number from 1 to {_LIMIT}", limit=text)
    return int(text)


READS: dict[str, Translate] = {
    "/status": lambda _: messages.GetStatus(),
    "/runs": _search_runs,
    "/runs/{id}": lambda r: messages.GetRun(r.path_params["id"]),
    "/runs/{id}/series/{key}": lambda r: messages.GetSeries(r.path_params["id"], r.path_params["key"]),
    "/runs/{id}/logs": lambda r: messages.GetLogs(r.path_params["id"]),
    "/datasets": lambda r: messages.ListVersions("dataset", r.query_params.get("name"), _read_limit(r)),
    "/models": lambda r: messages.ListVersions("model", r.query_params.get("name"), _read_limit(r)),
    "/services": lambda _: messages.ListServices(),
    "/services/{name}": lambda r: messages.GetService(r.path_params["name"]),
    "/alarms": lambda r: messages.ListAlarms(r.query_params.get("service"), _read_limit(r)),
    "/renewals": lambda r: messages.ListRenewals(r.query_params.get("service"), _read_limit(r)),
    "/why/{thing:path}": lambda r: messages.Explain(r.path_params["thing"]),
}
"""Path below ``/api/v1`` -> the command that its answer is."""


def _refuse_path(request: Request) -> messages.Command:
    raise NotFound("API-002", f"there is no {request.url.path}")


def _route(path: str, policy: Policy, translate: Translate | None, ask: Ask, token_digest: str) -> Route:
    def answer(request: Request) -> Response:
        try:
            if policy is not Policy.PUBLIC:
                _authorise(request, token_digest)
            return _reply({"status": "ok"} if translate is None else ask(translate(request)))
        except MainspringError as error:
            return _reply_problem(error)

    answer.policy = policy  # type: ignore[attr-defined]
    return Route(path, answer, methods=["GET"])


def _authorise(request: Request, token_digest: str) -> None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not is_token(token, token_digest):
        raise Denied(_STRANGER, "the request carries no token of this home")


def _reply(value: Any, status: int = 200, media_type: str = "application/json") -> Response:
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
    if status == _UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(msgspec.json.encode(value, enc_hook=str), status, headers, media_type)


def _reply_problem(error: MainspringError) -> Response:
    """Answer as RFC 9457 asks: a problem with its code, its cause and the way out."""
    entry = find_entry(error.code)
    status = _UNAUTHORIZED if error.code == _STRANGER else entry.http_status
    problem = {
        "type": f"about:mainspring#{error.code}",
        "title": entry.title,
        "status": status,
        "detail": error.what,
        "code": error.code,
        "why": error.why,
        "fix": error.fix,
    }
    return _reply(problem, status, "application/problem+json")
