"""One repair job: what it was given, and the parts of its report that are known from the start."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from goodnet.engine import Cost
from goodnet.goodnet import GoodNetFacts
from goodnet.guard import GuardConfig
from goodnet.images import CleanImages
from goodnet.preflight.check import PreflightResult
from goodnet.progress import Progress
from goodnet.repair.choice import Criteria
from goodnet.repair.reversed import ReversalConfig
from goodnet.report.facts import cost_facts, image_facts, model_facts, versions
from goodnet.report.repair import RepairReport, Round, Status
from goodnet.report.schema import CostFacts
from goodnet.verdict import Verdict
from goodnet.version import __version__


@dataclass(frozen=True)
class RepairConfig:
    """How a network is repaired.

    Attributes:
        rounds: at most so many; nine triggers on one label took the paper three.
        reversal: how the triggers to unlearn are reversed.
        guard: how the input filter judges.
        criteria: when a repair is good.
        control_labels: labels without a flag that the scan after a round looks at, to tell what is usual.
    """

    rounds: int = 3
    reversal: ReversalConfig = field(default_factory=ReversalConfig)
    guard: GuardConfig = field(default_factory=GuardConfig)
    criteria: Criteria = field(default_factory=Criteria)
    control_labels: int = 14


@dataclass(frozen=True, eq=False)
class Job:
    """What a repair was given.

    Attributes:
        ready: model and images, fitted to each other.
        verdict: of the scan before.
        victims: for labels whose trigger works on one class only, as far as that scan tells, this class.
        surest: the most suspicious label of that scan; None where there was none.
        seed: of every random draw.
        config: how to repair.
        progress: who is told.
        cost: what was spent so far.
        triggered: images with the real trigger, fitted to the model, only to measure with.
        started: when, by time.monotonic().
    """

    ready: PreflightResult
    verdict: Verdict
    victims: Mapping[int, int]
    surest: int | None
    seed: int
    config: RepairConfig
    progress: Progress
    cost: Cost
    triggered: CleanImages | None
    started: float

    def facts(self, labels: tuple[int, ...]) -> GoodNetFacts:
        """Return what the GoodNet is to say of itself, for the labels that were repaired."""
        model = self.ready.model
        return GoodNetFacts(
            num_classes=model.classes,
            input_shape=model.shape,
            target_labels=labels,
            changed=bool(labels),
            false_positive_rate=self.config.guard.false_positive_rate,
            original=model.path.replace("\\", "/").rsplit("/", 1)[-1],
            original_sha256=model.sha256,
            goodnet=__version__,
        )

    def report(
        self, status: Status, summary: str, verdict: Verdict, labels: tuple[int, ...], rounds: Sequence[Round]
    ) -> RepairReport:
        """Return the report without figures."""
        model, images = self.ready.model, self.ready.images
        return RepairReport(
            status=status,
            summary=summary,
            verdict_before=self.verdict,
            verdict_after=verdict,
            target_labels=labels,
            before=None,
            after=None,
            alone=None,
            filter=None,
            real_trigger=None,
            rounds=tuple(rounds),
            model=model_facts(model, self.ready.settings),
            images=image_facts(images, self.ready.clean_accuracy),
            cost=self.spent(False),
            seed=self.seed,
            versions=versions(),
            warnings=self.ready.warnings,
        )

    def spent(self, bfloat16: bool) -> CostFacts:
        """Return the cost up to now."""
        return cost_facts(self.cost, time.monotonic() - self.started, self.ready.model.device, bfloat16)
