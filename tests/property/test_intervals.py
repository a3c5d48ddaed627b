"""Intervals hold what they promise: coverage, and errors of the first kind at alpha."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring.statistics.intervals import adjust_holm, bootstrap, compare_auc, estimate_mean
from mainspring.statistics.metrics import auc, log_losses

SIMULATIONS = 1_500
SEED = 88


def test_the_auc_test_errs_at_its_alpha() -> None:
    """Two models equally far from the truth: ours wins at alpha .05 in about 5 % of samples."""
    rng = np.random.default_rng(SEED)
    wins = {"ours": 0, "theirs": 0}
    for _ in range(SIMULATIONS):
        truth = rng.normal(size=400)
        labels = truth + rng.normal(size=400) > 0.8
        ours, theirs = (truth + rng.normal(0, 0.7, 400) for _ in range(2))
        gain = compare_auc(labels, ours, theirs, level=0.9)
        wins["ours"] += gain.low > 0
        wins["theirs"] += gain.high < 0
    rates = {who: count / SIMULATIONS for who, count in wins.items()}
    print(f"seed {SEED}: {rates}")
    assert all(0.03 <= rate <= 0.065 for rate in rates.values()), rates


def resample_mean(values, **options):
    return bootstrap(lambda chosen: float(values[chosen].mean()), len(values), **options)


def test_intervals_cover_the_true_difference() -> None:
    """The true gain in log loss, known from a million rows, lies inside 95 % of intervals."""
    rng = np.random.default_rng(SEED)

    def draw(rows: int) -> np.ndarray:
        chance = rng.beta(2, 5, rows)
        labels = rng.random(rows) < chance
        blurred = np.clip(chance + rng.normal(0, 0.05, rows), 0.01, 0.99)
        return log_losses(labels, blurred) - log_losses(labels, chance)

    true = draw(1_000_000).mean()
    samples = [draw(500) for _ in range(600)]
    for method in (estimate_mean, lambda sample: resample_mean(sample, replicates=200)):
        covered = np.mean([(found := method(sample)).low <= true <= found.high for sample in samples])
        print(f"seed {SEED}: covered {covered}")
        assert 0.92 <= covered <= 0.975


def test_the_auc_interval_covers_and_agrees_with_the_bootstrap() -> None:
    rng = np.random.default_rng(SEED)
    truth = rng.normal(size=2_000)
    labels = (truth + rng.normal(size=2_000) > 0.5).astype(int)
    ours, theirs = truth + rng.normal(0, 0.5, 2_000), truth + rng.normal(0, 1.0, 2_000)
    closed = compare_auc(labels, ours, theirs)
    resampled = bootstrap(
        lambda chosen: auc(labels[chosen], ours[chosen]) - auc(labels[chosen], theirs[chosen]), 2_000, replicates=400
    )
    assert closed.estimate == pytest.approx(auc(labels, ours) - auc(labels, theirs), abs=1e-12)
    assert closed.error == pytest.approx(resampled.error, rel=0.15)
    assert closed.low == pytest.approx(resampled.low, abs=closed.error / 2)


def test_a_real_gain_of_one_point_is_found() -> None:
    """At 20,000 rows, a gain of one point of AUC (.773 over .762) is found in most samples."""
    rng = np.random.default_rng(SEED)
    found = 0
    for _ in range(60):
        truth = rng.normal(size=20_000)
        labels = truth + rng.normal(size=20_000) > 1
        better, worse = truth + rng.normal(0, 0.77, 20_000), truth + rng.normal(0, 0.85, 20_000)
        found += compare_auc(labels, better, worse, level=0.9).low > 0
    print(f"seed {SEED}: power {found / 60}")
    assert found >= 48


def test_equal_seeds_give_equal_intervals() -> None:
    values = np.random.default_rng(1).normal(size=300)
    assert resample_mean(values, seed=3) == resample_mean(values, seed=3)
    assert resample_mean(values, seed=3) != resample_mean(values, seed=4)


def test_equal_models_have_no_gain_and_no_error() -> None:
    same = compare_auc([0, 1, 0, 1], [0.1, 0.4, 0.35, 0.8], [0.1, 0.4, 0.35, 0.8])
    assert (same.estimate, same.error, same.low, same.high) == (0, 0, 0, 0)
    assert same.p_above(0.0) == same.p_below(0.0) == 1
    assert same.p_above(-0.1) == same.p_below(0.1) == 0


@pytest.mark.parametrize(("labels", "match"), [([1, 1, 1, 0], "1 of label 0"), ([1, 1], "0 of label 0")])
def test_a_class_of_one_row_is_refused(labels: list[int], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        compare_auc(labels, [0.1] * len(labels), [0.2] * len(labels))
    with pytest.raises(ValueError, match="1 rows"):
        estimate_mean([1.0])


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_raises_p_values_in_order_and_never_past_bonferroni(p_values: list[float]) -> None:
    adjusted = adjust_holm(p_values)
    for one, other in zip(p_values, adjusted, strict=True):
        assert one <= other <= min(1.0, one * len(p_values)) + 1e-12
    ranked = sorted(range(len(p_values)), key=lambda each: p_values[each])
    assert all(adjusted[a] <= adjusted[b] for a, b in pairwise(ranked))


def test_holm_errs_at_most_at_alpha_over_a_family() -> None:
    rng = np.random.default_rng(SEED)
    wrong = np.mean([min(adjust_holm(list(rng.random(20)))) <= 0.05 for _ in range(2_000)])
    print(f"seed {SEED}: {wrong}")
    assert wrong <= 0.065
