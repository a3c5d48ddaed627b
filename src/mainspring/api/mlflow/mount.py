"""Where MLflow's protocol meets the application: one route for all its paths, answers in its shape."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from mainspring.api.answers import HEADERS
from mainspring.api.entrance import Entrance, read_basic
from mainspring.api.frame import read_content
from mainspring.api.mlflow.endpoints import Call, Endpoint
from mainspring.api.mlflow.errors import MlflowError, reply_error
from mainspring.api.mlflow.routes import find_endpoint, split_path
from mainspring.api.passwords import Passwords
from mainspring.api.relay import Relay
from mainspring.api.transfers import Transfers
from mainspring.domain.errors import MainspringError

_log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode
_HEADERS = [
    *((name.lower().encode(), text.encode()) for name, text in HEADERS.items()),
    (b"content-type", b"application/json"),
]


class MlflowRoute(BaseRoute):
    """Answers what MLflow's clients ask, below the root and below ``/projects/NAME``.

    Parameters
    ----------
    relay : Relay
        Asks the owner.
    transfers : Transfers
        Send and take bytes.
    entrance : Entrance
        Tells on whose behalf a request acts: by its header alone, never by a cookie.
    policy : Policy
        Who may use its paths; the owner decides about each command.
    """

    def __init__(self, relay: Relay, transfers: Transfers, entrance: Entrance, policy: Any) -> None:
        self._relay = relay
        self._transfers = transfers
        self._entrance = entrance
        self._passwords = Passwords(relay)
        self.path = "/api/{version}/mlflow/{path}"
        self.policy = policy

    @property
    def endpoint(self) -> MlflowRoute:
        """What has the policy."""
        return self

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Take every path of MLflow's, known or not."""
        place = split_path(scope["path"]) if scope["type"] == "http" else None
        return (Match.NONE, {}) if place is None else (Match.FULL, {"mlflow": place})

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        request = Request(scope, receive, send)
        response: Response | bytes
        try:
            response = await self._answer(request, *scope["mlflow"])
        except MlflowError as error:
            response = reply_error(error)
        except MainspringError as error:
            self._entrance.note_failure(request, error)
            self._forget(request, error)
            response = reply_error(error)
        except ClientDisconnect:
            raise
        except Exception as fault:  # noqa: BLE001 - a client of MLflow sees its own shape, whatever broke
            _log.exception("%s %s failed", request.method, request.url.path)
            response = reply_error(MlflowError(f"{type(fault).__name__} while answering", "INTERNAL_ERROR"))
        if isinstance(response, bytes):
            headers = [*_HEADERS, (b"content-length", b"%d" % len(response))]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": response})
        else:
            await response(scope, receive, send)

    async def _answer(self, request: Request, project: str, path: str) -> Response | bytes:
        endpoint, places = find_endpoint(request.method, path)
        if endpoint is not None and endpoint.public:
            self._entrance.check_source(request)
            token = ""
        else:
            token = await self._entrance.identify_program(request, self._passwords)
        if endpoint is None:
            raise MlflowError(f"No endpoint is {request.method[:20]} {path[:200]}", "ENDPOINT_NOT_FOUND")
        content = b"" if endpoint.streams else await _read(request, endpoint)
        answer = await endpoint.work(Call(request, self._relay, self._transfers, token, project, places, content))
        self._entrance.note_success(token)
        return answer if isinstance(answer, Response) else _encode(answer)

    def _forget(self, request: Request, error: MainspringError) -> None:
        """Compare a password anew whose token was taken back."""
        scheme, _, shown = request.headers.get("authorization", "").partition(" ")
        if error.code in {"AUTH-002", "AUTH-003", "AUTH-004"} and scheme.lower() == "basic":
            self._passwords.forget(*read_basic(shown))


async def _read(request: Request, endpoint: Endpoint) -> bytes:
    return b"" if request.method == "GET" else await read_content(request, endpoint.most_bytes)
