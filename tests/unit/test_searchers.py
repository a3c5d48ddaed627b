"""Searchers choose points inside the space, and the same ones when asked again."""

import pytest

from mainspring.errors import Invalid
from mainspring.tuning.searchers import RandomSearcher, find_searcher
from mainspring.tuning.space import Choice, make_range, read_space
from mainspring.tuning.trials import Trial, find_best

SPACE = read_space(
    {
        "leaves": make_range(15, 255),
        "rate": make_range(0.01, 0.3, log=True),
        "depth": make_range(2, 10, step=2),
        "kind": ["a", "b"],
    }
)


def score(params):
    return -abs(params["leaves"] - 100) / 100 - abs(params["rate"] - 0.1) - (params["kind"] == "b")


def search(searcher, *, count, seed):
    trials = []
    while len(trials) < count:
        for params in searcher.ask(SPACE, trials, count=2, modes=("max",), seed=seed):
            trials.append(Trial(len(trials), f"{len(trials):032x}", params, "succeeded", score(params)))
    return trials


@pytest.mark.parametrize("name", ["random", "tpe"])
def test_points_are_inside_and_repeatable(name):
    searcher = find_searcher(name)
    trials = search(searcher, count=20, seed=3)
    assert [t.params for t in trials] == [t.params for t in search(searcher, count=20, seed=3)]
    assert [t.params for t in trials] != [t.params for t in search(searcher, count=20, seed=4)]
    for trial in trials:
        p = trial.params
        assert isinstance(p["leaves"], int)
        assert 15 <= p["leaves"] <= 255
        assert 0.01 <= p["rate"] <= 0.3
        assert p["depth"] in {2, 4, 6, 8, 10}
        assert p["kind"] in {"a", "b"}


def test_tpe_searches_better_than_chance():
    seeds = range(8)
    best = {
        name: sum(find_best(search(find_searcher(name), count=40, seed=s), "max").value for s in seeds)
        for name in ("random", "tpe")
    }
    print(f"seeds {list(seeds)} {best}")
    assert best["tpe"] > best["random"]


def test_importances_find_the_parameter_that_matters():
    optuna_adapter = pytest.importorskip("mainspring.tuning.adapters.optuna")
    trials = search(RandomSearcher(), count=60, seed=0)
    assert next(iter(optuna_adapter.rank_importances(SPACE, trials, mode="max", seed=0))) in {"kind", "leaves"}


def test_best_is_the_first_of_equals_and_never_nan_or_pruned():
    trials = [
        Trial(0, "a", {}, "succeeded", float("nan")),
        Trial(1, "b", {}, "pruned", 9.0),
        Trial(2, "c", {}, "succeeded", 1.0),
        Trial(3, "d", {}, "succeeded", 1.0),
    ]
    assert find_best(trials, "max").number == 2
    assert find_best(trials[:2], "max") is None


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        ((5, 5), "from 5 to 5"),
        ((0, 1, True), "logarithmic"),
        ((0, 1, False, 2), "a step of 2"),
        ((0, float("inf")), "inf"),
        ((1, 10, False, 0.5), "no step of 0.5"),
        ((1, 10, True, 2), "has no step"),
    ],
)
def test_a_bad_range_is_named(entry, what):
    low, high, *rest = entry
    log, step = [*rest, None, None][:2]
    with pytest.raises(Invalid, match=what) as caught:
        make_range(low, high, log=bool(log), step=step)
    assert caught.value.code == "TUNE-001"


def test_a_bad_space_or_searcher_is_named():
    for space in ({}, {"x": 3}, {"x": []}, {"x": "abc"}):
        with pytest.raises(Invalid, match="TUNE-001"):
            read_space(space)
    assert read_space({"x": ["abc"]}) == {"x": Choice(("abc",))}
    with pytest.raises(Invalid, match="TUNE-002") as caught:
        find_searcher("nosuch")
    assert "tpe" in caught.value.fix


@pytest.mark.parametrize("seed", [-1, 123_456, 2**40])
def test_any_whole_number_is_a_seed(seed):
    assert search(find_searcher("tpe"), count=4, seed=seed) == search(find_searcher("tpe"), count=4, seed=seed)


def test_a_step_does_not_lead_past_the_end():
    optuna_adapter = pytest.importorskip("mainspring.tuning.adapters.optuna")
    space = read_space({"rate": make_range(0.0, 0.3, step=0.1), "leaves": make_range(1, 9)})
    points = RandomSearcher().ask(space, [], count=30, modes=("max",), seed=0)
    assert max(point["rate"] for point in points) == 0.3
    trials = [Trial(number, "a", point, "succeeded", point["rate"]) for number, point in enumerate(points)]
    trials.append(Trial(len(points), "b", points[0], "succeeded", float("inf")))
    assert next(iter(optuna_adapter.rank_importances(space, trials, mode="max", seed=-1))) == "rate"
