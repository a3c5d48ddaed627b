"""Searches through the public face: pruned, repeatable, resumed, and clear about what went wrong."""

import os
import signal
import subprocess
import sys
import time

import pytest

import mainspring as ms
from mainspring.domain.messages import ListRuns
from mainspring.errors import Failed, Invalid
from mainspring.sdk.context import active_run

pytestmark = pytest.mark.usefixtures("client")

SPACE = {"x": ms.between(-1.0, 1.0), "k": ms.between(1, 4)}


@ms.step
def climb(start: int, x: float = 0.0, k: int = 1) -> float:
    for step in range(5):
        ms.log(score=start - (x - 0.3) ** 2 * (step + 1) - k / 1000, step=step)
    return x


@ms.step
def sometimes(x: float = 0.0) -> float:
    if x < 0:
        raise ValueError(f"x is {x:.2f}")
    ms.log(score=x)
    return x


@ms.step
def never(x: float = 0.0) -> float:
    raise ZeroDivisionError("always")


@ms.step
def not_a_number(x: float = 0.0) -> float:
    ms.log(score=float("nan"))
    return x


@ms.step
def silent(x: float = 0.0) -> float:
    return x


@ms.step(timeout="1s")
def hangs(x: float = 0.0) -> float:
    if x < 0:
        time.sleep(60)
    ms.log(score=x)
    return x


def search(step=climb, **options):
    given = {"metric": "score", "budget": ms.Budget(trials=16), "args": (3,) if step is climb else ()}
    space = SPACE if step is climb else {"x": SPACE["x"]}
    return ms.tune(step, space, **{**given, **options})


def test_a_search_is_recorded_prunes_and_answers_again(client):
    study = search(seed=1)
    assert len(study.trials) == 16
    states = {trial.state for trial in study.trials}
    assert states == {"succeeded", "pruned"}
    assert study.value == max(trial.value for trial in study.trials if trial.state == "succeeded")
    assert study.best.result() == study.params["x"]
    assert set(study.importances) == {"x", "k"}
    pruned = next(trial for trial in study.trials if trial.state == "pruned")
    assert "given up at step" in ms.Run(pruned.run_id).record.reason
    again = search(seed=1)
    assert [trial.params for trial in again.trials] == [trial.params for trial in study.trials]
    assert len(client.ask(ListRuns(kind="trial", limit=1000))) == 16


def test_the_same_seed_makes_the_same_search_whoever_was_faster(client):
    outcomes = []
    for top in (3, 3.0):  # two searches for the record, with trials of their own
        study = search(args=(top,), budget=ms.Budget(trials=12), seed=5, parallel=2, pruner="median")
        outcomes.append([(trial.params, trial.state, trial.curve) for trial in study.trials])
    assert outcomes[0] == outcomes[1]
    assert len(client.ask(ListRuns(kind="trial", limit=1000))) == 24


@pytest.mark.usefixtures("client")
def test_trials_that_raise_hang_or_log_nothing_finite_are_failed_trials_and_the_search_goes_on():
    study = search(sometimes, budget=ms.Budget(trials=10), pruner="none", searcher="random")
    assert {trial.state for trial in study.trials} == {"succeeded", "failed"}
    assert all((trial.state == "failed") == (trial.params["x"] < 0) for trial in study.trials)
    failed = next(trial for trial in study.trials if trial.state == "failed")
    assert ms.Run(failed.run_id).record.problem.code == "RUN-006"
    study = search(hangs, budget=ms.Budget(trials=4), pruner="none", searcher="random", seed=2)
    assert all((trial.state == "failed") == (trial.params["x"] < 0) for trial in study.trials)
    failed = [trial for trial in study.trials if trial.state == "failed"]
    assert failed
    assert ms.Run(failed[0].run_id).record.problem.code == "RUN-007"


@pytest.mark.parametrize(
    ("step", "what"),
    [(never, "ZeroDivisionError: always"), (not_a_number, "no finite score"), (silent, "no finite score")],
)
def test_a_search_without_a_success_says_why_and_stops_early(client, step, what):
    with pytest.raises(Failed, match="TUNE-004") as caught:
        search(step, budget=ms.Budget(trials=50))
    assert what in caught.value.what
    assert "mainspring logs" in caught.value.fix
    assert len(client.ask(ListRuns(kind="trial", limit=1000))) < 10
    assert client.ask(ListRuns(kind="study"))[0].state == "failed"


@pytest.mark.usefixtures("client")
def test_hours_are_a_hard_stop_also_for_trials_under_way():
    assert slow_and_steady.submit().result() == 0.0  # workers can be had from now on
    study = search(slow_and_steady, budget=ms.Budget(trials=1000, hours=4 / 3600), pruner="none")
    assert len(study.trials) < 1000
    assert {trial.state for trial in study.trials} <= {"succeeded", "cancelled"}
    assert any(trial.state == "succeeded" for trial in study.trials)


@ms.step
def slow_and_steady(x: float = 0.0) -> float:
    time.sleep(0.3)
    ms.log(score=x)
    return x


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"searcher": "nosuch"}, "TUNE-002"),
        ({"space": {"nothing": [1]}}, "TUNE-006"),
        ({"space": {}}, "TUNE-001"),
        ({"fn": print}, "TUNE-006"),
        ({"mode": "maximize"}, "TUNE-007"),
        ({"pruner": "halving"}, "TUNE-007"),
        ({"parallel": -2}, "TUNE-007"),
    ],
)
def test_what_makes_no_search_is_named(options, code):
    fn, space = options.pop("fn", climb), options.pop("space", SPACE)
    with pytest.raises(Invalid, match=code):
        ms.tune(fn, space, args=(1,), metric="score", budget=ms.Budget(trials=2), **options)
    with pytest.raises(Invalid, match="TUNE-005"):
        ms.Budget(trials=0)


@ms.step
def doomed(end: str, x: float = 0.0) -> float:
    run = active_run()
    ms.log(score=x, step=0)
    until = time.monotonic() + 0.5
    while run.order != "prune" and time.monotonic() < until:
        time.sleep(0.02)
    if run.order == "prune" and end == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if run.order == "prune":
        raise ValueError("in the middle")
    return x


@pytest.mark.parametrize("end", ["killed", "raised"])
def test_a_trial_that_was_given_up_stays_so_however_it_ends(client, end):
    study = search(doomed, args=(end,), budget=ms.Budget(trials=10), searcher="random")
    assert {trial.state for trial in study.trials} == {"succeeded", "pruned"}
    assert {run.attempt for run in client.ask(ListRuns(kind="trial", limit=1000))} == {1}


SCRIPT = """
import os, sys, time
from pathlib import Path
import mainspring as ms

@ms.step
def work(place: str, x: float = 0.0) -> float:
    ledger, hold = Path(place) / "ledger", Path(place) / "hold"
    with ledger.open("a") as file:
        file.write(f"{x}\\n")
    while hold.exists() and len(ledger.read_text().splitlines()) >= int(hold.read_text()):
        time.sleep(0.02)
    ms.log(score=x)
    return x

study = ms.tune(
    work,
    {"x": ms.between(0.0, 1.0)},
    args=(sys.argv[1],),
    metric="score",
    budget=ms.Budget(trials=12),
    searcher="random",
    pruner="none",
    parallel=2,
)
print(*(trial.state for trial in study.trials))
"""


class Searches:
    """Scripts that make the same search; their trials wait once so many have begun as the hold says."""

    def __init__(self, place, client):
        self.place = place
        self.client = client
        self.started = []
        (place / "search.py").write_text(SCRIPT)

    def hold(self, count):
        (self.place / "next").write_text(str(count))
        (self.place / "next").replace(self.place / "hold")

    def start(self):
        command = [sys.executable, str(self.place / "search.py"), str(self.place)]
        self.started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return self.started[-1]

    def kill(self, script):
        """Kill a script whose trials wait, and wait until they fell with it."""
        script.kill()
        script.communicate()
        wait_until(lambda: any(study.state == "failed" for study in self.list("study")))
        wait_until(lambda: "cancelled" in {run.state for run in self.list("trial")})

    def list(self, kind):
        return self.client.ask(ListRuns(kind=kind, limit=1000))

    def points(self):
        ledger = self.place / "ledger"
        return ledger.read_text().splitlines() if ledger.exists() else []


def wait_until(happened):
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def searches(client, tmp_path):
    made = Searches(tmp_path, client)
    yield made
    for each in made.started:
        each.kill()
        each.communicate()


def test_a_search_that_is_killed_again_and_again_goes_on_with_the_trials_that_it_has(searches):
    for count in (5, 11):
        searches.hold(count)
        script = searches.start()
        wait_until(lambda count=count: len(searches.points()) >= count)
        searches.kill(script)
    (searches.place / "hold").unlink()
    out, err = searches.start().communicate(timeout=60)
    assert out.split() == ["succeeded"] * 12, err
    assert len(set(searches.points())) == 12
    assert len(searches.points()) <= 12 + 2 * 2, "more was executed again than the rounds that were cut off"
    assert [run.state for run in searches.list("trial")].count("succeeded") == 12


def test_a_search_outlives_another_whose_trials_it_waits_for(searches):
    searches.hold(3)
    first = searches.start()
    wait_until(lambda: len(searches.points()) >= 3)
    second = searches.start()
    wait_until(lambda: len(searches.list("study")) == 2)
    time.sleep(0.5)  # until it waits
    searches.kill(first)
    (searches.place / "hold").unlink()
    out, err = second.communicate(timeout=60)
    assert out.split() == ["succeeded"] * 12, err
