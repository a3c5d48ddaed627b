"""The owner is killed: nothing that it acknowledged is lost, nothing is recorded twice."""

import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest
from tests.support.homes import is_owner
from tests.support.kills import send
from tests.support.ledgers import Ledger

from mainspring.domain import messages
from mainspring.store.blobs import FolderBlobs
from mainspring.store.files import LocalFileSystem


@pytest.mark.usefixtures("record")
@pytest.mark.parametrize("point", ["owner.turn.before_commit", "owner.turn.after_commit"])
@pytest.mark.parametrize("passage", [1, 2, 9, 16])
def test_an_owner_killed_around_its_commit_loses_and_doubles_nothing(start, client, point, passage, tmp_path):
    mark = tmp_path / "killed"
    owner = start(MAINSPRING_CRASH=f"{point}:{passage}:{mark}")
    ledger = Ledger()
    ledger.work(client, 0)
    assert owner.process.wait(timeout=20) == -signal.SIGKILL
    assert mark.exists()
    ledger.check(client)


@pytest.mark.usefixtures("record")
def test_an_owner_killed_at_random_loses_and_doubles_nothing(client, home):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    source = random.Random(seed)
    ledgers = [Ledger() for _ in range(3)]
    threads = [
        threading.Thread(target=ledger.work, args=(client, number * 1000, 40)) for number, ledger in enumerate(ledgers)
    ]
    client.ask(messages.GetStatus())
    for thread in threads:
        thread.start()
    kills = 0
    while any(thread.is_alive() for thread in threads):
        time.sleep(source.uniform(0.02, 0.4))
        pid = int(home.lock.read_text() or 0)
        # On a slow machine the next one may not be there yet.
        if kills < 8 and pid and is_owner(pid, home) and send(pid, signal.SIGKILL):
            kills += 1
            time.sleep(0.3)
    for thread in threads:
        thread.join()
    print(f"{kills} kills")
    assert kills
    together = Ledger()
    for ledger in ledgers:
        assert len(ledger.finished) == 40
        together.begun |= ledger.begun
        together.finished |= ledger.finished
    together.check(client)


@pytest.mark.parametrize("point", ["blobs.before_rename", "blobs.after_rename"])
def test_a_writer_of_blobs_killed_leaves_none_that_is_not_whole(tmp_path, point):
    code = (
        "import sys; from pathlib import Path; from mainspring.store.blobs import FolderBlobs;"
        "from mainspring.store.files import LocalFileSystem;"
        "blobs = FolderBlobs(Path(sys.argv[1]), LocalFileSystem());"
        "[print(blobs.put(bytes([n]) * 100_000), flush=True) for n in range(5)]"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "blobs")],
        env={**os.environ, "MAINSPRING_CRASH": f"{point}:3"},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    told = done.stdout.split()
    assert len(told) == 2
    blobs = FolderBlobs(tmp_path / "blobs", LocalFileSystem())
    whole = [path.name for path in (tmp_path / "blobs").rglob("*") if path.is_file() and not path.name.startswith(".")]
    assert len(whole) == (2 if point == "blobs.before_rename" else 3)
    assert set(told) <= set(whole)
    for digest in whole:
        assert len(blobs.get(digest)) == 100_000
    assert blobs.put(bytes([2]) * 100_000) in {path.name for path in (tmp_path / "blobs").rglob("*")}
