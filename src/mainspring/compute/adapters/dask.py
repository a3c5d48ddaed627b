"""The engine ``dask://``: runs as tasks of a Dask cluster, one that is there or one that is started on this machine."""

from __future__ import annotations

import importlib.util
import re
from urllib.parse import parse_qsl, urlsplit

import msgspec

from mainspring.compute.adapters.dasklink import DaskLink
from mainspring.compute.adapters.local import count_cpus
from mainspring.compute.engine import Description
from mainspring.compute.reach import OPTIONS, Reach, read_reach
from mainspring.compute.remote import RemoteEngine
from mainspring.domain.errors import Invalid, NotFound
from mainspring.domain.home import Home

_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,253}\Z|[0-9a-fA-F]*:[0-9a-fA-F:.]+\Z")
_TLS = frozenset({"authority", "identity", "key"})
_SHARE = frozenset({"workers", "threads", "gpus"})
_MOST = 256


class Address(msgspec.Struct, frozen=True):
    """What the URL of a pool says.

    Attributes
    ----------
    scheduler : str
        Of a cluster that is there, as Dask writes it; empty: one is started on this machine.
    authority, identity, key : str
        Files for TLS: who has signed, who this is, and its key; all or none.
    reach : Reach
        How workers reach the home.
    workers, threads, gpus : int
        Of a cluster that is started: its worker processes, and what each has.
    """

    scheduler: str = ""
    authority: str = ""
    identity: str = ""
    key: str = ""
    reach: Reach = Reach()
    workers: int = 0
    threads: int = 0
    gpus: int = 0


def read_address(url: str, home: Home) -> Address:
    """Read the URL of a pool.

    Raises
    ------
    Invalid
        WORK-014 when it says something else.

    Examples
    --------
    >>> from pathlib import Path
    >>> home = Home(Path("/h"), Path("/h"), Path("/h"))
    >>> read_address("dask://head:8786?home=/data/home", home).scheduler
    'tcp://head:8786'
    >>> read_address("dask://?workers=3&threads=2", home).reach.home
    '/h'
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        options = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise _refuse("the address has no readable port or options") from None
    given = dict(options)
    known = _TLS | OPTIONS if host else _SHARE
    if parts.username is not None or parts.path.strip("/") or parts.fragment:
        raise _refuse("the address has a user, a path or a fragment")
    if [name for name, text in options if name not in known or not text or "\0" in text] or len(given) < len(options):
        raise _refuse(f"the options {', '.join(name for name, _ in options)[:200]} are not its own, each once")
    if not host:
        return _read_share(given, home)
    if not _HOST.match(host) or not port:
        raise _refuse("a scheduler is HOST:PORT")
    if len(_TLS & set(given)) not in {0, len(_TLS)}:
        raise _refuse("TLS takes authority=, identity= and key=, all of them")
    try:
        reach = read_reach(given)
    except ValueError as fault:
        raise _refuse(str(fault)) from None
    scheme, shown = "tls" if "key" in given else "tcp", f"[{host}]" if ":" in host else host
    authority, identity, key = (given.get(name, "") for name in ("authority", "identity", "key"))
    return Address(f"{scheme}://{shown}:{port}", authority, identity, key, reach)


def _read_share(given: dict[str, str], home: Home) -> Address:
    numbers = {name: int(text) if text.isdecimal() and len(text) < 5 else -1 for name, text in given.items()}
    cpus = int(count_cpus())
    workers = numbers.get("workers", min(cpus, 4) if cpus > 1 else 2)
    threads = numbers.get("threads", max(1, cpus // max(workers, 1)))
    gpus = numbers.get("gpus", 0)
    if not (1 <= workers <= _MOST and 1 <= threads <= _MOST and 0 <= gpus <= _MOST):
        raise _refuse(f"workers=, threads= and gpus= are whole numbers up to {_MOST}")
    return Address(reach=Reach(home=str(home.root)), workers=workers, threads=threads, gpus=gpus)


class DaskEngine(RemoteEngine):
    """Executes runs as tasks of Dask; each is a process of `mainspring.worker.once` below a worker of Dask.

    Parameters
    ----------
    url : str
        ``dask://HOST:PORT?home=FOLDER``, or with ``server=`` and ``certificate=``; ``dask://``: a cluster is started
        on this machine, with ``workers=``, and ``threads=`` and ``gpus=`` of each. See `Address`.
    home : Home
        Whose runs it executes.

    Raises
    ------
    Invalid
        WORK-014 when the URL says something else.
    NotFound
        WORK-015 when Dask is not installed.

    Notes
    -----
    Guarantees: Dask is imported by a process apart, never by the owner. A cluster that was started speaks TLS with
    keys of its own, and ends some time after nobody uses it any more. An attempt is pinned to the worker on which
    it was placed, and is never executed again by Dask.
    Cost: one exchange with that process each half second while there are attempts.
    """

    def __init__(self, url: str, home: Home) -> None:
        address = read_address(url, home)
        if importlib.util.find_spec("distributed") is None:
            raise NotFound("WORK-015", f"{url} needs Dask, which is not installed", url=url)
        shared = bool(address.reach.home)
        can = Description(url, owns_queue=False, gpus=True, shares_blobs=shared, reaches_owner=True)
        super().__init__(home, can, DaskLink(url, address, home))


def _refuse(what: str) -> Invalid:
    return Invalid("WORK-014", what)
