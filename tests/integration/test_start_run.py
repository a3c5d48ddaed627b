"""Runs of code that is no step: how they begin, nest, end, go on again, and what is found of them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

import mainspring as ms
from mainspring.cli.main import cli
from mainspring.domain.errors import Conflict, Invalid, NotFound
from mainspring.domain.messages import GetRun, ListRuns

pytestmark = pytest.mark.usefixtures("client")


@ms.step
def double(x):
    return 2 * x


def latest(client, **wanted):
    return client.ask(ListRuns(limit=1, **wanted))[0]


def test_a_block_is_a_run_and_what_it_calls_is_below_it(client):
    with ms.start_run("fit", params={"rate": 0.1, "kind": int, "odd": float("nan")}, tags={"team": "air"}) as run:
        ms.log(loss=1.0)
        assert double(2) == 4
        with ms.start_run("inner"):
            ms.log_params(depth=1)
        assert ms.Run.current().id == run.id
    assert (run.state, run.record.kind, run.name) == ("succeeded", "script", "fit")
    assert run.params == {"rate": 0.1, "kind": "<class 'int'>", "odd": "nan"}
    assert run.tags == {"team": "air"}
    assert run.metrics == {"loss": 1.0}
    below = client.ask(ListRuns(parent_id=run.id))
    assert [(each.kind, each.name) for each in below] == [("script", "inner"), ("step", "double")]
    assert below[0].params == {"depth": 1}


def test_a_decorated_function_is_a_run_at_each_call(client):
    @ms.start_run
    def train(rate, epochs=3):
        ms.log(loss=rate)
        return epochs

    @ms.start_run("other", tags={"a": "b"})
    def named(rate):
        return rate

    assert (train(0.5), train(0.25, epochs=1), named(1)) == (3, 1, 1)
    assert train.__name__ == "train"
    newest, second, first = client.ask(ListRuns(kind="script"))
    assert [each.name for each in (newest, second, first)] == ["other", "train", "train"]
    assert (newest.params, newest.tags) == ({"rate": 1}, {"a": "b"})
    assert (first.params, second.params) == ({"rate": 0.5, "epochs": 3}, {"rate": 0.25, "epochs": 1})
    with pytest.raises(Invalid, match="STEP-004"):
        ms.start_run()(lambda: None)


@pytest.mark.parametrize(
    ("fault", "state", "code"),
    [
        (ValueError("no"), "failed", "RUN-006"),
        (KeyboardInterrupt(), "cancelled", "RUN-010"),
        (SystemExit(0), "succeeded", None),
        (SystemExit(3), "failed", "RUN-006"),
    ],
)
def test_what_ends_it_is_recorded_and_goes_on(fault, state, code):
    run = ms.start_run("fit")
    with pytest.raises(type(fault)) as caught, run:
        raise fault
    assert caught.value is fault
    assert run.state == state
    assert (run.record.problem.code if run.record.problem else None) == code


def test_before_it_begins_and_while_it_goes_on():
    run = ms.start_run("fit")
    assert repr(run) == "<Run of fit, not begun>"
    with pytest.raises(Invalid, match="STEP-006: this run has not begun"):
        run.metrics  # noqa: B018 - asks
    with run, pytest.raises(Conflict, match="RUN-002"), run:
        pass
    assert run.state == "succeeded"
    with pytest.raises(Invalid, match="STEP-009"):
        ms.start_run("a\nb")
    with (
        pytest.raises(Invalid, match="LOG-002: the tag note has 5,001 characters"),
        ms.start_run(tags={"note": 5001 * "x"}),
    ):
        pass


def test_experiments_group_runs_and_what_is_below_them():
    with ms.start_run("a", experiment="churn"):
        double(3)
    with ms.start_run("b", experiment="delays"):
        pass
    assert {run.name for run in ms.runs("experiment = churn")} == {"a", "double"}
    assert [run.name for run in ms.runs("experiment = delays")] == ["b"]
    assert ms.runs("experiment = churn and kind = script")[0].experiment == "churn"


def test_tags_are_changed_long_after_the_end():
    with ms.start_run("fit", tags={"a": "1", "b": "2"}) as run:
        pass
    run.tag(a="new", b=None, c=3)
    assert ms.Run(run.id).tags == {"a": "new", "c": "3"}
    assert [each.id for each in ms.runs("tags.a = new")] == [run.id]
    with pytest.raises(Invalid, match="STEP-009"):
        run.tag(**{"": "x"})


def test_a_run_goes_on_where_it_ended():
    run = ms.start_run("fit", params={"a": 1})
    with pytest.raises(ValueError, match="oom"), run:  # noqa: PT012 - it is what was logged before that counts
        for loss in (3.0, 2.0):
            ms.log(loss=loss, note=f"loss {loss}")
        raise ValueError("oom")
    assert run.state == "failed"
    with ms.start_run(resume=run.id[-8:], params={"b": 2}, tags={"again": "yes"}) as again:
        assert again.id == run.id
        ms.log(loss=1.0, note="loss 1.0")
    found = ms.Run(run.id)
    assert (found.state, found.record.attempt, found.record.problem) == ("succeeded", 2, None)
    assert found.record.reason == "resumed, it had failed"
    assert [(step, value) for step, _, value in found.series("loss")] == [(0, 3.0), (1, 2.0), (2, 1.0)]
    assert found.artifacts["note"].steps == (0, 1, 2)
    assert found.params == {"a": 1, "b": 2}
    assert found.tags == {"again": "yes"}


def test_what_cannot_be_resumed(client):
    double(7)
    with pytest.raises(Conflict, match=r"RUN-002: run .* is that of a step"), ms.start_run(resume=latest(client).id):
        pass
    with pytest.raises(NotFound, match="RUN-001"), ms.start_run(resume="0" * 32):
        pass
    with pytest.raises(Invalid, match="STEP-009"):
        ms.start_run("name", resume="a3f19b")
    with ms.start_run("fit") as run:
        with pytest.raises(Conflict, match=r"RUN-002: run .* goes on right here"):
            ms.start_run(resume=run)
        with (
            pytest.raises(Conflict, match=rf"RUN-002: run .* goes on in process {os.getpid()}"),
            ms.start_run(resume=run.id[:20]),
        ):
            pass


SCRIPT = """\
import os, signal, sys
import mainspring as ms

with ms.start_run(resume=sys.argv[1]) if len(sys.argv) > 1 else ms.start_run() as run:
    print(run.id, flush=True)
    for step in range(50):
        ms.log(loss=step)
    ms.log(note="the last words")
    if len(sys.argv) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_script_is_ended_by_the_owner_and_goes_on_in_another_process(client, tmp_path):
    (tmp_path / "loop.py").write_text(SCRIPT)

    def launch(*arguments):
        return subprocess.run(
            [sys.executable, "loop.py", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    first = launch()
    assert first.returncode == -signal.SIGKILL, first.stderr
    run_id = first.stdout.strip()
    deadline = time.monotonic() + 30
    while not (run := client.ask(GetRun(id=run_id))).ended_at and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (run.name, run.state, run.problem.code) == ("loop", "failed", "RUN-008")
    assert [value for _, _, value in ms.Run(run_id).series("loss")] == list(range(50))
    assert ms.Run(run_id).artifacts["note"].load() == "the last words"
    assert launch(run_id).returncode == 0
    assert [value for _, _, value in ms.Run(run_id).series("loss")] == [*range(50), *range(50)]
    assert ms.Run(run_id).state == "succeeded"
    assert not list(client.home.journals.glob("*"))


def test_a_long_run_is_measured(client, monkeypatch):
    monkeypatch.setattr("mainspring.sdk.readings.LONG_S", 0.1)
    monkeypatch.setenv("MAINSPRING_SYSTEM_METRICS_S", "0.2")
    with ms.start_run("long") as run:
        ms.log(loss=1.0)
        deadline = time.monotonic() + 30
        while len(run.series("system/memory_bytes")) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
    assert len(run.series("system/memory_bytes")) >= 2
    assert all(value >= 0 for _, _, value in run.series("system/cpu_cores"))
    assert run.metrics == {"loss": 1.0}
    assert [each.id for each in ms.runs('metrics."system/memory_bytes" > 1000')] == [run.id]
    assert not list(client.home.journals.glob("*"))
    shown = CliRunner().invoke(cli, ["runs", "show", run.id]).stdout
    assert "cores on average" in shown


def test_the_example_of_a_loop_runs_and_goes_on(client, tmp_path):
    example = Path(__file__).parents[2] / "examples" / "loop" / "loop.py"

    def launch(*arguments):
        command = [sys.executable, str(example), *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    run_id, *_ = launch()
    again, *words = launch(run_id)
    assert again == run_id
    assert words[-3:] == ["after", "20", "epochs"]
    losses = [value for _, _, value in ms.Run(run_id).series("loss")]
    assert len(losses) == 20
    assert losses[-1] < losses[0] / 100
    assert client.ask(GetRun(id=run_id)).experiment == "lines"
