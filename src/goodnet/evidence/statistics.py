"""The statistics of each label, against what is usual for the network: from what was found to numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from goodnet.evidence.outliers import FEWEST_REFERENCES, outlier_index
from goodnet.evidence.weights import RowSums, weight_indices
from goodnet.search import Found

SPREAD_OF_LOG_SIZE = 0.1
"""A spread of 10 % in size is noise of the search; less than that is not believed."""

SMALLEST = 1e-6
"""Sizes below this, in pixels, count as this."""


@dataclass(frozen=True)
class Statistics:
    """The evidence about one label. Indices are in units of 1.4826 x MAD, high ones are suspicious.

    Attributes:
        label: the label.
        size_index: how far the logarithm of its trigger's size lies below the median.
        ratio: the median size over its trigger's size: how many times smaller than usual it is; 0 for an infinite one.
        universal_ratio: the same for the sizes at which the triggers work on nearly all images.
        classic_index: how far the size itself lies below the median, as in Neural Cleanse.
        noise_index: how far the margin of its trigger on noise images lies above the median.
        blank_index: the same on blank images.
        transfer: share of noise and blank images that the trigger sends to the label and that went elsewhere, 0..1.
        spectral_ratio: as `ratio`, for the faintest change of the whole image; 0 where it was not searched.
        spectral_universal_ratio: as `universal_ratio`, for the same.
        margin_ratio: the label's greatest margin over the median one; 0 where it was not searched.
        weight_index: how far the sum of its weights in the classifying layer stands out.
        positive_index: the same for the sum of its positive weights.
        luck: the index that the most extreme of as many labels reaches by chance, if indices are normal.
    """

    label: int
    size_index: float
    ratio: float
    universal_ratio: float
    classic_index: float
    noise_index: float
    blank_index: float
    transfer: float
    luck: float
    spectral_ratio: float = 0.0
    spectral_universal_ratio: float = 0.0
    margin_ratio: float = 0.0
    weight_index: float = 0.0
    positive_index: float = 0.0


def luck(labels: int) -> float:
    """Return the expected greatest of `labels` standard normal numbers, roughly: sqrt(2 ln n).

    >>> round(luck(43), 2)
    2.74
    """
    return math.sqrt(2 * math.log(max(labels, 2)))


def statistics(
    found: Sequence[Found],
    spectral: Sequence[Found] = (),
    margins: Mapping[int, float] | None = None,
    weights: RowSums | None = None,
) -> dict[int, Statistics]:
    """Return the statistics of each label that was searched fully, and of each that was only screened among its like.

    Sizes that never reach the ASR count as infinite: not suspicious, and no part of the median. With fewer than four
    sizes to compare with, indices are 0.

    Args:
        found: what the search for patches found for each label.
        spectral: what the search for faint changes found, for each label or for none.
        margins: the greatest margin of each label that it was searched for.
        weights: the sums of the labels' weights in the classifying layer, where there is one.
    """
    elsewhere = _elsewhere(spectral, margins or {}, weights)
    result: dict[int, Statistics] = {}
    for group in ([each for each in found if each.trigger], [each for each in found if not each.trigger]):
        reference = [each for each in group if each.control or not each.trigger]
        if not group:
            continue
        ratios = _ratios([each.size for each in group], [each.size for each in reference])
        universal = _ratios([each.universal_size for each in group], [each.universal_size for each in reference])
        with np.errstate(divide="ignore"):
            columns = {
                "size": _indices(
                    [-math.log(max(each.size, SMALLEST)) for each in group], group, reference, SPREAD_OF_LOG_SIZE
                ),
                "classic": _indices([-each.size for each in group], group, reference),
                "noise": _indices([each.transfer["margin_noise"] for each in group], group, reference),
                "blank": _indices([each.transfer["margin_blank"] for each in group], group, reference),
            }
        for k, each in enumerate(group):
            result[each.label] = Statistics(
                label=each.label,
                size_index=columns["size"][k],
                ratio=ratios[k],
                universal_ratio=universal[k],
                classic_index=columns["classic"][k],
                noise_index=columns["noise"][k],
                blank_index=columns["blank"][k],
                transfer=(each.transfer["gained_noise"] + each.transfer["gained_blank"]) / 2,
                luck=luck(len(found)),
                **elsewhere.get(each.label, {}),
            )
    return result


def without_images(margins: Mapping[int, float], weights: RowSums | None) -> list[Statistics]:
    """Return the statistics of labels of which nothing but margins and weights is known."""
    known = _elsewhere((), margins, weights)
    return [Statistics(label, 0, 0, 0, 0, 0, 0, 0, luck(len(margins)), **known[label]) for label in margins]


def margin_ratios(margins: Mapping[int, float]) -> dict[int, float]:
    """Return each label's greatest margin over the median of them; 0 for negative margins and for too few labels.

    A median below one logit, where most labels can hardly be reached at all, counts as one.
    """
    if len(margins) < FEWEST_REFERENCES:
        return dict.fromkeys(margins, 0.0)
    median = max(float(np.median(list(margins.values()))), 1.0)
    return {label: max(value, 0.0) / median for label, value in margins.items()}


def _elsewhere(
    spectral: Sequence[Found], margins: Mapping[int, float], weights: RowSums | None
) -> dict[int, dict[str, float]]:
    """Return what statistics other than those of patches say, by label and name."""
    sizes, universal = [each.size for each in spectral], [each.universal_size for each in spectral]
    labels = [each.label for each in spectral]
    columns: dict[str, Mapping[int, float]] = {
        "spectral_ratio": dict(zip(labels, _ratios(sizes, sizes), strict=True)),
        "spectral_universal_ratio": dict(zip(labels, _ratios(universal, universal), strict=True)),
        "margin_ratio": margin_ratios(margins),
    }
    if weights is not None:
        columns["weight_index"] = dict(enumerate(weight_indices(weights.every).tolist()))
        columns["positive_index"] = dict(enumerate(weight_indices(weights.positive).tolist()))
    result: dict[int, dict[str, float]] = {}
    for name, column in columns.items():
        for label, value in column.items():
            result.setdefault(label, {})[name] = value
    return result


def _ratios(sizes: Sequence[float], reference: Sequence[float]) -> list[float]:
    """Return the median of the finite reference over each size; 0 for infinite ones, and for all with few to tell."""
    finite = [max(size, SMALLEST) for size in reference if math.isfinite(size)]
    median = float(np.median(finite)) if len(finite) >= FEWEST_REFERENCES else 0.0
    return [median / max(size, SMALLEST) if math.isfinite(size) else 0.0 for size in sizes]


def _indices(
    values: Sequence[float], group: Sequence[Found], reference: Sequence[Found], floor: float = 0.0
) -> list[float]:
    everything = np.array(values, dtype=np.float64)
    usual = everything[[each in reference for each in group]]
    if np.isfinite(usual).sum() < FEWEST_REFERENCES:
        return [0.0] * len(values)
    # A size of infinity is no outlier on the small side; its index is that of the largest finite one.
    finite = everything[np.isfinite(everything)]
    filled = np.where(np.isneginf(everything), finite.min(), everything)
    return [float(index) for index in outlier_index(filled, usual, floor)]
