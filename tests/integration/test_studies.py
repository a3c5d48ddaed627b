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
    for parallel in (2, 2):
        study = search(budget=ms.Budget(trials=12), seed=5, parallel=parallel, pruner="median")
        outcomes.append([(trial.params, trial.state, trial.curve) for trial in study.trials])
        for run in client.ask(ListRuns(kind="study")):
            client.blobs.path(run.outputs.digest).unlink(missing_ok=True)  # the next one searches anew
    assert outcomes[0] == outcomes[1]


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


def test_hours_are_a_hard_stop_also_for_trials_under_way():
    began = time.monotonic()
    study = search(slow_and_steady, budget=ms.Budget(trials=1000, hours=4 / 3600), pruner="none")
    assert time.monotonic() - began < 60
    assert {trial.state for trial in study.trials} <= {"succeeded", "cancelled"}
    assert any(trial.state == "succeeded" for trial in study.trials)


@ms.step
def slow_and_steady(x: float = 0.0) -> float:
    time.sleep(0.3)
    ms.log(score=x)
    return x


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"searcher": "nosuch"}, "TUNE-002"),
        ({"space": {"nothing": [1]}}, "TUNE-006"),
        ({"space": {}}, "TUNE-001"),
        ({"fn": print}, "TUNE-006"),
        ({"mode": "maximize"}, "TUNE-007"),
        ({"pruner": "hyperband"}, "TUNE-007"),
        ({"parallel": -2}, "TUNE-007"),
    ],
)
def test_what_makes_no_search_is_named(options, code):
    fn, space = options.pop("fn", climb), options.pop("space", SPACE)
    with pytest.raises(Invalid, match=code):
        ms.tune(fn, space, args=(1,), metric="score", budget=ms.Budget(trials=2), **options)
    with pytest.raises(Invalid, match="TUNE-005"):
        ms.Budget(trials=0)


SCRIPT = """
import os, time
import mainspring as ms

@ms.step
def work(x: float = 0.0) -> float:
    with open(os.environ["LEDGER"], "a") as ledger:
        ledger.write(f"{x}\\n")
    time.sleep(0.2)
    ms.log(score=x)
    return x

study = ms.tune(work, {"x": ms.between(0.0, 1.0)}, metric="score", budget=ms.Budget(trials=12), pruner="none")
print(len(study.trials), study.value)
"""


def test_a_killed_search_goes_on_with_the_trials_that_it_has(client, tmp_path):
    script, ledger = tmp_path / "search.py", tmp_path / "ledger"
    script.write_text(SCRIPT)
    env = {**os.environ, "LEDGER": str(ledger)}
    first = subprocess.Popen([sys.executable, str(script)], env=env, stderr=subprocess.DEVNULL)
    while not ledger.exists() or len(ledger.read_text().splitlines()) < 5:
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.wait()
    done = subprocess.run(
        [sys.executable, str(script)], env=env, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.startswith("12 ")
    executed = ledger.read_text().splitlines()
    assert len(set(executed)) == 12
    assert len(executed) <= 12 + 2, "more was executed again than the round that was cut off"
    succeeded = [run for run in client.ask(ListRuns(kind="trial", limit=1000)) if run.state == "succeeded"]
    assert len(succeeded) == 12
