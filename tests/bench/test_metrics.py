"""Metrics against values worked out by hand and against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, mannwhitneyu

from goodnet.bench import metrics
from goodnet.bench.metrics import Scores

# Sorted by score: infected .9, clean .8, infected .7, clean .2, clean .1.
INFECTED, CLEAN = np.array([0.9, 0.7]), np.array([0.8, 0.2, 0.1])


def many(seed: int) -> tuple[Scores, Scores]:
    random = np.random.default_rng(seed)
    return random.beta(3, 2, 30), random.beta(2, 3, 40)


def test_auc_is_the_share_of_pairs_in_the_right_order() -> None:
    assert metrics.auc(INFECTED, CLEAN) == pytest.approx(5 / 6)
    infected, clean = many(1)
    pairs = mannwhitneyu(infected, clean).statistic / (len(infected) * len(clean))
    assert metrics.auc(infected, clean) == pytest.approx(pairs)


@pytest.mark.parametrize(("fpr", "tpr"), [(0.01, 0.5), (0.05, 0.5), (0.33, 0.5), (0.34, 1.0)])
def test_tpr_at_a_false_positive_rate(fpr: float, tpr: float) -> None:
    assert metrics.tpr_at(fpr)(INFECTED, CLEAN) == tpr


def test_brier_score_is_the_mean_squared_error() -> None:
    assert metrics.brier(INFECTED, CLEAN) == pytest.approx((0.01 + 0.09 + 0.64 + 0.04 + 0.01) / 5)


def test_calibration_error_weighs_bins_by_their_networks() -> None:
    # Two scores of .75 share a bin in which half is infected: 2/4 x .25; the two others are exact.
    infected, clean = np.array([1.0, 0.75]), np.array([0.0, 0.75])
    assert metrics.calibration_error(infected, clean) == pytest.approx(0.125)
    assert metrics.bin_counts(np.concatenate([infected, clean])).tolist() == [1, 0, 0, 0, 0, 0, 0, 2, 0, 1]


@pytest.mark.parametrize(("hits", "count"), [(0, 5), (3, 7), (19, 20), (12, 12)])
def test_shares_have_wilson_intervals(hits: int, count: int) -> None:
    estimate = metrics.share(hits, count)
    wanted = binomtest(hits, count).proportion_ci(method="wilson")
    assert estimate is not None
    assert (estimate.value, estimate.count) == (hits / count, count)
    assert (estimate.low, estimate.high) == pytest.approx((wanted.low, wanted.high), abs=1e-4)


def test_a_figure_of_nothing_is_none() -> None:
    nothing = np.array([])
    assert metrics.share(0, 0) is None
    assert metrics.mean(nothing) is None
    assert metrics.of_scores(metrics.auc, nothing, CLEAN) is None
    assert metrics.of_scores(metrics.auc, INFECTED, nothing) is None


def test_intervals_hold_the_figure_narrow_with_more_networks_and_repeat() -> None:
    few, lots = many(2), [np.repeat(scores, 10) for scores in many(2)]
    wide, narrow = metrics.of_scores(metrics.auc, *few), metrics.of_scores(metrics.auc, *lots)
    assert wide is not None and narrow is not None
    assert wide.low < wide.value < wide.high
    assert narrow.high - narrow.low < 0.5 * (wide.high - wide.low)
    assert metrics.of_scores(metrics.auc, *few) == wide


def test_the_interval_of_a_mean_is_that_of_the_normal_law() -> None:
    values = np.random.default_rng(3).normal(5, 2, 400)
    estimate = metrics.mean(values)
    assert estimate is not None
    assert estimate.value == pytest.approx(values.mean())
    assert (estimate.high - estimate.low) / 2 == pytest.approx(1.96 * 2 / 20, rel=0.15)
