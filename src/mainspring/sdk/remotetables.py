"""The tables of a home that is reached through a server: files are copied, commits are asked for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from mainspring.domain.messages import GetVersion, WaitRuns
from mainspring.domain.records import Run, Version
from mainspring.domain.transfers import WriteRows
from mainspring.domain.wire import restore
from mainspring.sdk.commits import App, Writer
from mainspring.sdk.remoteblobs import Exchange, insist
from mainspring.sdk.tables import HomeTables, store_rows

if TYPE_CHECKING:
    import polars as pl

    from mainspring.data.scans import Scan
    from mainspring.sdk.client import Client
    from mainspring.security.ciphers import Cipher
    from mainspring.store.caches import BlobCache

_WAIT_S = 10.0


class RemoteTables(HomeTables):
    """Reads and writes tables through a server.

    Parameters
    ----------
    client : Client
        Of the server.
    exchange : callable
        Sends requests in its name.
    cache : BlobCache
        Where copies of files lie, each checked against the digest that the server told.

    Notes
    -----
    Nobody holds a table over a network: a commit names the version that it follows, and loses the
    race when there is a later one.
    """

    def __init__(self, client: Client, exchange: Exchange, cache: BlobCache) -> None:
        super().__init__(client)
        self._exchange = exchange
        self._cache = cache
        self._digests: dict[tuple[str, str], str] = {}

    def hold(self, name: str) -> AbstractContextManager[None]:
        """Hold nothing."""
        del name
        return nullcontext()

    def open_writer(self, name: str, *, anew: bool) -> Writer:
        """Return what has the server commit to a dataset."""
        return RemoteWriter(self._client, name, anew=anew)

    def open_scan(self, version: Version, open_key: Callable[[str], Cipher]) -> Scan:
        """Return the scan of a version; its files are copied when rows are read."""
        scan = super().open_scan(version, open_key)
        return replace(scan, files=tuple(version.manifest["files"]), locate=lambda name: self._copy(version, name))

    def _copy(self, version: Version, name: str) -> str:
        path = f"/datasets/{quote(version.reference)}/files/{quote(name)}"
        table = version.manifest["table"]
        digest = self._digests.get((table, name))
        if digest is None:
            digest = self._digests[table, name] = self._exchange("HEAD", path).digest
        copy = self._cache.find(digest)
        if copy is None:
            copy = insist(lambda: self._exchange("GET", path, keep=lambda parts: self._cache.add(digest, parts))).kept
        return str(copy)


class RemoteWriter(Writer):
    """Has the server commit to one dataset: rows travel as a blob, a worker of the home commits them."""

    def is_done(self, app: App) -> bool:
        """Tell whether a version of that transaction, or of a later one of its application, is recorded."""
        made = ((each.details or {}).get("app") for each in self._list_versions())
        return any(each is not None and each[0] == app[0] and each[1] >= app[1] for each in made)

    def _begin(self, *, anew: bool) -> None:
        """Leave it to the worker to tell the record of commits whose writers died."""

    def write(self, rows: pl.DataFrame, note: dict[str, Any]) -> Version:
        """Send the rows, and wait until they are committed on top of the head.

        Raises
        ------
        LostRace
            DATA-013 when another version came first.
        """
        client = self.client
        wanted = WriteRows(
            name=self.name,
            parts=(store_rows(client, rows),),
            append=note["append"],
            after=self.head.id if self.head is not None else "",
            digest=note["digest"],
            details=note["details"],
            inputs=tuple(note["inputs"]),
            run_id=note["run_id"],
            event_time=note["event_time"],
        )
        run: Run = client.ask(wanted)
        while run.ended_at is None:
            (run,) = client.ask(WaitRuns(ids=[run.id], wait_s=_WAIT_S))
        if run.problem is not None:
            raise _explain(run)
        self.head = client.ask(GetVersion(kind="dataset", reference=run.details["version"]))
        return self.head


def _explain(run: Run) -> Exception:
    from mainspring.data.tables import LostRace

    problem = run.problem
    assert problem is not None
    if problem.code == "DATA-013":
        return LostRace(problem.code, problem.what, why=problem.why, fix=problem.fix)
    return restore(problem)
