"""What an endpoint of MLflow's protocol is, and what it is called with."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from mainspring.api.frame import MOST_JSON_BYTES
from mainspring.api.mlflow.checks import Wanted, read_json, read_query
from mainspring.domain.repetition import is_repeatable

if TYPE_CHECKING:
    from starlette.requests import Request

    from mainspring.api.relay import Relay
    from mainspring.api.transfers import Transfers
    from mainspring.domain.command import Command

R = TypeVar("R", bound=Wanted)


class Call:
    """A request at an endpoint.

    Parameters
    ----------
    request : Request
        As it came; its body is read unless the endpoint streams.
    relay : Relay
        Asks the owner.
    transfers : Transfers
        Send and take bytes.
    token : str
        In whose name; empty: the home's own user.
    project : str
        In which project; empty: the default one.
    places : mapping
        What stands in the braces of the path.
    content : bytes
        The body.
    """

    __slots__ = ("content", "places", "project", "relay", "request", "token", "transfers")

    def __init__(
        self,
        request: Request,
        relay: Relay,
        transfers: Transfers,
        token: str,
        project: str,
        places: Mapping[str, str],
        content: bytes,
    ) -> None:
        self.request = request
        self.relay = relay
        self.transfers = transfers
        self.token = token
        self.project = project
        self.places = places
        self.content = content

    def read(self, kind: type[R]) -> R:
        """Return the request's fields, from the query of a GET and the body of any other.

        Raises
        ------
        MlflowError
            INVALID_PARAMETER_VALUE.
        """
        if self.request.method == "GET":
            return read_query(kind, self.request.query_params)
        return read_json(kind, self.content)

    async def ask(self, command: Command) -> Any:
        """Ask the owner in the caller's name; what must not be done twice has a key of its own.

        Raises
        ------
        MainspringError
            The owner's refusal.
        """
        key = "" if is_repeatable(command) else secrets.token_hex(16)
        return await self.relay.ask(command, key, project=self.project, token=self.token)


class Endpoint(msgspec.Struct, frozen=True):
    """One verb of one path.

    Attributes
    ----------
    method : str
        GET, POST, PUT, PATCH or DELETE.
    path : str
        Whole, such as ``/api/2.0/mlflow/runs/get``; a ``{name}`` stands for one part of the path,
        a ``{name:path}`` at its end for all that follows.
    work : coroutine function
        Called with the `Call`; answers with what becomes JSON, or with a `Response`.
    area : str
        Under which it stands in the support table.
    note : str
        What the support table says of it beside that it is supported.
    public : bool
        Nobody needs to say who asks.
    streams : bool
        The body is not read beforehand.
    most_bytes : int
        So long may the body be.
    """

    method: str
    path: str
    work: Callable[[Call], Awaitable[Any]]
    area: str
    note: str = ""
    public: bool = False
    streams: bool = False
    most_bytes: int = MOST_JSON_BYTES

    @property
    def name(self) -> str:
        """A name of its own."""
        return f"{self.method} {self.path}"
