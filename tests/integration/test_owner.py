"""A real owner process and its clients, over the real socket."""

import contextlib
import fcntl
import json
import multiprocessing
import os
import shutil
import signal
import socket
import sqlite3
import threading
import time

import pytest
from tests.support.homes import end_owner
from tests.support.receivers import wait_for

from mainspring.control.processes import process_start
from mainspring.domain import messages, records
from mainspring.domain.errors import Conflict, Denied, Invalid, NotFound, Unavailable
from mainspring.domain.wire import HEADER, MAX_FRAME_BYTES, decode_reply, encode_request
from mainspring.sdk import client as client_module
from mainspring.sdk.client import Client, connect_home, get_client
from mainspring.store.homes import make_folders, place_home


def begin(client, name="fit", **options):
    return client.ask(messages.BeginRun(kind="step", name=name, **options)).run


def finish(client, run, state="succeeded"):
    return client.ask(messages.FinishRun(run_id=run.id, attempt=1, fence=1, state=state))


def raw(home):
    connected = socket.socket(socket.AF_UNIX)
    connected.settimeout(20)
    connected.connect(str(home.socket))
    return connected


def read_reply(connected, command=messages.GetStatus):
    def receive(size):
        content = b""
        while len(content) < size:
            part = connected.recv(size - len(content))
            if not part:
                raise EOFError
            content += part
        return content

    return decode_reply(receive(HEADER.unpack(receive(HEADER.size))[0]), command)


@pytest.mark.usefixtures("record")
def test_the_first_command_starts_the_owner_and_others_find_it(client, home):
    status = client.ask(messages.GetStatus())
    assert status.home == str(home.root)
    assert not status.network_home
    assert os.getpgid(status.pid) == status.pid or os.getsid(status.pid) != os.getsid(0)
    assert home.socket.stat().st_mode & 0o777 == 0o600
    run = begin(client, params={"a": 1})
    other = Client(home)
    assert other.ask(messages.GetRun(id=run.id)).params == {"a": 1}
    assert other.ask(messages.GetStatus()).pid == status.pid
    other.close()
    assert connect_home(home) is get_client()
    assert client.seal.open(get_client().seal.seal(b"x")) == b"x"
    assert get_client().blobs.get(client.blobs.put(b"y")) == b"y"


@pytest.mark.usefixtures("record")
def test_clients_that_race_get_one_owner(home, client):
    pids = []
    threads = [
        threading.Thread(target=lambda: pids.append(Client(home).ask(messages.GetStatus()).pid)) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pids) == 6
    assert len(set(pids)) == 1
    assert (home.logs / "owner.log").read_text().count(" owns ") == 1


@pytest.mark.usefixtures("record")
def test_a_second_owner_is_refused_and_the_first_goes_on(start, home, client):
    first = start()
    assert json.loads(first.line) == {}
    second = start()
    problem = json.loads(second.line)
    assert problem["code"] == "HOME-002"
    assert str(first.pid) in problem["what"]
    assert second.process.wait(timeout=20) == 1
    assert client.ask(messages.GetStatus()).pid == first.pid


@pytest.mark.usefixtures("record")
def test_an_owner_that_is_stopped_has_a_successor(client):
    run = begin(client)
    first = client.ask(messages.GetStatus()).pid
    client.ask(messages.Stop())
    deadline = time.monotonic() + 20
    while client.ask(messages.GetStatus()).pid == first:
        assert time.monotonic() < deadline
    assert client.ask(messages.GetRun(id=run.id)).id == run.id


@pytest.mark.usefixtures("record")
def test_an_owner_whose_home_was_removed_ends_and_leaves_its_successor_alone(client, home):
    first = client.ask(messages.GetStatus()).pid
    client.close()
    shutil.rmtree(home.root)
    second = client.ask(messages.GetStatus()).pid
    assert second != first
    deadline = time.monotonic() + 30
    while process_start(first) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    client.close()
    assert client.ask(messages.GetStatus()).pid == second


@pytest.mark.usefixtures("record")
def test_an_idle_owner_ends_by_itself_and_a_live_run_or_client_keeps_it(start, home):
    owner = start(MAINSPRING_IDLE_S="0.4")
    client = Client(home)
    run = begin(client, host=socket.gethostname(), pid=os.getpid())
    time.sleep(1.0)
    assert owner.process.poll() is None
    client.close()
    time.sleep(1.0)
    assert owner.process.poll() is None
    client = Client(home)
    finish(client, run)
    client.close()
    assert owner.process.wait(timeout=20) == 0
    assert not home.socket.exists()


def test_a_newer_schema_is_refused_and_untouched(client, home):
    make_folders(home)
    with sqlite3.connect(home.metadata) as record:
        record.execute("CREATE TABLE alembic_version (version_num TEXT)")
        record.execute("INSERT INTO alembic_version VALUES ('9999')")
    record.close()
    before = home.metadata.read_bytes()
    with pytest.raises(Conflict) as caught:
        client.ask(messages.GetStatus())
    assert caught.value.code == "HOME-003"
    assert "9999" in caught.value.what
    with sqlite3.connect(home.metadata) as record:
        assert record.execute("SELECT name FROM sqlite_master").fetchall() == [("alembic_version",)]
    record.close()
    assert len(home.metadata.read_bytes()) == len(before)


def test_a_file_that_is_no_record_is_refused_and_untouched(client, home):
    make_folders(home)
    home.metadata.write_bytes(b"not a database" * 500)
    with pytest.raises(Unavailable) as caught:
        client.ask(messages.GetStatus())
    assert caught.value.code == "HOME-016"
    assert home.metadata.read_bytes() == b"not a database" * 500


def test_an_owner_that_cannot_start_says_where_to_look(client, home, monkeypatch):
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    with pytest.raises(Unavailable) as caught:
        client.ask(messages.GetStatus())
    assert caught.value.code == "HOME-001"
    assert "owner.log" in caught.value.what


def test_a_setting_that_is_no_number_is_named(client, monkeypatch):
    monkeypatch.setenv("MAINSPRING_IDLE_S", "soon")
    with pytest.raises(Invalid) as caught:
        client.ask(messages.GetStatus())
    assert caught.value.code == "HOME-018"
    assert "'soon'" in caught.value.what


def test_without_a_starter_a_client_says_that_nobody_answers(home):
    with pytest.raises(Unavailable) as caught:
        Client(home, start=None).ask(messages.GetStatus())
    assert caught.value.code == "HOME-001"
    assert str(home.socket) in caught.value.what


@pytest.mark.parametrize("body", [b"", b"\xc1", b"garbage", b"\x93\x01\x02\x03", os.urandom(1000)])
def test_garbage_is_refused_and_others_are_served(client, home, body):
    client.ask(messages.GetStatus())
    with raw(home) as connected:
        connected.sendall(HEADER.pack(len(body)) + body)
        with pytest.raises(Invalid) as caught:
            read_reply(connected)
        assert caught.value.code == "HOME-004"
        assert connected.recv(1) == b""
    assert client.ask(messages.GetStatus()).pid


def test_a_frame_over_the_limit_is_refused_before_it_is_read(client, home):
    client.ask(messages.GetStatus())
    with raw(home) as connected:
        connected.sendall(HEADER.pack(MAX_FRAME_BYTES + 1))
        with pytest.raises(Invalid) as caught:
            read_reply(connected)
        assert caught.value.code == "HOME-005"
        assert f"{MAX_FRAME_BYTES + 1:,}" in caught.value.what
    with pytest.raises(Invalid, match="HOME-005"):
        begin(client, params={"x": "y" * MAX_FRAME_BYTES})
    assert client.ask(messages.ListRuns()) == []


def test_an_answer_over_the_limit_is_refused_and_its_neighbours_are_answered(client, home):
    for _ in range(2):
        finish(client, begin(client, params={"x": "y" * (MAX_FRAME_BYTES // 2)}))
    with raw(home) as connected:
        connected.sendall(encode_request(1, messages.ListRuns()) + encode_request(2, messages.GetStatus()))
        with pytest.raises(Invalid, match="HOME-005"):
            read_reply(connected)
        assert read_reply(connected, messages.GetStatus)[0] == 2


def test_frames_that_come_in_pieces_and_together_are_answered_each(client, home):
    run = begin(client)
    frames = b"".join(encode_request(number, messages.GetRun(id=run.id)) for number in range(1, 20))
    with raw(home) as connected:
        for start in range(0, len(frames), 7):
            connected.sendall(frames[start : start + 7])
        assert [read_reply(connected, messages.GetRun)[0] for _ in range(1, 20)] == list(range(1, 20))


def test_a_client_that_leaves_in_the_middle_harms_nobody(client, home):
    run = begin(client)
    with raw(home) as connected:
        connected.sendall(encode_request(1, messages.WaitRuns(ids=[run.id], wait_s=30.0)))
    with raw(home) as connected:
        connected.sendall(encode_request(1, messages.GetRun(id=run.id))[:10])
    assert finish(client, run).state == "succeeded"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can act as another user")
def test_another_user_is_refused_even_when_the_file_lets_him(start, home):
    start()
    home.socket.chmod(0o666)
    for folder in (home.runtime, *home.runtime.parents):
        if folder.stat().st_uid == 0 and folder.as_posix() not in {"/", "/tmp"}:
            folder.chmod(0o755)

    def knock(pipe):
        os.setuid(65534)
        with raw(home) as connected:
            connected.sendall(encode_request(1, messages.GetStatus()))
            try:
                read_reply(connected)
            except Denied as error:
                pipe.send((error.code, error.what))
            else:
                pipe.send(("", "let in"))

    here, there = multiprocessing.Pipe()
    stranger = multiprocessing.get_context("fork").Process(target=knock, args=(there,))
    stranger.start()
    code, what = here.recv()
    stranger.join()
    assert code == "HOME-008"
    assert "65534" in what


@pytest.mark.usefixtures("record")
def test_a_refusal_keeps_its_class_code_and_context(client):
    with pytest.raises(NotFound) as caught:
        client.ask(messages.GetVersion(kind="model", reference="delays@7"))
    assert (caught.value.code, caught.value.context) == ("MODEL-001", {"reference": "delays@7"})
    assert "fix:" in str(caught.value)


@pytest.mark.usefixtures("record")
def test_waiting_ends_when_the_run_does_and_times_out_when_it_does_not(client, home):
    run = begin(client)
    assert client.ask(messages.WaitRuns(ids=[run.id], wait_s=0.05))[0].state == "running"
    answers = []
    waiter = threading.Thread(target=lambda: answers.extend(client.ask(messages.WaitRuns(ids=[run.id], wait_s=30.0))))
    waiter.start()
    last = client.ask(messages.ListEvents())[-1].seq
    listener = threading.Thread(target=lambda: answers.extend(client.ask(messages.ListEvents(after=last, wait_s=30.0))))
    listener.start()
    time.sleep(0.1)
    assert answers == []
    client.ask(
        messages.FinishRun(run_id=run.id, attempt=1, fence=1, state="failed", problem=records.Problem("RUN-006", "no"))
    )
    waiter.join(timeout=20)
    listener.join(timeout=20)
    assert {type(answer) for answer in answers} == {records.Run, records.Event}


def test_a_command_that_waits_longer_than_a_client_is_patient_outlives_its_owner(start, client, monkeypatch):
    monkeypatch.setattr(client_module, "_PATIENCE_S", 0.2)
    first = start()
    run = begin(client)
    answers = []
    waiter = threading.Thread(target=lambda: answers.extend(client.ask(messages.WaitRuns(ids=[run.id], wait_s=60.0))))
    waiter.start()
    time.sleep(0.5)
    first.kill()
    start()
    finish(client, run)
    waiter.join(timeout=30)
    assert [answer.state for answer in answers] == ["succeeded"]


def test_owners_that_end_again_and_again_are_given_up(home, monkeypatch):
    monkeypatch.setattr(client_module, "_PATIENCE_S", 0.2)
    make_folders(home)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(home.socket))
    listening.listen()

    def hang_up():
        with contextlib.suppress(OSError):
            while True:
                listening.accept()[0].close()

    thread = threading.Thread(target=hang_up)
    thread.start()
    with pytest.raises(Unavailable) as caught:
        Client(home).ask(messages.GetStatus())
    assert caught.value.code == "HOME-001"
    assert "GetStatus" in caught.value.what
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join()


@pytest.mark.usefixtures("record")
def test_many_questions_travel_together_and_outlive_their_owner(client):
    runs = [client.ask(messages.BeginRun(kind="step", name=f"n{number}")).run for number in range(5)]
    questions = [messages.GetRun(run.id) for run in runs]
    assert [run.name for run in client.ask_all(questions)] == ["n0", "n1", "n2", "n3", "n4"]
    assert client.ask_all([]) == []
    with pytest.raises(NotFound, match="RUN-001"):
        client.ask_all([*questions, messages.GetRun("0" * 32)])
    os.kill(client.ask(messages.GetStatus()).pid, signal.SIGKILL)
    assert [run.id for run in client.ask_all(questions)] == [run.id for run in runs]


def test_a_forked_child_uses_connections_of_its_own(client):
    run = begin(client)

    def work(pipe):
        pipe.send([client.ask(messages.GetRun(id=run.id)).name for _ in range(20)])

    here, there = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=work, args=(there,))
    child.start()
    for _ in range(20):
        assert client.ask(messages.GetRun(id=run.id)).id == run.id
    assert here.recv() == ["fit"] * 20
    child.join()
    assert client.ask(messages.GetRun(id=run.id)).id == run.id


@pytest.mark.usefixtures("record")
def test_one_key_takes_effect_once(client):
    command = messages.BeginRun(kind="step", name="fit")
    first = client.ask(command, key="same")
    assert client.ask(command, key="same") == first
    assert client.ask(command).run.id != first.run.id
    assert len(client.ask(messages.ListRuns())) == 2


def test_the_log_names_no_values(client, home):
    secret = "a-secret-of-the-user"
    begin(client, params={"password": secret}, tags={"token": secret})
    with pytest.raises(NotFound):
        client.ask(messages.GetRun(id=secret))
    with contextlib.closing(sqlite3.connect(home.metadata)) as record:
        record.execute("CREATE TRIGGER refuse BEFORE INSERT ON runs BEGIN SELECT RAISE(ABORT, 'no runs'); END")
    with pytest.raises(Exception, match="HOME-015"):
        begin(client, params={"password": secret})
    text = (home.logs / "owner.log").read_text()
    assert "BeginRun failed" in text
    assert secret not in text


@pytest.mark.parametrize("name", ["x" * 120, "a?b#c d%20e\u00e9"])
def test_a_home_may_have_any_name(tmp_path, name):
    home = place_home(tmp_path / name)
    client = Client(home)
    status = client.ask(messages.GetStatus())
    assert status.record == str(tmp_path / name / "record.db")
    assert home.metadata.exists()
    assert home.metadata.stat().st_mode & 0o777 == 0o600
    assert len(os.fsencode(home.socket)) <= 100
    client.close()
    end_owner(home)
    if home.runtime != home.root:
        shutil.rmtree(home.runtime)


def test_a_network_home_is_served_from_this_node(tmp_path, start, monkeypatch):
    mounts = f"filer:/x {tmp_path}/net nfs4 rw 0 0\n/dev/vda1 / ext4 rw 0 0\n"
    placed = place_home(tmp_path / "net" / "home", mounts=mounts, local=tmp_path / "local")
    assert placed.state != placed.root
    import asyncio
    import importlib

    from mainspring.control import lifetime, owner

    for name in owner.USE_CASES:
        importlib.import_module(name)
    made = lifetime.Owner(placed)

    async def ask():
        ready = asyncio.Event()
        serving = asyncio.ensure_future(made.run(ready))
        await ready.wait()
        client = Client(placed, start=None)
        status = await asyncio.to_thread(client.ask, messages.GetStatus())
        client.close()
        made.end()
        await serving
        return status

    status = asyncio.run(ask())
    assert status.network_home
    assert status.home == str(placed.root)
    assert status.record == str(placed.metadata)
    assert placed.metadata.is_relative_to(tmp_path / "local")


def test_an_owner_that_still_holds_its_lock_is_waited_for(tmp_path):
    home = place_home(tmp_path / "home")
    make_folders(home)
    lock = home.lock.open("a")
    fcntl.flock(lock, fcntl.LOCK_EX)
    threading.Timer(0.7, lock.close).start()
    client = Client(home)
    assert client.ask(messages.GetStatus()).home == str(home.root)
    client.close()
    end_owner(home)


def test_an_owner_that_never_lets_go_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("mainspring.sdk.owners._RELEASE_S", 0.3)
    home = place_home(tmp_path / "home")
    make_folders(home)
    with home.lock.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Conflict, match="HOME-002"):
            Client(home).ask(messages.GetStatus())


def test_an_owner_sweeps_what_killed_writers_left(client, home):
    path = client.blobs.path(client.blobs.put(b"kept"))
    old, fresh = (path.with_name(f".{path.name}.{name}") for name in ("old", "fresh"))
    for draft in (old, fresh):
        draft.write_bytes(b"ke")
    os.utime(old, (time.time() - 3700,) * 2)
    client.ask(messages.GetStatus())
    wait_for(lambda: not old.exists(), "the old draft's end")
    assert fresh.exists()
    assert client.blobs.get(path.name) == b"kept"
