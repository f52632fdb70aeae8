"""The statistics of each label, against what is usual for the network: from what was found to numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from goodnet.evidence.coincidence import coincidences
from goodnet.evidence.outliers import FEWEST_REFERENCES, outlier_index
from goodnet.evidence.weights import RowSums, weight_indices
from goodnet.search import Found

SPREAD_OF_LOG_SIZE = 0.1
"""A spread of 10 % in size is noise of the search; less than that is not believed."""

SMALLEST = 1e-6
"""Sizes below this, in pixels, count as this."""

MEASURES = ("ratio", "additive_ratio", "margin_ratio", "weight_index", "positive_index", "noise_index")
"""The statistics that labels are ranked by; others say nothing of most labels."""


@dataclass(frozen=True)
class Statistics:
    """The evidence about one label. Indices are in units of 1.4826 x MAD, high ones are suspicious.

    Attributes:
        label: the label.
        size_index: how far the logarithm of its trigger's size lies below the median.
        ratio: the median size over its trigger's size: how many times smaller than usual it is; 0 for an infinite one.
        universal_ratio: the same for the sizes at which the triggers work on nearly all images. Where few labels have
            one that does, these are compared with each other, though all of them are smaller than usual.
        classic_index: how far the size itself lies below the median, as in Neural Cleanse.
        noise_index: how far the margin of its trigger on noise images lies above the median.
        blank_index: the same on blank images.
        transfer: share of noise and blank images that the trigger sends to the label and that went elsewhere, 0..1.
        warp_lead: share of images that a slight warp sends to it, above the median label's, 0..1.
        filter_lead: the same for a slight filter of colours and frequencies.
        additive_ratio: the median size of the least additive change over that of its own; 0 where it was not searched.
        wave_lead: how much better one wave is for it than others, in log-odds; 0 where there are too few labels.
        margin_ratio: the label's greatest margin over the median one; 0 where it was not searched.
        attraction: share of empty images that the network answers with the label without any trigger, 0..1.
        weight_index: how far the sum of its weights in the classifying layer stands out.
        positive_index: the same for the sum of its positive weights.
        coincidence: how much the label leads in all `MEASURES` at once, see `evidence.coincidence`.
        coverage: share of the image that its patch covers at the ASR of `ratio`, 0..1; 1 where none reaches it.
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
    warp_lead: float = 0.0
    filter_lead: float = 0.0
    additive_ratio: float = 0.0
    wave_lead: float = 0.0
    margin_ratio: float = 0.0
    attraction: float = 0.0
    weight_index: float = 0.0
    positive_index: float = 0.0
    coincidence: float = 0.0
    coverage: float = 1.0

    @property
    def raised(self) -> float:
        """How far its weights in the classifying layer are raised: the greater of both indices."""
        return max(self.weight_index, self.positive_index)


@dataclass(frozen=True, eq=False)
class Elsewhere:
    """What is known of labels beside their patches; empty where it was not looked for.

    Attributes:
        changes: for warps ("warp") and filters ("filter"), the share of images that each label's sends to it, 0..1.
        additives: the size of each label's least additive change, infinite where it does not work.
        waves: how much better one wave is for each label than others, in log-odds.
        margins: the greatest margin of each label.
        attractions: the share of empty images that the network answers with each label, 0..1.
        weights: the sums of the labels' weights in the classifying layer, where there is one.
    """

    changes: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    additives: Mapping[int, float] = field(default_factory=dict)
    waves: Mapping[int, float] = field(default_factory=dict)
    margins: Mapping[int, float] = field(default_factory=dict)
    attractions: Mapping[int, float] = field(default_factory=dict)
    weights: RowSums | None = None

    def by_label(self) -> dict[int, dict[str, float]]:
        """Return the statistics of each label, by their names in `Statistics`."""
        additives = list(self.additives.values())
        columns: dict[str, Mapping[int, float]] = {
            **{f"{name}_lead": above_median(rates) for name, rates in self.changes.items()},
            "additive_ratio": dict(zip(self.additives, _ratios(additives, additives), strict=True)),
            "wave_lead": self.waves if len(self.waves) >= FEWEST_REFERENCES else {},
            "margin_ratio": margin_ratios(self.margins),
            "attraction": self.attractions,
        }
        if self.weights is not None:
            columns["weight_index"] = dict(enumerate(weight_indices(self.weights.every).tolist()))
            columns["positive_index"] = dict(enumerate(weight_indices(self.weights.positive).tolist()))
        result: dict[int, dict[str, float]] = {}
        for name, column in columns.items():
            for label, value in column.items():
                result.setdefault(label, {})[name] = value
        return result


def luck(labels: int) -> float:
    """Return the expected greatest of `labels` standard normal numbers, roughly: sqrt(2 ln n).

    >>> round(luck(43), 2)
    2.74
    """
    return math.sqrt(2 * math.log(max(labels, 2)))


def statistics(found: Sequence[Found], elsewhere: Elsewhere | None = None) -> dict[int, Statistics]:
    """Return the statistics of each label that was searched fully, and of each that was only screened among its like.

    Sizes that never reach the ASR count as infinite: not suspicious, and no part of the median. With fewer than four
    sizes to compare with, indices are 0.

    Args:
        found: what the search for patches found for each label.
        elsewhere: what else is known of the labels.
    """
    others = (elsewhere or Elsewhere()).by_label()
    result: dict[int, Statistics] = {}
    for group in ([each for each in found if each.trigger], [each for each in found if not each.trigger]):
        reference = [each for each in group if each.control or not each.trigger]
        if not group:
            continue
        ratios = _ratios([each.size for each in group], [each.size for each in reference])
        universal = _ratios([each.universal_size for each in group], [each.universal_size for each in reference])
        if any(ratios) and not any(universal):
            rest = [[other.universal_size for other in reference if other is not each] for each in group]
            universal = [_ratios([each.universal_size], others, 1)[0] for each, others in zip(group, rest, strict=True)]
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
                coverage=_coverage(each),
                **others.get(each.label, {}),
            )
    return {**result, **leading([result[each.label] for each in found if each.trigger])}


def leading(searched: Sequence[Statistics]) -> dict[int, Statistics]:
    """Return the statistics of labels that were searched fully, with what their ranks among each other say."""
    measures = [{each.label: getattr(each, name) for each in searched} for name in MEASURES]
    coincidence = coincidences(measures)
    return {each.label: replace(each, coincidence=coincidence[each.label]) for each in searched}


def without_images(elsewhere: Elsewhere) -> list[Statistics]:
    """Return the statistics of labels of which nothing but margins and weights is known."""
    known, margins = elsewhere.by_label(), elsewhere.margins
    return [Statistics(label, 0, 0, 0, 0, 0, 0, 0, luck(len(margins)), **known[label]) for label in margins]


def margin_ratios(margins: Mapping[int, float]) -> dict[int, float]:
    """Return each label's greatest margin over the median of them; 0 for negative margins and for too few labels.

    A median below one logit, where most labels can hardly be reached at all, counts as one.
    """
    if len(margins) < FEWEST_REFERENCES:
        return dict.fromkeys(margins, 0.0)
    median = max(float(np.median(list(margins.values()))), 1.0)
    return {label: max(value, 0.0) / median for label, value in margins.items()}


def above_median(values: Mapping[int, float]) -> dict[int, float]:
    """Return by how much each value exceeds the median one; 0 for the others, and for too few to compare."""
    if len(values) < FEWEST_REFERENCES:
        return dict.fromkeys(values, 0.0)
    median = float(np.median(list(values.values())))
    return {label: max(value - median, 0.0) for label, value in values.items()}


def _coverage(found: Found) -> float:
    if found.trigger is None or not math.isfinite(found.size):
        return 1.0
    return min(1.0, found.size / found.trigger.mask.numel())


def _ratios(sizes: Sequence[float], reference: Sequence[float], fewest: int = FEWEST_REFERENCES) -> list[float]:
    """Return the median of the finite reference over each size; 0 for infinite ones, and for all with few to tell."""
    finite = [max(size, SMALLEST) for size in reference if math.isfinite(size)]
    median = float(np.median(finite)) if len(finite) >= fewest else 0.0
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
