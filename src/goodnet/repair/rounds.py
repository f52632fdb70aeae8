"""Rounds: repair, scan again, and repair what is left, because several triggers may share a label."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from goodnet.calibration import shipped_calibration
from goodnet.classifier import Classifier
from goodnet.engine import Cost, Engine
from goodnet.formats.load import weights_sha256
from goodnet.repair.choice import Choice, attempt_all
from goodnet.repair.images import RepairImages
from goodnet.repair.job import Job
from goodnet.repair.measure import measure
from goodnet.repair.reversed import Emergence, ReversalConfig, TriggerSet, fitted_to, reverse
from goodnet.repair.task import Method, Task
from goodnet.report.repair import Round
from goodnet.report.schema import ScanReport
from goodnet.scan import scan
from goodnet.triggers import Trigger


@dataclass(frozen=True, eq=False)
class Rounds:
    """What the rounds came to.

    Attributes:
        repaired: the network as the last round left it.
        done: what each round did.
        used: all reversed triggers that were worked with.
        unseen: all reversed triggers kept for measuring.
        emergence: what a trigger of each label looked like at steps of its search.
    """

    repaired: Classifier
    done: tuple[Round, ...]
    used: TriggerSet
    unseen: TriggerSet
    emergence: Mapping[int, tuple[tuple[int, Trigger], ...]]

    @property
    def labels(self) -> tuple[int, ...]:
        """All labels that were repaired, ascending."""
        return tuple(sorted({label for each in self.done for label in each.labels}))


def run_rounds(
    job: Job, engine: Engine, images: RepairImages, labels: tuple[int, ...], methods: Sequence[Method]
) -> Rounds:
    """Repair until a scan flags nothing any more, or the rounds are used up.

    Args:
        job: the job; its cost is counted up.
        engine: the BadNet.
        images: to repair on and to measure on.
        labels: the flagged labels, ascending.
        methods: the methods to try in each round.
    """
    usual = dataclasses.replace(job.config.reversal, known=job.victims)
    reversal = fitted_to(engine, labels, images.pixels, images.labels, usual, job.seed, job.surest)
    current, done = job.ready.model, list[Round]()
    sets: list[tuple[TriggerSet, TriggerSet]] = []
    emergence: dict[int, tuple[tuple[int, Trigger], ...]] = {}
    while labels and len(done) < job.config.rounds:
        number = len(done)
        now = engine if number == 0 else Engine(current, engine.bfloat16)
        tried = _try(job, now, current, images, labels, number, methods, reversal)
        if number == 0 and tried.task.changed and tried.choice.best.outcome.asr > job.config.criteria.change_asr:
            # What cannot be unlearned is the nature of images, and no warp or filter that was planted.
            other = dataclasses.replace(reversal, family=usual.family)
            patches = _try(job, now, current, images, labels, number, methods, other)
            if patches.choice.best.outcome.asr <= job.config.criteria.asr:
                tried, reversal = patches, other
        sets.append((tried.task.triggers, tried.task.unseen))
        emergence = {label: tuple(kept) for label, kept in tried.watch.snapshots.items()} | emergence
        current = _renamed(job.ready.model, tried.choice.best.network)
        checked = _scan_again(job, current, labels, number)
        now.cost.add(spent(checked))
        job.progress.update(f"round {number + 1}", 3, 3, now.cost)
        job.cost.add(now.cost)
        done.append(_round(labels, tried.choice, checked))
        labels = done[-1].remaining
    used, unseen = sets[0]
    for more_used, more_unseen in sets[1:]:
        used, unseen = used.joined_with(more_used), unseen.joined_with(more_unseen)
    return Rounds(current, tuple(done), used, unseen, emergence)


@dataclass(frozen=True, eq=False)
class _Tried:
    """What was tried in a round with one kind of triggers."""

    task: Task
    choice: Choice
    watch: Emergence


def _try(
    job: Job,
    now: Engine,
    current: Classifier,
    images: RepairImages,
    labels: Sequence[int],
    number: int,
    methods: Sequence[Method],
    reversal: ReversalConfig,
) -> _Tried:
    """Reverse triggers of one kind, and try the methods on them."""
    stage, watch = f"round {number + 1}", Emergence(labels, reversal)
    used, unseen = (
        reverse(now, labels, images.pixels, images.labels, reversal, job.seed, purpose, watched)
        for purpose, watched in ((f"repair {number}", watch), (f"measure {number}", None))
    )
    job.progress.update(stage, 1, 3, now.cost)
    task = Task(current, images, used, unseen, measure(now.predict, images, unseen), job.seed + number, now.cost)
    choice = attempt_all(task, methods, job.config.criteria)
    job.progress.update(stage, 2, 3, now.cost)
    return _Tried(task, choice, watch)


def spent(report: ScanReport) -> Cost:
    """Return what a scan has spent."""
    return Cost(report.cost.image_gradients, report.cost.forward_passes)


def _round(labels: tuple[int, ...], choice: Choice, checked: ScanReport) -> Round:
    return Round(
        labels=labels,
        method=choice.best.method,
        reason=choice.reason,
        attempts={
            each.method: {
                "clean_accuracy": each.outcome.clean_accuracy,
                "asr": each.outcome.asr,
                "recovered": each.outcome.recovered,
            }
            for each in choice.attempts
        },
        verdict=checked.verdict,
        remaining=tuple(sorted(checked.target_labels)),
    )


def _scan_again(job: Job, current: Classifier, labels: Sequence[int], number: int) -> ScanReport:
    """Scan the labels that were repaired, among others that tell what is usual.

    The last layer's weights hardly change in a repair, so that they would accuse the label for ever.
    """
    others = [label for label in range(current.classes) if label not in labels]
    order = torch.randperm(len(others), generator=torch.Generator().manual_seed(job.seed + number))
    chosen = [others[place] for place in order[: job.config.control_labels].tolist()]
    return scan(
        current,
        job.ready.images,
        labels=[*labels, *chosen],
        seed=job.seed + number,
        explicit=True,
        calibration=shipped_calibration().without("weights", "positive"),
        progress=job.progress,
    )


def _renamed(model: Classifier, network: nn.Module) -> Classifier:
    path, digest = f"{model.path} (repaired)", weights_sha256(network)
    return dataclasses.replace(model, network=network, sha256=digest, path=path, warnings=())
