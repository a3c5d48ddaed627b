"""The client of a server: the same commands and answers, over HTTPS."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn
from urllib.parse import urlencode

import msgspec
from msgspec.structs import replace

from mainspring.domain.errors import Invalid, MainspringError, Unavailable, make_error
from mainspring.domain.messages import Command
from mainspring.domain.ports import Blobs
from mainspring.domain.principals import DEFAULT_PROJECT
from mainspring.domain.protocol import PROTOCOL
from mainspring.domain.wire import decode_answer, encode_command
from mainspring.sdk.client import PASSING, Client
from mainspring.sdk.homes import current_home
from mainspring.sdk.https import Answered, Patience, Server
from mainspring.sdk.remoteblobs import RemoteBlobs
from mainspring.sdk.remotetables import RemoteTables
from mainspring.sdk.tables import HomeTables
from mainspring.security.seals import Seal
from mainspring.store.caches import open_cache
from mainspring.store.homes import place_home

_MOST_TURNS = 100
"""So often is a command repeated whose server says that its owner or database is away for a moment."""


class RemoteProblem(msgspec.Struct):
    """What a client reads of a problem; a proxy's error page is none."""

    code: str
    detail: str
    why: str = ""
    fix: str = ""
    context: dict[str, Any] = {}


class RemoteClient(Client):
    """Asks a server; safe to share between threads, and usable after a fork.

    Parameters
    ----------
    url : str
        ``https://host:port``.
    token : str
        In whose name it asks.
    certificate : str, default ""
        SHA-256 of the server's certificate, or the file of an authority.
    project : str, default `DEFAULT_PROJECT`
        In which project it asks.
    patience : Patience, optional
        How long to wait.

    Notes
    -----
    Guarantees: a command takes effect once, however often connections break on its way, and an
    answer belongs to its request. Journals stay on this machine until the server has them. Values
    that are pickled are sealed with a key of this machine: no other unpickles them, and this one
    unpickles no other's. What the home's own processes would run is refused (API-018).
    """

    remote = True

    def __init__(
        self,
        url: str,
        token: str,
        certificate: str = "",
        *,
        project: str = DEFAULT_PROJECT,
        patience: Patience | None = None,
    ) -> None:
        folder = hashlib.sha256(url.encode()).hexdigest()[:16]
        home = replace(place_home(current_home().root / "remotes" / folder), record="", blob_store="")
        super().__init__(home, None, project=project, token=token)
        self.url, self.token, self.certificate = url, token, certificate
        self._server = Server(url, certificate, patience)

    @property
    def home_seal(self) -> Seal:
        """There is none: whoever had the key could have the home's processes run code of its own."""
        _refuse("what the home's own processes would run")

    @cached_property
    def tables(self) -> HomeTables:
        """The tables of the home, as far as they travel."""
        return RemoteTables(self, self._exchange, open_cache(self.home))

    def close(self) -> None:
        """Close the connections that are open; the client opens new ones when it is asked again."""
        self._server.close()

    def _open_blobs(self) -> Blobs:
        return RemoteBlobs(self._exchange, open_cache(self.home))

    def _deliver(self, command: Command, key: str, project: str, token: str) -> Any:
        headers = {"Content-Type": "application/msgpack", "Mainspring-Protocol": str(PROTOCOL)}
        if key:
            headers["Idempotency-Key"] = key
        wait_s = float(getattr(command, "wait_s", 0.0))
        path, body = f"/commands/{type(command).__name__}", encode_command(command)
        answer = self._exchange("POST", path, body, headers, wait_s=wait_s, project=project, token=token)
        return decode_answer(answer.body, type(command))

    def _exchange(
        self,
        method: str,
        path: str,
        body: bytes | Path | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
        *,
        wait_s: float = 0.0,
        keep: Callable[[Iterator[bytes]], Any] | None = None,
        project: str = "",
        token: str = "",
    ) -> Answered:
        """Ask until there is an answer, or a refusal for good."""
        path = f"/api/v1{path}?{urlencode({'project': project or self.project})}"
        headers = {**headers, "Authorization": f"Bearer {token or self._token}"}
        for turn in range(_MOST_TURNS):
            answer = self._server.request(method, path, body, headers, wait_s, keep)
            if answer.status in {200, 307}:
                return answer
            error = _read_problem(answer)
            if error.code not in _AGAIN or turn == _MOST_TURNS - 1:
                raise error
            self._server.rest()
        raise AssertionError


_AGAIN = PASSING | {"HOME-001", "API-014", "API-016"}


def _read_problem(answer: Answered) -> MainspringError:
    try:
        if answer.code and not answer.body:
            return make_error(answer.code, f"the server answers {answer.status}")
        told = msgspec.json.decode(answer.body, type=RemoteProblem)
        return make_error(told.code, told.detail, told.why, told.fix, **told.context)
    except (msgspec.DecodeError, KeyError):
        # Not Mainspring's words: a proxy in front of it.
        return Unavailable("API-014", f"something before the server answers {answer.status}")


def _refuse(what: str) -> NoReturn:
    raise Invalid("API-018", f"{what} does not travel through a server")
