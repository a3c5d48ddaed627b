"""Workers of this machine: warm, preloaded, limited, lent, and gone with their fork server."""

import logging
import os
import random
import signal
import sys
import time
from pathlib import Path

import msgspec
import pytest

from mainspring.domain.messages import CancelRuns, Explain, GetLogs, GetSeries, GetStatus, RunSpec, Stop, SubmitRuns
from mainspring.domain.records import Call, Resources
from mainspring.sdk.context import active_run
from mainspring.testing import programs
from mainspring.testing.engines import get, lives, make_spec, problem_of, refuse, submit, until, wait, wait_for_file
from mainspring.tracking.codecs import load_value
from mainspring.tracking.journal import Point

CORES = len(os.sched_getaffinity(0))


def result(client, run):
    (ended,) = wait(client, run)
    assert ended.state == "succeeded", ended.problem
    return load_value(ended.outputs, client.blobs, client.seal)


def vary(client, function, *args, **changes):
    return msgspec.structs.replace(make_spec(client, function, *args).call, **changes)


def fork_server_of(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def own_pid():
    return os.getpid()


def draw():
    import numpy as np

    return [random.random(), float(np.random.random())]  # noqa: NPY002 - the global generator is what is tested


def is_loaded(name):
    return name in sys.modules


def load(name):
    __import__(name)


def read_variable(name):
    return os.environ.get(name)


def fit_trees(seed):
    import numpy as np
    import polars as pl
    from sklearn.ensemble import HistGradientBoostingClassifier

    generator = np.random.default_rng(seed)
    frame = pl.DataFrame({name: generator.normal(size=20_000) for name in "abcd"})
    late = frame.select((pl.col("a") + pl.col("b") > 0).alias("late")).to_series().to_numpy()
    means = frame.group_by(pl.col("c") > 0).agg(pl.all().mean())
    model = HistGradientBoostingClassifier(max_iter=20, random_state=seed).fit(frame.to_numpy(), late)
    return [float(model.score(frame.to_numpy(), late)), means.height]


def log_and_die(count):
    run = active_run()
    for step in range(count):
        run.journal.append(Point("loss", step, time.time(), 1.0 / (step + 1)))
    os.kill(os.getpid(), signal.SIGKILL)


def submit_below(client_home, count):
    """Queue children and wait for them, from within a run that holds a core."""
    from mainspring.domain.home import Home
    from mainspring.sdk.client import connect_home

    client = connect_home(Home(*map(Path, client_home)))
    parent = active_run().run.id
    specs = [make_spec(client, programs.add_one, at, parent_id=parent) for at in range(count)]
    ended = wait(client, *client.ask(SubmitRuns(runs=specs)))
    return [load_value(run.outputs, client.blobs, client.seal) for run in ended]


def test_a_warm_worker_takes_the_next_run(client):
    assert result(client, submit(client, own_pid)) == result(client, submit(client, own_pid))


def test_workers_of_other_code_are_not_shared(client):
    first = result(client, submit(client, own_pid))
    assert result(client, submit(client, own_pid, call=vary(client, own_pid, code_digest="other"))) != first


def test_what_one_worker_imported_the_next_finds_loaded(client):
    assert result(client, submit(client, is_loaded, "numpy")) is False
    result(client, submit(client, load, "numpy"))
    # The fork server imports it when it has time; a worker of other code is forked after that.
    for at, _ in enumerate(until()):
        call = vary(client, is_loaded, "numpy", code_digest=f"other {at}")
        if result(client, submit(client, is_loaded, "numpy", call=call)):
            break


def test_declared_modules_are_imported_before_the_first_worker(client):
    call = vary(client, is_loaded, "numpy", preload=("numpy", "no_such_module_anywhere"))
    assert result(client, submit(client, is_loaded, "numpy", call=call)) is True


def test_workers_draw_different_random_numbers(client):
    drawn = []
    for at in range(3):
        call = vary(client, draw, preload=("numpy",), code_digest=str(at))
        drawn += result(client, submit(client, draw, call=call))
    assert len(set(drawn)) == 6


def test_workers_see_the_variables_of_whoever_started_the_owner(client, monkeypatch):
    monkeypatch.setenv("GREETING", "first")
    client.ask(GetStatus())
    monkeypatch.setenv("GREETING", "second")
    assert result(client, submit(client, read_variable, "GREETING")) == "first"


@pytest.mark.parametrize("cpus", [1, CORES])
def test_numeric_libraries_use_the_cores_that_were_asked(client, cpus):
    run = submit(client, read_variable, "OMP_NUM_THREADS", resources=Resources(cpus=float(cpus)))
    assert result(client, run) == str(cpus)


def test_libraries_with_threads_of_their_own_work_in_forked_workers(client):
    modules = ("numpy", "polars", "sklearn.ensemble")
    calls = [vary(client, fit_trees, 1, preload=modules, code_digest=str(at)) for at in range(4)]
    specs = [RunSpec(kind="step", name="fit", call=call, timeout_s=60.0) for call in calls]
    ended = wait(client, *client.ask(SubmitRuns(runs=specs)))
    assert {run.state for run in ended} == {"succeeded"}
    scores = [load_value(run.outputs, client.blobs, client.seal) for run in ended]
    assert all(score == scores[0] for score in scores)
    assert scores[0][0] > 0.9


def test_a_run_over_its_memory_is_ended(client, tmp_path):
    stop = tmp_path / "stop"
    run = submit(client, programs.hold_memory, 200_000_000, str(stop), resources=Resources(memory_bytes=150_000_000))
    (ended,) = wait(client, run)
    code, what = problem_of(ended)
    assert (ended.state, code, ended.attempt) == ("failed", "WORK-006", 1)
    assert "its limit is 150 MB" in what


def test_an_interpreter_that_cannot_be_a_worker_is_told_at_once(client):
    missing = submit(client, own_pid, call=vary(client, own_pid, python="/nowhere/python"))
    (ended,) = wait(client, missing)
    assert (ended.state, ended.attempt) == ("failed", 1)
    assert problem_of(ended) == (
        "WORK-002",
        "own_pid: /nowhere/python cannot be started: No such file or directory",
    )
    useless = submit(client, own_pid, call=vary(client, own_pid, python="/bin/false"))
    assert problem_of(*wait(client, useless))[0] == "WORK-002"
    assert result(client, submit(client, own_pid)) > 0


def go_elsewhere():
    before = str(Path.cwd())
    os.chdir("/")
    return before


def test_a_warm_worker_starts_each_run_in_its_folder(client, tmp_path):
    call = vary(client, go_elsewhere, folder=str(tmp_path))
    places = [result(client, submit(client, go_elsewhere, call=call)) for _ in range(2)]
    assert places == [str(tmp_path)] * 2


def test_a_cancelled_run_gets_no_more_children(client, tmp_path):
    ready = tmp_path / "ready"
    parent = submit(client, programs.wait_for, str(tmp_path / "never"), str(ready))
    wait_for_file(ready)
    client.ask(CancelRuns(ids=[parent.id]))
    error = refuse(client, SubmitRuns(runs=[make_spec(client, own_pid, parent_id=parent.id)]))
    assert error.code == "RUN-002"
    assert "cancelled" in error.what


def test_a_folder_that_is_gone_is_told(client, tmp_path):
    run = submit(client, own_pid, call=vary(client, own_pid, folder=str(tmp_path / "gone")))
    (ended,) = wait(client, run)
    assert (ended.state, problem_of(ended)[0], ended.attempt) == ("failed", "WORK-005", 1)
    assert str(tmp_path / "gone") in problem_of(ended)[1]


def test_a_job_that_nobody_knows_is_told(client):
    (ended,) = wait(client, *client.ask(SubmitRuns(runs=[RunSpec(kind="step", name="g", call=Call(job="nonsense"))])))
    assert problem_of(ended) == ("WORK-003", "no job is called 'nonsense'")


def test_what_a_dead_attempt_logged_is_kept(client):
    (ended,) = wait(client, submit(client, log_and_die, 100))
    assert ended.state == "failed"
    points = client.ask(GetSeries(run_id=ended.id, key="loss"))
    assert [step for step, _, _ in points] == list(range(100))
    assert ended.metrics["loss"] == pytest.approx(0.01)


def test_a_run_that_waits_for_its_children_lends_them_its_cores(client):
    home = tuple(map(str, (client.home.root, client.home.state, client.home.runtime)))
    full = Resources(cpus=float(CORES))
    assert result(client, submit(client, submit_below, home, 3, resources=full)) == [1, 2, 3]


def test_a_queued_run_says_what_it_waits_for_and_its_place_in_line(client, tmp_path):
    stop, ready = tmp_path / "stop", tmp_path / "ready"
    full = Resources(cpus=float(CORES))
    first = submit(client, programs.wait_for, str(stop), str(ready), resources=full)
    wait_for_file(ready)
    second, third = (submit(client, own_pid, resources=full) for _ in range(2))
    for _ in until():
        if get(client, third).reason != "waiting for a place":
            break
    lines = client.ask(Explain(thing=third.id)).lines
    cores = f"{CORES} of {CORES} cpu{'s' if CORES > 1 else ''}"
    assert f"because waiting for {cores} on local, 2nd in line" in lines
    stop.touch()
    assert {run.state for run in wait(client, first, second, third)} == {"succeeded"}


def test_workers_end_with_their_fork_server_and_their_runs_start_again(client, tmp_path):
    stop, ready = tmp_path / "stop", tmp_path / "ready"
    run = submit(client, programs.wait_for, str(stop), str(ready))
    pid = int(wait_for_file(ready))
    os.kill(fork_server_of(pid), signal.SIGKILL)
    for _ in until():
        if not lives(pid):
            break
    for _ in until():
        if get(client, run).attempt == 2:
            break
    stop.touch()
    (ended,) = wait(client, run)
    assert (ended.state, ended.attempt) == ("succeeded", 2)


def test_a_fork_server_survives_the_deaths_of_its_workers(client):
    server = fork_server_of(result(client, submit(client, own_pid)))
    specs = [make_spec(client, programs.exit_with, 3) for _ in range(6)]
    ended = wait(client, *client.ask(SubmitRuns(runs=specs)))
    assert {problem_of(run)[0] for run in ended} == {"RUN-008"}
    assert fork_server_of(result(client, submit(client, own_pid))) == server


def speak_by_logging():
    logging.getLogger().info("hidden, as in a script")
    logging.basicConfig(format="mine: %(message)s", level=logging.INFO)
    logging.getLogger().info("shown")


def test_logging_is_the_users_to_set_up(client):
    (ended,) = wait(client, submit(client, speak_by_logging))
    assert client.ask(GetLogs(run_id=ended.id)).text == "mine: shown\n"


def crash():
    import ctypes

    ctypes.string_at(0)


def test_a_crash_below_python_leaves_a_traceback(client):
    (ended,) = wait(client, submit(client, crash))
    assert problem_of(ended) == ("RUN-008", "crash: its process ended with SIGSEGV")
    assert "in crash" in client.ask(GetLogs(run_id=ended.id)).text


def test_no_process_is_left_when_the_owner_was_stopped(client):
    pid = result(client, submit(client, own_pid))
    server = fork_server_of(pid)
    client.ask(Stop())
    for _ in until():
        if not lives(server) and not lives(pid):
            break
