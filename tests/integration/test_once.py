"""`python -m mainspring.worker.once`: one attempt of a run, executed by a process of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.oncepool import place_engine

from mainspring.compute.attempts import write_attempt
from mainspring.compute.engine import Spec
from mainspring.domain.messages import CancelRuns, GetLogs
from mainspring.domain.records import Resources
from mainspring.domain.tracking import GetSeries
from mainspring.sdk.log import log
from mainspring.testing import programs
from mainspring.testing.engines import get, lives, problem_of, submit, until, wait, wait_for_file
from mainspring.tracking.codecs import load_value

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def pool(home, tmp_path, monkeypatch):
    """The home's runs are executed by `once`."""
    place_engine(tmp_path / "packages", monkeypatch, ROOT)
    return home


@pytest.fixture
def client(pool, request):
    """The owner starts when the engine can be found."""
    del pool
    return request.getfixturevalue("client")


def exit_of(client, run):
    for _ in until():
        if (path := client.home.root / f"{run.id}-{run.attempt}.exit").exists():
            return int(path.read_text().split()[0])
    return None


def learn(folder):
    for loss in (3.0, 2.0, 1.0):
        log(loss=loss)
    print("learned", os.environ["OMP_NUM_THREADS"])
    Path(folder, "word").write_text(os.environ.get("MAINSPRING_ATTEMPT", "no attempt to be seen"))
    return {"loss": loss}


def leave_daemon(path):
    """Make a daemon of the kind that no process group holds."""
    words = "import os,time; os.fork() and os._exit(0); os.setsid(); os.fork() and os._exit(0)"
    write = f"open({path!r},'w').write(str(os.getpid())); time.sleep(600)"
    subprocess.run([sys.executable, "-c", f"{words}; {write}"], check=True)
    wait_for_file(Path(path))


def test_an_attempt_is_executed_end_to_end(client, tmp_path):
    (run,) = wait(client, submit(client, learn, str(tmp_path), resources=Resources(cpus=2)))
    assert run.state == "succeeded", run.problem
    assert load_value(run.outputs, client.blobs, client.seal) == {"loss": 1.0}
    assert client.ask(GetLogs(run_id=run.id)).text == "learned 2\n"
    assert (tmp_path / "word").read_text() == "no attempt to be seen"
    series = client.ask(GetSeries(run_id=run.id, key="loss"))
    assert [point[-1] for point in series] == [3.0, 2.0, 1.0]
    assert run.host == os.uname().nodename
    assert run.cpu_s > 0
    assert exit_of(client, run) == 0
    (failed,) = wait(client, submit(client, programs.raise_deep, "leaves must be > 1"))
    assert problem_of(failed) == ("RUN-006", "raise_deep raised ValueError: leaves must be > 1")
    assert exit_of(client, failed) == 0, "the result is told: the run failed, not its worker"
    (lost,) = wait(client, submit(client, programs.exit_with, 3))
    assert problem_of(lost)[0] == "RUN-008"
    assert "exit code 3" in problem_of(lost)[1]


def test_what_takes_too_long_or_too_much_is_ended(client, tmp_path):
    late, large = wait(
        client,
        submit(client, programs.swallow_the_word, str(tmp_path / "ready"), timeout_s=0.3),
        submit(
            client,
            programs.hold_memory,
            400_000_000,
            str(tmp_path / "x"),
            resources=Resources(memory_bytes=300_000_000),
        ),
    )
    assert (late.state, late.attempt, late.outputs) == ("failed", 1, None)
    assert problem_of(late) == ("RUN-007", "swallow_the_word: it ran longer than its timeout of 0.3 s")
    assert exit_of(client, late) == 124
    assert (large.state, problem_of(large)[0]) == ("failed", "WORK-006")
    assert "its limit is 300 MB" in problem_of(large)[1]
    assert large.memory_bytes > 300_000_000


def test_the_word_to_end_reaches_the_code_and_all_that_it_has_started(client, tmp_path):
    ready, cleaned = tmp_path / "ready", tmp_path / "cleaned"
    run = submit(client, programs.clean_up_when_told, str(ready), str(cleaned))
    pids = [int(word) for word in wait_for_file(ready).split()]
    client.ask(CancelRuns(ids=[run.id]))
    (ended,) = wait(client, run)
    assert ended.state == "cancelled"
    for _ in until():
        if not any(map(lives, pids)):
            break
    assert cleaned.exists()
    assert exit_of(client, run) == 143


def test_a_daemon_ends_with_the_attempt_that_has_started_it(client, tmp_path):
    (run,) = wait(client, submit(client, leave_daemon, str(tmp_path / "daemon")))
    assert run.state == "succeeded", run.problem
    assert exit_of(client, run) == 0
    assert not lives(int((tmp_path / "daemon").read_text()))


def test_a_killed_attempt_is_executed_again(client, tmp_path):
    stop, ready = tmp_path / "stop", tmp_path / "ready"
    run = submit(client, programs.wait_for, str(stop), str(ready))
    os.kill(int(wait_for_file(ready)), signal.SIGKILL)
    for _ in until():
        if get(client, run).attempt == 2 and get(client, run).state == "running":
            break
    stop.touch()
    (ended,) = wait(client, run)
    assert (ended.state, ended.attempt) == ("succeeded", 2)
    assert client.ask(GetLogs(run_id=run.id)).text.startswith("--- attempt 2, ")


def begin(home, attempt, reach_s="30"):
    code = f"import sys; from mainspring.worker import once; once.REACH_S = {reach_s}; sys.exit(once.run([]))"
    environment = {**os.environ, "MAINSPRING_HOME": str(home.root), "MAINSPRING_ATTEMPT": attempt}
    return subprocess.run(
        [sys.executable, "-c", code], check=False, env=environment, capture_output=True, text=True, timeout=120
    )


def test_what_is_no_attempt_is_told_without_its_text(home):
    told = begin(home, "msw_secret")
    assert told.returncode == 64
    assert "WORK-007" in told.stderr
    assert "10 characters" in told.stderr
    assert "secret" not in told.stderr


def test_without_an_owner_it_ends_with_75_and_starts_none(home):
    told = begin(home, write_attempt(Spec("0" * 32, 1, 1, "no token")), "0.1")
    assert told.returncode == 75
    assert "HOME-001" in told.stderr
    assert not home.metadata.exists()


def test_an_attempt_that_is_over_is_not_executed(client, tmp_path):
    (run,) = wait(client, submit(client, programs.leave_mark, str(tmp_path), "mark"))
    told = begin(client.home, write_attempt(Spec(run.id, 1, run.fence, f"{run.id}-1-{'0' * 64}")))
    assert told.returncode == 75
    assert "nothing for this attempt" in told.stderr
    assert len(list(tmp_path.glob("mark*"))) == 1
