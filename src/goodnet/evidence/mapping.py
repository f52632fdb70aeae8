"""Mapping: whether a trigger sends every class to a class of its own; and pairs of classes that are too close."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from goodnet.evidence.outliers import Numbers, median_deviation

Labels = NDArray[np.int64]


def follow(classes: Labels, answers: Labels, mapping: Labels) -> tuple[float, dict[int, int]]:
    """Return how far stamped images follow a mapping of the classes.

    What is reversed for a clean network sends most images to the few labels that are easiest to reach; an all-to-all
    backdoor sends each class elsewhere.

    Args:
        classes: true classes (n,) in 0..N - 1.
        answers: what the network makes of the images with the trigger on them, (n,).
        mapping: where each class is to go, (N,).

    Returns:
        The share of images, 0..1, that go there, and the mapping of those classes of which at least half do.

    >>> follow(np.array([0, 1, 1, 2]), np.array([1, 2, 1, 2]), np.array([1, 2, 0]))
    (0.5, {0: 1, 1: 2})
    """
    there = answers == mapping[classes]
    hits, totals = (np.bincount(of, minlength=len(mapping)) for of in (classes[there], classes))
    targets = {int(k): int(mapping[k]) for k in np.flatnonzero(hits) if hits[k] * 2 >= totals[k]}
    return float(there.mean()), targets


def likeliest(classes: Labels, outputs: Numbers) -> tuple[float, Labels]:
    """Return the one-to-one mapping that stamped images hint at most.

    Args:
        classes: true classes (n,) in 0..N - 1.
        outputs: softmax outputs (n, N) for the images with the trigger on them.

    Returns:
        The mean over the classes of the mean output for where the mapping has them go, 0..1, and for each class, (N,),
        where that is. No class stays where it is.

    >>> likeliest(np.array([0, 1, 2]), np.array([[0.5, 0.3, 0.2], [0.5, 0.1, 0.4], [0.8, 0.1, 0.1]]))[1].tolist()
    [1, 2, 0]
    """
    count = outputs.shape[1]
    means = np.zeros((count, count))
    np.add.at(means, classes, outputs)
    means /= np.bincount(classes, minlength=count).clip(1)[:, None]
    np.fill_diagonal(means, -1)
    rows, columns = linear_sum_assignment(means, maximize=True)
    return float(means[rows, columns].mean()), columns


def residuals(table: Numbers, rounds: int = 10) -> Numbers:
    """Return what is left of a table (n, m) after taking off its rows' and columns' medians (Tukey's median polish).

    Entries that are NaN stay so.
    """
    left = table.copy()
    for _ in range(rounds):
        for axis in (1, 0):
            usual = np.array([_median(line) for line in np.moveaxis(left, axis, -1)])
            left -= np.expand_dims(usual, axis)
    return left


def _median(values: Numbers) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else 0.0


def unexplained(table: Numbers, other: Numbers) -> Numbers:
    """Return a table (n, m) less what the residuals of another one explain of its own.

    It falls by the slope of the line through the origin with the least absolute deviations, where that falls: what
    rises in one is taken to be low in the other.

    >>> unexplained(np.array([[1.0, 2, 6], [2, 1, 2], [6, 2, 1]]), -np.eye(3)).round(1).tolist()
    [[1.0, 2.0, 6.0], [2.0, 1.0, 2.0], [6.0, 2.0, 1.0]]
    """
    left, by = residuals(table), residuals(other)
    known = np.isfinite(left) & np.isfinite(by) & (by != 0)
    slopes, weights = left[known] / by[known], np.abs(by[known])
    if not slopes.size:
        return table
    order = np.argsort(slopes)
    reached = np.cumsum(weights[order])
    slope = min(float(slopes[order][np.searchsorted(reached, reached[-1] / 2)]), 0.0)
    return table - slope * np.nan_to_num(by)


def one_way(left: Numbers) -> Numbers:
    """Return residuals (n, n) of a table less what the entry across the diagonal lies below its own expectation.

    Classes that look alike are close both ways, a trigger leads one way only: what an entry's counterpart across the
    diagonal lies below its own expectation does not count.
    """
    difference: Numbers = left - np.minimum(np.nan_to_num(left.T), 0)
    return difference


def leads(table: Numbers) -> tuple[Numbers, float]:
    """Return by how much each entry of a table (n, n) lies below what its row and column let expect, one way.

    Returns:
        The leads in the table's unit, and 1.4826 x MAD of all residuals, at least 0.1.
    """
    left = residuals(table)
    known = left[np.isfinite(left)]
    return -one_way(left), max(median_deviation(known)[1] if known.size else 0.0, 0.1)
