"""Metrics against scikit-learn's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as theirs

from mainspring.statistics import metrics


def draw(seed: int, rows: int = 500, levels: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    chance = rng.random(rows)
    if levels:
        chance = np.round(chance * levels) / levels
    return (rng.random(rows) < chance).astype(int), chance


@pytest.mark.parametrize("levels", [0, 5])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_metrics_equal_scikit_learns(seed: int, levels: int) -> None:
    labels, chance = draw(seed, levels=levels)
    assert metrics.auc(labels, chance) == pytest.approx(theirs.roc_auc_score(labels, chance), abs=1e-12)
    inner = np.clip(chance, 0.01, 0.99)
    assert metrics.log_loss(labels, inner) == pytest.approx(theirs.log_loss(labels, inner), abs=1e-12)
    assert metrics.squared_errors(labels, chance).mean() == pytest.approx(theirs.brier_score_loss(labels, chance))
    assert 1 - metrics.mistakes(labels, chance).mean() == theirs.accuracy_score(labels, chance > 0.5)
    assert metrics.absolute_errors(labels, chance).mean() == pytest.approx(theirs.mean_absolute_error(labels, chance))


def test_calibration_error_is_zero_for_the_truth_and_large_for_a_boast() -> None:
    labels, chance = draw(7, rows=200_000)
    assert metrics.ece(labels, chance) < 0.01
    assert metrics.ece(labels, np.where(chance > 0.5, 1.0, 0.0)) > 0.2
    assert metrics.ece([1, 0], [1.0, 0.0]) == 0


def test_one_class_has_no_auc_and_a_sure_mistake_a_finite_loss() -> None:
    assert np.isnan(metrics.auc([1, 1], [0.2, 0.3]))
    assert metrics.log_loss([1], [0.0]) == pytest.approx(34.54, abs=0.01)


@pytest.mark.parametrize(("labels", "values"), [([], []), ([1], [0.5, 0.5]), ([[1]], [[0.5]])])
def test_unpaired_input_is_refused(labels: list, values: list) -> None:
    with pytest.raises(ValueError, match="labels of shape"):
        metrics.log_loss(labels, values)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=2, max_size=40))
def test_auc_is_the_share_of_pairs_in_order(rows: list[tuple[bool, int]]) -> None:
    ones = [score for label, score in rows if label]
    zeros = [score for label, score in rows if not label]
    found = metrics.auc([label for label, _ in rows], [score for _, score in rows])
    if not ones or not zeros:
        assert np.isnan(found)
        return
    pairs = [1.0 if one > zero else 0.5 if one == zero else 0.0 for one in ones for zero in zeros]
    assert found == pytest.approx(sum(pairs) / len(pairs))
