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
from goodnet.repair.reversed import Emergence, TriggerSet, fitted_to, reverse
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
    asked = dataclasses.replace(job.config.reversal, known=job.victims)
    reversal = fitted_to(engine, labels, images.pixels, images.labels, asked, job.seed)
    current, done = job.ready.model, list[Round]()
    sets: list[tuple[TriggerSet, TriggerSet]] = []
    emergence: dict[int, tuple[tuple[int, Trigger], ...]] = {}
    while labels and len(done) < job.config.rounds:
        number = len(done)
        stage = f"round {number + 1}"
        now = engine if number == 0 else Engine(current, engine.bfloat16)
        watch = Emergence(labels, reversal)
        used, unseen = (
            reverse(now, labels, images.pixels, images.labels, reversal, job.seed, purpose, watched)
            for purpose, watched in ((f"repair {number}", watch), (f"measure {number}", None))
        )
        sets.append((used, unseen))
        emergence = {label: tuple(kept) for label, kept in watch.snapshots.items()} | emergence
        job.progress.update(stage, 1, 3, now.cost)
        task = Task(current, images, used, unseen, measure(now.predict, images, unseen), job.seed + number, now.cost)
        choice = attempt_all(task, methods, job.config.criteria)
        job.progress.update(stage, 2, 3, now.cost)
        current = _renamed(job.ready.model, choice.best.network)
        checked = _scan_again(job, current, labels, number)
        now.cost.add(spent(checked))
        job.progress.update(stage, 3, 3, now.cost)
        job.cost.add(now.cost)
        done.append(_round(labels, choice, checked))
        labels = done[-1].remaining
    used, unseen = sets[0]
    for more_used, more_unseen in sets[1:]:
        used, unseen = used.joined_with(more_used), unseen.joined_with(more_unseen)
    return Rounds(current, tuple(done), used, unseen, emergence)


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
