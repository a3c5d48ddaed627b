"""The client of a server: the same commands and answers, over HTTPS."""

from __future__ import annotations

import hashlib
from typing import Any, NoReturn
from urllib.parse import urlencode

import msgspec

from mainspring.domain.errors import Invalid, MainspringError, Unavailable, make_error
from mainspring.domain.messages import Command
from mainspring.domain.ports import Blobs
from mainspring.domain.principals import DEFAULT_PROJECT
from mainspring.domain.protocol import PROTOCOL
from mainspring.domain.wire import decode_answer, encode_command
from mainspring.sdk.client import PASSING, Client
from mainspring.sdk.homes import current_home
from mainspring.sdk.https import Patience, Server
from mainspring.security.seals import Seal
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
    answer belongs to its request. Journals stay on this machine until the server has them. What
    needs the home's own folder, tables, stored and pickled values, is refused (API-018).
    """

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
        super().__init__(place_home(current_home().root / "remotes" / folder), None, project=project, token=token)
        self._server = Server(url, certificate, patience)

    @property
    def blobs(self) -> Blobs:
        """There are none on this side."""
        _refuse("a stored value")

    @property
    def seal(self) -> Seal:
        """There is none: the key that seals pickled values does not leave the home."""
        _refuse("a pickled value")

    def check_folder(self) -> None:
        """Refuse what needs the home's own folder."""
        _refuse("a table")

    def close(self) -> None:
        """Close the connections that are open; the client opens new ones when it is asked again."""
        self._server.close()

    def _deliver(self, command: Command, key: str, project: str, token: str) -> Any:
        body = encode_command(command)
        path = f"/api/v1/commands/{type(command).__name__}?{urlencode({'project': project})}"
        headers = {
            "Content-Type": "application/msgpack",
            "Authorization": f"Bearer {token}",
            "Mainspring-Protocol": str(PROTOCOL),
        }
        if key:
            headers["Idempotency-Key"] = key
        for turn in range(_MOST_TURNS):
            answer = self._server.request("POST", path, body, headers, float(getattr(command, "wait_s", 0.0)))
            if answer.status == 200:
                return decode_answer(answer.body, type(command))
            error = _read_problem(answer.status, answer.body)
            if error.code not in _AGAIN or turn == _MOST_TURNS - 1:
                raise error
            self._server.rest()
        raise AssertionError


_AGAIN = PASSING | {"HOME-001", "API-014"}


def _read_problem(status: int, body: bytes) -> MainspringError:
    try:
        told = msgspec.json.decode(body, type=RemoteProblem)
        return make_error(told.code, told.detail, told.why, told.fix, **told.context)
    except (msgspec.DecodeError, KeyError):
        # Not Mainspring's words: a proxy in front of it.
        return Unavailable("API-014", f"something before the server answers {status}")


def _refuse(what: str) -> NoReturn:
    raise Invalid("API-018", f"{what} does not travel through a server")
