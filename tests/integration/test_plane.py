"""A plane as its owner and its callers meet it: a process, its folder, its HTTP."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import msgspec
import pytest

from mainspring.serving.files import Limits, find_plane, read_status, write_desired
from mainspring.serving.plane import bind
from support.serving import (
    ask,
    captured_ids,
    expect,
    make_body,
    make_desired,
    make_revision,
    run_plane,
    save_model,
)

INFER = "/v2/models/delays/infer"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def plane(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("service")
    with run_plane(folder, make_desired(files, limits=Limits(body_bytes=4 * 1024 * 1024))) as process:
        process.wait_ready()
        yield process


def test_it_is_a_process_of_its_own(plane):
    assert find_plane(plane.folder) == plane.child.pid != os.getpid()


def test_protocol(plane):
    def get(path):
        return ask(plane.port, "GET", path)

    assert get("/v2")[2]["name"] == "mainspring"
    assert get("/v2/health/live")[::2] == (200, {"live": True})
    assert get("/v2/health/ready")[::2] == (200, {"ready": True})
    assert get("/v2/models/delays/ready")[::2] == (200, {"name": "delays", "ready": True})
    metadata = get("/v2/models/delays")[2]
    assert metadata["platform"] == "onnx"
    assert {"name": "wind", "datatype": "FP32", "shape": [-1]} in metadata["inputs"]
    assert {"name": "event_time", "datatype": "FP64", "shape": [-1]} in metadata["inputs"]
    before = get("/v2/models/delays/stats")[2]
    status, headers, reply = ask(plane.port, "POST", INFER, make_body("p1", rows=2, wind=3.0))
    assert (status, headers["content-type"]) == (200, "application/json")
    assert (reply["id"], reply["model_name"], reply["model_version"]) == ("p1", "delays", "1")
    assert reply["outputs"][1]["data"] == pytest.approx([expect(3.0)] * 2, abs=1e-6)
    assert ask(plane.port, "POST", "/v2/models/delays/versions/1/infer", make_body("p2"))[0] == 200
    after = get("/v2/models/delays/stats")[2]
    assert (after["requests"] - before["requests"], after["rows"] - before["rows"]) == (2, 3)
    assert after["model_stats"][0]["inference_count"] == after["rows"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", INFER, b"", 400, "SERVE-002"),
        ("POST", INFER, b"{", 400, "SERVE-002"),
        ("POST", INFER, make_body(tensors={"wind": None}), 400, "SERVE-004"),
        ("POST", INFER, make_body(tensors={"w": {"datatype": "FP32", "shape": [1], "data": [1]}}), 400, "SERVE-005"),
        ("POST", INFER, make_body(wind="x"), 400, "SERVE-006"),
        ("POST", INFER, make_body(rows=0), 400, "SERVE-007"),
        ("POST", INFER, make_body(code="not a number"), 500, "SERVE-010"),
        ("POST", "/v2/models/others/infer", make_body(), 404, "SERVE-001"),
        ("POST", "/v2/models/delays/versions/9/infer", make_body(), 404, "SERVE-015"),
        ("POST", "/v2/models/delays/versions/x/infer", make_body(), 404, "SERVE-015"),
        ("POST", "/v2/models/delays/versions/%C2%B2/infer", make_body(), 404, "SERVE-015"),
        ("POST", f"/v2/models/delays/versions/{'9' * 5000}/infer", make_body(), 404, "SERVE-015"),
        ("GET", INFER, None, 404, "SERVE-015"),
        ("GET", "/", None, 404, "SERVE-015"),
        ("GET", "/v2/models", None, 404, "SERVE-015"),
        ("GET", "/v2/health/other", None, 404, "SERVE-015"),
    ],
)
def test_bad_requests_get_one_clear_error(plane, method, path, body, status, code):
    got, headers, refusal = ask(plane.port, method, path, body)
    assert (got, refusal["code"]) == (status, code)
    assert refusal["error"]
    assert "NAME" not in refusal["fix"]
    assert "Traceback" not in str(refusal)
    assert headers["content-type"] == "application/json"


def test_50_megabytes_are_refused_before_they_are_read(plane):
    announced = http.client.HTTPConnection("127.0.0.1", plane.port, timeout=30)
    announced.putrequest("POST", INFER)
    announced.putheader("Content-Length", str(50 * 1024 * 1024))
    announced.endheaders()
    reply = announced.getresponse()  # nothing of the body was sent
    assert reply.status == 413
    assert reply.headers["connection"] == "close"
    assert b"SERVE-008" in reply.read()
    announced.close()
    sent = http.client.HTTPConnection("127.0.0.1", plane.port, timeout=30)
    sent.request("POST", INFER, b" " * (50 * 1024 * 1024))
    assert sent.getresponse().status == 413
    sent.close()
    chunked = http.client.HTTPConnection("127.0.0.1", plane.port, timeout=30)
    chunked.request("POST", INFER, iter([b" " * 65536] * 100), encode_chunked=True)
    assert chunked.getresponse().status == 413
    chunked.close()
    assert ask(plane.port, "POST", INFER, make_body())[0] == 200


def test_foreign_host_names_are_refused(plane):
    status, _, refusal = ask(plane.port, "GET", "/v2", headers={"Host": "evil.example:80"})
    assert (status, refusal["code"]) == (403, "SERVE-012")
    assert ask(plane.port, "GET", "/v2", headers={"Host": f"localhost:{plane.port}"})[0] == 200


def test_a_second_plane_on_the_folder_is_refused(plane):
    second = subprocess.run(
        [sys.executable, "-m", "mainspring.serving.plane", str(plane.folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert second.returncode == 5
    assert "SERVE-017" in second.stderr
    assert str(plane.child.pid) in second.stderr
    assert "Traceback" not in second.stderr


def test_tokens(files, tmp_path):
    digest = hashlib.sha256(b"right").hexdigest()
    with run_plane(tmp_path, make_desired(files, token_sha256=[digest])) as plane:
        plane.wait_ready()
        for given, status in (
            ({}, 401),
            ({"Authorization": "Bearer wrong"}, 401),
            ({"Authorization": "Bearer right"}, 200),
        ):
            assert ask(plane.port, "POST", INFER, make_body(), given)[0] == status
            assert ask(plane.port, "GET", "/v2/models/delays", headers=given)[0] == status
        assert ask(plane.port, "GET", "/v2/health/ready")[0] == 200


def test_a_service_without_a_champion_answers_503(files, tmp_path):
    with run_plane(tmp_path, make_desired(files, revisions=[])) as plane:
        while not (status := read_status(tmp_path)) or status.generation < 1:
            time.sleep(0.02)
        got, headers, refusal = ask(plane.port, "POST", INFER, make_body())
        assert (got, refusal["code"], headers["retry-after"]) == (503, "SERVE-003", "1")
        assert ask(plane.port, "GET", "/v2/health/ready")[::2] == (503, {"ready": False})
        assert ask(plane.port, "GET", "/v2/health/live")[0] == 200
        write_desired(tmp_path, make_desired(files, generation=2))
        plane.wait_ready(generation=2)
        assert ask(plane.port, "POST", INFER, make_body())[0] == 200


def test_an_unreadable_desired_state_is_reported_and_changes_nothing(files, tmp_path):
    with run_plane(tmp_path, make_desired(files)) as plane:
        plane.wait_ready()
        (tmp_path / "desired.json").write_text("{")
        while not (status := read_status(tmp_path)).problem:
            time.sleep(0.02)
        assert status.problem.code == "SERVE-021"
        (tmp_path / "desired.json").unlink()
        (tmp_path / "desired.json").mkdir()
        while "Is a directory" not in (status := read_status(tmp_path)).problem.what:
            time.sleep(0.02)
        assert ask(plane.port, "POST", INFER, make_body())[0] == 200


def test_captures_that_cannot_be_written_are_reported(files, tmp_path):
    (tmp_path / "capture").write_text("in the way")
    with run_plane(tmp_path, make_desired(files)) as plane:
        assert plane.child.wait(30) == 6
    status = read_status(tmp_path)
    assert (status.ready, status.problem.code) == (False, "SERVE-014")
    assert "Traceback" not in (tmp_path / "plane.log").read_text()


def test_the_port_is_kept_and_another_taken_when_it_is_in_use(files, tmp_path):
    with run_plane(tmp_path, make_desired(files)) as first:
        first.wait_ready()
        port = first.port
        assert first.stop() == 0
    with run_plane(tmp_path) as second:
        second.wait_ready()
        assert second.port == port
        second.kill()
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.bind(("127.0.0.1", port))
        thief.listen()
        with run_plane(tmp_path) as third:
            status = third.wait_ready()
            assert third.port != port
            assert status.url.endswith(str(third.port))


def test_accepted_connections_do_not_wait_for_acknowledgements(tmp_path):
    listener = bind(tmp_path)
    listener.listen()
    with socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
        assert accepted.proto == socket.IPPROTO_TCP
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    listener.close()


def test_stopping_drains_and_says_so(files, tmp_path):
    with run_plane(tmp_path, make_desired(files, limits=Limits(drain_s=1.5))) as plane:
        plane.wait_ready()
        connection = http.client.HTTPConnection("127.0.0.1", plane.port, timeout=30)
        connection.request("POST", INFER, make_body("before"))
        reply = connection.getresponse()
        reply.read()
        assert reply.headers["connection"] is None
        plane.child.send_signal(signal.SIGTERM)
        while read_status(tmp_path).ready:
            time.sleep(0.02)
        assert ask(plane.port, "GET", "/v2/health/ready")[0] == 503
        connection.request("POST", INFER, make_body("during"))
        reply = connection.getresponse()
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        connection.close()
        assert plane.child.wait(30) == 0
    assert captured_ids(tmp_path) == ["before", "during"]
    assert read_status(tmp_path).requests == 2
    assert find_plane(tmp_path) is None


def test_a_removed_folder_ends_it(files, tmp_path):
    folder = tmp_path / "service"
    with run_plane(folder, make_desired(files)) as plane:
        plane.wait_ready()
        shutil.rmtree(folder)
        assert plane.child.wait(30) == 0


def test_a_folder_that_was_removed_and_made_again_belongs_to_another(files, tmp_path):
    with run_plane(tmp_path, make_desired(files)) as old:
        old.wait_ready()
        shutil.rmtree(tmp_path)
        tmp_path.mkdir()
        with run_plane(tmp_path, make_desired(files)) as new:
            new.wait_ready()
            assert old.child.wait(10) == 0
            status = read_status(tmp_path)
            assert status is not None
            assert status.pid == new.child.pid
            assert find_plane(tmp_path) == new.child.pid


def test_a_stopped_desired_state_ends_it(files, tmp_path):
    with run_plane(tmp_path, make_desired(files)) as plane:
        plane.wait_ready()
        write_desired(tmp_path, make_desired(files, generation=2, stopped=True))
        assert plane.child.wait(30) == 0


class Caller(threading.Thread):
    """Sends requests on a kept connection until told to stop; a failure is anything but 200."""

    def __init__(self, port: int, name: str) -> None:
        super().__init__(name=name)
        self.port, self.answered, self.failed, self.stopped = port, [], [], False

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        number = 0
        while not self.stopped:
            number += 1
            name = f"{self.name}-{number}"
            try:
                connection.request("POST", INFER, make_body(name, rows=1 + number % 3, wind=number % 9))
                reply = connection.getresponse()
                content = reply.read()
            except OSError as fault:
                self.failed.append((name, repr(fault)))
                break
            if reply.status == 200:
                self.answered.append((name, 1 + number % 3, json.loads(content)["model_version"]))
            else:
                self.failed.append((name, content))
            time.sleep(0.002)
        connection.close()


def test_a_hundred_swaps_under_load_fail_no_request(tmp_path):
    models = [save_model(tmp_path / f"model{n}", scale=n / 10) for n in range(2)]
    folder = tmp_path / "service"
    with run_plane(folder, make_desired(models[0], generation=0)) as plane:
        plane.wait_ready(0)
        callers = [Caller(plane.port, f"c{n}") for n in range(4)]
        for caller in callers:
            caller.start()
        for number in range(1, 101):
            revision = make_revision(number + 1, models[number % 2])
            write_desired(folder, make_desired(models[0], generation=number, revisions=[revision]))
            plane.child.send_signal(signal.SIGHUP)
            plane.wait_ready(number)
        for caller in callers:
            caller.stopped = True
        for caller in callers:
            caller.join()
        assert plane.stop() == 0
    assert [caller.failed for caller in callers] == [[]] * 4
    answered = [each for caller in callers for each in caller.answered]
    assert len({version for _, _, version in answered}) >= 95
    status = read_status(folder)
    assert sorted(captured_ids(folder)) == sorted(name for name, _, _ in answered)
    assert (status.requests, status.rows) == (len(answered), sum(rows for _, rows, _ in answered))
    assert not any(each.errors for each in status.revisions.values())


def test_requests_waiting_on_a_slow_model_survive_its_retirement(tmp_path):
    slow, fast = save_model(tmp_path / "slow", slow=700), save_model(tmp_path / "fast")
    folder = tmp_path / "service"
    limits = Limits(batch_rows=1)
    with run_plane(folder, make_desired(slow, limits=limits)) as plane:
        plane.wait_ready()
        replies = []
        threads = [
            threading.Thread(target=lambda n=n: replies.append(ask(plane.port, "POST", INFER, make_body(f"r{n}"))))
            for n in range(12)
        ]
        for thread in threads:
            thread.start()
        write_desired(folder, make_desired(fast, generation=2, revisions=[make_revision(2, fast)], limits=limits))
        plane.wait_ready(2)
        for thread in threads:
            thread.join()
        assert [status for status, _, _ in replies] == [200] * 12
        plane.stop()
    assert len(captured_ids(folder)) == 12


def test_overload_is_refused_with_a_time_to_come_again(tmp_path):
    slow = save_model(tmp_path / "slow", slow=700)
    folder = tmp_path / "service"
    with run_plane(folder, make_desired(slow, limits=Limits(batch_rows=1, queue_rows=3))) as plane:
        plane.wait_ready()
        replies = []
        threads = [
            threading.Thread(target=lambda n=n: replies.append(ask(plane.port, "POST", INFER, make_body(f"r{n}"))))
            for n in range(24)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        plane.stop()
    refused = [(headers["retry-after"], body["code"]) for status, headers, body in replies if status == 429]
    assert set(refused) == {("1", "SERVE-009")}
    assert len(captured_ids(folder)) == 24 - len(refused) == [status for status, _, _ in replies].count(200)
    assert read_status(folder).shed == len(refused)


def test_the_status_is_whole_whenever_it_is_read(plane):
    for _ in range(50):
        ask(plane.port, "POST", INFER, make_body())
        msgspec.json.decode((plane.folder / "status.json").read_bytes())


def test_it_outlives_the_process_that_started_it(files, tmp_path):
    write_desired(tmp_path, make_desired(files))
    command = f"{sys.executable} -m mainspring.serving.plane {tmp_path} >/dev/null 2>&1 &"
    subprocess.run(["sh", "-c", command], check=True, timeout=60)
    while not (status := read_status(tmp_path)) or not status.ready:
        time.sleep(0.02)
    port = int((tmp_path / "port").read_text())
    try:
        assert ask(port, "POST", INFER, make_body("a"))[0] == 200
    finally:
        os.kill(status.pid, signal.SIGTERM)
    while find_plane(tmp_path):
        time.sleep(0.02)
    assert captured_ids(tmp_path) == ["a"]
