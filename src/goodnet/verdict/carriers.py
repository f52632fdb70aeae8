"""Carriers: which kind of evidence carries the probability of a label."""

from __future__ import annotations

from collections import Counter

from goodnet.calibration import Calibration
from goodnet.evidence.statistics import Statistics
from goodnet.verdict.features import SIZES, features


def change_of(label: Statistics, calibration: Calibration) -> str | None:
    """Return "warp", "filter" or "additive", whichever speaks most for a label, or None where its patch speaks more."""
    parts = Counter(calibration.label.parts(features(label)))  # what the calibration leaves out counts nothing
    most = max(("warp", "filter", "additive"), key=lambda name: parts[name])
    return most if parts[most] > sum(parts[name] for name in SIZES) else None


def by_what_it_does(label: Statistics, calibration: Calibration) -> bool:
    """Return whether margins and weights speak for a label, and triggers that were reversed for it next to nothing."""
    parts = Counter(calibration.label.parts(features(label)))
    others = sum(parts[name] for name in ("margin", "far_margin", "weights", "positive"))
    return others > 0.75 * parts.total()
