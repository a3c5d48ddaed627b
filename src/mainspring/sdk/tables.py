"""The tables of a client: who writes them, and how they are read."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from mainspring.domain.home import name_folder
from mainspring.sdk.blobs import store_plainly
from mainspring.store.files import write_faults

if TYPE_CHECKING:
    import polars as pl

    from mainspring.data.scans import Scan
    from mainspring.domain.records import Version
    from mainspring.sdk.client import Client
    from mainspring.sdk.commits import Writer
    from mainspring.security.ciphers import Cipher


class HomeTables:
    """The tables of a home that this process has the files of, or the object store.

    Parameters
    ----------
    client : Client
        Of a project of the home.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def hold(self, name: str) -> AbstractContextManager[None]:
        """Be the only writer of a dataset in this home, as far as that can be had.

        Raises
        ------
        Conflict
            DATA-013 when it is held for too long.
        """
        from mainspring.data.places import place_table
        from mainspring.data.tables import hold_table

        return hold_table(place_table(self._client.home, name_folder(self._client.project, name)))

    def open_writer(self, name: str, *, anew: bool) -> Writer:
        """Return what commits to a dataset; used while it is held."""
        from mainspring.sdk.commits import Writer

        return Writer(self._client, name, anew=anew)

    def open_scan(self, version: Version, open_key: Callable[[str], Cipher]) -> Scan:
        """Return the scan of a version; nothing is read.

        Parameters
        ----------
        version : Version
            Of a dataset.
        open_key : callable
            Id of a data key -> cipher, for columns that are sensitive.
        """
        from mainspring.data.scans import open_scan

        return open_scan(self._client.home, version.manifest, open_key)


def store_rows(client: Client, rows: pl.DataFrame) -> str:
    """Store rows as a blob of Parquet, and return its digest; what is sensitive in them is sealed cell by cell before.

    Parameters
    ----------
    client : Client
        Whose blobs take it.
    rows : polars.DataFrame
        As they are to lie in a table.
    """
    import tempfile  # with every compression that there is

    folder = client.home.cache
    with write_faults(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            rows.write_parquet(file)
            file.seek(0)
            return store_plainly(client.blobs).put(file)
