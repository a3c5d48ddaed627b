"""Spaces with choices that bring more to choose, grids, fronts, and CMA-ES: pure, through the searchers' port."""

import random

import pytest

from mainspring.errors import Invalid
from mainspring.tuning.searchers import count_points, find_point, find_searcher
from mainspring.tuning.space import Choice, check_point, draw, list_names, make_range, read_space
from mainspring.tuning.trials import Repeat, Trial, find_best, find_front

TREE = {"depth": make_range(2, 5), "split": {"best": {}, "random": {"tries": make_range(1, 3)}}}
SPACE = read_space({"kind": {"tree": TREE, "linear": {"l2": make_range(0.1, 10.0, log=True)}}, "seed_rows": [10, 20]})
GRID = read_space({"kind": {"tree": TREE, "none": {}}, "rate": make_range(0.0, 0.3, step=0.1)})


def fits(point):
    names = {"kind", "seed_rows"}
    if point["kind"] == "linear":
        return point.keys() == names | {"l2"}
    return point.keys() == names | {"depth", "split"} | ({"tries"} if point["split"] == "random" else set())


def search(name, space, *, count, seed=1, modes=("max",), score=None):
    searcher, trials = find_searcher(name), []
    chance = random.Random(seed)
    while len(trials) < count:
        points = searcher.ask(space, trials, count=3, modes=modes, seed=seed)
        if not points:
            break
        for point in points:
            values = score(point) if score else (chance.random(),)
            state = "pruned" if len(trials) % 7 == 3 else "failed" if len(trials) % 11 == 5 else "succeeded"
            trials.append(Trial(len(trials), "r", point, state, values[0], values=values if len(values) > 1 else ()))
    return trials


@pytest.mark.parametrize("name", ["random", "tpe", "cmaes"])
def test_what_is_below_a_choice_is_chosen_along_with_it_only(name):
    if name == "cmaes":
        pytest.importorskip("cmaes")
    space = SPACE | {"x": make_range(0.0, 1.0)} if name == "cmaes" else SPACE
    trials = search(name, space, count=40)
    assert all(fits({key: value for key, value in trial.params.items() if key != "x"}) for trial in trials)
    assert {trial.params["kind"] for trial in trials} == {"tree", "linear"}
    assert [trial.params for trial in trials] == [trial.params for trial in search(name, space, count=40)]


def test_the_names_of_a_space_are_those_of_its_points():
    assert list_names(SPACE) == ["kind", "depth", "split", "tries", "l2", "seed_rows"]
    assert read_space({"a": ["x"]}) == {"a": Choice(("x",))}


@pytest.mark.parametrize(
    ("space", "what"),
    [
        ({"kind": {"a": {"kind": [1]}}}, "kind would be chosen twice"),
        ({"x": [1], "kind": {"a": {"x": [2]}}}, "x would be chosen twice"),
        ({"one": {"a": {"x": [1]}}, "two": {"b": {"x": [2]}}}, "x would be chosen twice"),
        ({"kind": {"a": 3}}, "below 'a' stands 3"),
        ({1: [2]}, "1 is no name"),
        ([1], "no space"),
    ],
)
def test_a_space_that_cannot_be_read_is_named(space, what):
    with pytest.raises(Invalid, match=what) as caught:
        read_space(space)
    assert caught.value.code == "TUNE-001"


def test_two_branches_may_share_a_name():
    space = read_space({"kind": {"a": {"rate": make_range(0.0, 1.0)}, "b": {"rate": make_range(5.0, 9.0)}}})
    trials = search("tpe", space, count=40)
    assert all((trial.params["rate"] <= 1) == (trial.params["kind"] == "a") for trial in trials)


def test_distributions_of_optuna_are_taken():
    distributions = pytest.importorskip("optuna").distributions
    space = read_space(
        {
            "a": distributions.FloatDistribution(0.1, 1.0, log=True),
            "b": distributions.IntDistribution(1, 9, step=2),
            "c": distributions.CategoricalDistribution(["x", "y"]),
        }
    )
    assert space == {"a": make_range(0.1, 1.0, log=True), "b": make_range(1, 9, step=2), "c": Choice(("x", "y"))}


def test_a_grid_goes_through_every_point_once_and_then_ends():
    total = count_points(GRID)
    assert total == (4 * (1 + 3) + 1) * 4
    points = [find_point(GRID, number) for number in range(total)]
    assert len({repr(point) for point in points}) == total
    trials = search("grid", GRID, count=1000)
    assert sorted(repr(trial.params) for trial in trials) == sorted(map(repr, points))
    assert {trial.params["kind"] for trial in trials[:20]} == {"tree", "none"}
    with pytest.raises(Invalid, match="l2 has no end of values") as caught:
        find_searcher("grid").ask(SPACE, [], count=1, modes=("max",), seed=0)
    assert "step=" in caught.value.fix


def test_cmaes_comes_close_and_knows_its_limits():
    pytest.importorskip("cmaes")
    space = read_space({"x": make_range(-5.0, 5.0), "y": make_range(0.001, 10.0, log=True), "n": make_range(1, 40)})
    trials = search(
        "cmaes", space, count=200, score=lambda p: (-((p["x"] - 2) ** 2) - (p["n"] - 30) ** 2 / 100 - p["y"],)
    )
    assert trials[0].params != trials[1].params
    assert find_best(trials, "max").value > -0.1
    assert all(check_point(space, trial.params) for trial in trials)
    for wrong, modes in ((read_space({"a": [1, 2]}), ("max",)), (space, ("max", "min"))):
        with pytest.raises(Invalid, match="TUNE-007"):
            find_searcher("cmaes").ask(wrong, [], count=1, modes=modes, seed=0)


def test_tpe_finds_the_front_of_two_metrics():
    space = read_space({"x": make_range(-2.0, 2.0)})
    trials = search("tpe", space, count=60, modes=("min", "min"), score=lambda p: (p["x"] ** 2, (p["x"] - 1) ** 2))
    front = find_front(trials, ("min", "min"))
    assert all(-0.2 <= trial.params["x"] <= 1.2 for trial in front)
    inside = [trial for trial in trials[20:] if 0 <= trial.params["x"] <= 1]
    assert len(inside) > len(trials[20:]) / 3


def test_the_front_holds_who_is_beaten_by_nobody():
    values = [(1, 5), (2, 4), (2, 5), (1, 5), (3, 1), (9, 9)]
    trials = [Trial(at, "r", {}, "succeeded", each[0], values=each) for at, each in enumerate(values)]
    trials[-1] = Trial(5, "r", {}, "failed", 9.0)
    assert [trial.number for trial in find_front(trials, ("max", "max"))] == [2, 4]
    assert [trial.number for trial in find_front(trials, ("max", "min"))] == [4]
    assert [trial.number for trial in find_front(trials, ("min", "max"))] == [0]


def test_fresh_seeds_decide_among_those_that_have_them():
    def again(*values):
        return tuple(Repeat("r", at, "failed" if v is None else "succeeded", v) for at, v in enumerate(values))

    trials = [
        Trial(0, "a", {}, "succeeded", 9.0, repeats=again(1.0, 2.0)),
        Trial(1, "b", {}, "succeeded", 8.0, repeats=again(3.0, 1.0)),
        Trial(2, "c", {}, "succeeded", 7.0, repeats=again(None, 99.0)),
        Trial(3, "d", {}, "succeeded", 6.0),
    ]
    assert find_best(trials, "max").number == 1
    assert find_best(trials, "min").number == 0
    assert find_best(trials[2:], "max").number == 2


@pytest.mark.parametrize(
    ("point", "what"),
    [
        ({"kind": "tree"}, "has no depth"),
        ({"kind": "forest"}, "outside"),
        ({"kind": "linear", "l2": 0.01, "seed_rows": 10}, "l2=0.01"),
        ({"kind": "linear", "l2": 1.0, "seed_rows": 10, "depth": 2}, "has depth"),
        ({"kind": "tree", "depth": 2.5, "split": "best", "seed_rows": 10}, "depth=2.5"),
    ],
)
def test_a_point_outside_of_its_space_is_named(point, what):
    with pytest.raises(Invalid, match=what):
        check_point(SPACE, point)
    assert check_point(SPACE, draw(SPACE, "1")) == draw(SPACE, "1")


def test_figures_show_every_trial_and_every_parameter():
    pytest.importorskip("matplotlib")
    from mainspring.tuning.adapters.matplotlib import draw_curves, draw_importances

    curve = ((0, 0.1), (1, 0.3))
    trials = [
        Trial(0, "a", {}, "succeeded", 0.3, curve),
        Trial(1, "b", {}, "pruned", 0.1, curve[:1]),
        Trial(2, "c", {}, "failed"),
        Trial(3, "d", {}, "succeeded", 0.2, curve),
    ]
    left, right = draw_curves(trials, "auc", "max").axes
    drawn = [line.get_xydata().tolist() for line in left.lines if len(line.get_xydata())]
    assert drawn == [[list(point) for point in trial.curve] for trial in trials if trial.curve]
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["succeeded", "pruned", "failed"]
    assert right.lines[0].get_ydata().tolist() == [0.3, 0.3]
    (axes,) = draw_importances({"leaves": 0.8, "rate": 0.2}, "auc").axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["rate", "leaves"]
    assert [bar.get_width() for bar in axes.patches] == [0.2, 0.8]
