"""The HTTP application: each path names its policy, and the table what the owner is asked."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import Enum
from functools import cache
from typing import Any

from anyio import from_thread
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from mainspring.api import commands, hooks, streams
from mainspring.api.answers import check_fields, choose_fields, reply, reply_nothing, reply_problem
from mainspring.api.entrance import Entrance
from mainspring.api.frame import Frame, check_kind, read_content
from mainspring.api.inputs import check_key, make_command, read_body, read_path, read_query
from mainspring.api.issuers import CALLBACK, send_away, take_back
from mainspring.api.mlflow.errors import reply_error
from mainspring.api.mlflow.mount import MlflowRoute
from mainspring.api.mlflow.routes import split_path
from mainspring.api.programs import Programs
from mainspring.api.relay import Relay
from mainspring.api.routes import PREFIX, Entry, find_item, paths
from mainspring.api.sessions import COOKIE, SESSION_S
from mainspring.api.transfers import Transfers
from mainspring.domain.command import Command
from mainspring.domain.errors import Invalid, MainspringError, NotFound
from mainspring.domain.lists import PAGES, follow
from mainspring.security.oidc import SignIn

Work = Callable[[Request], Awaitable[Response]]

HOSTS = ("127.0.0.1", "localhost")


class Policy(Enum):
    """Who may use a path."""

    PUBLIC = "anybody"
    CODE = "who holds a one-time code"
    HOOK = "who signs with the secret of a hook; the owner decides"
    TOKEN = "who shows a token or a session; the owner decides"  # noqa: S105 - a sentence, no secret


def make_app(
    relay: Relay,
    entrance: Entrance,
    transfers: Transfers,
    hosts: Sequence[str] = HOSTS,
    *,
    sign_in: SignIn | None = None,
) -> ASGIApp:
    """Build the application.

    Parameters
    ----------
    relay : Relay
        Asks the owner.
    entrance : Entrance
        Tells on whose behalf a request acts.
    transfers : Transfers
        Send and take bytes.
    hosts : sequence of str, default HOSTS
        Names under which it may be asked, without ports.
    sign_in : SignIn, optional
        An issuer at which people may sign in.

    Returns
    -------
    ASGIApp
        It refuses any other host, so that a page of another site cannot reach it under a name of
        its own.

    Raises
    ------
    RuntimeError
        A route without a policy.
    """
    mlflow = MlflowRoute(relay, transfers, entrance, Policy.TOKEN)
    routes: list[BaseRoute] = [
        mlflow,
        _make_route("/health", Policy.PUBLIC, entrance, {"GET": _tell_health}),
        _make_route("/login", Policy.CODE, entrance, {"GET": lambda request: _sign_in(request, entrance)}),
        _make_route(hooks.PATH, Policy.HOOK, entrance, {"POST": hooks.make_hook(relay, entrance)}),
        _make_route("/logout", Policy.TOKEN, entrance, {"POST": lambda request: _sign_out(request, entrance)}),
        *(_make_issuer_routes(relay, entrance, sign_in) if sign_in else ()),
        *(
            _make_route(f"{PREFIX}{path}", Policy.TOKEN, entrance, works)
            for path, works in _make_works(relay, entrance, transfers).items()
        ),
        *(
            _make_route(
                f"{PREFIX}{path}",
                Policy.TOKEN,
                entrance,
                {verb: _asks(relay, entrance, entry) for verb, entry in verbs.items()},
            )
            for path, verbs in paths().items()
        ),
        _make_route("/{path:path}", Policy.TOKEN, entrance, {}),
    ]
    check_policies(routes)
    return Frame(_Doors(mlflow, Starlette(routes=routes, exception_handlers={404: _tell_nothing})), hosts, _refuse)


def _refuse(scope: Scope, error: MainspringError) -> Response:
    """Answer what goes wrong around a request in the shape that its client reads."""
    return reply_problem(error) if split_path(scope["path"]) is None else reply_error(error)


class _Doors:
    """Hands what MLflow's clients ask to its route at once: they ask often, and the router tries path after path."""

    def __init__(self, mlflow: MlflowRoute, others: ASGIApp) -> None:
        self._mlflow = mlflow
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match, found = self._mlflow.matches(scope)
        if match is Match.FULL:
            await self._mlflow.handle({**scope, **found}, receive, send)
        else:
            await self._others(scope, receive, send)


def _make_works(relay: Relay, entrance: Entrance, transfers: Transfers) -> dict[str, dict[str, Work]]:
    return {
        **commands.make_works(relay, entrance),
        **streams.make_works(streams.Streams(relay, entrance)),
        **transfers.make_works(),
        "/openapi.json": {"GET": _tell_document},
    }


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


def _make_route(path: str, policy: Policy, entrance: Entrance, works: Mapping[str, Work]) -> Route:
    verbs = [*works, *(["HEAD"] if "GET" in works else []), "OPTIONS"]

    async def answer(request: Request) -> Response:
        try:
            if policy is Policy.PUBLIC:
                entrance.check_source(request)
            elif policy is Policy.TOKEN:
                request.state.token = entrance.identify(request)
            if not works:
                raise NotFound("API-002", f"there is no {request.url.path}")
            work = works.get("GET" if request.method == "HEAD" else request.method)
            if work is not None:
                return await work(request)
            if request.method == "OPTIONS":
                allowed = reply_nothing()
                allowed.headers["Allow"] = ", ".join(verbs)
                return allowed
            return reply_problem(Invalid("API-007", f"{request.method[:20]} {request.url.path[:200]}"), verbs)
        except MainspringError as error:
            entrance.note_failure(request, error)
            return reply_problem(error)

    answer.policy = policy  # type: ignore[attr-defined]
    route = Route(path, answer)
    route.methods = None  # every verb comes here, so that each is answered by the same rules
    return route


def _asks(relay: Relay, entrance: Entrance, entry: Entry) -> Work:
    async def work(request: Request) -> Response:
        token = request.state.token
        query = request.query_params
        fields = {**read_path(entry, request.path_params), **read_query(entry, query)}
        if entry.writes:
            content = await read_content(request)
            if entry.has_body:
                check_kind(request, "application/json", content)
                fields.update(read_body(entry, content))
            elif content:
                raise Invalid("API-008", f"{entry.method} {entry.path} takes no body")
        chosen = check_fields(query["fields"], find_item(entry)) if _is_choosing(entry, request) else ()
        key = check_key(request.headers.get("idempotency-key", secrets.token_hex(16))) if entry.writes else ""
        command = make_command(entry, fields)
        answer = await relay.ask(command, key, project=query.get("project", ""), token=token)
        entrance.note_success(token)
        if entry.answer is None:
            return reply_nothing()
        told = reply(choose_fields(answer, chosen) if chosen else answer, entry.status)
        following = follow(command, answer)
        if following is not None:
            told.headers["Link"] = _link(request, following)
        return told

    return work


def _link(request: Request, following: Command) -> str:
    """Name the next page, as RFC 8288 has it."""
    field = PAGES[type(following)].field
    place = request.url.include_query_params(**{field: getattr(following, field)})
    return f'<{place.path}?{place.query}>; rel="next"'


def _is_choosing(entry: Entry, request: Request) -> bool:
    if "fields" not in request.query_params:
        return False
    if entry.writes or find_item(entry) is None:
        raise Invalid("API-003", f"{entry.method} {entry.path} has no fields to choose", fields="")
    return True


async def _tell_document(_: Request) -> Response:
    return reply(await run_in_threadpool(_make_document))


@cache
def _make_document() -> dict[str, Any]:
    from mainspring.api.actions import list_actions
    from mainspring.api.openapi import make_document

    return make_document(list_actions())


async def _tell_nothing(request: Request, _: Exception) -> Response:
    # A path with a line feed is none that a route's pattern takes, the last one's neither.
    return reply_problem(NotFound("API-002", f"there is no {request.url.path}"))


async def _tell_health(_: Request) -> Response:
    return reply({"status": "ok"})


def _make_issuer_routes(relay: Relay, entrance: Entrance, sign_in: SignIn) -> list[Route]:
    def ask(command: Command) -> Any:
        return from_thread.run(relay.ask, command)

    programs = Programs()

    # The issuer is asked over the network, so both wait in threads.
    async def begin(request: Request) -> Response:
        return await run_in_threadpool(send_away, request, entrance, sign_in, programs)

    async def finish(request: Request) -> Response:
        cookie, address = await run_in_threadpool(take_back, request, entrance, sign_in, programs, ask)
        if address:
            return RedirectResponse(address, 303, {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})
        return _welcome(request, entrance, cookie)

    async def redeem(request: Request) -> Response:
        entrance.check_source(request)
        entrance.check_attempts(request)
        shown = request.headers
        token = programs.redeem(shown.get("Mainspring-Code", ""), shown.get("Mainspring-Verifier", ""))
        return reply({"token": token})

    return [
        _make_route("/oidc/program", Policy.CODE, entrance, {"POST": redeem}),
        _make_route("/oidc/login", Policy.CODE, entrance, {"GET": begin}),
        _make_route(CALLBACK, Policy.CODE, entrance, {"GET": finish}),
    ]


async def _sign_in(request: Request, entrance: Entrance) -> Response:
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


async def _sign_out(request: Request, entrance: Entrance) -> Response:
    """End the browser's session."""
    entrance.sessions.close(request.cookies.get(COOKIE, ""))
    answer = reply({"status": "ok"})
    answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return answer
