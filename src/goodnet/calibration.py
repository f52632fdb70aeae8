"""How evidence becomes a probability: logistic models that ship as calibration.json."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from typing import Any


@dataclass(frozen=True)
class Logistic:
    """The logarithm of the odds of a backdoor as a weighted sum of features.

    Attributes:
        intercept: the constant term.
        weights: the weight of each feature.
    """

    intercept: float
    weights: Mapping[str, float]

    def parts(self, features: Mapping[str, float]) -> dict[str, float]:
        """Return what each feature adds to the logarithm of the odds."""
        return {name: weight * features[name] for name, weight in self.weights.items()}

    def without(self, features: Sequence[str]) -> Logistic:
        """Return the same with no weight on some of the features."""
        weights = {name: 0.0 if name in features else weight for name, weight in self.weights.items()}
        return replace(self, weights=weights)

    def probability(self, features: Mapping[str, float]) -> float:
        """Return the probability, 0..1, of a backdoor with these features."""
        logit = self.intercept + sum(self.parts(features).values())
        return 1 / (1 + math.exp(-max(-500.0, min(500.0, logit))))


@dataclass(frozen=True)
class Calibration:
    """How evidence becomes a probability: logistic models, fitted on the development zoo by benchmarks/calibrate.py.

    Attributes:
        label: of a label's features.
        blind: of a label's features without any image.
        mapping: of the trigger that moves every class.
        pair: of the pair of classes that stands out most of all.
        suspect: of a pair of a suspicious target and a victim near to it, where not all pairs were searched.
        backdoored: from this probability on, the network is called backdoored.
        clean: up to this probability, it is called clean; between, inconclusive.
        sources: what each of the models was fitted on, by its name.
    """

    label: Logistic
    blind: Logistic
    mapping: Logistic
    pair: Logistic
    suspect: Logistic
    backdoored: float
    clean: float
    sources: Mapping[str, str]

    def without(self, *features: str) -> Calibration:
        """Return the calibration that makes nothing of some of the features of labels and pairs."""
        models = {name: getattr(self, name).without(features) for name in ("label", "pair", "suspect")}
        return replace(self, **models)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Calibration:
        """Return the calibration of a JSON object."""
        models = {name: Logistic(**plain[name]) for name in ("label", "blind", "mapping", "pair", "suspect")}
        return cls(**{**plain, **models})


def shipped_calibration() -> Calibration:
    """Return the calibration that comes with goodnet."""
    text = resources.files("goodnet").joinpath("calibration.json").read_text(encoding="utf-8")
    return Calibration.from_dict(json.loads(text))
