"""The contract suite of engines: what every engine does for the runs that an owner gives it.

An engine's tests inherit `EngineContract` and give it two fixtures: ``client``, a `Client` of an
own home whose owner places runs on that engine and starts again when it was killed; and
``engine``, the engine itself.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mainspring.compute.engine import Engine, Handle, Rejection, Spec
from mainspring.domain.errors import MainspringError
from mainspring.domain.messages import (
    CancelRuns,
    Command,
    FinishRun,
    GetLogs,
    GetRun,
    GetStatus,
    RunSpec,
    SubmitRuns,
    WaitRuns,
)
from mainspring.domain.records import Resources, Run
from mainspring.domain.states import TERMINAL
from mainspring.pipelines.calls import make_call
from mainspring.sdk.client import Client
from mainspring.testing import programs
from mainspring.tracking.codecs import load_value

PATIENCE_S = 120.0
"""Nothing of the suite takes that long on a working engine."""


def make_spec(client: Client, function: Callable[..., Any], *args: Any, **facts: Any) -> RunSpec:
    """Return what queues a call of a function."""
    call = make_call(function, args, {}, client.blobs, client.seal)
    return RunSpec(**{"kind": "step", "name": function.__name__, "call": call, **facts})


def submit(client: Client, function: Callable[..., Any], *args: Any, **facts: Any) -> Run:
    """Queue one call."""
    (run,) = client.ask(SubmitRuns(runs=[make_spec(client, function, *args, **facts)]))
    assert isinstance(run, Run)
    return run


def wait(client: Client, *runs: Run) -> list[Run]:
    """Wait until runs have ended."""
    for _ in until():
        found: list[Run] = client.ask(WaitRuns(ids=[run.id for run in runs], wait_s=1.0))
        if all(run.state in TERMINAL for run in found):
            break
    return found


def get(client: Client, run: Run) -> Run:
    """Return a run as it is now."""
    found: Run = client.ask(GetRun(id=run.id))
    return found


def until() -> Iterator[None]:
    """Yield until the suite's patience is over."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        yield
        time.sleep(0.01)
    raise AssertionError(f"it did not happen within {PATIENCE_S:.0f} s")


def wait_for_file(path: Path) -> str:
    """Wait until a program has written a file; return its text."""
    for _ in until():
        if path.exists() and path.read_text():
            break
    return path.read_text()


def lives(pid: int) -> bool:
    """Tell whether a process of this machine runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


def refuse(client: Client, command: Command) -> MainspringError:
    """Return the error with which the owner refuses a command."""
    try:
        client.ask(command)
    except MainspringError as error:
        return error
    raise AssertionError(f"{type(command).__name__} was taken")


def problem_of(run: Run) -> tuple[str, str]:
    """Return code and text of why a run failed."""
    assert run.problem is not None
    return run.problem.code, run.problem.what


class EngineContract:
    """Inherit it, give the fixtures, and every test here runs against that engine.

    Attributes
    ----------
    many : int
        Runs that are queued at once; as many as the engine's pace allows within `PATIENCE_S`.
    """

    many = 40

    def test_it_describes_itself_and_its_nodes(self, engine: Engine) -> None:
        """What it is does not change; its nodes have names, cores and memory."""
        assert engine.describe() == engine.describe()
        nodes = engine.capacity()
        assert len({node.name for node in nodes}) == len(nodes) > 0
        assert all(node.cpus > 0 and node.memory_bytes > 0 for node in nodes)

    def test_it_refuses_what_it_can_never_hold(self, engine: Engine) -> None:
        """A rejection is an answer at submission, with a reason."""
        spec = Spec("0" * 32, 1, 1, "no token", Resources(cpus=4096))
        (answer,) = engine.submit([spec])
        assert isinstance(answer, Rejection)
        assert "4096 cpus" in answer.reason

    def test_one_attempt_given_twice_is_one(self, engine: Engine) -> None:
        """Engines are idempotent by run and attempt: the second answer names the first, and there is one end."""
        spec = Spec("e" * 32, 1, 1, "no token")
        handle = Handle(spec.run_id, spec.attempt)
        assert engine.submit([spec, spec]) == engine.submit([spec, spec]) == [handle, handle]
        assert engine.adopt(0.0).count(handle) == 1
        # Its worker finds no run for that token.
        engine.cancel([handle], 0.1, int(signal.SIGTERM))
        for _ in until():
            (status,) = engine.poll([handle])
            if status.state == "ended":
                break
        engine.release([handle])
        assert handle not in engine.adopt(0.0)

    def test_an_attempt_that_it_does_not_hold_is_lost(self, engine: Engine) -> None:
        """There is no state between: once it has looked around, an unknown attempt has ended."""
        engine.adopt(0.0)
        for _ in until():
            (status,) = engine.poll([Handle("f" * 32, 1)])
            if status.state == "ended":
                break
        assert status.cause == "lost"
        engine.cancel([Handle("f" * 32, 1)], 0.1, int(signal.SIGTERM))
        engine.release([Handle("f" * 32, 1)])
        assert engine.logs(Handle("f" * 32, 1), 0, 1000) == (b"", 0)

    def test_many_runs_end_once_with_their_own_results(self, client: Client, tmp_path: Path) -> None:
        """Runs queued at once: each is executed once and returns its own value."""
        specs = [make_spec(client, programs.leave_mark, str(tmp_path), f"run{at}") for at in range(self.many)]
        ended = wait(client, *client.ask(SubmitRuns(runs=specs)))
        assert {run.state for run in ended} == {"succeeded"}
        assert {run.attempt for run in ended} == {1}
        assert all(run.outputs is not None for run in ended)
        returned = [load_value(run.outputs, client.blobs, client.seal) for run in ended if run.outputs]
        assert [text.split(".")[0] for text in returned] == [f"run{at}" for at in range(self.many)]
        assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == sorted(returned)

    def test_a_run_tells_what_it_used(self, client: Client) -> None:
        """Processor seconds, memory, process and times are in the record."""
        (run,) = wait(client, submit(client, programs.work, 0.2))
        assert run.state == "succeeded"
        assert run.cpu_s is not None
        assert 0.2 <= run.cpu_s < 2.0
        assert run.memory_bytes is not None
        assert run.memory_bytes > 1_000_000
        assert run.pid > 0
        assert run.host
        assert run.started_at is not None
        assert run.ended_at is not None
        assert run.created_at <= run.started_at <= run.ended_at

    def test_what_the_code_raises_is_told_without_our_frames(self, client: Client) -> None:
        """An exception becomes RUN-006 with the user's own frames."""
        (run,) = wait(client, submit(client, programs.raise_deep, "leaves must be > 1"))
        assert run.state == "failed"
        assert problem_of(run) == ("RUN-006", "raise_deep raised ValueError: leaves must be > 1")
        assert run.problem is not None
        assert "execute.py" not in run.problem.traceback
        assert "ValueError: leaves must be > 1" in run.problem.traceback

    def test_a_result_that_cannot_be_stored_is_told(self, client: Client) -> None:
        """A value that nothing can write fails the run, not the worker."""
        (run,) = wait(client, submit(client, programs.return_the_unstorable))
        assert (run.state, run.attempt) == ("failed", 1)
        assert "lock" in problem_of(run)[1]

    def test_exits_are_told(self, client: Client) -> None:
        """`sys.exit` fails a run; a process that ends at once counts as lost, with its exit code."""
        called, ended = wait(client, submit(client, programs.call_exit, 3), submit(client, programs.exit_with, 3))
        assert problem_of(called) == ("RUN-006", "call_exit called sys.exit(3); return a value instead")
        assert called.attempt == 1
        code, what = problem_of(ended)
        assert code == "RUN-008"
        assert "exit code 3" in what

    def test_a_lost_worker_gives_its_run_back_three_times(self, client: Client) -> None:
        """A process that dies by a signal is replaced, until that has happened too often."""
        (run,) = wait(client, submit(client, programs.die, int(signal.SIGKILL)))
        assert (run.state, run.attempt) == ("failed", 4)
        code, what = problem_of(run)
        assert code == "RUN-008"
        assert "SIGKILL" in what

    def test_a_killed_worker_s_run_is_executed_again(self, client: Client, tmp_path: Path) -> None:
        """The second attempt brings the result; the late result of the first is refused."""
        stop, ready = tmp_path / "stop", tmp_path / "ready"
        run = submit(client, programs.wait_for, str(stop), str(ready))
        os.kill(int(wait_for_file(ready)), signal.SIGKILL)
        for _ in until():
            if get(client, run).attempt == 2 and get(client, run).state == "running":
                break
        late = FinishRun(run_id=run.id, attempt=1, fence=run.fence, state="succeeded")
        assert refuse(client, late).code == "RUN-005"
        assert get(client, run).state == "running"
        stop.touch()
        (ended,) = wait(client, run)
        assert (ended.state, ended.attempt) == ("succeeded", 2)

    def test_a_cancelled_run_may_clean_up(self, client: Client, tmp_path: Path) -> None:
        """The word to end reaches the code; all that it has started ends with it."""
        ready, cleaned = tmp_path / "ready", tmp_path / "cleaned"
        run = submit(client, programs.clean_up_when_told, str(ready), str(cleaned))
        pids = [int(word) for word in wait_for_file(ready).split()]
        client.ask(CancelRuns(ids=[run.id]))
        (ended,) = wait(client, run)
        assert ended.state == "cancelled"
        assert problem_of(ended)[0] == "RUN-010"
        for _ in until():
            if not any(map(lives, pids)):
                break
        assert cleaned.exists()

    def test_a_cancelled_run_that_does_not_listen_is_killed(self, client: Client, tmp_path: Path) -> None:
        """After the grace nothing is left of it."""
        ready = tmp_path / "ready"
        run = submit(client, programs.ignore_the_word, str(ready))
        pid = int(wait_for_file(ready))
        client.ask(CancelRuns(ids=[run.id]))
        for _ in until():
            if not lives(pid):
                break
        assert get(client, run).state == "cancelled"

    def test_a_queued_run_is_cancelled_before_it_starts(self, client: Client, tmp_path: Path) -> None:
        """A run that waits for one that runs never starts once it is cancelled."""
        stop, ready = tmp_path / "stop", tmp_path / "ready"
        first = submit(client, programs.wait_for, str(stop), str(ready), resources=self.fill(client))
        wait_for_file(ready)
        second = submit(client, programs.leave_mark, str(tmp_path), "second", resources=self.fill(client))
        waiting = get(client, second)
        assert waiting.state == "queued"
        assert waiting.reason.startswith("waiting for ")
        client.ask(CancelRuns(ids=[second.id]))
        stop.touch()
        assert [run.state for run in wait(client, first, second)] == ["succeeded", "cancelled"]
        assert not list(tmp_path.glob("second*"))

    def test_a_run_that_takes_too_long_is_ended(self, client: Client, tmp_path: Path) -> None:
        """Its time over, a run fails with RUN-007, also when it swallows the word to end."""
        run = submit(client, programs.swallow_the_word, str(tmp_path / "ready"), timeout_s=0.3)
        (ended,) = wait(client, run)
        assert (ended.state, ended.attempt, ended.outputs) == ("failed", 1, None)
        code, what = problem_of(ended)
        assert code == "RUN-007"
        assert "0.3 s" in what

    def test_a_failed_run_is_retried(self, client: Client, tmp_path: Path) -> None:
        """With retries an attempt follows a failure; the log holds both."""
        (run,) = wait(client, submit(client, programs.fail_until, str(tmp_path / "there"), retries=1))
        assert (run.state, run.attempt) == ("succeeded", 2)
        text = client.ask(GetLogs(run_id=run.id)).text
        assert text.count("looking for there") == 2
        assert "ValueError: not there yet" in text

    def test_retries_end(self, client: Client) -> None:
        """A run that fails each time fails for good after its retries."""
        (run,) = wait(client, submit(client, programs.raise_deep, "again", retries=2))
        assert (run.state, run.attempt) == ("failed", 3)

    def test_one_key_is_executed_once(self, client: Client, tmp_path: Path) -> None:
        """A second submission under the same text answers with the first run."""
        first = submit(client, programs.leave_mark, str(tmp_path), "once", dedupe="the same")
        second = submit(client, programs.leave_mark, str(tmp_path), "once", dedupe="the same")
        assert first.id == second.id
        wait(client, first)
        assert len(list(tmp_path.glob("once*"))) == 1

    def test_what_no_node_can_hold_is_refused_at_submission(self, client: Client) -> None:
        """The refusal names what was asked and the largest node; nothing of the batch is queued."""
        good = make_spec(client, programs.add_one, 1, dedupe="good")
        oversize = make_spec(client, programs.add_one, 1, resources=Resources(cpus=4096))
        error = refuse(client, SubmitRuns(runs=[good, oversize]))
        assert error.code == "RUN-009"
        assert "4096 cpus" in error.what
        assert "largest node" in error.what
        assert client.ask(GetStatus()).runs == {}

    def test_logs_are_read_by_offset_while_a_run_prints(self, client: Client, tmp_path: Path) -> None:
        """All that processes print comes in order, piece by piece, without a gap or a repetition."""
        lines, stop = [f"línea {at} ✓" for at in range(200)], tmp_path / "stop"
        run = submit(client, programs.speak, lines, str(stop))
        text, offset = "", 0
        for _ in until():
            part = client.ask(GetLogs(run_id=run.id, offset=offset, wait_s=0.5))
            text, offset = text + part.text, part.offset
            if "from a child" in text:
                stop.touch()
            if part.ended:
                break
        said = text.splitlines()
        assert said == [*lines, "to standard error", "below Python", "from a child", "the end"]
        assert offset == len(text.encode())

    def test_runs_outlive_the_owner(self, client: Client, tmp_path: Path) -> None:
        """Killed in the middle, the owner's successor finds what runs; no attempt is lost."""
        stop, ready = tmp_path / "stop", tmp_path / "ready"
        run = submit(client, programs.wait_for, str(stop), str(ready))
        later = [submit(client, programs.add_one, at, resources=self.fill(client)) for at in range(3)]
        pid = int(wait_for_file(ready))
        owner = client.ask(GetStatus()).pid
        os.kill(owner, signal.SIGKILL)
        assert client.ask(GetStatus()).pid != owner
        assert lives(pid)
        stop.touch()
        ended = wait(client, run, *later)
        assert {each.state for each in ended} == {"succeeded"}
        assert {each.attempt for each in ended} == {1}
        assert ended[0].pid == pid

    def test_a_result_of_a_time_without_owner_is_kept(self, client: Client, tmp_path: Path) -> None:
        """A run that ends while no owner lives is recorded once one does."""
        stop, ready = tmp_path / "stop", tmp_path / "ready"
        run = submit(client, programs.wait_for, str(stop), str(ready))
        wait_for_file(ready)
        os.kill(client.ask(GetStatus()).pid, signal.SIGKILL)
        stop.touch()
        (ended,) = wait(client, run)
        assert (ended.state, ended.attempt) == ("succeeded", 1)

    def fill(self, client: Client) -> Resources:
        """Return resources of which a node can hold only one; for nodes with many cores override it."""
        del client
        return Resources(cpus=float(os.cpu_count() or 1))
