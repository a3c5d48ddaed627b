"""The contract of blob stores, over a server on this machine."""

import os
import secrets
import subprocess
import sys

import pytest
from tests.support.stores import BUCKET, SECRET

from mainspring.store.adapters import obstore
from mainspring.store.caches import BlobCache
from mainspring.store.files import LocalFileSystem
from mainspring.store.locations import Location
from mainspring.testing.blobs import RECORD, BlobsContract

TABLES = """
import sys
from pathlib import Path
import polars as pl
from mainspring.data.places import place_table
from mainspring.data.scans import open_scan
from mainspring.data.tables import LostRace, Table
from mainspring.domain.home import Home

folder = Path(sys.argv[1])
home = Home(folder, folder, folder, blob_store=sys.argv[2])
place = place_table(home, "sales")
for start in (0, 3):
    rows, app = pl.DataFrame({"id": [start, start + 1]}), ("a", start + 1)
    Table(place).commit(rows, append=True, note={"n": start}, app=app, private=[])
table, late = Table(place), Table(place)
assert table.reached("a") == 4
assert [commit.note for commit in table.list_commits(-1)] == [{"n": 0}, {"n": 3}]
table.commit(pl.DataFrame({"id": [9]}), append=False, note={}, app=None, private=["id"])
try:
    late.commit(pl.DataFrame({"id": [8]}), append=True, note={}, app=None, private=[])
except LostRace:
    scans = [open_scan(home, table.describe(version, [])) for version in (1, table.version)]
    print(*(sorted(scan.polars()["id"]) for scan in scans))
"""


class ObjectStoreContract(BlobsContract):
    @pytest.fixture
    def place(self, server):
        return Location(server.scheme, BUCKET, f"contract/{secrets.token_hex(8)}")

    @pytest.fixture
    def twin(self, server, place, tmp_path, monkeypatch):
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)

        def open_twin():
            cache = BlobCache(tmp_path / secrets.token_hex(4), LocalFileSystem())
            return obstore.make_blobs(place, cache)

        return open_twin

    def test_tables_commit_and_scan_there(self, server, place, twin, tmp_path):
        """Delta tables lie beside the blobs; of two commits on one state, one is refused."""
        environment = {**os.environ, **server.environment()}
        command = [sys.executable, "-c", TABLES, str(tmp_path), place.url]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)
        assert done.stdout == "[0, 1, 3, 4] [9]\n", done.stderr
        assert SECRET not in done.stderr

    @pytest.fixture
    def blobs(self, twin):
        made = twin()
        made.claim(RECORD, anew=True)
        return made

    @pytest.fixture
    def damage(self, server, place):
        def damage(digest, content):
            server.write(place.bucket, f"{place.prefix}/blobs/{digest[:2]}/{digest}", content)

        return damage
