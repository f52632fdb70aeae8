"""From the statistics of all labels to clean, backdoored or inconclusive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from goodnet.all_to_all import ClassMapping
from goodnet.calibration import Calibration
from goodnet.evidence.statistics import Statistics
from goodnet.source_specific import Pair
from goodnet.verdict.features import features, mapping_features, pair_features, raised_among_many, suspect_features
from goodnet.verdict.reasons import why, why_mapping, why_margin, why_pair, why_weights

Verdict = Literal["clean", "backdoored", "inconclusive"]


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
    scores = _scores(searched, calibration)
    ranked = sorted(searched, key=lambda each: (-scores[each.label], -each.size_index, each.label))
    best = scores[ranked[0].label] if ranked else 0.5
    flagged = [each.label for each in ranked if scores[each.label] >= calibration.backdoored]
    reasons = [why(each, scores[each.label], calibration) for each in ranked if each.label in flagged]
    others = []
    if mapping is not None:
        probability = calibration.mapping.probability(mapping_features(mapping.rate))
        sources = {target: source for source, target in sorted(mapping.targets.items(), key=lambda pair: pair[1])}
        others.append((probability, sources, why_mapping(mapping, probability)))
    if pair is not None:
        raised = next((each.raised for each in searched if each.label == pair.target), 0.0)
        probability = pair_probability(pair, calibration, raised)
        others.append((probability, {pair.target: pair.victim}, why_pair(pair, probability, raised)))
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
    highest = scores[ranked[0].label]
    most = why(ranked[0], highest, calibration)
    doubts = [most] if highest > calibration.clean else []
    doubts += [reason for probability, _, reason in others if probability > calibration.clean]
    if doubts:
        doubts[0] = f"not enough to accuse: {doubts[0]}"
        doubts[-1] += "; scan again with more images or another --seed"
        return Decision("inconclusive", best, (), scores, tuple(doubts))
    likelier = [reason for probability, _, reason in others if probability == best > highest]
    reasons = [f"nothing stands out enough: the most suspicious is {reason}" for reason in likelier[:1]]
    reasons.append(f"no label's trigger stands out: the most suspicious is {most}")
    if unusable:
        reason = f"{len(unusable)} labels could not be searched: {', '.join(map(str, unusable[:10]))}"
        return Decision("inconclusive", best, (), scores, (*reasons, reason))
    return Decision("clean", best, (), scores, tuple(reasons))


def _scores(searched: Sequence[Statistics], calibration: Calibration) -> dict[int, float]:
    """Return the score of each label.

    What is planted makes small triggers for a few other labels too. So beside a label that weights accuse as well,
    among enough of them to tell, sizes count only as far as a label's own weights are raised, however small they are.
    """

    def score(label: Statistics) -> float:
        return calibration.label.probability(features(label))

    first = max(searched, key=score, default=None)
    if first and score(first) >= calibration.backdoored and raised_among_many(first):
        searched = [each if each is first else replace(each, coverage=1.0) for each in searched]
    return {each.label: score(each) for each in searched}


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
        f"label {each.label} (probability {scores[each.label]:.2f}): {why_margin(each)}; {why_weights(each)}"
        for each in shown
    )
    if flagged:
        return Decision("backdoored", best, flagged, scores, reasons)
    return Decision("clean" if best <= calibration.clean else "inconclusive", best, (), scores, reasons)


def pair_probability(pair: Pair, calibration: Calibration, raised: float) -> float:
    """Return the probability, 0..1, of a backdoor that leads from one class to another.

    Args:
        pair: the two classes.
        calibration: how evidence becomes a probability.
        raised: the index of the target's weights.
    """
    if pair.nearness is not None:
        return calibration.suspect.probability(suspect_features(pair.ratio, pair.nearness, pair.unseen, raised))
    assert pair.index is not None
    return calibration.pair.probability(pair_features(pair.ratio, pair.index, pair.pairs, pair.unseen, raised))
