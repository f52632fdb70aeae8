"""Outlier statistics over labels: pure functions of arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CONSISTENCY = 1.4826
"""Makes the MAD of a normal distribution its standard deviation."""

FEWEST_REFERENCES = 4
"""With fewer labels than this, nothing can be said about what is usual."""

Numbers = NDArray[np.float64]


def median_deviation(values: Numbers) -> tuple[float, float]:
    """Return the median of values (n,) and 1.4826 x their median absolute deviation.

    >>> median_deviation(np.array([1.0, 2.0, 3.0, 4.0, 100.0]))
    (3.0, 1.4826)
    """
    median = float(np.median(values))
    return median, CONSISTENCY * float(np.median(np.abs(values - median)))


def outlier_index(values: Numbers, reference: Numbers, floor: float = 0.0) -> Numbers:
    """Return how far each of values (k,) lies above the median of reference (n,), in units of 1.4826 x MAD.

    Where more than half of the reference are equal its MAD is 0 and says nothing; the mean absolute deviation, scaled
    likewise for a normal distribution, takes its place, and `floor` that of a vanishing one.

    Args:
        values: what is judged; NaN gives 0.
        reference: what is usual; non-finite entries do not count.
        floor: the smallest spread that is believed.
    """
    usual = reference[np.isfinite(reference)]
    if len(usual) == 0:
        return np.zeros_like(values)
    median, spread = median_deviation(usual)
    if spread == 0:
        spread = 1.2533 * float(np.mean(np.abs(usual - median)))
    spread = max(spread, floor)
    with np.errstate(invalid="ignore", divide="ignore"):
        index = np.where(values == median, 0.0, (values - median) / spread)
    return np.nan_to_num(index, nan=0.0, posinf=np.inf, neginf=-np.inf)
