"""Full disks and read-only homes, real ones where the machine lets us mount them."""

import os
import subprocess
from pathlib import Path

import pytest
from tests.support.homes import end_owner

from mainspring.domain import messages
from mainspring.domain.errors import Unavailable
from mainspring.sdk.client import Client
from mainspring.sdk.owners import start_owner
from mainspring.store.homes import place_home


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 4 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no right to mount a file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def begin(client, name, **options):
    return client.ask(messages.BeginRun(kind="step", name=name, **options)).run


def test_a_disk_that_runs_full_loses_nothing_that_was_acknowledged(small_disk):
    home = place_home(small_disk / "home")
    client = Client(home, start_owner)
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 1_000_000)
    try:
        acknowledged = []
        refused = None
        while refused is None:
            try:
                acknowledged.append(begin(client, "fills", params={"text": "y" * 50_000}).id)
            except Unavailable as error:
                refused = error
        assert refused.code == "HOME-006"
        assert acknowledged
        with pytest.raises(Unavailable) as caught:
            client.blobs.put(os.urandom(4_000_000))
        assert caught.value.code == "HOME-006"
        assert {run.id for run in client.ask(messages.ListRuns(limit=1000))} == set(acknowledged)
        ballast.unlink()
        acknowledged.append(begin(client, "after").id)
        end_owner(home)
        assert {run.id for run in client.ask(messages.ListRuns(limit=1000))} == set(acknowledged)
    finally:
        client.close()
        end_owner(home)


def test_a_home_on_a_full_disk_says_so(small_disk):
    (small_disk / "ballast").write_bytes(b"x" * (4_000_000))
    with pytest.raises(OSError, match="No space left"):
        (small_disk / "rest").write_bytes(b"x" * 4_000_000)
    home = place_home(small_disk / "home")
    client = Client(home, start_owner)
    with pytest.raises(Unavailable) as caught:
        client.ask(messages.GetStatus())
    assert caught.value.code == "HOME-006"
    client.close()


def test_a_home_that_became_read_only_says_so(small_disk):
    home = place_home(small_disk / "home")
    client = Client(home, start_owner)
    run = begin(client, "before")
    client.close()
    end_owner(home)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(Unavailable) as caught:
        client.ask(messages.GetRun(id=run.id))
    assert caught.value.code == "HOME-007"
    assert "read-only" in str(caught.value).lower()
    with pytest.raises(Unavailable) as caught:
        client.blobs.put(b"x")
    assert caught.value.code == "HOME-007"
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert client.ask(messages.GetRun(id=run.id)).name == "before"
    client.close()
    end_owner(home)


def test_a_home_that_cannot_be_made_says_so():
    client = Client(place_home(Path("/sys/mainspring")), start_owner)
    with pytest.raises(Unavailable) as caught:
        client.ask(messages.GetStatus())
    assert caught.value.code == "HOME-007"
    assert "/sys/mainspring" in caught.value.what
