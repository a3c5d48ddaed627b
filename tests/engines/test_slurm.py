"""The engine slurm:// over real daemons: attempts are jobs, whatever the worker in them does."""

import os
import re
import signal
import stat
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import msgspec
import pytest
from tests.support.coded import handle_of, make_coded, wait_code, wait_ended, wait_for, write_worker

from mainspring.compute import forks
from mainspring.compute.adapters.slurmbatch import write_batch
from mainspring.compute.engine import Rejection, find_engine
from mainspring.domain.errors import MainspringError
from mainspring.testing.engines import lives, until, wait_for_file

pytestmark = pytest.mark.engines


@pytest.fixture
def open_engine(home, slurm):
    """Open the engine of a partition: ``open_engine("lab")``; all are closed after the test."""
    home.root.mkdir(exist_ok=True)
    opened = []

    def open_one(partition="lab", conf=slurm.conf):
        engine = find_engine(f"slurm://?partition={partition}&conf={conf}", home)
        opened.append(engine)
        if conf == slurm.conf:
            for _ in until():
                if engine.capacity():
                    break
        return engine

    yield open_one
    for each in opened:
        handles = each.adopt(0.0)
        each.cancel(handles, 0.0, signal.SIGKILL)
        if handles and each is opened[-1]:
            for _ in until():
                if all(status.state == "ended" for status in each.poll(handles)):
                    break
        each.close()


@pytest.fixture
def engine(open_engine):
    return open_engine()


@pytest.fixture
def make_spec(tmp_path):
    """Make an attempt that executes code: ``make_spec("print(1)", gpus=2)``."""
    return partial(make_coded, python=write_worker(tmp_path / "worker"))


def test_it_tells_its_nodes_and_what_it_can(engine):
    (node,) = engine.capacity()
    assert (node.cpus, node.gpus, node.memory_bytes) == (16, 8, 32000 << 20)
    assert engine.describe() == engine.describe()
    assert engine.describe().owns_queue


def test_attempts_run_once_as_tasks_of_one_job(engine, make_spec, slurm, tmp_path):
    """A thousand at once are one call of sbatch; here as many as two cores end soon."""
    marks = tmp_path / "marks"
    marks.mkdir()
    specs = [make_spec(f"open({str(marks)!r} + '/{at}.' + str(os.getpid()), 'x'); print({at})") for at in range(30)]
    assert engine.submit(specs) == [handle_of(spec) for spec in specs]
    assert engine.submit(specs) == [handle_of(spec) for spec in specs]
    ended = wait_ended(engine, *specs)
    assert {(status.cause, status.exit_code) for status in ended} == {("", 0)}
    assert sorted(int(path.name.split(".")[0]) for path in marks.iterdir()) == list(range(30))
    assert [engine.logs(handle_of(spec), 0, 100)[0] for spec in specs] == [f"{at}\n".encode() for at in range(30)]
    names = slurm.run("squeue", "-h", "-t", "all", "-O", "Name:100").stdout.split()
    assert names.count(f"mainspring-{specs[0].run_id}-1") == 30
    engine.release([handle_of(spec) for spec in specs])
    assert engine.adopt(0.0) == []
    assert not list((Path(os.environ["MAINSPRING_HOME"]) / "slurm").rglob("attempts"))


def test_devices_are_given_out_without_overlap_and_the_rest_waits_with_slurms_reason(engine, make_spec, tmp_path):
    stop = tmp_path / "stop"
    code = "import time; print(os.environ['CUDA_VISIBLE_DEVICES'], flush=True)\n" + wait_code(stop)
    specs = [make_spec(code, gpus=4) for _ in range(3)]
    engine.submit(specs)
    seen = [wait_for(engine, spec, lambda status: status.state == "running") for spec in specs[:2]]
    assert all(status.queued is False for status in seen)
    waiting = wait_for(engine, specs[2], lambda status: "Resources" in status.detail)
    assert (waiting.state, waiting.queued, waiting.detail) == ("starting", True, "waiting in Slurm: Resources")
    stop.touch()
    assert {status.exit_code for status in wait_ended(engine, *specs)} == {0}
    devices = [engine.logs(handle_of(spec), 0, 100)[0].decode().split() for spec in specs[:2]]
    assert sorted(",".join(word for words in devices for word in words).split(",")) == list("01234567")


def test_what_no_node_can_hold_is_refused_with_a_reason(engine, open_engine, make_spec):
    short = open_engine("short")
    asked = [
        (engine, make_spec("", cpus=17), "17 cpus; no node of the partition has more than 16"),
        (engine, make_spec("", gpus=9), "9 gpus; no node of the partition has more than 8"),
        (engine, make_spec("", gpus=0.5), "0.5 gpus; Slurm gives whole ones"),
        (engine, make_spec("", memory_bytes=1 << 40), "no node of the partition has more than"),
        (short, make_spec("", timeout_s=3600), "the partition ends any job after 600 s"),
    ]
    for where, spec, reason in asked:
        (answer,) = where.submit([spec])
        assert isinstance(answer, Rejection)
        assert reason in answer.reason


def test_exits_are_told(engine, make_spec):
    asked = {
        "raise SystemExit(3)": ("", 3, None, "its process ended with exit code 3"),
        "os.kill(os.getpid(), 9)": ("", None, 9, "its process ended with SIGKILL"),
        "raise SystemExit(75)": ("lost", 75, None, "it could not reach the owner"),
        "raise SystemExit(124)": ("timeout", 124, None, "its time was over"),
    }
    specs = [make_spec(code) for code in asked]
    engine.submit(specs)
    ended = wait_ended(engine, *specs)
    assert [(each.cause, each.exit_code, each.signal, each.detail) for each in ended] == list(asked.values())


def test_the_word_to_end_comes_first_and_reaches_what_was_started(engine, make_spec, tmp_path):
    ready, cleaned = tmp_path / "ready", tmp_path / "cleaned"
    code = f"""
import signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
def end(*_):
    open({str(cleaned)!r}, "w").close()
    sys.exit(143)
signal.signal(signal.SIGTERM, end)
open({str(ready)!r}, "w").write(f"{{os.getpid()}} {{child.pid}}")
time.sleep(600)
"""
    spec, waiting = make_spec(code, gpus=8), make_spec("open('/never', 'w')", gpus=8)
    engine.submit([spec, waiting])
    pids = [int(word) for word in wait_for_file(ready).split()]
    engine.cancel([handle_of(spec), handle_of(waiting)], 60.0, signal.SIGTERM)
    engine.cancel([handle_of(spec)], 60.0, signal.SIGTERM)
    assert [status.cause for status in wait_ended(engine, spec, waiting)] == ["cancelled", "cancelled"]
    assert cleaned.exists()
    for _ in until():
        if not any(map(lives, pids)):
            break
    assert engine.logs(handle_of(waiting), 0, 100) == (b"", 0)


def test_what_does_not_listen_is_killed_after_the_grace(engine, make_spec, tmp_path):
    ready = tmp_path / "ready"
    code = f"""
import signal, time
signal.signal(15, signal.SIG_IGN)
open({str(ready)!r}, 'w').write(str(os.getpid()))
time.sleep(600)
"""
    spec = make_spec(code)
    engine.submit([spec])
    pid = int(wait_for_file(ready))
    engine.cancel([handle_of(spec)], 0.2, signal.SIGTERM)
    assert wait_ended(engine, spec)[0].cause == "cancelled"
    for _ in until():
        if not lives(pid):
            break


def test_a_killed_owners_jobs_are_found(home, slurm, open_engine, make_spec, tmp_path):
    """What ran goes on, what ended meanwhile is told, and nothing is executed a second time."""
    stop, marks = tmp_path / "stop", tmp_path / "marks"
    marks.mkdir()
    mark = f"open({str(marks)!r} + f'/{{os.getpid()}}', 'x')\n"
    running = make_spec(mark + wait_code(stop))
    over = make_spec(mark + "raise SystemExit(7)")
    program = """
import sys, time, msgspec
from mainspring.compute.engine import Spec, find_engine
from mainspring.store.homes import place_home
from pathlib import Path
engine = find_engine(sys.argv[1], place_home(Path(sys.argv[2])))
engine.submit(msgspec.msgpack.decode(bytes.fromhex(sys.argv[3]), type=list[Spec]))
time.sleep(600)
"""
    url = f"slurm://?partition=lab&conf={slurm.conf}"
    content = msgspec.msgpack.encode([running, over]).hex()
    owner = subprocess.Popen([sys.executable, "-c", program, url, str(home.root), content])
    try:
        for _ in until():
            if len(list(marks.iterdir())) == 2:
                break
    finally:
        owner.kill()
        owner.wait()
    engine = open_engine()
    engine.submit([running])
    for _ in until():
        if set(engine.adopt(0.0)) == {handle_of(running), handle_of(over)}:
            break
    assert wait_ended(engine, over)[0].exit_code == 7
    assert wait_for(engine, running, lambda status: status.state == "running")
    stop.touch()
    assert wait_ended(engine, running)[0].exit_code == 0
    assert len(list(marks.iterdir())) == 2


def test_what_was_written_and_not_submitted_is_submitted_once(home, slurm, open_engine, make_spec, tmp_path):
    """An owner died before, or while, sbatch ran: its successor submits; two jobs of one attempt execute it once."""
    spec = make_spec(f"open({str(tmp_path)!r} + '/mark' + str(os.getpid()), 'x')")
    engine = open_engine()
    root = next((home.root / "slurm").iterdir()) if (home.root / "slurm").exists() else None
    engine.submit([make_spec("pass")])
    for _ in until():
        root = next(iter((home.root / "slurm").glob("*")), None)
        if root:
            break
    engine.close()
    batch = write_batch(home, root, [spec])
    command = ["sbatch", f"--job-name={batch.name}", "--array=0", "--output=/dev/null", "--begin=now+2"]
    subprocess.run(
        command, input=batch.script, text=True, check=True, env={**os.environ, "SLURM_CONF": str(slurm.conf)}
    )
    again = open_engine()
    subprocess.run(
        command, input=batch.script, text=True, check=True, env={**os.environ, "SLURM_CONF": str(slurm.conf)}
    )
    assert wait_ended(again, spec)[0].exit_code == 0
    for _ in until():
        if not slurm.run("squeue", "-h", f"--name={batch.name}").stdout:
            break
    assert len(list(tmp_path.glob("mark*"))) == 1


def test_slurms_own_ends_are_told(engine, make_spec, slurm):
    """An administrator's scancel is a cancel, not a loss."""
    spec = make_spec("import time; time.sleep(600)")
    engine.submit([spec])
    wait_for(engine, spec, lambda status: status.state == "running")
    slurm.run("scancel", f"--name=mainspring-{spec.run_id}-1")
    (status,) = wait_ended(engine, spec)
    assert status.cause == "cancelled"
    assert "cancelled" in status.detail


def test_nothing_secret_goes_to_slurm(engine, make_spec, slurm, monkeypatch, home):
    monkeypatch.setenv("UNRELATED_PASSWORD", "canary-password")
    spec = make_spec("print(os.environ.get('UNRELATED_PASSWORD'), flush=True); import time; time.sleep(600)")
    engine.submit([spec])
    for _ in until():
        if engine.logs(handle_of(spec), 0, 100)[0]:
            break
    known = b"".join(path.read_bytes() for path in (slurm.folder / "state").rglob("*") if path.is_file())
    assert f"mainspring-{spec.run_id}".encode() in known
    assert b"canary-password" not in known
    assert b"token-of-the-attempt" not in known
    folder = next((home.root / "slurm").glob("*/mainspring-*"))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    engine.cancel([handle_of(spec)], 0.0, signal.SIGKILL)
    wait_ended(engine, spec)
    assert engine.logs(handle_of(spec), 0, 100)[0].startswith(b"None")


def test_a_priority_becomes_nice(engine, make_spec, slurm):
    full = make_spec("import time; time.sleep(600)", gpus=8)
    engine.submit([full])
    wait_for(engine, full, lambda status: status.state == "running")
    specs = [make_spec("", gpus=8, priority=priority) for priority in (-7, 0, 20)]
    engine.submit(specs)
    for spec, nice in zip(specs, ("107", "100", "80"), strict=True):
        status = wait_for(engine, spec, lambda status: "Slurm" in status.detail and "way" not in status.detail)
        assert status.queued, status.detail
        said = slurm.run("scontrol", "show", "job", "-o").stdout
        (line,) = [line for line in said.splitlines() if f"JobName=mainspring-{spec.run_id}-1" in line]
        assert re.search(rf"Nice={nice}\b", line)


def test_a_server_that_is_down_is_told_and_nothing_is_lost(slurm, open_engine, make_spec, tmp_path):
    dead = tmp_path / "slurm.conf"
    dead.write_text(re.sub(r"SlurmctldPort=.*", "SlurmctldPort=1", slurm.conf.read_text()))
    (tmp_path / "gres.conf").write_text((slurm.folder / "gres.conf").read_text())
    engine = open_engine(conf=dead)
    spec = make_spec("")
    began = time.monotonic()
    assert engine.submit([spec]) == [handle_of(spec)]
    assert engine.capacity() == []
    assert time.monotonic() - began < 5.0
    status = wait_for(engine, spec, lambda status: "does not answer" in status.detail)
    assert (status.state, status.queued) == ("starting", True)
    dead.write_text(slurm.conf.read_text())
    assert wait_ended(engine, spec)[0].exit_code == 0


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("slurm://login1?partition=lab", "names a machine"),
        ("slurm://?queue=lab", "has 'queue'"),
        ("slurm://?partition=--uid=0", "cannot be a name"),
    ],
)
def test_urls_that_are_none_of_slurm_are_refused(home, slurm, url, what):
    with pytest.raises(MainspringError) as caught:
        find_engine(url, home)
    assert caught.value.code == "WORK-010"
    assert what in caught.value.what


def test_a_refusal_of_slurm_is_told(open_engine, make_spec):
    """A partition that Slurm does not know has no nodes; what is submitted all the same ends with Slurm's words."""
    engine = open_engine("lab&constraint=fast")
    spec = make_spec("")
    engine.submit([spec])
    (status,) = wait_ended(engine, spec)
    assert status.cause == "unstartable"
    assert "feature" in status.detail


def test_missing_programs_are_told(home, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(MainspringError) as caught:
        find_engine("slurm://", home)
    assert caught.value.code == "WORK-009"
    assert "sbatch" in caught.value.what


def test_logs_are_where_those_of_this_machine_are(engine, make_spec, home):
    spec = make_spec("print('first'); print('second')")
    engine.submit([spec])
    wait_ended(engine, spec)
    assert forks.log_path(home, spec.run_id, 1).read_text() == "first\nsecond\n"
    assert engine.logs(handle_of(spec), 6, 3) == (b"sec", 13)
    engine.release([handle_of(spec)])
    assert engine.logs(handle_of(spec), 0, 100)[1] == 13
