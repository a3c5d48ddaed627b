"""`mainspring tune` and `mainspring studies`, as a person and a script meet them."""

import os
import subprocess
import sys
import time

import pytest
from tests.support.shapes import check_shape

import mainspring as ms
from mainspring.cli.main import _run
from mainspring.cli.tune import read_spec
from mainspring.domain.messages import ListRuns
from mainspring.errors import Invalid
from mainspring.tuning.space import make_range

HILL = """
import time
from pathlib import Path
import mainspring as ms

@ms.step
def climb(x: float, kind: str = "a", depth: int = 1, seed: int = 0) -> float:
    for step in range(4):
        ms.log(score=x * (step + 1) - (kind == "b"), step=step)
    while Path("hold").exists():
        time.sleep(0.02)
    return x
"""


@pytest.fixture
def tune(client, tmp_path, monkeypatch, capsys):
    """Run a command in this process; return what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAINSPRING_PROGRESS", "0")
    (tmp_path / "hill.py").write_text(HILL)

    def call(*words, code=0):
        capsys.readouterr()
        found = _run(list(words))
        captured = capsys.readouterr()
        assert found == code, captured.err
        return captured.out + captured.err

    return call


ROWS = """
import mainspring as ms

@ms.step
def fit(rows: ms.Dataset, scale: float, kind: str) -> None:
    assert isinstance(scale, float) and isinstance(kind, str)
    ms.log(score=sum(rows.polars()["y"]) * scale + (kind == "1"))
"""


def test_what_is_searched_becomes_what_the_signature_says(tune, tmp_path):
    (tmp_path / "rows.py").write_text(ROWS)
    ms.write([{"y": 1}, {"y": 2}, {"y": 3}], "late")
    words = ("rows.py::fit", "rows=late", "scale=1,2", "kind=1,2", "--metric", "score", "--trials", "8")
    told = tune("tune", *words, "--searcher", "grid", "--parallel", "2", "--repeats", "0", "--pruner", "none")
    assert "best       score 13" in told
    trials = ms.runs("name = fit and kind = trial", limit=None)
    assert {(run.params["scale"], run.params["kind"]) for run in trials} == {(x, k) for x in (1, 2) for k in "12"}
    assert "CLI-010: scale='a' is no number" in tune("tune", *words[:2], "scale=a,2", *words[3:], code=2)
    unlimited = tune("tune", "rows.py::fit", "rows=late", "scale=1,2", "kind=1", "--metric", "score", code=2)
    assert "TUNE-005: nothing limits the search" in unlimited
    assert "fix: --trials 20" in unlimited
    assert tune("runs", "name = nobody") == "no run matches name = nobody\n"
    assert "fix: mainspring tune rows.py::fit" in tune("tune", "rows.py::fi", *words[1:], code=3)


SPACE = ("hill.py::climb", "x=0.0..1.0", "--metric", "score", "--trials", "12", "--parallel", "2")


def wait_until(happened):
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_search_from_the_command_line_is_shown_and_explained(tune):
    text = tune("tune", *SPACE, 'kind={"a": {"depth": "1..3"}, "b": {}}')
    assert "looks for  max score" in text
    assert "tpe, pruned by asha" in text
    found = check_shape("mainspring tune", tune("tune", *SPACE, 'kind={"a": {"depth": "1..3"}, "b": {}}', "--json"))
    assert found["study"]["cached_from"]
    shown = check_shape("mainspring studies show", tune("studies", "show", found["study"]["id"][-8:], "--json"))
    assert len(shown["trials"]) == 12
    best = [trial for trial in shown["trials"] if trial["state"] == "succeeded"]
    assert [trial["metrics"]["score"] for trial in best] == sorted((t["metrics"]["score"] for t in best), reverse=True)
    assert len(check_shape("mainspring studies", tune("studies", "--json"))["runs"]) == 2
    assert "12 trials" in tune("studies")
    study = found["study"]["cached_from"]
    why = tune("why", study)
    assert "12 trials: " in why
    pruned = next(trial for trial in shown["trials"] if trial["state"] == "pruned")
    reason = tune("why", pruned["id"])
    assert "given up at step" in reason
    assert "trials before it had at least" in reason
    assert tune("studies", "show", study, "--watch").count("looks for") == 1
    assert "TUNE-011" in tune("studies", "stop", study, code=5)
    assert "TUNE-011" in tune("studies", "show", pruned["id"], code=5)


def test_a_search_that_was_killed_is_resumed_without_its_process(tune, client, tmp_path):
    (tmp_path / "hold").touch()
    command = [sys.executable, "-m", "mainspring", "tune", *SPACE, "--pruner", "none"]
    environment = {**os.environ, "MAINSPRING_HOME": str(client.home.root)}
    script = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: len(client.ask(ListRuns(kind="trial", state="running"))) == 2)
    finally:
        script.kill()
        script.wait()
    (study,) = client.ask(ListRuns(kind="study"))
    wait_until(lambda: ms.Run(study.id).state == "failed")
    (tmp_path / "hold").unlink()
    again = check_shape("mainspring studies resume", tune("studies", "resume", study.id, "--json"))
    assert ms.Run(again["id"]).wait(60).state == "succeeded"
    newest = client.ask(ListRuns(kind="study", limit=1))[0]
    assert (newest.state, newest.parent_id) == ("succeeded", again["id"])


REGIONS = """
import os
import time
from pathlib import Path
import mainspring as ms

@ms.step
def measure(x: float, seed: int = 0) -> float:
    ms.log(score=x)
    while Path("hold").exists():
        time.sleep(0.02)
    return os.environ["REGION"]

@ms.pipeline(env=ms.Env(variables={"REGION": "eu"}))
def search():
    roomy = measure.options(retries=3)
    budget = ms.Budget(trials=6)
    return ms.tune(roomy, {"x": ms.between(0.0, 1.0)}, metric="score", budget=budget, parallel=2, repeats=0).params

if __name__ == "__main__":
    import regions
    regions.search()
"""


def test_a_search_that_goes_on_keeps_the_environment_of_its_pipeline_and_its_options(tune, client, tmp_path):
    (tmp_path / "regions.py").write_text(REGIONS)
    (tmp_path / "hold").touch()
    environment = {**os.environ, "MAINSPRING_HOME": str(client.home.root)}
    script = subprocess.Popen([sys.executable, "regions.py"], cwd=tmp_path, env=environment)
    try:
        wait_until(lambda: len(client.ask(ListRuns(kind="trial", state="running"))) == 2)
    finally:
        script.kill()
        script.wait()
    (study,) = client.ask(ListRuns(kind="study"))
    wait_until(lambda: ms.Run(study.id).state == "failed")
    (tmp_path / "hold").unlink()
    tune("studies", "resume", study.id)
    wait_until(lambda: client.ask(ListRuns(kind="study", limit=1))[0].state == "succeeded")
    newest = client.ask(ListRuns(kind="study", limit=1))[0]
    trials = client.ask(ListRuns(kind="trial", state="succeeded", parent_id=newest.id))
    assert len(trials) >= 4
    assert {ms.Run(run.id).result() for run in trials} == {"eu"}
    assert {run.retries for run in trials} == {3}
    assert newest.tags["study"] == study.tags["study"], "it is the same search"


def test_a_search_is_stopped_with_what_it_has_and_resumed(tune, client, tmp_path):
    hold = tmp_path / "hold"
    hold.touch()
    command = [sys.executable, "-m", "mainspring", "tune", *SPACE, "--pruner", "none", "--searcher", "random"]
    environment = {**os.environ, "MAINSPRING_HOME": str(client.home.root)}
    script = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: len(client.ask(ListRuns(kind="trial", state="running"))) == 2)
        hold.unlink()
        wait_until(lambda: any(run.state == "succeeded" for run in client.ask(ListRuns(kind="trial"))))
        hold.touch()
        (study,) = client.ask(ListRuns(kind="study"))
        assert "TUNE-011" in tune("studies", "resume", study.id, code=5)
        check_shape("mainspring studies stop", tune("studies", "stop", study.id, "--json"))
        out, _ = script.communicate(timeout=60)
    finally:
        script.kill()
        script.communicate()
        hold.unlink(missing_ok=True)
    assert script.returncode == 0
    assert "state      stopped" in out
    again = check_shape("mainspring studies resume", tune("studies", "resume", study.id, "--json"))
    assert ms.Run(again["id"]).wait(60).state == "succeeded"
    newest = client.ask(ListRuns(kind="study", limit=1))[0].id
    shown = check_shape("mainspring studies show", tune("studies", "show", newest, "--json"))
    assert [trial["state"] for trial in shown["trials"]].count("succeeded") == 12
    assert "resume" not in tune("tune", *SPACE, "--pruner", "none", "--searcher", "random")


@pytest.mark.parametrize(
    ("words", "code", "what"),
    [
        (("hill.py::nosuch", "x=0..1", "--metric", "score", "--trials", "3"), 3, "CLI-002"),
        (("hill.py::climb", "x", "--metric", "score", "--trials", "3"), 2, "'x' is not NAME=SPEC"),
        (("hill.py::climb", "x=a..b", "--metric", "score", "--trials", "3"), 2, "TUNE-001"),
        (("hill.py::climb", "x=0..1", "--metric", "score"), 2, "TUNE-005"),
        (("hill.py::climb", "y=0..1", "--metric", "score", "--trials", "3"), 2, "TUNE-006"),
    ],
)
def test_what_cannot_be_searched_is_named(tune, words, code, what):
    assert what in tune("tune", *words, code=code)


def test_entries_of_a_space_are_read_as_they_are_typed():
    assert read_spec("1..9") == make_range(1, 9)
    assert read_spec("0.01..0.3:log") == make_range(0.01, 0.3, log=True)
    assert read_spec("-1..1.0:0.5") == make_range(-1, 1.0, step=0.5)
    assert read_spec("a,2,true") == ["a", 2, True]
    assert read_spec('["a,b", "c"]') == ["a,b", "c"]
    assert read_spec('{"t": {"d": "2..9"}, "l": {}}') == {"t": {"d": make_range(2, 9)}, "l": {}}
    for wrong in ("9..1", "..", "1..2:x"):
        with pytest.raises(Invalid, match="TUNE-001"):
            read_spec(wrong)
