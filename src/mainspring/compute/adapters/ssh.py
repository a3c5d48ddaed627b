"""The engine ``ssh://``: runs on a machine that one may log in to; nothing is installed there but Mainspring."""

from __future__ import annotations

import re
import shutil
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from mainspring.compute.adapters.sshlink import SshLink
from mainspring.compute.engine import Description
from mainspring.compute.reach import OPTIONS, Reach, read_reach
from mainspring.compute.remote import RemoteEngine
from mainspring.domain.errors import Invalid, NotFound
from mainspring.domain.home import Home

_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,253}\Z|[0-9a-fA-F]*:[0-9a-fA-F:.]+\Z")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9._-]{0,63}\Z")
_OPTIONS = {"python", "folder", "config", *OPTIONS}


class Address(msgspec.Struct, frozen=True):
    """What the URL of a pool says.

    Attributes
    ----------
    host, user, port : str, str, int
        Of the machine; empty and 0: as OpenSSH is configured.
    python : str
        Interpreter there that can import mainspring.
    reach : Reach
        How workers there reach the home.
    folder : str
        Where attempts are kept there.
    config : str
        Configuration of OpenSSH to use here in place of the user's own.
    """

    host: str
    user: str = ""
    port: int = 0
    python: str = "python3"
    reach: Reach = Reach()
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
    given = dict(options)
    try:
        reach = read_reach(given)
    except ValueError as fault:
        raise _refuse(str(fault)) from None
    address = Address(host, user, port, reach=reach, **{name: given[name] for name in set(given) - OPTIONS})
    if address.python.startswith("-") or address.folder.startswith("-"):
        raise _refuse("a path begins with a minus")
    return address


class SshEngine(RemoteEngine):
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
    Guarantees: the machine's key must be known beforehand, and nobody is asked for a password. One exchange follows
    the other over one connection.
    Cost: a process there for each attempt, and one command each half second while there are any.
    """

    def __init__(self, url: str, home: Home) -> None:
        address = read_address(url)
        if shutil.which("ssh") is None:
            raise NotFound("WORK-012", "there is no ssh on the path", fix="apt install openssh-client")
        shared = bool(address.reach.home)
        can = Description(url, owns_queue=False, gpus=True, shares_blobs=shared, reaches_owner=True)
        super().__init__(home, can, SshLink(address, home))


def _refuse(what: str) -> Invalid:
    return Invalid("WORK-011", what)
