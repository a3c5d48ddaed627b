"""Estimated and realised performance against independent references."""

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

from mainspring.monitoring.calibration import Calibration, fit_isotonic, recalibrate
from mainspring.monitoring.performance import compare_losses, estimate_performance, measure_auc, realise_performance


def make_rows(seed, rows, tilt=1.0, offset=0.0):
    """Return what a model says, what happens, and the day; `tilt` and `offset` miscalibrate what it says."""
    draw = np.random.default_rng(seed)
    truth = 1 / (1 + np.exp(-draw.normal(-2, 1, rows)))
    labels = (draw.uniform(size=rows) < truth).astype(float)
    said = 1 / (1 + np.exp(-(tilt * np.log(truth / (1 - truth)) + offset)))
    return said.astype(np.float32), labels, np.arange(rows) * 30 // rows


def test_realised_values_are_those_of_scikit_learn():
    said, labels, day = make_rows(1, 5000)
    said = np.round(said, 2).clip(0.01, 0.99)
    realised = realise_performance(said, labels, day)
    assert realised.auc.value == pytest.approx(roc_auc_score(labels, said), abs=1e-6)
    assert realised.log_loss.value == pytest.approx(log_loss(labels, said.astype(float)), abs=1e-6)


def test_intervals_cover_the_truth():
    large = realise_performance(*make_rows(2, 400_000))
    covered = {"auc": 0, "log_loss": 0}
    for seed in range(100):
        small = realise_performance(*make_rows(1000 + seed, 1500))
        for name in covered:
            measure = getattr(small, name)
            covered[name] += measure.low <= getattr(large, name).value <= measure.high
    print("95 % intervals that cover, of 100 (seeds 1000-1099):", covered)
    assert all(88 <= count <= 100 for count in covered.values())


def test_an_estimate_without_labels_finds_what_labels_then_show():
    said, labels, day = make_rows(3, 40_000, tilt=0.6, offset=0.4)
    calibration = fit_isotonic(said[:20_000], labels[:20_000])
    later = np.s_[20_000:]
    estimated = estimate_performance(said[later], calibration.apply(said[later]), day[later])
    realised = realise_performance(said[later], labels[later], day[later])
    naive = estimate_performance(said[later], said[later], day[later])
    assert estimated.auc.value == pytest.approx(realised.auc.value, abs=0.01)
    assert estimated.log_loss.value == pytest.approx(realised.log_loss.value, abs=0.01)
    assert abs(naive.log_loss.value - realised.log_loss.value) > 0.03


def test_the_isotonic_map_is_that_of_scikit_learn():
    said, labels, _ = make_rows(4, 3000)
    ours = fit_isotonic(said, labels).apply(said)
    theirs = IsotonicRegression(out_of_bounds="clip").fit(said.astype(float), labels).predict(said.astype(float))
    assert np.abs(ours - theirs).max() < 0.02
    assert np.abs(ours - theirs).mean() < 1e-3


def test_recalibration_is_that_of_logistic_regression_on_the_other_days():
    said, labels, day = make_rows(5, 4000, tilt=2.0, offset=1.0)
    ours = recalibrate(said, labels, day)
    even = day % 2 == 0
    logit = np.log(said / (1 - said)).astype(float)[:, None]
    theirs = LogisticRegression(C=1e8).fit(logit[~even], labels[~even]).predict_proba(logit[even])[:, 1]
    assert ours[even] == pytest.approx(theirs, abs=1e-3)
    assert log_loss(labels, ours) < log_loss(labels, said.astype(float)) - 0.03


def test_a_map_without_knots_changes_nothing():
    assert Calibration().apply([0.1, 0.9]).tolist() == [0.1, 0.9]
    assert fit_isotonic([], []).apply([0.3]).tolist() == [0.3]


def test_one_class_only_has_no_area():
    realised = realise_performance(np.array([0.1, 0.2, 0.3]), np.zeros(3), np.arange(3))
    assert realised.auc is None
    assert realised.log_loss is not None
    assert realise_performance(np.zeros(0), np.zeros(0), np.zeros(0)).rows == 0
    assert recalibrate([0.2, 0.4], [0, 0], [0, 1]) == pytest.approx([0.2, 0.4])


def test_a_difference_of_losses_knows_its_error():
    draw = np.random.default_rng(6)
    first, second = draw.normal(0.5, 1, 3000), draw.normal(0.4, 1, 3000)
    mean, error = compare_losses(first, second, np.arange(3000) // 100)
    assert mean == pytest.approx(0.1, abs=0.1)
    assert error == pytest.approx(np.sqrt(2 / 3000), rel=0.5)


def test_ties_count_half():
    assert measure_auc(np.array([0.5, 0.5]), np.array([0.0, 1.0])) == 0.5
