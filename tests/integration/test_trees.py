"""Pipelines below pipelines: what stands where, what is not run again, what a failure or a cancel does to all."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import mainspring as ms
from mainspring.domain.errors import Failed, Invalid, MainspringError
from mainspring.domain.messages import CancelRuns, Explain, GetRun, ListRuns, WaitRuns
from mainspring.domain.retries import RetryRuns
from mainspring.domain.states import TERMINAL


@ms.step
def read(n: int) -> list[int]:
    return list(range(n))


@ms.step
def clean(rows: list[int], flag: Path | None = None) -> list[int]:
    if flag is not None and not flag.exists():
        raise FileNotFoundError(flag.name)
    return [row for row in rows if row % 2]


@ms.step
def fit(rows: list[int]) -> int:
    return sum(rows)


@ms.pipeline
def prepare(n: int, flag: Path | None) -> list[int]:
    return clean(read(n), flag)


@ms.pipeline
def train(n: int, flag: Path | None = None) -> int:
    return fit(prepare(n, flag))


@ms.pipeline
def nightly(n: int, flag: Path | None = None) -> int:
    return train(n, flag) + fit.submit([n]).result()


def tree_of(client, root):
    """Return {name: run} of everything below a run, and the names with what is above them."""
    found, waiting = {}, [client.ask(GetRun(root))]
    while waiting:
        run = waiting.pop()
        found.setdefault(run.name, []).append(run)
        waiting += client.ask(ListRuns(parent_id=run.id, limit=500))
    return found


def newest(client, name):
    return client.ask(ListRuns(name=name, limit=1))[0]


def finished(client, run):
    (ended,) = client.ask(WaitRuns([run.id], wait_s=90))
    assert ended.state in TERMINAL
    return ended


def test_each_level_stands_below_the_one_that_called_it_and_nothing_runs_twice(client):
    assert nightly(6) == 9 + 6
    root = newest(client, "nightly")
    tree = tree_of(client, root.id)
    above = {
        name: {client.ask(GetRun(run.parent_id)).name for run in runs}
        for name, runs in tree.items()
        if name != "nightly"
    }
    assert above == {
        "train": {"nightly"},
        "prepare": {"train"},
        "read": {"prepare"},
        "clean": {"prepare"},
        "fit": {"train", "nightly"},
    }
    assert nightly(6) == 15
    again = tree_of(client, newest(client, "nightly").id)
    assert {run.name for runs in again.values() for run in runs if run.cached_from} == {"read", "clean", "fit"}
    assert {run.name for runs in again.values() for run in runs if not run.cached_from} == {
        "nightly",
        "train",
        "prepare",
    }


def test_a_failure_is_shown_at_each_level(client, tmp_path):
    flag = tmp_path / "flag"
    with pytest.raises(FileNotFoundError):
        nightly(6, flag)
    tree = tree_of(client, newest(client, "nightly").id)
    assert {name: runs[0].state for name, runs in tree.items()} == {
        "nightly": "failed", "train": "failed", "prepare": "failed", "clean": "failed", "read": "succeeded",
    }  # fmt: skip
    for name in ("nightly", "train", "prepare", "clean"):
        assert tree[name][0].problem.what == f"{name} raised FileNotFoundError: flag"
        assert "FileNotFoundError" in "\n".join(client.ask(Explain(thing=tree[name][0].id)).lines)


def test_a_failed_pipeline_goes_on_from_what_succeeded(client, tmp_path):
    flag = tmp_path / "flag"
    with pytest.raises(FileNotFoundError):
        nightly(6, flag)
    flag.write_text("")
    (again,) = client.ask(RetryRuns([newest(client, "nightly").id]))
    assert (again.kind, finished(client, again).state) == ("pipeline", "succeeded")
    tree = tree_of(client, again.id)
    assert [run.reason[:28] for run in tree["read"]] == ["cached: nothing changed sinc"]
    assert tree["clean"][0].cached_from is None
    assert ms.Run(again.id).result() == 15


def test_from_a_step_on_all_is_run_again(client, tmp_path):
    flag = tmp_path / "flag"
    (first,) = client.ask(RetryRuns([_fail_then(client, flag)]))
    finished(client, first)
    (again,) = client.ask(RetryRuns([first.id], anew="clean"))
    assert finished(client, again).state == "succeeded"
    tree = tree_of(client, again.id)
    assert [run.cached_from is not None for run in tree["read"]] == [True]
    for run in (*tree["clean"], *tree["fit"]):
        assert run.reason == "ran again: asked to run again from clean on"
    root = client.ask(GetRun(again.id))
    assert root.tags["anew.run"] == tree["clean"][0].id
    # What was made anew answers from now on, and another retry asks for nothing.
    (plain,) = client.ask(RetryRuns([again.id]))
    finished(client, plain)
    assert all(run.cached_from for name in ("read", "clean", "fit") for run in tree_of(client, plain.id)[name])


def _fail_then(client, flag):
    flag.unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError):
        nightly(6, flag)
    flag.write_text("")
    return newest(client, "nightly").id


def test_a_step_that_is_not_there_is_named_with_those_that_are(client, tmp_path):
    failed = _fail_then(client, tmp_path / "flag")
    with pytest.raises(Invalid) as caught:
        client.ask(RetryRuns([failed], anew="cleen"))
    assert (caught.value.code, caught.value.why) == ("RUN-023", "it has clean, prepare, read, train")


FLOW = """
import mainspring as ms

@ms.step
def read(n: int) -> int:
    return n

@ms.step
def fit(n: int) -> int:
    return n + 1

@ms.pipeline
def train(n: int = 1) -> int:
    return fit(read(n))

if __name__ == "__main__":
    train()
"""


def test_run_takes_the_step_to_begin_from(client, tmp_path):
    (tmp_path / "flow.py").write_text(FLOW)

    def run(*words):
        command = [sys.executable, "-m", "mainspring", "run", *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True).stderr

    run("flow.py")
    assert run("flow.py").count("HIT") == 2
    told = run("flow.py", "--from", "fit")
    assert told.count("HIT") == 1
    assert "asked to run again from fit on" in told
    assert run("flow.py::train", "n=1", "--from", "read").count("HIT") == 0
    told = run("flow.py::train", "--from", "fti")
    assert told.count("HIT") == 2
    assert "train called no step fti, so nothing was run again for it" in told


@ms.step(cache=False)
def down(n: int) -> int:
    return down(n + 1)


@ms.step(cache=False)
def down_elsewhere(n: int) -> int:
    return down_elsewhere.submit(n + 1).result()


@ms.pipeline
def around(n: int) -> int:
    return around(n + 1)


@ms.step
def factorial(n: int) -> int:
    return n * factorial(n - 1) if n else 1


@pytest.mark.parametrize("call", [down, around])
def test_a_recursion_without_an_end_is_one_clear_error(client, call):
    with pytest.raises(Invalid) as caught:
        call(0)
    assert caught.value.code == "RUN-022"
    assert f"would be number 33 of a line: {call.name} > {call.name}" in caught.value.what
    runs = client.ask(ListRuns(name=call.name, limit=500))
    assert len(runs) == 32
    assert {(run.state, run.problem.code) for run in runs} == {("failed", "RUN-022")}


def test_a_recursion_over_workers_ends_as_well(client):
    with pytest.raises(MainspringError) as caught:
        down_elsewhere.submit(0).result()
    assert caught.value.code == "RUN-022"
    assert len(client.ask(ListRuns(name="down_elsewhere", limit=500))) == 32


def test_a_recursion_that_ends_is_cached_at_each_level(client):
    assert factorial(12) == 479001600
    assert factorial(14) == 87178291200
    (hit,) = [run for run in client.ask(ListRuns(name="factorial", limit=500)) if run.cached_from]
    assert hit.params == {"n": 12}


@ms.step(cache=False)
def hold(n: int, folder: Path) -> None:
    (folder / f"began{n}").write_text(str(os.getpid()))
    time.sleep(600)


@ms.pipeline
def inner(folder: Path) -> None:
    for future in hold.map(range(40), folder=folder):
        future.result()


@ms.pipeline
def outer(folder: Path) -> None:
    try:
        inner(folder)
    finally:
        hold.submit(1000, folder)  # it would begin after the end of its pipeline


def test_a_cancel_ends_the_whole_tree_and_nothing_begins_after_it(client, tmp_path):
    root = ms.run(outer, tmp_path)
    until = time.monotonic() + 60
    while not (list(tmp_path.glob("began*")) and len(client.ask(ListRuns(name="hold", limit=100))) == 40):
        assert time.monotonic() < until
        time.sleep(0.05)
    client.ask(CancelRuns([root.id], reason="enough"))
    tree = tree_of(client, root.id)
    assert {name: len(runs) for name, runs in tree.items()} == {"outer": 1, "inner": 1, "hold": 40}
    assert {run.state for runs in tree.values() for run in runs} == {"cancelled"}
    assert tree["outer"][0].reason == "enough"
    assert {run.reason for run in tree["hold"]} == {f"its parent {tree['inner'][0].id[-6:]} cancelled"}
    pids = {int(each.read_text()) for each in tmp_path.glob("began*")} | {tree["outer"][0].pid}
    while any(_runs(pid) for pid in pids):
        assert time.monotonic() < until
        time.sleep(0.05)
    began = len(list(tmp_path.glob("began*")))
    with pytest.raises(Failed) as caught:
        ms.Run(root.id).result()
    assert caught.value.code == "RUN-010"
    # The next run is placed, so all that was queued before it would have been, too.
    assert fit.submit([1, 2]).result() == 3
    assert len(list(tmp_path.glob("began*"))) == began
    assert {name: len(runs) for name, runs in tree_of(client, root.id).items()} == {"outer": 1, "inner": 1, "hold": 40}


def _runs(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
