"""Remote clients over a bad network and a restarted server: acknowledged writes = recorded writes."""

import hashlib
import io
import os
import random
import shutil
import socket
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
from tests.support.homes import end_owner
from tests.support.proxy import FAULTS, Proxy
from tests.support.servers import UpProcess

import mainspring as ms
from mainspring.domain import access, messages
from mainspring.domain.records import Value
from mainspring.sdk.client import get_client
from mainspring.sdk.https import Patience
from mainspring.sdk.remote import RemoteClient
from mainspring.security.tokens import home_token

SEED = 20261121
PATIENCE = Patience(connect_s=2.0, silence_s=0.6, total_s=60.0)
WRITERS = 3


def write(url, token, writer, numbers, acknowledged, faults):
    client = RemoteClient(url, token, patience=PATIENCE)
    try:
        for number in numbers:
            name = f"w{writer}_{number}"
            run = client.ask(messages.BeginRun(kind="step", name=name)).run
            acknowledged.append((run.id, run.name))
            assert run.name == name, "an answer to another request"
            assert client.ask(messages.GetRun(id=run.id)).name == name
    except BaseException as fault:
        faults.append(fault)
        raise
    finally:
        client.close()


def write_together(url, token, count, meanwhile=lambda: None, first=0):
    acknowledged, faults = [], []
    threads = [
        threading.Thread(target=write, args=(url, token, writer, range(first, first + count), acknowledged, faults))
        for writer in range(WRITERS)
    ]
    for thread in threads:
        thread.start()
    meanwhile()
    for thread in threads:
        thread.join()
    assert faults == []
    return acknowledged


def list_recorded(client):
    found, page = [], ""
    while page is not None:
        answer = client.ask(messages.SearchRuns("kind = step", limit=1000, page=page))
        found += [(run.id, run.name) for run in answer.runs]
        page = answer.next
    return found


def check(client, acknowledged, count):
    recorded = list_recorded(client)
    assert Counter(recorded) == Counter(acknowledged)
    assert len({name for _, name in recorded}) == len(recorded) == WRITERS * count


def test_each_fault_of_the_network(client):
    """One server; each fault alone, then all together; what was acknowledged before stays."""
    print(f"seed {SEED}")
    server, acknowledged, count = UpProcess(), [], 6
    try:
        for number, faults in enumerate([*((fault,) for fault in FAULTS), FAULTS]):
            with Proxy(server.port, SEED + number, rate=0.25, faults=faults, hold_s=1.5) as proxy:
                url = f"http://127.0.0.1:{proxy.port}"
                acknowledged += write_together(url, home_token(client.home), count, first=number * count)
            assert sum(proxy.met.values()) > 0, faults
    finally:
        server.end()
    check(client, acknowledged, count * (len(FAULTS) + 1))


def test_a_server_and_an_owner_killed_under_load(client, home):
    count = 60
    first = UpProcess()
    servers = [first]

    def kill():
        for round_ in range(3):
            time.sleep(0.4)
            servers[-1].kill()
            if round_ % 2:
                end_owner(home)
            servers.append(UpProcess(port=first.port))
            time.sleep(0.2)
            end_owner(home)

    try:
        acknowledged = write_together(first.url, home_token(client.home), count, kill)
    finally:
        servers[-1].end()
    check(client, acknowledged, count)


def store_and_write(first, acknowledged):
    """Store two blobs and name them, and append a row; tell what was acknowledged."""
    remote = get_client()
    for number in range(first, first + 4):
        contents = [random.Random(number).randbytes(size) for size in (1_000, 500_000)]
        digests = [remote.blobs.put(each if number % 2 else io.BytesIO(each)) for each in contents]
        run = remote.ask(messages.BeginRun(kind="step", name=f"s{number}")).run
        value = Value("bytes", digests[0], len(contents[0]), parts=(digests[1],))
        remote.ask(messages.FinishRun(run_id=run.id, attempt=1, fence=run.fence, state="succeeded", outputs=value))
        ms.write([{"id": number}], "rows", mode="append")
        acknowledged |= dict(zip(digests, contents, strict=True))


def test_bytes_and_rows_over_a_bad_network(client, tmp_path, monkeypatch):
    """What was acknowledged is there once, whole, and named; nothing half is seen."""
    print(f"seed {SEED}")
    client.ask(access.AddUser(name="anna", role="editor"))
    token = client.ask(access.IssueToken(principal="anna")).token
    server, acknowledged = UpProcess(), {}
    monkeypatch.setenv("MAINSPRING_TOKEN", token)
    monkeypatch.setenv("MAINSPRING_HOME", str(tmp_path / "laptop"))
    try:
        for number, faults in enumerate([FAULTS, ("duplicate", "cut"), ("reset", "half-close")]):
            with Proxy(server.port, SEED + number, rate=0.1, faults=faults, hold_s=1.0) as proxy:
                monkeypatch.setenv("MAINSPRING_URL", f"http://127.0.0.1:{proxy.port}")
                store_and_write(4 * number, acknowledged)
            get_client().close()
            assert sum(proxy.met.values()) > 0, faults
        shutil.rmtree(tmp_path / "laptop")
        monkeypatch.setenv("MAINSPRING_URL", server.url)
        assert all(get_client().blobs.get(digest) == content for digest, content in acknowledged.items())
        assert sorted(ms.Dataset("rows").polars()["id"]) == list(range(12))
        assert len(client.ask(messages.ListVersions(kind="dataset", name="rows"))) == 12
        get_client().close()
    finally:
        server.end()
    stored = [path.name for path in client.home.blobs.glob("*/*")]
    assert acknowledged.keys() <= set(stored)
    assert not [name for name in stored if name.startswith(".")], "something half was left"


def test_a_large_body_passes_in_bounded_memory(client):
    """A blob of `MAINSPRING_TEST_MB`, by default 200: the server's memory stays what it was."""
    part, count = bytes(1 << 20), int(os.environ.get("MAINSPRING_TEST_MB", "200"))
    seen = hashlib.sha256()
    for _ in range(count):
        seen.update(part)
    server = UpProcess()
    path = f"{server.url}/api/v1/blobs/{seen.hexdigest()}"
    headers = {"Authorization": f"Bearer {home_token(client.home)}"}
    try:
        httpx.put(path, content=part, headers=headers, timeout=100)  # other bytes: all of the way is used once
        before = read_peak(server.process.pid)
        answer = httpx.put(path, content=(part for _ in range(count)), headers=headers, timeout=100)
        assert answer.json() == {"digest": seen.hexdigest(), "size_bytes": count << 20}
        with httpx.stream("GET", path, headers=headers, timeout=100) as stream:
            assert sum(map(len, stream.iter_raw())) == count << 20
        grown = read_peak(server.process.pid) - before
    finally:
        server.end()
    print(f"{count} MiB up and down, the server's peak grew by {grown >> 20} MiB")
    assert grown < 64 << 20


def read_peak(pid):
    (line,) = (each for each in Path(f"/proc/{pid}/status").read_text().splitlines() if each.startswith("VmHWM"))
    return int(line.split()[1]) << 10


def test_a_body_that_says_that_it_is_too_large_is_not_read(client):
    server = UpProcess()
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connected:
            head = f"PUT /api/v1/blobs/{'0' * 64} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {1 << 50}\r\n"
            connected.sendall(f"{head}Authorization: Bearer {home_token(client.home)}\r\n\r\n".encode())
            answer = connected.recv(65536)
    finally:
        server.end()
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"API-009" in answer
