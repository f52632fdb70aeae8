"""Metrics of a detector, each with its 95 % confidence interval: pure functions of scores and counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn import config_context
from sklearn.calibration import calibration_curve
from sklearn.metrics import auc as area_under
from sklearn.metrics import brier_score_loss, roc_curve

from goodnet.repair.measure import wilson

Scores = NDArray[np.float64]
Statistic = Callable[[Scores, Scores], float]

RESAMPLES = 1000
BINS = 10
"""Bins of equal width that calibration is looked at in."""


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % confidence interval.

    Attributes:
        value: the figure.
        low: lower end of the interval.
        high: upper end of the interval.
        count: networks that it was computed from.
    """

    value: float
    low: float
    high: float
    count: int


def share(hits: int, count: int) -> Estimate | None:
    """Return a share, 0..1, with its Wilson score interval; None for a share of nothing.

    >>> share(19, 20)
    Estimate(value=0.95, low=0.7638..., high=0.9911..., count=20)
    """
    return Estimate(hits / count, *wilson(hits, count), count) if count else None


def mean(values: Scores) -> Estimate | None:
    """Return the mean of values (n,) with its bootstrap interval; None for no values."""
    if not len(values):
        return None
    draws = np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.percentile(values[draws].mean(axis=1), (2.5, 97.5))
    return Estimate(float(values.mean()), float(low), float(high), len(values))


def of_scores(statistic: Statistic, infected: Scores, clean: Scores) -> Estimate | None:
    """Return a statistic of the scores of infected and clean networks, (n,) and (m,), with its bootstrap interval.

    Networks are drawn with replacement, as many infected and as many clean ones as there are (percentile bootstrap,
    Efron and Tibshirani, "An Introduction to the Bootstrap", 1993). None unless there are networks of both kinds.
    """
    if not (len(infected) and len(clean)):
        return None
    random = np.random.default_rng(0)
    # Checking each resample's arguments takes scikit-learn longer than computing with them.
    with config_context(assume_finite=True, skip_parameter_validation=True):
        values = [statistic(_redrawn(infected, random), _redrawn(clean, random)) for _ in range(RESAMPLES)]
    low, high = np.percentile(values, (2.5, 97.5))
    return Estimate(statistic(infected, clean), float(low), float(high), len(infected) + len(clean))


def auc(infected: Scores, clean: Scores) -> float:
    """Return the area under the ROC curve, 0..1.

    >>> auc(np.array([0.9, 0.4]), np.array([0.1, 0.6]))
    0.75
    """
    false_positives, true_positives, _ = roc_curve(*_labelled(infected, clean), drop_intermediate=False)
    return float(area_under(false_positives, true_positives))


def tpr_at(fpr: float) -> Statistic:
    """Return the statistic: the highest TPR, 0..1, at a threshold whose FPR is at most `fpr`."""

    def statistic(infected: Scores, clean: Scores) -> float:
        false_positives, true_positives, _ = roc_curve(*_labelled(infected, clean), drop_intermediate=False)
        return float(true_positives[false_positives <= fpr].max())

    return statistic


def brier(infected: Scores, clean: Scores) -> float:
    """Return the mean squared distance of the scores from 1 (infected) and 0 (clean), 0..1 (Brier, 1950)."""
    return float(brier_score_loss(*_labelled(infected, clean)))


def calibration_error(infected: Scores, clean: Scores) -> float:
    """Return the expected calibration error, 0..1 (Naeini, Cooper and Hauskrecht, AAAI 2015).

    It is the mean distance, over the networks, of the share that is infected from the mean score in their bin.

    >>> calibration_error(np.array([1.0, 0.75]), np.array([0.0, 0.75]))
    0.125
    """
    labels, scores = _labelled(infected, clean)
    shares, means = calibration_curve(labels, scores, n_bins=BINS)
    weights = bin_counts(scores)
    return float(np.average(np.abs(shares - means), weights=weights[weights > 0]))


def bin_counts(scores: Scores) -> NDArray[np.int64]:
    """Return how many scores (n,) in 0..1 are in each of `BINS` bins, as `calibration_curve` fills them."""
    return np.bincount(np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], scores), minlength=BINS)


def _labelled(infected: Scores, clean: Scores) -> tuple[NDArray[np.int64], Scores]:
    labels = np.repeat((1, 0), (len(infected), len(clean)))
    return labels, np.concatenate([infected, clean])


def _redrawn(values: Scores, random: np.random.Generator) -> Scores:
    return values[random.integers(len(values), size=len(values))]
