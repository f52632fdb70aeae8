"""A scan without a single image: the margins that inputs can be made to reach, and the weights of the last layer.

Nothing shows then whether the network's settings fit, what a trigger looks like or whether it works; margins and
weights say less than triggers do, and `Calibration.blind` knows how much less.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from goodnet.budget import Budget
from goodnet.calibration import Calibration
from goodnet.classifier import Classifier
from goodnet.engine import choose_engine
from goodnet.evidence.margins import attractions, greatest_margins
from goodnet.evidence.statistics import Elsewhere, without_images
from goodnet.evidence.weights import row_sums
from goodnet.report.facts import cost_facts, model_facts, versions
from goodnet.report.schema import ImageFacts, LabelReport, ScanReport
from goodnet.verdict import decide_blind

WARNING = (
    "scanned without images: margins and weights alone found 31 of 43 backdoors of goodnet's test zoo, 256 images 41; "
    "no trigger is shown, and the model's settings could not be checked; even 8 clean images make the verdict surer"
)
"""What is missed; the figures are those of docs/measured.md."""


def scan_blind(
    model: Classifier, labels: Sequence[int], seed: int, budget: Budget, calibration: Calibration
) -> ScanReport:
    """Look for a backdoor in a model without any image.

    Args:
        model: bound to its shape.
        labels: the labels to look at.
        seed: of the noise that is started from.
        budget: how hard margins are maximised.
        calibration: how evidence becomes a probability.
    """
    started = time.monotonic()
    noise = torch.rand(32, *model.shape, generator=torch.Generator().manual_seed(seed)).to(model.device)
    engine = choose_engine(model, noise)
    margins = greatest_margins(engine, labels, model.shape, seed, budget.margins)
    attracted = attractions(engine, model.shape, seed)
    evidence = without_images(Elsewhere(margins=margins, attractions=attracted, weights=row_sums(model, noise[:1])))
    decision = decide_blind(evidence, calibration)
    entries = [
        LabelReport(
            label=each.label,
            margin_ratio=each.margin_ratio,
            attraction=each.attraction,
            weight_index=each.weight_index,
            positive_index=each.positive_index,
            score=decision.scores[each.label],
            flagged=each.label in decision.flagged,
            family="none",
            status="blind",
        )
        for each in evidence
    ]
    return ScanReport(
        verdict=decision.verdict,
        score=decision.score,
        reasons=decision.reasons,
        target_labels=decision.flagged,
        labels=tuple(sorted(entries, key=lambda entry: (-entry.score, -entry.margin_ratio, entry.label))),
        model=model_facts(model, model.preprocessing.describe()),
        images=ImageFacts("none", 0, False, None),
        cost=cost_facts(engine.cost, time.monotonic() - started, engine.device, engine.bfloat16),
        preset="fast",
        seed=seed,
        versions=versions(),
        warnings=(*model.warnings, WARNING),
    )
