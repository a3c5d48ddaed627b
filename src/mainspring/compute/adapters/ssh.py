"""The engine ``ssh://``: runs on a machine that one may log in to; nothing is installed there but Mainspring."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from mainspring.compute import forks
from mainspring.compute.adapters.sshlink import SshLink
from mainspring.compute.engine import Description, Handle, Node, Rejection, Spec, Status
from mainspring.compute.scheduling.fitting import find_misfit
from mainspring.domain.errors import Invalid, NotFound, Unavailable
from mainspring.domain.home import Home

_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,253}\Z|[0-9a-fA-F]*:[0-9a-fA-F:.]+\Z")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9._-]{0,63}\Z")
_DIGEST = re.compile(r"[0-9a-fA-F]{64}\Z")
_OPTIONS = {"python", "home", "server", "certificate", "folder", "config"}


class Address(msgspec.Struct, frozen=True):
    """What the URL of a pool says.

    Attributes
    ----------
    host, user, port : str, str, int
        Of the machine; empty and 0: as OpenSSH is configured.
    python : str
        Interpreter there that can import mainspring.
    home : str
        Folder of the home there, when it is shared and its owner is on that machine.
    server, certificate : str
        Where else workers reach the home: a server of it, and the SHA-256 of its certificate.
    folder : str
        Where attempts are kept there.
    config : str
        Configuration of OpenSSH to use here in place of the user's own.
    """

    host: str
    user: str = ""
    port: int = 0
    python: str = "python3"
    home: str = ""
    server: str = ""
    certificate: str = ""
    folder: str = "~/.mainspring/attempts"
    config: str = ""


def read_address(url: str) -> Address:
    """Read the URL of a pool.

    Raises
    ------
    Invalid
        WORK-011 when it says something else; a password is not repeated.

    Examples
    --------
    >>> address = read_address("ssh://anna@box.example:2222/?python=/opt/ml/bin/python&home=/data/home")
    >>> address.host, address.user, address.port, address.python
    ('box.example', 'anna', 2222, '/opt/ml/bin/python')
    """
    try:
        parts = urlsplit(url)
        port, host, user = parts.port or 0, parts.hostname or "", unquote(parts.username or "")
        options = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise _refuse("the address has no readable port or options") from None
    if parts.password is not None:
        raise _refuse("the address holds a password; keys of OpenSSH are used")
    if not _HOST.match(host):
        raise _refuse(f"{host[:80]!r} is no name of a machine")
    if user and not _USER.match(user):
        raise _refuse(f"{user[:80]!r} is no name of a user")
    if parts.path.strip("/") or parts.fragment:
        raise _refuse("the address has a path; folders are given as options")
    unknown = [name for name, text in options if name not in _OPTIONS or not text or "\0" in text]
    if unknown or len({name for name, _ in options}) < len(options):
        raise _refuse(f"the options {', '.join(name for name, _ in options)[:200]} are not its own, each once")
    address = Address(host, user, port, **dict(options))
    if address.python.startswith("-") or address.folder.startswith("-"):
        raise _refuse("a path begins with a minus")
    if bool(address.home) == bool(address.server):
        raise _refuse("workers reach the home by one of home= and server=")
    if address.server and not (address.server.startswith("https://") and _DIGEST.match(address.certificate)):
        raise _refuse("server= is https://HOST:PORT, with the SHA-256 of its certificate as certificate=")
    return address


class SshEngine:
    """Executes runs on one machine by OpenSSH; an attempt there is a process of `mainspring.worker.once`.

    Parameters
    ----------
    url : str
        ``ssh://user@host:port/?python=...``, and ``home=`` or ``server=`` and ``certificate=``; see `Address`.
    home : Home
        Whose runs it executes.

    Raises
    ------
    Invalid
        WORK-011 when the URL says something else.
    NotFound
        WORK-012 when OpenSSH's client is not on this machine.

    Notes
    -----
    Guarantees: the machine's key must be known beforehand, and nobody is asked for a password. No method waits:
    a thread does one exchange after the other over one connection, and text of attempts is copied to this home.
    Cost: a process there for each attempt, and one command each half second while there are any.
    """

    def __init__(self, url: str, home: Home) -> None:
        self._url = url
        self._home = home
        self._address = read_address(url)
        if shutil.which("ssh") is None:
            raise NotFound("WORK-012", "there is no ssh on the path", fix="apt install openssh-client")
        self._link = SshLink(self._address, home)

    def describe(self) -> Description:
        """Return what the engine can do."""
        shared = bool(self._address.home)
        return Description(self._url, owns_queue=False, gpus=True, shares_blobs=shared, reaches_owner=True)

    def capacity(self) -> list[Node]:
        """Return the machine, as it was told last.

        Raises
        ------
        Unavailable
            WORK-013 when it does not answer, or cannot execute anything.
        """
        if self._link.problem:
            raise Unavailable("WORK-013", self._link.problem)
        return [self._link.node] if self._link.node is not None else []

    def submit(self, specs: Sequence[Spec]) -> list[Handle | Rejection]:
        """Accept attempts."""
        return [self._submit(spec) for spec in specs]

    def poll(self, handles: Sequence[Handle]) -> list[Status]:
        """Return where attempts are."""
        return [self._poll(handle) for handle in handles]

    def cancel(self, handles: Sequence[Handle], grace_s: float, signal: int) -> None:
        """Signal attempts, kill what is left after the grace."""
        self._link.cancel(handles, grace_s, signal)

    def logs(self, handle: Handle, offset: int, limit_bytes: int) -> tuple[bytes, int]:
        """Return what an attempt printed, as far as it was copied, and how much in all."""
        return forks.read_log(self._home, handle.run_id, handle.attempt, offset, limit_bytes)

    def adopt(self, since: float) -> list[Handle]:
        """Find attempts of this and earlier owners."""
        return self._link.list_accepted(since)

    def release(self, handles: Sequence[Handle]) -> None:
        """Forget ended attempts; their text is in this home."""
        self._link.forget(handles)

    def close(self) -> None:
        """Let go; attempts go on."""
        self._link.close()

    def _submit(self, spec: Spec) -> Handle | Rejection:
        node = self._link.node
        refusal = find_misfit([node], "step", spec.resources) if node is not None else ""
        if not refusal and self._address.server and (spec.folder or spec.paths):
            refusal = "its code does not travel: it was called in the home itself, and the machine has not its files"
        if refusal:
            return Rejection(spec.run_id, spec.attempt, refusal)
        self._link.accept(spec)
        return Handle(spec.run_id, spec.attempt)

    def _poll(self, handle: Handle) -> Status:
        # Asked before what is held is: one that is found meanwhile is never called lost.
        found_all = self._link.searched
        status = self._link.status(handle)
        if status is not None:
            return status
        if not found_all:
            return Status(handle.run_id, handle.attempt, "starting", detail="the machine has not answered yet")
        return Status(handle.run_id, handle.attempt, "ended", cause="lost", detail="the machine knows nothing of it")


def _refuse(what: str) -> Invalid:
    return Invalid("WORK-011", what)
