"""The typed wire over HTTP: any command in MessagePack, as remote clients send it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from mainspring.api.answers import HEADERS
from mainspring.api.entrance import Entrance
from mainspring.api.frame import check_kind, read_content
from mainspring.api.inputs import check_depth, check_key
from mainspring.api.relay import Relay
from mainspring.domain.answers import find_command
from mainspring.domain.errors import Invalid, NotFound
from mainspring.domain.protocol import check_protocol
from mainspring.domain.wire import MAX_FRAME_BYTES, decode_command

MSGPACK = "application/msgpack"
_ENVELOPE_BYTES = 4096

Works = dict[str, dict[str, Callable[[Request], Awaitable[Response]]]]


def make_works(relay: Relay, entrance: Entrance) -> Works:
    """Return path -> verb -> what answers it."""

    async def ask(request: Request) -> Response:
        name = request.path_params["command"]
        if find_command(name) is None:
            raise NotFound("API-002", f"there is no command {name[:100]!r}")
        check_protocol(_read_protocol(request))
        content = await read_content(request, MAX_FRAME_BYTES - _ENVELOPE_BYTES)
        check_kind(request, MSGPACK, content)
        command = decode_command(content)
        if type(command).__name__ != name:
            raise Invalid("API-008", f"a {type(command).__name__} was sent to {name}")
        check_depth(command)
        key = request.headers.get("idempotency-key", "")
        token = request.state.token
        body = await relay.exchange(
            command, check_key(key) if key else "", project=request.query_params.get("project", ""), token=token
        )
        entrance.note_success(token)
        return Response(bytes(body), 200, HEADERS, MSGPACK)

    return {"/commands/{command}": {"POST": ask}}


def _read_protocol(request: Request) -> int:
    text = request.headers.get("mainspring-protocol", "")
    if not (text.isascii() and text.isdecimal() and len(text) < 6):
        raise Invalid("API-013", f"the header Mainspring-Protocol is {text[:20]!r}, no version of the wire")
    return int(text)
