"""Which labels get how many steps.

Few labels are all searched alike, and once more where that leaves doubts. Many are screened first with a few steps
each; those whose trigger already wins most clearly, on the clean images or on noise, go on, together with a control
group drawn at random, because only labels searched equally long can be compared. (Successive halving, Jamieson and
Talwalkar 2016, with a control group.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch

from goodnet.all_to_all import AllToAllConfig
from goodnet.coarse import CoarseConfig
from goodnet.evidence.margins import MarginConfig
from goodnet.evidence.waves import WaveConfig
from goodnet.generated import GeneratorConfig
from goodnet.inversion import MANY, InversionConfig
from goodnet.slight import ADDITIVES, FILTERS, WARPS, SlightConfig
from goodnet.source_specific import PairConfig


@dataclass(frozen=True)
class Budget:
    """How a scan spends its image-gradients.

    Attributes:
        screen_above: more labels than this are screened first.
        screening: the search that every label gets when there are many.
        full: the search of a label, where there are not many.
        looks: steps of it after which labels are compared, at first and, where that leaves doubts, once more. Flagged
            ones get the rest as well, to be shown.
        certain: from this probability of a backdoor on, 0..1, there is no doubt about a network, and so nothing else is
            looked for.
        suspicious: from this probability on there is reason for the second look.
        doubtful: from this probability on there may be a backdoor, so that labels are searched from another start.
        after_screening: the full search of labels that were screened, which starts where screening ended.
        best_on_clean: labels that go on for their margin on clean images.
        best_on_noise: labels that go on for their margin on noise images.
        control: labels that go on at random, as the measure of what is usual.
        slight: the searches for slight changes of the whole image, where labels need no screening.
        waves: which plane waves are tried.
        margins: how the margins of labels are maximised.
        margins_among_many: the same where there are `MANY` labels or more, and images.
        all_to_all: the search for one trigger that moves every class.
        pairs: the search for triggers that work on one class only, where nothing else was found.
        coarse: the search for a large trigger, for labels that are flagged.
        generator: the search for a trigger that depends on the input, for labels that are flagged for something else.
    """

    screen_above: int = 64
    screening: InversionConfig = field(default_factory=lambda: InversionConfig(steps=10, penalty=(0.01, 0.01)))
    full: InversionConfig = field(default_factory=InversionConfig)
    looks: tuple[int, int] = (120, 180)
    certain: float = 0.99
    suspicious: float = 0.1
    doubtful: float = 0.2
    after_screening: InversionConfig = field(default_factory=lambda: InversionConfig(steps=360))
    best_on_clean: int = 24
    best_on_noise: int = 32
    control: int = 48
    slight: tuple[SlightConfig, ...] = (WARPS, FILTERS, ADDITIVES)
    waves: WaveConfig = field(default_factory=WaveConfig)
    margins: MarginConfig = field(default_factory=MarginConfig)
    margins_among_many: MarginConfig = field(default_factory=lambda: MarginConfig(steps=40))
    all_to_all: AllToAllConfig = field(default_factory=AllToAllConfig)
    pairs: PairConfig = field(default_factory=PairConfig)
    coarse: CoarseConfig = field(default_factory=CoarseConfig)
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)

    def among(self, labels: int) -> Budget:
        """Return what is spent on each of so many labels."""
        if labels < MANY:
            return self
        return replace(self, margins=self.margins_among_many)

    def screens(self, labels: int) -> bool:
        """Return whether so many labels are screened first."""
        return labels > self.screen_above


def control_group(labels: Sequence[int], count: int, seed: int) -> frozenset[int]:
    """Return `count` of the labels, drawn at random."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    return frozenset(labels[i] for i in order[:count].tolist())


def shortlist(on_clean: Mapping[int, float], on_noise: Mapping[int, float], budget: Budget) -> frozenset[int]:
    """Return the labels with the best margins of each kind.

    Args:
        on_clean: for each label screened so far, the mean margin of its trigger on clean images.
        on_noise: the same on noise images.
        budget: how many of each.
    """
    return frozenset(_best(on_clean, budget.best_on_clean) + _best(on_noise, budget.best_on_noise))


def _best(margins: Mapping[int, float], count: int) -> list[int]:
    return sorted(margins, key=lambda label: (-margins[label], label))[:count]
