"""Kill -9 of the plane at any moment: no answered request is lost, none is counted twice.

The ledger is kept outside, by clients that repeat a request under its id until it is answered.
"""

from __future__ import annotations

import http.client
import json
import random
import threading
import time

import pytest

from mainspring.serving.captures import read_segments
from mainspring.serving.files import CAPTURE, Limits, read_status, write_desired
from support.serving import Process, captured_ids, make_body, make_desired, run_plane, save_model

INFER = "/v2/models/delays/infer"
KILLS = 12


class Client(threading.Thread):
    """Asks up to `count` requests, each until it is answered; keeps the answers byte by byte."""

    def __init__(self, folder, name: str, count: int, seed: int) -> None:
        super().__init__(name=name)
        self.folder, self.count = folder, count
        self.random = random.Random(seed)
        self.ledger: dict[str, tuple[int, bytes]] = {}
        self.repeats = 0
        self.stopped = False

    def run(self) -> None:
        for number in range(self.count):
            if self.stopped:
                return
            name, rows = f"{self.name}-{number}", self.random.randint(1, 32)
            body = make_body(name, rows=rows, wind=self.random.uniform(-9, 9))
            while (reply := self.ask(body)) is None:
                self.repeats += 1
                time.sleep(0.01)
            self.ledger[name] = rows, reply
            if self.random.random() < 0.1:  # some callers ask again although they were answered
                again = self.ask(body)
                assert again in {None, reply}

    def ask(self, body: bytes) -> bytes | None:
        connection = http.client.HTTPConnection("127.0.0.1", int((self.folder / "port").read_text()), timeout=10)
        try:
            connection.request("POST", INFER, body)
            reply = connection.getresponse()
            content = reply.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        assert reply.status in {200, 503}, content
        return content if reply.status == 200 else None


def check(folder, clients) -> None:
    """The counter, the ledger and the captured rows agree exactly."""
    ledger = {name: each for client in clients for name, each in client.ledger.items()}
    status = read_status(folder)
    rows = sum(rows for rows, _ in ledger.values())
    assert (status.requests, status.rows) == (len(ledger), rows)
    records = [record for batch, _ in read_segments(folder / CAPTURE) for record in batch]
    assert sorted(record.id for record in records) == sorted(ledger)
    assert all(ledger[record.id] == (record.rows, record.reply) for record in records)


def test_random_kills_lose_and_double_nothing(tmp_path):
    seed = random.randrange(10**6)
    print("seed", seed)
    chance = random.Random(seed)
    files = save_model(tmp_path / "model")
    folder = tmp_path / "service"
    write_desired(folder, make_desired(files, limits=Limits(segment_rows=2000)))
    clients = [Client(folder, f"c{n}", 100_000, seed + n) for n in range(3)]
    process = Process(folder)
    try:
        process.wait_ready()
        for client in clients:
            client.start()
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.0, 0.3))
            process.kill()
            process = Process(folder)
            if chance.random() < 0.8:  # else it is killed while it starts
                process.wait_ready()
        process.wait_ready()
        for client in clients:
            client.stopped = True
        for client in clients:
            client.join()
        assert process.stop() == 0
    finally:
        if process.child.poll() is None:
            process.kill()
    check(folder, clients)
    print("kills", KILLS, "answered", read_status(folder).requests, "repeats", sum(each.repeats for each in clients))
    assert sum(each.repeats for each in clients) > 0


@pytest.mark.parametrize("point", ["plane.before_capture", "plane.after_capture"])
def test_each_crash_point(tmp_path, point):
    files = save_model(tmp_path / "model")
    folder = tmp_path / "service"
    write_desired(folder, make_desired(files))
    client = Client(folder, "c", 20, 1)
    with run_plane(folder, MAINSPRING_CRASH=f"{point}:7") as doomed:
        doomed.wait_ready()
        client.start()
        assert doomed.child.wait(30) == -9
        captured = len(captured_ids(folder))
        assert captured == len(client.ledger) + (point == "plane.after_capture")
    with run_plane(folder) as process:
        client.join()
        assert process.stop() == 0
    check(folder, [client])
    assert len(client.ledger) == 20
    assert client.repeats >= 1


def test_a_torn_tail_is_cut_when_the_plane_starts_again(tmp_path):
    files = save_model(tmp_path / "model")
    folder = tmp_path / "service"
    with run_plane(folder, make_desired(files)) as process:
        process.wait_ready()
        client = Client(folder, "c", 5, 1)
        client.run()
        process.kill()
    path = next((folder / CAPTURE).glob("*.segment"))
    with path.open("ab") as file:
        file.write(path.read_bytes()[-200:-20])
    with run_plane(folder) as process:
        process.wait_ready()
        assert json.loads(client.ask(make_body("c-late")))["id"] == "c-late"
        client.ledger["c-late"] = 1, client.ask(make_body("c-late"))
        client.count += 1
        process.stop()
    check(folder, [client])
