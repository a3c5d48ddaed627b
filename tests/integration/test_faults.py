"""A disk that is full or may not be written: one clear error, and the record stays as it was."""

import os
import subprocess

import polars as pl
import pytest

import mainspring as ms
from mainspring.domain.messages import ListVersions
from mainspring.errors import Unavailable


@pytest.fixture
def small_disk(home):
    """The tables of the home on a disk of 1 MB; remount it with ``mount("ro")``."""
    home.tables.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", home.tables], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only root mounts a small disk")
    yield lambda options: subprocess.run(["mount", "-o", f"remount,{options}", home.tables], check=True)
    subprocess.run(["umount", home.tables], check=True)


def test_full_disk_and_read_only_folder_leave_no_version(small_disk, client):
    big = pl.DataFrame({"text": [os.urandom(16).hex() for _ in range(100_000)]})
    ms.write([{"text": "x"}], "notes")
    with pytest.raises(Unavailable, match="HOME-006"):
        ms.write(big, "notes", mode="append")
    small_disk("ro")
    for name in ("notes", "others"):
        with pytest.raises(Unavailable, match="HOME-007"):
            ms.write([{"text": "y"}], name)
    assert [each.reference for each in client.ask(ListVersions(kind="dataset"))] == ["notes@1"]
    small_disk("rw,size=64m")
    assert ms.write(big, "notes", mode="append").rows == 100_001
