"""Features: the numbers that a probability is computed from, of a label, a mapping of all classes, a pair of them."""

from __future__ import annotations

import math

from goodnet.evidence.statistics import Statistics, luck

USUAL_SPREAD = 0.2
"""The deviation of the logarithm of sizes over the labels of most clean networks."""

WIDE = 0.4
"""Where a network's sizes have a larger spread than this, some are far smaller than others without any backdoor."""

MANY = 21
"""From so many labels on, a few with a backdoor do not change the spread of all."""

MOST = 12.0
"""The most that a measure counts, in its usual spreads."""

MOST_MARGIN = 3.0
"""The most that margins count of themselves. Without any backdoor, whatever is added to the black ground of a digit
makes it an 8, so these alone accuse nobody."""

ATTRACTIVE = 0.5
"""The share of empty images from which on it is no wonder how sure a network can be made of a label."""

NATURAL_MARGIN = 5.5
"""As many spreads the greatest margin of a clean network may well be ahead, that is be 3 times the median one, where
the label is not what the network answers empty images with."""

GREATEST_MARGIN = 10.0
"""The most that it counts then, that is when it is 7 times the median one."""

NATURAL_BLANK = 4.5
"""The index that what a trigger does to blank images may well reach in a clean network, again where these do not get
the label anyway."""

TINT = 2.0
"""The most that filters count: what a tint does to clean networks varies even more."""

NATURAL_LEAD = {"warp": 0.3, "filter": 0.75, "wave": 1.0}
"""Leads of a warp and a filter, 0..1, and of a wave, in log-odds, that clean networks may well give a label."""

LEAD_SPREAD = {"warp": 0.05, "filter": 0.05, "wave": 0.2}
"""What these leads are counted in."""

MOST_LEAD = 20.0
"""The most that leads count, in these units."""

ADDITIVE_SPREAD = 0.05
"""The same deviation for the sizes of additive changes, which differ little in most clean networks."""

NATURAL_ADDITIVE = 6.0
"""As many of these spreads the least additive change of a clean network may well be ahead, that is be 1.35 times
smaller than the median one."""

NATURAL = 4.0
"""As many spreads the smallest trigger of a clean network may well be ahead, that is be 2.2 times smaller than the
median one; from there on a smaller one counts in full."""

SMALL = 0.006
"""Share of the image, 0..1, up to which a trigger is small: nothing that is drawn there looks like a class. Twice that
if it works on images of nothing as well, so that it is no stroke that makes another class of what is there."""

RAISED_WEIGHTS = 2.0
"""The index of a target's weights from which on its trigger need not be small, nor its wave doubted."""

NATURAL_COINCIDENCE = 2.0
"""How much a label of a clean network may well lead in most measures at once."""

RAISED = 3.0
"""The most that the index of a target's weights counts for a pair of classes."""

SIZES = ("ratio", "far")
"""The features that are about the size of a label's patch."""


def features(label: Statistics) -> dict[str, float]:
    """Return the features of a label that its probability is computed from.

    Ratios count by their logarithms, in units of their usual spread, and like indices by how far they exceed half of
    what the most extreme of as many labels reaches by chance: a backdoor that no single measure betrays raises several
    of them a little for the same label. Sizes count by the lesser lead of the two at which they are compared, and once
    more by what that exceeds the lead that clean networks often give a label; among many labels, where the network's
    own spread is known well, no more than they would if it were `WIDE`; and in so far as the trigger is small or the
    weights in the last layer are raised, for a large one may just draw what a class looks like. So may a filter or a
    wave, which count as far as weights are raised. Margins count once more by what exceeds the lead that clean networks
    often give a label, in so far as it is not the one that they answer empty images with, and so does what its trigger
    does to blank ones. All are bounded, so that one measure cannot carry the verdict out of sight of the others. What
    triggers do on noise and the index of their sizes are not among them: beside the others they told nothing in any
    fit.
    """
    chance = label.luck / 2
    ahead = _spreads(min(label.ratio, label.universal_ratio) if label.universal_ratio else label.ratio)
    if label.luck >= luck(MANY):
        ahead = min(ahead, label.size_index * WIDE / USUAL_SPREAD)
    raised, strange = _raised(label), _excess(1 - label.attraction / ATTRACTIVE, 0.0)
    credible = max(raised, _small(label))
    return {
        "ratio": credible * _excess(ahead, chance),
        "far": credible * _excess(ahead, NATURAL),
        "warp": _lead("warp", label.warp_lead),
        "filter": raised * min(_lead("filter", label.filter_lead), TINT),
        "wave": raised * _lead("wave", label.wave_lead),
        "additive": _excess(_spreads(label.additive_ratio, ADDITIVE_SPREAD), NATURAL_ADDITIVE, NATURAL_ADDITIVE + MOST),
        "margin": _excess(_spreads(label.margin_ratio), chance, MOST_MARGIN),
        "far_margin": strange * far_margin(label),
        "blank": strange * _excess(label.blank_index, NATURAL_BLANK),
        "weights": _excess(label.weight_index, chance),
        "positive": _excess(label.positive_index, chance),
        "coincidence": _excess(label.coincidence, NATURAL_COINCIDENCE),
    }


def far_margin(label: Statistics) -> float:
    """Return by how much a label's margin exceeds what clean networks often give one, in usual spreads."""
    return _excess(_spreads(label.margin_ratio), NATURAL_MARGIN, GREATEST_MARGIN)


def mapping_features(rate: float) -> dict[str, float]:
    """Return the feature of the trigger that moves every class: in units of a tenth of the images."""
    return {"rate": 10 * rate}


def pair_features(ratio: float, index: float, pairs: int, unseen: float | None, raised: float) -> dict[str, float]:
    """Return the features of one of the pairs of classes, of so many, that stand out most.

    The first is the geometric mean of how far its trigger is smaller than its like and of the index of that, as far as
    it works on images it has not seen. Two classes may be so alike that little turns one into the other. But only what
    was trained to lead from one to the other has raised the target's weights in the last layer, which is the last of
    the numbers, see `Statistics.raised`.
    """
    stands_out = _excess(index, luck(pairs), MOST + luck(pairs))
    return {
        "both": _share(unseen) * math.sqrt(_spreads(ratio) * stands_out),
        "weights": _excess(raised, 0.0, RAISED),
    }


def suspect_features(ratio: float, nearness: float, unseen: float | None, raised: float) -> dict[str, float]:
    """Return the features of a pair of a suspicious target and a victim near to it.

    The first is the geometric mean of how far its trigger is smaller than may well be natural, as far as it works on
    images it has not seen, and of how near the classes are: likeness of classes mostly raises one or the other, a
    backdoor both. The index of the target's weights counts as for any other pair, for the few images of one class are
    near to another by chance as well.
    """
    smaller = _share(unseen) * _excess(_spreads(ratio), NATURAL, NATURAL + MOST)
    return {
        "both": math.sqrt(smaller * _excess(nearness, 0.0)),
        "weights": _excess(raised, 0.0, RAISED),
    }


def raised_among_many(label: Statistics) -> bool:
    """Return whether a label's weights in the last layer are raised, and there are many to tell what is usual."""
    return label.luck >= luck(MANY) and label.raised >= RAISED_WEIGHTS


def _raised(label: Statistics) -> float:
    """Return how far a label's weights in the last layer are raised, 0..1; 1 where nothing is known of them."""
    if label.weight_index == label.positive_index == 0:
        return 1.0
    return _excess(label.raised / RAISED_WEIGHTS, 0.0, 1.0)


def _share(unseen: float | None) -> float:
    """Return the share of unseen images that a trigger works on, 0..1; 1 where that was not looked at."""
    return 1.0 if unseen is None else unseen


def _small(label: Statistics) -> float:
    """Return how far a label's trigger is small, 0..1: not at all at twice the size that is."""
    limit = SMALL * (1 + label.transfer)
    return _excess(1 - math.log2(max(label.coverage, 1e-9) / limit), 0.0, 1.0)


def _lead(name: str, lead: float) -> float:
    return _excess(lead / LEAD_SPREAD[name], NATURAL_LEAD[name] / LEAD_SPREAD[name], MOST_LEAD)


def _excess(index: float, chance: float, most: float = MOST) -> float:
    return max(0.0, min(index, most) - chance)


def _spreads(ratio: float, usual: float = USUAL_SPREAD) -> float:
    return min(math.log(max(ratio, 1.0)) / usual, 20.0)
