"""Verdict: from the statistics of all labels to clean, backdoored or inconclusive, with reasons in words."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Literal

from goodnet.evidence.statistics import Statistics

USUAL_SPREAD = 0.2
"""The deviation of the logarithm of sizes over the labels of most clean networks."""

ONE_DRAW = 2.0
"""An index below this says nothing about a label that something else has pointed to."""

Verdict = Literal["clean", "backdoored", "inconclusive"]


@dataclass(frozen=True)
class Calibration:
    """A logistic model of one label's features, fitted on the development zoo by benchmarks/calibrate.py.

    Attributes:
        intercept: its constant term.
        weights: its weight for each feature.
        backdoored: from this score of the most suspicious label on, the network is called backdoored.
        clean: up to this score of the most suspicious label, it is called clean; between, inconclusive.
        source: what it was fitted on.
    """

    intercept: float
    weights: Mapping[str, float]
    backdoored: float
    clean: float
    source: str

    def score(self, features: Mapping[str, float]) -> float:
        """Return the probability, 0..1, that a label with these features is the target of a backdoor."""
        logit = self.intercept + sum(weight * features[name] for name, weight in self.weights.items())
        return 1 / (1 + math.exp(-max(-500.0, min(500.0, logit))))


def shipped_calibration() -> Calibration:
    """Return the calibration that comes with goodnet."""
    text = resources.files("goodnet").joinpath("calibration.json").read_text(encoding="utf-8")
    return Calibration(**json.loads(text))


def features(label: Statistics) -> dict[str, float]:
    """Return the features of a label that the score is computed from.

    The index of size counts by how far it exceeds what the most extreme of as many labels reaches by chance. A label
    that sizes point to is one draw for the other statistics, so their indices count from two deviations on. Each counts
    within 0..5, so that one measure cannot carry the verdict out of sight of the others. The ratios of sizes count by
    their logarithms, in units of their usual spread, and not at all below 1.
    """

    def excess(index: float, usual: float) -> float:
        return max(0.0, min(5.0, index - usual))

    def log(ratio: float) -> float:
        return math.log(max(ratio, 1.0)) / USUAL_SPREAD

    return {
        "ratio": log(label.ratio),
        "universal": log(label.universal_ratio),
        "size": excess(label.size_index, label.luck),
        "noise": excess(label.noise_index, ONE_DRAW),
        "blank": excess(label.blank_index, ONE_DRAW),
        "transfer": label.transfer,
    }


@dataclass(frozen=True)
class Decision:
    """A verdict with the score of each label and the reasons.

    Attributes:
        verdict: the verdict.
        score: of the most suspicious label, 0..1.
        flagged: the target labels, most suspicious first.
        scores: the score of each label, 0..1.
        reasons: in words.
    """

    verdict: Verdict
    score: float
    flagged: tuple[int, ...]
    scores: Mapping[int, float]
    reasons: tuple[str, ...]


def decide(searched: Sequence[Statistics], unusable: Sequence[int], calibration: Calibration) -> Decision:
    """Return the verdict.

    Args:
        searched: the statistics of the labels that were searched fully.
        unusable: labels that were asked for but could not be searched.
        calibration: how statistics become a probability.
    """
    scores = {each.label: calibration.score(features(each)) for each in searched}
    ranked = sorted(searched, key=lambda each: (-scores[each.label], -each.size_index, each.label))
    best = scores[ranked[0].label] if ranked else 0.5
    flagged = tuple(each.label for each in ranked if scores[each.label] >= calibration.backdoored)
    if flagged:
        reasons = [_why(each, scores[each.label]) for each in ranked if each.label in flagged]
        return Decision("backdoored", best, flagged, scores, tuple(reasons))
    comparable = any(each.size_index for each in searched)
    if not comparable:
        reason = "the triggers of too few labels could be compared to tell what is usual for this network"
        return Decision("inconclusive", best, (), scores, (reason,))
    if best > calibration.clean:
        reason = f"not enough to accuse: {_why(ranked[0], best)}; scan again with more images or another --seed"
        return Decision("inconclusive", best, (), scores, (reason,))
    reasons = [f"no label's trigger stands out: the most suspicious is {_why(ranked[0], best)}"]
    if unusable:
        reason = f"{len(unusable)} labels could not be searched: {', '.join(map(str, unusable[:10]))}"
        return Decision("inconclusive", best, (), scores, (*reasons, reason))
    return Decision("clean", best, (), scores, tuple(reasons))


def _why(label: Statistics, score: float) -> str:
    """Return what speaks for and against a label in one line."""
    times = f"{label.ratio:.1f} times smaller" if label.ratio >= 1 else "no smaller"
    if label.universal_ratio != label.ratio:
        universal = label.universal_ratio
        times += f" ({universal:.1f} times where it must work on nearly all images)" if universal > 1 else ""
    return (
        f"label {label.label} (probability {score:.2f}): its trigger is {times} than the median one, anomaly index "
        f"{label.size_index:.1f} (chance alone reaches {label.luck:.1f} among as many labels); on noise its index is "
        f"{label.noise_index:.1f}, and it sends {label.transfer:.0%} of blank and noise images to the label"
    )
