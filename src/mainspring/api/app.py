"""The HTTP application: each route names its policy and the command that answers it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mainspring.api.entrance import Entrance
from mainspring.api.issuers import CALLBACK, send_away, take_back
from mainspring.api.sessions import COOKIE, SESSION_S
from mainspring.domain import messages
from mainspring.domain.catalogue import find_entry
from mainspring.domain.errors import Invalid, MainspringError, NotFound
from mainspring.security.oidc import SignIn

Ask = Callable[..., Any]
"""(command, *, project, token) -> its answer."""
Translate = Callable[[Request], messages.Command]

HOSTS = ("127.0.0.1", "localhost")
_LIMIT = 1000
_NUMBER = re.compile("[0-9]{1,18}")
_UNAUTHORIZED = 401


class Policy(Enum):
    """Who may use a route."""

    PUBLIC = "anybody"
    CODE = "who holds a one-time code"
    TOKEN = "who shows a token or a session; the owner decides"  # noqa: S105 - a sentence, no secret


def make_app(ask: Ask, entrance: Entrance, hosts: Sequence[str] = HOSTS, *, sign_in: SignIn | None = None) -> Starlette:
    """Build the application.

    Parameters
    ----------
    ask : callable
        Sends a command to the owner, in whose name and in which project, and returns its answer;
        called in a thread.
    entrance : Entrance
        Tells on whose behalf a request acts.
    hosts : sequence of str, default HOSTS
        Names under which it may be asked, without ports.
    sign_in : SignIn, optional
        An issuer at which people may sign in.

    Returns
    -------
    Starlette
        An ASGI application; it refuses any other host, so that a page of another site cannot reach
        it under a name of its own.

    Raises
    ------
    RuntimeError
        A route without a policy.
    """
    routes: list[BaseRoute] = [
        _make_route("/health", Policy.PUBLIC, entrance, lambda _: reply({"status": "ok"})),
        _make_route("/login", Policy.CODE, entrance, lambda request: _sign_in(request, entrance)),
        _make_route("/logout", Policy.TOKEN, entrance, lambda request: _sign_out(request, entrance), "POST"),
        *(_make_issuer_routes(ask, entrance, sign_in) if sign_in else ()),
        *(
            _make_route(f"/api/v1{path}", Policy.TOKEN, entrance, _asks(ask, entrance, make))
            for path, make in READS.items()
        ),
        _make_route("/{path:path}", Policy.TOKEN, entrance, _asks(ask, entrance, _refuse_path)),
    ]
    check_policies(routes)
    return Starlette(routes=routes, middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))])


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


def _make_route(
    path: str, policy: Policy, entrance: Entrance, work: Callable[[Request], Response], method: str = "GET"
) -> Route:
    def answer(request: Request) -> Response:
        try:
            if policy is Policy.PUBLIC:
                entrance.check_source(request)
            elif policy is Policy.TOKEN:
                request.state.token = entrance.identify(request)
            return work(request)
        except MainspringError as error:
            entrance.note_failure(request, error)
            return reply_problem(error)

    answer.policy = policy  # type: ignore[attr-defined]
    return Route(path, answer, methods=[method])


def _asks(ask: Ask, entrance: Entrance, translate: Translate) -> Callable[[Request], Response]:
    def work(request: Request) -> Response:
        token = request.state.token
        answer = ask(translate(request), project=request.query_params.get("project", ""), token=token)
        entrance.note_success(token)
        return reply(answer)

    return work


def _make_issuer_routes(ask: Ask, entrance: Entrance, sign_in: SignIn) -> list[Route]:
    def finish(request: Request) -> Response:
        return _welcome(request, entrance, take_back(request, entrance, sign_in, ask))

    return [
        _make_route("/oidc/login", Policy.CODE, entrance, lambda request: send_away(request, entrance, sign_in)),
        _make_route(CALLBACK, Policy.CODE, entrance, finish),
    ]


def _sign_in(request: Request, entrance: Entrance) -> Response:
    """Exchange the code of a link for a session."""
    entrance.check_source(request)
    entrance.check_attempts(request)
    return _welcome(request, entrance, entrance.sessions.exchange(request.query_params.get("code", "")))


def _welcome(request: Request, entrance: Entrance, cookie: str) -> Response:
    """Give a browser its session, in a cookie that no script reads and no other site sends."""
    answer = Response("You are signed in. Close this page, or go on to /api/v1/status.\n", media_type="text/plain")
    answer.headers.update({"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})
    secure = entrance.is_secure(request)
    answer.set_cookie(COOKIE, cookie, int(SESSION_S), path="/", secure=secure, httponly=True, samesite="strict")
    return answer


def _sign_out(request: Request, entrance: Entrance) -> Response:
    """End the browser's session."""
    entrance.sessions.close(request.cookies.get(COOKIE, ""))
    answer = reply({"status": "ok"})
    answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return answer


def reply(value: Any, status: int = 200, media_type: str = "application/json") -> Response:
    """Answer with JSON that no browser guesses about or keeps."""
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
    if status == _UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(msgspec.json.encode(value, enc_hook=str), status, headers, media_type)


def reply_problem(error: MainspringError) -> Response:
    """Answer as RFC 9457 asks: a problem with its code, its cause and the way out."""
    entry = find_entry(error.code)
    status = entry.http_status
    problem = {
        "type": f"about:mainspring#{error.code}",
        "title": entry.title,
        "status": status,
        "detail": error.what,
        "code": error.code,
        "why": error.why,
        "fix": error.fix,
    }
    answer = reply(problem, status, "application/problem+json")
    if "wait_s" in error.context:
        answer.headers["Retry-After"] = str(math.ceil(error.context["wait_s"]))
    return answer
