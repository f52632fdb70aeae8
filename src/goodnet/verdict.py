"""Verdict: from the statistics of all labels to clean, backdoored or inconclusive, with reasons in words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from goodnet.all_to_all import ClassMapping
from goodnet.calibration import Calibration
from goodnet.evidence.statistics import Statistics, luck
from goodnet.source_specific import Pair

USUAL_SPREAD = 0.2
"""The deviation of the logarithm of sizes over the labels of most clean networks."""

WIDE = 0.4
"""Where a network's sizes have a larger spread than this, some are far smaller than others without any backdoor."""

MANY = 21
"""From so many labels on, a few with a backdoor do not change the spread of all."""

MOST = 12.0
"""The most that a measure counts, in its usual spreads."""

ATTRACTION = 3.0
"""The most that margins count. Without any backdoor, whatever is added to the black ground of a digit makes it an 8, so
these alone accuse nobody."""

NATURAL_LEAD = {"warp": 0.3, "filter": 0.5, "wave": 0.2}
"""Leads of a warp, a filter and a wave, 0..1, that clean networks often give a label."""

ADDITIVE_SPREAD = 0.05
"""The same of the logarithm of the sizes of additive changes, which differ little in most clean networks."""

NATURAL_ADDITIVE = 6.0
"""As many of these spreads the least additive change of a clean network may well be ahead, that is be 1.35 times
smaller than the median one."""

NATURAL = 4.0
"""As many spreads the smallest trigger of a clean network may well be ahead, that is be 2.2 times smaller than the
median one; from there on a smaller one counts in full."""

RAISED = 3.0
"""The most that the index of a target's positive weights counts for a pair of classes."""

SIZES = ("ratio", "far", "size")
"""The features that are about the size of a label's patch."""

Verdict = Literal["clean", "backdoored", "inconclusive"]


def features(label: Statistics) -> dict[str, float]:
    """Return the features of a label that its probability is computed from.

    Ratios count by their logarithms, in units of their usual spread, and like indices by how far they exceed half of
    what the most extreme of as many labels reaches by chance: a backdoor that no single measure betrays raises several
    of them a little for the same label. Sizes count by the lesser lead of the two at which they are compared, and once
    more by what that exceeds the lead that clean networks often give a label; among many labels, where the network's
    own spread is known well, no more than they would if it were `WIDE`. All are bounded, so that one measure cannot
    carry the verdict out of sight of the others.
    """
    chance = label.luck / 2
    ahead = _spreads(min(label.ratio, label.universal_ratio) if label.universal_ratio else label.ratio)
    if label.luck >= luck(MANY):
        ahead = min(ahead, label.size_index * WIDE / USUAL_SPREAD)
    return {
        "ratio": _excess(ahead, chance),
        "far": _excess(ahead, NATURAL),
        "size": _excess(label.size_index, chance),
        "noise": _excess(label.noise_index, chance),
        "blank": _excess(label.blank_index, chance),
        **{name: _excess(20 * lead, 20 * NATURAL_LEAD[name], 20) for name, lead in _leads(label).items()},
        "additive": _excess(_spreads(label.additive_ratio, ADDITIVE_SPREAD), NATURAL_ADDITIVE, NATURAL_ADDITIVE + MOST),
        "margin": _excess(_spreads(label.margin_ratio), chance, ATTRACTION),
        "weights": _excess(label.weight_index, chance),
        "positive": _excess(label.positive_index, chance),
    }


def change_of(label: Statistics, calibration: Calibration) -> str | None:
    """Return "warp", "filter" or "additive", whichever speaks most for a label, or None where its patch speaks more."""
    parts = Counter(calibration.label.parts(features(label)))  # what the calibration leaves out counts nothing
    most = max(("warp", "filter", "additive"), key=lambda name: parts[name])
    return most if parts[most] > sum(parts[name] for name in SIZES) else None


def by_what_it_does(label: Statistics, calibration: Calibration) -> bool:
    """Return whether margins and weights speak for a label, and triggers that were reversed for it next to nothing."""
    parts = Counter(calibration.label.parts(features(label)))
    others = sum(parts[name] for name in ("margin", "weights", "positive"))
    return others > 0.75 * parts.total()


def _leads(label: Statistics) -> dict[str, float]:
    return {"warp": label.warp_lead, "filter": label.filter_lead, "wave": label.wave_lead}


def mapping_features(rate: float) -> dict[str, float]:
    """Return the feature of the trigger that moves every class: in units of a tenth of the images."""
    return {"rate": 10 * rate}


def pair_features(ratio: float, index: float, pairs: int, positive: float) -> dict[str, float]:
    """Return the features of the pair of classes that stands out most of so many.

    Two classes may be so alike that little turns one into the other. But only what was trained to lead from one to the
    other has raised the target's positive weights in the last layer, whose index is the last of the numbers.
    """
    return {
        "ratio": _spreads(ratio),
        "index": _excess(index, luck(pairs), MOST + luck(pairs)),
        "positive": _excess(positive, 0.0, RAISED),
    }


def suspect_features(ratio: float, nearness: float, unseen: float, positive: float) -> dict[str, float]:
    """Return the features of a pair of a suspicious target and a victim near to it.

    The first is the geometric mean of how far its trigger is smaller than may well be natural, as far as it works on
    images it has not seen, and of how near the classes are: likeness of classes mostly raises one or the other, a
    backdoor both. The index of the target's positive weights counts as for any other pair, for the few images of one
    class are near to another by chance as well.
    """
    smaller = unseen * _excess(_spreads(ratio), NATURAL, NATURAL + MOST)
    return {
        "both": math.sqrt(smaller * _excess(nearness, 0.0)),
        "positive": _excess(positive, 0.0, RAISED),
    }


def pair_probability(pair: Pair, calibration: Calibration, positive: float) -> float:
    """Return the probability, 0..1, of a backdoor that leads from one class to another.

    Args:
        pair: the two classes.
        calibration: how evidence becomes a probability.
        positive: the index of the target's positive weights.
    """
    if pair.nearness is not None:
        unseen = 1.0 if pair.unseen is None else pair.unseen
        return calibration.suspect.probability(suspect_features(pair.ratio, pair.nearness, unseen, positive))
    assert pair.index is not None
    return calibration.pair.probability(pair_features(pair.ratio, pair.index, pair.pairs, positive))


def _excess(index: float, chance: float, most: float = MOST) -> float:
    return max(0.0, min(index, most) - chance)


def _spreads(ratio: float, usual: float = USUAL_SPREAD) -> float:
    return min(math.log(max(ratio, 1.0)) / usual, 20.0)


@dataclass(frozen=True)
class Decision:
    """A verdict with the score of each label and the reasons.

    Attributes:
        verdict: the verdict.
        score: of the most suspicious label, 0..1.
        flagged: the target labels, most suspicious first.
        scores: the score of each label, 0..1.
        reasons: in words.
        victims: of the flagged labels that are accused by a trigger that works on one class only, this class.
    """

    verdict: Verdict
    score: float
    flagged: tuple[int, ...]
    scores: Mapping[int, float]
    reasons: tuple[str, ...]
    victims: Mapping[int, int] = field(default_factory=dict)


def decide(
    searched: Sequence[Statistics],
    unusable: Sequence[int],
    calibration: Calibration,
    mapping: ClassMapping | None = None,
    pair: Pair | None = None,
) -> Decision:
    """Return the verdict.

    Args:
        searched: the statistics of the labels that were searched fully.
        unusable: labels that were asked for but could not be searched.
        calibration: how evidence becomes a probability.
        mapping: what the trigger that moves every class does, where it was searched.
        pair: the pair of classes that stands out most, where pairs were searched.
    """
    scores = {each.label: calibration.label.probability(features(each)) for each in searched}
    ranked = sorted(searched, key=lambda each: (-scores[each.label], -each.size_index, each.label))
    best = scores[ranked[0].label] if ranked else 0.5
    flagged = [each.label for each in ranked if scores[each.label] >= calibration.backdoored]
    reasons = [_why(each, scores[each.label], calibration) for each in ranked if each.label in flagged]
    others = []
    if mapping is not None:
        probability = calibration.mapping.probability(mapping_features(mapping.rate))
        sources = {target: source for source, target in sorted(mapping.targets.items(), key=lambda pair: pair[1])}
        others.append((probability, sources, _why_mapping(mapping, probability)))
    if pair is not None:
        positive = next((each.positive_index for each in searched if each.label == pair.target), 0.0)
        probability = pair_probability(pair, calibration, positive)
        others.append((probability, {pair.target: pair.victim}, _why_pair(pair, probability, positive)))
    victims: dict[int, int] = {}
    for probability, sources, reason in others:
        best = max(best, probability)
        if probability >= calibration.backdoored:
            victims |= {label: source for label, source in sources.items() if label not in flagged}
            flagged += [label for label in sources if label not in flagged]
            reasons.append(reason)
            scores |= {label: max(scores.get(label, 0.0), probability) for label in sources}
    if flagged:
        return Decision("backdoored", best, tuple(flagged), scores, tuple(reasons), victims)
    if not any(each.size_index for each in searched):
        reason = "the triggers of too few labels could be compared to tell what is usual for this network"
        return Decision("inconclusive", best, (), scores, (reason,))
    most = _why(ranked[0], scores[ranked[0].label], calibration)
    doubts = [most] if scores[ranked[0].label] > calibration.clean else []
    doubts += [reason for probability, _, reason in others if probability > calibration.clean]
    if doubts:
        doubts[0] = f"not enough to accuse: {doubts[0]}"
        doubts[-1] += "; scan again with more images or another --seed"
        return Decision("inconclusive", best, (), scores, tuple(doubts))
    reasons = [f"no label's trigger stands out: the most suspicious is {most}"]
    if unusable:
        reason = f"{len(unusable)} labels could not be searched: {', '.join(map(str, unusable[:10]))}"
        return Decision("inconclusive", best, (), scores, (*reasons, reason))
    return Decision("clean", best, (), scores, tuple(reasons))


def decide_blind(labels: Sequence[Statistics], calibration: Calibration) -> Decision:
    """Return the verdict from what is known of each label without any image.

    Args:
        labels: the statistics of all labels, of which only margins and weights are looked at.
        calibration: how evidence becomes a probability.
    """
    scores = {each.label: calibration.blind.probability(features(each)) for each in labels}
    ranked = sorted(labels, key=lambda each: (-scores[each.label], -each.margin_ratio, each.label))
    best = scores[ranked[0].label]
    flagged = tuple(each.label for each in ranked if scores[each.label] >= calibration.backdoored)
    shown = ranked[: max(1, len(flagged))]
    reasons = tuple(
        f"label {each.label} (probability {scores[each.label]:.2f}): the greatest margin that any input was made to "
        f"reach for it is {each.margin_ratio:.1f} times the median one; {_why_weights(each)}"
        for each in shown
    )
    if flagged:
        return Decision("backdoored", best, flagged, scores, reasons)
    return Decision("clean" if best <= calibration.clean else "inconclusive", best, (), scores, reasons)


def _why(label: Statistics, score: float, calibration: Calibration) -> str:
    """Return what speaks for and against a label in one line, what carries its probability first."""
    times = f"{label.ratio:.1f} times smaller" if label.ratio >= 1 else "no smaller"
    if label.universal_ratio != label.ratio:
        universal = label.universal_ratio
        times += f" ({universal:.1f} times where it must work on nearly all images)" if universal > 1 else ""
    size = (
        f"its trigger is {times} than the median one, anomaly index {label.size_index:.1f} (chance alone reaches "
        f"{label.luck:.1f} among as many labels)"
    )
    empty = (
        f"on noise its index is {label.noise_index:.1f}, and it sends {label.transfer:.0%} of blank and noise images "
        "to the label"
    )
    warp = f"a slight warp sends {label.warp_lead:.0%} more images to it than to the median label"
    filtered = f"a slight filter sends {label.filter_lead:.0%} more images to it than to the median label"
    added = f"what must be added to each pixel is {label.additive_ratio:.1f} times less than for the median label"
    wave = f"one plane wave sends {label.wave_lead:.0%} more images to it than any other wave does to any label"
    said = {
        SIZES: size,
        ("warp",): warp,
        ("filter",): filtered,
        ("wave",): wave,
        ("additive",): added,
        ("margin",): f"the greatest margin any input reaches is {label.margin_ratio:.1f} times the median one",
        ("weights", "positive"): _why_weights(label),
        ("noise", "blank"): empty,
    }
    parts = calibration.label.parts(features(label))
    for name in (*NATURAL_LEAD, "additive"):
        if not parts.get(name):
            del said[(name,)]
    ranked = sorted(said, key=lambda names: -sum(parts.get(name, 0.0) for name in names))
    return f"label {label.label} (probability {score:.2f}): " + "; ".join(said[names] for names in ranked)


def _why_weights(label: Statistics) -> str:
    return f"index of its weights {label.weight_index:.1f}, of the positive ones {label.positive_index:.1f}"


def _why_mapping(mapping: ClassMapping, probability: float) -> str:
    some = ", ".join(f"{source} to {target}" for source, target in list(mapping.targets.items())[:10])
    return (
        f"all-to-all (probability {probability:.2f}): one trigger of {mapping.trigger.size:.1f} pixels moves "
        f"{mapping.rate:.0%} of the images from class to class one by one: {some}"
    )


def _why_pair(pair: Pair, probability: float, positive: float) -> str:
    which = f"from {pair.victim} to {pair.target} alone (probability {probability:.2f}): the trigger of this pair is"
    weights = f"index of the positive weights of {pair.target} {positive:.1f}"
    if pair.nearness is None:
        return f"{which} {pair.ratio:.1f} times smaller than those of its like, index {pair.index:.1f}; {weights}"
    unseen = "" if pair.unseen is None else f" and works on {pair.unseen:.0%} of images that it was not searched on"
    return (
        f"{which} {pair.ratio:.1f} times smaller than from other classes{unseen}, and without any trigger images of "
        f"{pair.victim} are nearer to {pair.target} than their like, index {pair.nearness:.1f}; {weights}"
    )
