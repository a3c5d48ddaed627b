"""A gate's judgement: what passes, what is refused and why, and what cannot be judged."""

import numpy as np
import pytest

from mainspring.domain.errors import Invalid
from mainspring.evaluation.gate import judge
from mainspring.evaluation.rules import read_rules

SEED = 41
BODY = {"target": "late", "better": ["auc"], "not_worse": {"log_loss": 0.01}, "slices": ["shop"]}


class World:
    """Labels with their true chance, and two groups of rows."""

    def __init__(self, rows: int = 6_000, seed: int = SEED) -> None:
        rng = np.random.default_rng(seed)
        self.rng = rng
        self.logit = rng.normal(-1, 1.2, rows)
        self.labels = (rng.random(rows) < expit(self.logit)).astype(float)
        self.shop = rng.choice(["north", "south", "tiny"], rows, p=[0.55, 0.44, 0.01])

    def guess(self, noise: float) -> np.ndarray:
        return expit(self.logit + self.rng.normal(0, noise, len(self.logit)))


def expit(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


def run(body: dict, world: World, challenger: np.ndarray, champion: np.ndarray, **measured: float) -> dict:
    return judge(body, world.labels, challenger, champion, {"shop": world.shop}, measured)


def test_a_better_challenger_passes_with_its_evidence() -> None:
    world = World()
    found = run(BODY, world, world.guess(0.2), world.guess(1.0))
    assert found["passed"], found["summary"]
    (better,) = found["evidence"]["better"]
    assert better["challenger"] > better["champion"]
    assert 0 < better["low"] < better["change"] < better["high"]
    assert better["p_value"] < 0.05
    (loss,) = found["evidence"]["not_worse"]
    assert loss["change"] < 0
    assert found["evidence"]["slices"]["judged"] == 2
    assert found["evidence"]["slices"]["small"] == 1
    assert found["summary"].startswith("auc +0.")


def test_an_equal_challenger_is_not_better_but_not_worse() -> None:
    world = World()
    same = world.guess(0.5)
    assert not run(BODY, world, same, same)["passed"]
    assert run({**BODY, "better": []}, world, same, same)["passed"]
    assert run({**BODY, "better": [], "not_worse": {"auc": 0, "log_loss": 0}}, world, same, same)["passed"]


def test_a_challenger_trained_on_shuffled_labels_is_refused() -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier

    world = World()
    rows = np.column_stack([world.logit, world.rng.normal(size=len(world.logit))])
    train, held = slice(0, 3_000), slice(3_000, None)
    honest = HistGradientBoostingClassifier(max_iter=20).fit(rows[train], world.labels[train])
    shuffled = HistGradientBoostingClassifier(max_iter=20).fit(rows[train], world.rng.permutation(world.labels[train]))
    chances = [model.predict_proba(rows[held])[:, 1] for model in (honest, shuffled)]
    slices = {"shop": world.shop[held]}
    base = np.full(3_000, world.labels[held].mean())
    assert judge(BODY, world.labels[held], chances[0], base, slices, {})["passed"]
    for champion in (base, chances[0]):
        found = judge(BODY, world.labels[held], chances[1], champion, slices, {})
        assert not found["passed"]
        assert "not better" in found["summary"]


def test_a_challenger_that_fails_on_one_slice_is_refused_for_it() -> None:
    world = World()
    champion = world.guess(0.6)
    challenger = np.where(world.shop == "south", world.rng.random(len(world.labels)), world.guess(0.05))
    found = run({**BODY, "better": []}, world, challenger, champion)
    failed = found["evidence"]["slices"]["failed"]
    assert [(each["column"], each["value"]) for each in failed] == [("shop", "south")]
    assert "slice shop=south log_loss +" in found["summary"]


def test_naming_many_slices_does_not_refuse_an_equal_challenger() -> None:
    refused = 0
    for seed in range(40):
        world = World(rows=8_000, seed=seed)
        slices = {f"c{each}": world.rng.integers(0, 8, 8_000) for each in range(5)}
        body = {"target": "late", "not_worse": {"log_loss": 0.0005}, "slices": list(slices)}
        found = judge(body, world.labels, world.guess(0.3), world.guess(0.3), slices, {})
        refused += bool(found["evidence"]["slices"]["failed"])
    print(f"seeds 0-39: {refused} refused")
    assert refused <= 5


def test_a_challenger_no_better_passes_as_rarely_as_alpha_says() -> None:
    """Two guesses equally far from the truth: at alpha .05 about one in twenty passes."""
    body = {"target": "late", "better": ["auc"]}
    judged = 400
    passed = 0
    for seed in range(judged):
        world = World(rows=1_200, seed=seed)
        passed += judge(body, world.labels, world.guess(0.6), world.guess(0.6), {}, {})["passed"]
    print(f"seeds 0-{judged - 1}: {passed} of {judged} passed")
    assert 0.02 <= passed / judged <= 0.075


def test_limits_and_tests_are_upper_and_lower_bounds() -> None:
    world = World()
    body = {**BODY, "limits": {"latency_ms": 5, "size_mb": 1}, "tests": ["auc >= 0.5", "ece <= 0.2"]}
    good = world.guess(0.2), world.guess(1.0)
    assert run(body, world, *good, latency_ms=0.1, size_mb=0.5)["passed"]
    found = run(body, world, *good, latency_ms=7.25, size_mb=0.5)
    assert found["summary"] == "latency_ms 7.25 > 5"
    found = run({**body, "tests": ["auc >= 0.999"]}, world, *good, latency_ms=0.1, size_mb=0.5)
    assert "is not >= 0.999" in found["summary"]


def test_rows_without_label_are_left_out_and_counted() -> None:
    world = World()
    labels = world.labels.copy()
    labels[:500] = np.nan
    found = judge(BODY, labels, world.guess(0.2), world.guess(1), {"shop": world.shop}, {})
    assert (found["evidence"]["rows"], found["evidence"]["without_label"]) == (5_500, 500)


def test_a_regression_is_judged_by_its_errors() -> None:
    rng = np.random.default_rng(SEED)
    truth = rng.normal(10, 3, 3_000)
    near, far = truth + rng.normal(0, 1, 3_000), truth + rng.normal(0, 2, 3_000)
    body = {"target": "minutes", "better": ["mae"], "not_worse": {"mse": 0.1}}
    assert judge(body, truth, near, far, {}, {})["passed"]
    assert not judge(body, truth, far, near, {}, {})["passed"]


@pytest.mark.parametrize(
    ("change", "code", "what"),
    [
        ({"labels": slice(0, 900)}, "GATE-005", "900 rows have a label, the gate asks for 1,000"),
        ({"challenger": np.nan}, "GATE-004", "1 of 6,000 predictions of the challenger are no numbers"),
        ({"champion": np.inf}, "GATE-004", "1 of 6,000 predictions of the champion are no numbers"),
        ({"label": 2.0}, "GATE-006", "a label is 2, not 0 or 1"),
        ({"label": ...}, "GATE-006", "all labels but 0 are the same"),
    ],
)
def test_what_cannot_be_judged_is_named(change: dict, code: str, what: str) -> None:
    world = World()
    chances = {"challenger": world.guess(0.2), "champion": world.guess(1)}
    for who in set(change) & set(chances):
        chances[who][17] = change[who]
    labels = world.labels.copy()
    if change.get("label") is ...:
        labels[:] = 1
    elif "label" in change:
        labels[5] = change["label"]
    elif "labels" in change:
        labels[change["labels"].stop :] = np.nan
    with pytest.raises(Invalid) as caught:
        judge(BODY, labels, chances["challenger"], chances["champion"], {"shop": world.shop}, {})
    assert (caught.value.code, caught.value.what) == (code, what)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"better": ["roc"]}, "no metric is called 'roc'"),
        ({"better": ["auc"], "not_worse": {"mae": 1}}, "mixes metrics"),
        ({"not_worse": {"log_loss": -1}}, "not zero or above"),
        ({"limits": {"latency": 5}}, "no limit is called 'latency'"),
        ({"tests": ["auc > .5"]}, "is no test"),
        ({"better": [], "not_worse": {}}, "slices shop without a metric"),
        ({"alpha": 0.7}, "alpha is 0.7"),
        ({"colour": "red"}, "colour"),
        ({"better": "auc"}, "a gate cannot be read"),
    ],
)
def test_a_gate_that_makes_no_sense_is_refused(change: dict, what: str) -> None:
    with pytest.raises(Invalid, match=what) as caught:
        read_rules({**BODY, **change})
    assert caught.value.code == "GATE-001"
    assert caught.value.fix
