"""What a search takes: several metrics, conditional spaces, starts, fresh seeds, budgets of time and money."""

import threading
import time

import pytest

import mainspring as ms
from mainspring.domain.messages import CancelRuns, ListRuns
from mainspring.errors import Failed, Invalid

pytestmark = pytest.mark.usefixtures("client")

X = {"x": ms.between(0.0, 1.0)}


@ms.step
def trade(x: float) -> float:
    ms.log(gain=x, loss=x * x)
    return x


@ms.step
def shape(kind: str, depth: int = 0, l2: float = 0.0) -> str:
    ms.log(score=depth - l2 + (kind == "tree"))
    return kind


@ms.step
def noisy(x: float, seed: int) -> int:
    lucky = x > 0.8 and seed == 0  # only on the seed of the search
    ms.log(score=(10.0 if lucky else 0.0) + x / 10)
    return seed


@ms.step
def fixed(x: float, seed: int = 7) -> int:
    ms.log(score=x)
    return seed


@ms.step(gpus=0.0)
def slow(x: float) -> float:
    ms.log(score=x, step=0)
    time.sleep(0.4)
    return x


@ms.step
def returns_text(x: float) -> str:
    return "good"


@ms.step
def logs_text(x: float) -> None:
    ms.log(score="good")


@ms.step
def logs_another(x: float) -> None:
    ms.log(accuracy=x)


@ms.step
def logs_nan(x: float) -> None:
    ms.log(score=float("nan"))


def search(fn, space=X, **options):
    given = {"metric": "score", "budget": ms.Budget(trials=8), "pruner": "none", "searcher": "random", "parallel": 2}
    return ms.tune(fn, space, **{**given, **options})


def test_several_metrics_make_a_front_and_no_single_best():
    study = search(trade, metric=["gain", "loss"], mode=["max", "min"], searcher="tpe")
    assert [trial.number for trial in study.front] == list(range(8))
    assert study.trials[0].values == (study.trials[0].params["x"], study.trials[0].params["x"] ** 2)
    for ask in (lambda: study.best, lambda: study.params, lambda: study.value):
        with pytest.raises(Invalid, match="TUNE-009"):
            ask()
    assert "8 on the front" in repr(study)
    one = search(trade, metric=["gain", "loss"])
    assert [trial.params["x"] for trial in one.front] == [max(trial.params["x"] for trial in one.trials)]
    with pytest.raises(Invalid, match="TUNE-007") as caught:
        search(trade, metric=["gain", "loss"], pruner="asha")
    assert caught.value.fix == 'pruner="none"'


def test_a_choice_brings_what_is_below_it_and_the_rest_keeps_its_default():
    space = {"kind": {"tree": {"depth": ms.between(1, 3)}, "line": {"l2": ms.between(0.1, 0.2)}}}
    study = search(shape, space, budget=ms.Budget(trials=12))
    assert {frozenset(trial.params) for trial in study.trials} == {
        frozenset({"kind", "depth"}),
        frozenset({"kind", "l2"}),
    }
    assert study.params == {"kind": "tree", "depth": 3}
    names = ["trial", "state", "score", "params.kind", "params.depth", "params.l2", "reports", "run"]
    assert all(sorted(row) == sorted(names) for row in study.rows())
    assert study.polars().shape == (12, 8)


def test_a_grid_ends_when_all_was_tried():
    space = {"kind": ["tree", "line"], "depth": ms.between(1, 2)}
    study = search(shape, space, searcher="grid", budget=ms.Budget(trials=50))
    assert len(study.trials) == 4
    assert study.params == {"kind": "tree", "depth": 2}


def test_known_points_come_first_and_those_of_a_study_are_its_best(client):
    first = search(trade, metric="gain")
    best = sorted((trial.params["x"] for trial in first.trials), reverse=True)[:3]
    second = search(trade, metric="gain", start=first, seed=9)
    assert [trial.params["x"] for trial in second.trials[:3]] == best
    third = search(trade, metric="gain", start=[{"x": 0.25}], budget=ms.Budget(trials=2))
    assert third.trials[0].params == {"x": 0.25}
    for start, space, what in (([{"x": 7.0}], X, "x=7.0"), (first, {"x": ms.between(2.0, 3.0)}, "no good point")):
        with pytest.raises(Invalid, match=f"TUNE-001.*{what}"):
            search(trade, space, metric="gain", start=start)
    assert len(client.ask(ListRuns(kind="study"))) == 3


def test_the_best_are_run_again_on_fresh_seeds_and_luck_is_found_out():
    options = {"budget": ms.Budget(trials=30), "space": X, "parallel": 4}
    believed = search(noisy, repeats=0, **options)
    assert believed.value > 10
    assert believed.remark == "the best were not run again: repeats=0"
    study = search(noisy, **options)
    assert len(study.trials) == 24
    assert study.remark == "the 3 best were run again on 2 fresh seeds"
    again = [trial for trial in study.trials if trial.repeats]
    assert [trial.number for trial in again] == sorted(trial.number for trial in again)
    assert len(again) == 3
    assert {each.seed for trial in again for each in trial.repeats} == {1, 2}
    assert all(trial.value > 10 for trial in again)
    assert 0 < study.value < 0.2
    assert study.value == max(trial.confirmed for trial in again)
    assert ms.Run(again[0].repeats[1].run_id).result() == 2
    assert "seed" not in study.params
    assert search(noisy, **options).trials == study.trials


def test_a_function_without_a_seed_of_its_own_is_not_run_again():
    assert search(trade, metric="gain").remark == "the best were not run again: trade has no argument seed"
    assert search(noisy, {**X, "seed": [1, 2]}).remark.endswith("noisy has no argument seed")
    few = search(fixed)
    assert few.remark.endswith("a fifth of 8 trials is too few")
    assert {ms.Run(trial.run_id).result() for trial in few.trials} == {0}


def test_more_budget_goes_on_with_the_trials_that_there_are(client):
    first = search(trade, metric="gain", budget=ms.Budget(trials=5), searcher="tpe")
    more = search(trade, metric="gain", budget=ms.Budget(trials=9), searcher="tpe")
    assert more.trials[:5] == first.trials
    assert len(client.ask(ListRuns(kind="trial", limit=100))) == 9


def test_cost_cuts_off_what_is_under_way(client, monkeypatch):
    monkeypatch.setenv("MAINSPRING_CPU_HOUR_COST", "3600")
    assert slow.submit(0.5).result() == 0.5  # workers can be had from now on
    study = search(slow, budget=ms.Budget(cost=3.0))
    runs = client.ask(ListRuns(kind="trial", limit=100))
    spent = sum((run.ended_at or 0) - (run.started_at or run.ended_at) for run in runs)
    assert spent < 3.0 + 20.0
    assert {trial.state for trial in study.trials} <= {"succeeded", "cancelled"}
    cancelled = [trial for trial in study.trials if trial.state == "cancelled"]
    assert all("budget" in ms.Run(trial.run_id).record.reason for trial in cancelled)


def test_a_budget_that_is_spent_already_starts_nothing(client):
    assert slow.submit(0.5).result() == 0.5
    study = search(slow, budget=ms.Budget(hours=3 / 3600))
    assert len(study.trials) > 1
    begun = len(client.ask(ListRuns(limit=1000)))
    with pytest.raises(Invalid, match="TUNE-008") as caught:
        search(slow, budget=ms.Budget(hours=1 / 3600))
    assert "nothing was started" in caught.value.what
    assert "hours" in caught.value.fix
    assert len(client.ask(ListRuns(limit=1000))) == begun
    assert len(search(slow, budget=ms.Budget(hours=3 / 3600)).trials) == len(study.trials)
    with pytest.raises(Invalid, match=r"TUNE-008.*no price"):
        search(slow, budget=ms.Budget(cost=3.0))


@pytest.mark.parametrize(
    ("fn", "what"),
    [
        (returns_text, "logged nothing and returned 'good'"),
        (logs_text, "it logged 'good', 4 B, which is no number"),
        (logs_another, "it logged accuracy and returned None"),
        (logs_nan, "its last value is nan"),
    ],
)
def test_an_objective_without_a_number_says_what_it_gave_instead(fn, what):
    with pytest.raises(Failed, match="TUNE-004") as caught:
        search(fn)
    assert "TUNE-003" in caught.value.what
    assert what in caught.value.what


def test_a_trial_that_somebody_cancels_is_one_trial_less(client):
    def cancel_one():
        while True:
            live = client.ask(ListRuns(kind="trial", state="running", limit=1))
            if live:
                client.ask(CancelRuns(ids=[live[0].id]))
                return
            time.sleep(0.02)

    thread = threading.Thread(target=cancel_one)
    thread.start()
    study = search(slow, budget=ms.Budget(trials=4))
    thread.join()
    states = [trial.state for trial in study.trials]
    assert sorted(states) == ["cancelled", "succeeded", "succeeded", "succeeded"]


@pytest.mark.parametrize(
    ("options", "code", "what"),
    [
        ({"metric": []}, "TUNE-007", "metric="),
        ({"metric": ["a", "a"]}, "TUNE-007", "metric="),
        ({"mode": ["max", "min"]}, "TUNE-007", "mode="),
        ({"repeats": -1}, "TUNE-007", "repeats=-1"),
        ({"seed": 1.5}, "TUNE-007", "seed=1.5"),
        ({"budget": 30}, "TUNE-005", "30 is no budget"),
        ({"args": (0.5,)}, "TUNE-006", "x by args and by the space"),
        ({"args": "abc"}, "TUNE-006", "no sequence"),
        ({"fn": shape, "space": {"depth": [1]}}, "TUNE-006", "its argument kind"),
        ({"fn": shape, "space": {"depth": {1: {"kind": ["tree"]}, 2: {}}}}, "TUNE-006", "not every point has kind"),
    ],
)
def test_what_cannot_be_searched_is_named_before_anything_starts(client, options, code, what):
    fn = options.pop("fn", trade)
    with pytest.raises(Invalid, match=f"{code}.*{what}"):
        search(fn, **options)
    assert client.ask(ListRuns(kind="study")) == []
