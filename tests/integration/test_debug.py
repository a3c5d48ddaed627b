"""A failed call again: under the debugger in a terminal, and queued for a worker."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import mainspring as ms
from mainspring.domain.errors import Conflict, NotFound
from mainspring.domain.messages import BeginRun, FinishRun, GetRun, ListRuns, WaitRuns
from mainspring.domain.records import Call
from mainspring.domain.retries import GetCall, RetryRuns

PROGRAM = """
import mainspring as ms
from rates import rate

@ms.step
def total(numbers: list[int], scale: int) -> float:
    found = sum(numbers) * rate()
    return found / (scale - 3)

@ms.pipeline
def train(scale: int) -> float:
    return {call}

train(3)
"""


@pytest.fixture
def project(tmp_path, home, client):
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "rates.py").write_text("def rate():\n    return 2\n")
    return folder


def run(folder, *words, stdin=""):
    return subprocess.run(
        [sys.executable, *words], cwd=folder, input=stdin, capture_output=True, text=True, timeout=90, check=False
    )


def debug(folder, *words, stdin):
    return run(folder, "-m", "mainspring", "debug", *words, stdin=stdin)


def fail(project, call):
    (project / "flow.py").write_text(PROGRAM.replace("{call}", call))
    assert run(project, "flow.py").returncode == 1


@pytest.mark.parametrize("call", ["total([1, 2], scale)", "total.submit([1, 2], scale).result()"])
def test_a_failed_step_stops_where_it_raised_with_its_arguments(project, client, call):
    fail(project, call)
    (failed,) = client.ask(ListRuns(kind="step", name="total", state="failed"))
    pipeline = client.ask(GetRun(failed.parent_id))
    for named in (failed.id, pipeline.id[-6:]):
        done = debug(project.parent, named, stdin="p numbers, scale, found\nq\n")
        assert "([1, 2], 3, 6)" in done.stdout, done.stderr
        assert "ZeroDivisionError" in done.stderr
        assert "sdk/debugging.py" not in done.stderr
        assert done.returncode == 1
        (again, *_) = client.ask(ListRuns(kind="step", name="total", state="failed"))
        assert again.tags["debugs"] == failed.id


def test_from_the_start_a_value_can_be_mended(project, client):
    fail(project, "total([1, 2], scale)")
    (failed,) = client.ask(ListRuns(kind="step", name="total", state="failed"))
    done = debug(project, failed.id, "--from-start", stdin="scale = 5\nc\n")
    assert done.returncode == 0, done.stderr
    assert "total returned 3.0" in done.stdout
    quit_ = debug(project, failed.id, "--from-start", stdin="q\n")
    assert quit_.returncode == 130
    (left, *_) = client.ask(ListRuns(kind="step", name="total"))
    assert (left.state, left.tags["debugs"]) == ("cancelled", failed.id)


def test_changed_code_and_lost_arguments_are_named(project, client):
    fail(project, "total([1, 2], scale)")
    (failed,) = client.ask(ListRuns(kind="step", name="total", state="failed"))
    (project / "rates.py").write_text("def rate():\n    return 3\n")
    done = debug(project, failed.id, stdin="")
    assert "STEP-007" in done.stderr
    assert done.returncode == 5

    @ms.step(cache=False)
    def read(lines):
        raise ValueError(next(lines))

    with (project / "rates.py").open() as lines, pytest.raises(ValueError, match="def rate"):
        read(lines)
    (kept,) = client.ask(ListRuns(name="read"))
    assert kept.state == "failed"
    with pytest.raises(NotFound) as caught:
        client.ask(GetCall(kept.id))
    assert caught.value.code == "RUN-020"


def test_a_step_is_tried_again_on_a_worker_and_its_result_is_kept(client, tmp_path):
    flag = tmp_path / "flag"

    @ms.step
    def look(number, name):
        return number + len(Path(name).read_text())

    with pytest.raises(FileNotFoundError):
        look(3, str(flag))
    (failed,) = client.ask(ListRuns(name="look"))
    flag.write_text("four")
    (again,) = client.ask(RetryRuns([failed.id[-6:]]))
    assert again.tags["retries"] == failed.id
    (ended,) = client.ask(WaitRuns([again.id], wait_s=60))
    assert ended.state == "succeeded", ended.problem
    assert look(3, str(flag)) == 7
    (hit, *_) = client.ask(ListRuns(name="look"))
    assert hit.cached_from == again.id


def test_what_must_not_be_tried_again_is_refused(client):
    live = client.ask(BeginRun(kind="step", name="live", pid=os.getpid(), host=os.uname().nodename)).run
    job = Call(job="gate", arguments={})
    with pytest.raises(Conflict) as caught:
        client.ask(RetryRuns([live.id]))
    assert caught.value.code == "RUN-021"
    client.ask(FinishRun(run_id=live.id, attempt=live.attempt, fence=live.fence, state="failed", call=job))
    with pytest.raises(NotFound) as missing:
        client.ask(RetryRuns([live.id]))
    assert missing.value.code == "RUN-020"
