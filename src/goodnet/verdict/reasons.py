"""Reasons: what speaks for and against a label, a mapping of all classes or a pair of them, in words."""

from __future__ import annotations

import math

from goodnet.all_to_all import ClassMapping
from goodnet.calibration import Calibration
from goodnet.evidence.statistics import Statistics
from goodnet.source_specific import Pair
from goodnet.verdict.features import SIZES, far_margin, features


def why(label: Statistics, score: float, calibration: Calibration) -> str:
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
    wave = f"one plane wave gives it {math.exp(label.wave_lead):.0f} times the odds that others do"
    once = f"{math.exp(label.coincidence):.0f}"
    said = {
        SIZES: size,
        ("warp",): warp,
        ("filter",): filtered,
        ("wave",): wave,
        ("additive",): added,
        ("margin", "far_margin"): why_margin(label),
        ("blank",): f"on blank images, few of which get this label anyway, its index is {label.blank_index:.1f}",
        ("weights", "positive"): why_weights(label),
        ("coincidence",): f"by chance one of {once} networks at most has a label that leads so much in all measures",
    }
    parts = calibration.label.parts(features(label))
    for name in ("warp", "filter", "wave", "additive", "blank", "coincidence"):
        if not parts.get(name):
            del said[(name,)]
    ranked = sorted(said, key=lambda names: -sum(parts.get(name, 0.0) for name in names))
    evidence = [said[names] for names in ranked]
    return f"label {label.label} (probability {score:.2f}): " + "; ".join([*evidence, empty])


def why_margin(label: Statistics) -> str:
    """Return what a label's greatest margin says, and where that is far from usual, what empty images get."""
    said = f"the greatest margin any input reaches is {label.margin_ratio:.1f} times the median one"
    anyway = f", and without a trigger {label.attraction:.0%} of empty images get this label"
    return said + anyway if far_margin(label) else said


def why_weights(label: Statistics) -> str:
    """Return what a label's weights in the last layer say."""
    return f"index of its weights {label.weight_index:.1f}, of the positive ones {label.positive_index:.1f}"


def why_mapping(mapping: ClassMapping, probability: float) -> str:
    """Return what the trigger that moves every class does."""
    some = ", ".join(f"{source} to {target}" for source, target in list(mapping.targets.items())[:10])
    return (
        f"all-to-all (probability {probability:.2f}): one trigger of {mapping.trigger.size:.1f} pixels moves "
        f"{mapping.rate:.0%} of the images from class to class one by one" + (f": {some}" if some else "")
    )


def why_pair(pair: Pair, probability: float, raised: float) -> str:
    """Return what speaks for a trigger that works on one class only, and the index of its target's weights."""
    which = f"from {pair.victim} to {pair.target} alone (probability {probability:.2f}): the trigger of this pair is"
    unseen = "" if pair.unseen is None else f" and works on {pair.unseen:.0%} of images that it was not searched on"
    weights = f"index of the weights of {pair.target} {raised:.1f}"
    size = f"{pair.ratio:.1f} times smaller" if pair.ratio >= 1 else "no smaller"
    if pair.nearness is None:
        return f"{which} {size} than those of its like, index {pair.index:.1f}{unseen}; {weights}"
    return (
        f"{which} {size} than from other classes{unseen}, and without any trigger images "
        f"of {pair.victim} are nearer to {pair.target} than their like, index {pair.nearness:.1f}; {weights}"
    )
