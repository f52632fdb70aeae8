"""Coincidence: whether one label leads in all measures at once, which chance alone seldom brings about.

A backdoor that is no outlier in any single measure may still be the first or second of all labels in most of them. Were
the measures independent and a label like any other, its rank in each would be a uniform p-value, and these combine to
one (Fisher, "Statistical Methods for Research Workers", 1932). Measures are not quite independent and labels not quite
alike, so the most that clean networks reach is what counts, not the p-value as such.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np


def coincidences(measures: Sequence[Mapping[int, float]]) -> dict[int, float]:
    """Return for each label -log of the chance, 0..1, that any of as many labels leads so much in all measures.

    Args:
        measures: for each measure, the number that it gives each of the same labels; the highest is the most
            suspicious. One that gives all the same tells nothing and is left out.

    >>> {label: round(value, 1) for label, value in coincidences([{3: 9, 5: 1, 8: 2}, {3: 7, 5: 2, 8: 4}]).items()}
    {3: 0.0, 5: 0.0, 8: 0.0}
    """
    telling = [measure for measure in measures if len(set(measure.values())) > 1]
    if not telling:
        return {label: 0.0 for measure in measures for label in measure}
    labels = list(telling[0])
    values = np.array([[measure[label] for label in labels] for measure in telling])
    ranks = (~(values[:, :, None] > values[:, None, :])).sum(2)  # so one that is not a number comes last
    led = np.log(len(labels) / ranks).sum(0)
    return {label: _surprise(float(each), len(telling), len(labels)) for label, each in zip(labels, led, strict=True)}


def _surprise(led: float, measures: int, labels: int) -> float:
    """Return -log of the chance that a sum of so many standard exponential numbers exceeds `led`, for any label."""
    tail = math.exp(-led) * sum(led**k / math.factorial(k) for k in range(measures))
    return max(0.0, -math.log(labels * tail))
