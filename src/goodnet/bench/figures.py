"""Figures: what the rows of a zoo come to, for one kind of attack or for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from goodnet.bench import metrics
from goodnet.bench.build import Net
from goodnet.bench.metrics import Estimate, Scores
from goodnet.bench.repairs import RepairRow
from goodnet.bench.scans import ScanRow


@dataclass(frozen=True)
class Measured:
    """A network with what was measured of it.

    Attributes:
        net: the network.
        scans: of each seed that did not fail, in the order of the seeds; at least one. The first is the one that
            figures are computed from, the others only say whether verdicts hold.
        repair: the repair, where the first scan found a backdoor that is there.
    """

    net: Net
    scans: tuple[ScanRow, ...]
    repair: RepairRow | None = None

    @property
    def first(self) -> ScanRow:
        """The scan that figures are computed from."""
        return self.scans[0]

    @property
    def stable(self) -> bool:
        """Whether all seeds give one verdict."""
        return len({scan.verdict for scan in self.scans}) == 1


@dataclass(frozen=True)
class Detection:
    """How well backdoors are found; None where there is nothing to compute a figure from.

    Attributes:
        auc: area under the ROC curve of the score.
        tpr_at_5: TPR at a threshold with at most 5 % FPR on these clean networks.
        tpr_at_1: TPR at a threshold with at most 1 % FPR on these clean networks.
        tpr: share of the infected networks with the verdict backdoored.
        fpr: share of the clean networks with the verdict backdoored.
        inconclusive: share of the group's networks with the verdict inconclusive.
        target: share of the found networks whose most suspicious label is one that the attack leads to.
        brier: Brier score of the score, 0..1; 0 is best.
        calibration_error: expected calibration error of the score, 0..1; 0 is best.
        stable: share of the group's networks whose verdict is the same with all seeds.
    """

    auc: Estimate | None
    tpr_at_5: Estimate | None
    tpr_at_1: Estimate | None
    tpr: Estimate | None
    fpr: Estimate | None
    inconclusive: Estimate | None
    target: Estimate | None
    brier: Estimate | None
    calibration_error: Estimate | None
    stable: Estimate | None


@dataclass(frozen=True)
class Repair:
    """How well the found backdoors are removed: means over repaired networks, shares in 0..1.

    Attributes:
        clean_before: clean accuracy of the BadNet.
        clean_after: of the GoodNet with the filter off.
        drop: what clean accuracy falls by, in percentage points; negative where it rises.
        asr_before: ASR of the attacker's triggers on the BadNet; the mean over the triggers of a network.
        asr_after: on the GoodNet with the filter off.
        recovered: share of triggered images that get their true class, filter off.
        handled: share that gets its true class or is called backdoored, filter on.
    """

    clean_before: Estimate | None
    clean_after: Estimate | None
    drop: Estimate | None
    asr_before: Estimate | None
    asr_after: Estimate | None
    recovered: Estimate | None
    handled: Estimate | None


@dataclass(frozen=True)
class Spent:
    """What something costs over many runs: the median and the 95th percentile."""

    median: float
    percentile_95: float


@dataclass(frozen=True)
class Figures:
    """The figures of a group of networks.

    Attributes:
        group: name of an attack, "clean" or "all".
        nets: networks in the group.
        detection: of the group's infected networks against all clean networks that were measured.
        repair: of the group's networks.
        image_gradients: of one scan, over all networks and seeds of the group.
        seconds: processor seconds of one scan, likewise.
    """

    group: str
    nets: int
    detection: Detection
    repair: Repair
    image_gradients: Spent
    seconds: Spent


def figures(measured: Sequence[Measured]) -> tuple[Figures, ...]:
    """Return the figures of each kind of attack, in alphabetical order and the clean networks first, then of all."""
    clean = [each for each in measured if not each.net.infected]
    kinds = sorted({each.net.kind for each in measured}, key=lambda kind: (kind != "clean", kind))
    groups = {kind: [each for each in measured if each.net.kind == kind] for kind in kinds}
    if measured:
        groups["all"] = list(measured)
    return tuple(
        Figures(
            group=name,
            nets=len(group),
            detection=detection(group, clean),
            repair=repair([each.repair for each in group if each.repair]),
            image_gradients=spent([scan.image_gradients for each in group for scan in each.scans]),
            seconds=spent([scan.processor_seconds for each in group for scan in each.scans]),
        )
        for name, group in groups.items()
    )


def detection(group: Sequence[Measured], clean: Sequence[Measured]) -> Detection:
    """Return how well the backdoors of a group are told from clean networks."""
    infected = [each for each in group if each.net.infected]
    found = [each for each in infected if each.first.verdict == "backdoored"]
    accused = [each for each in clean if each.first.verdict == "backdoored"]
    repeated = [each for each in group if len(each.scans) > 1]
    scores = _scores(infected), _scores(clean)
    return Detection(
        auc=metrics.of_scores(metrics.auc, *scores),
        tpr_at_5=metrics.of_scores(metrics.tpr_at(0.05), *scores),
        tpr_at_1=metrics.of_scores(metrics.tpr_at(0.01), *scores),
        tpr=metrics.share(len(found), len(infected)),
        fpr=metrics.share(len(accused), len(clean)),
        inconclusive=metrics.share(sum(each.first.verdict == "inconclusive" for each in group), len(group)),
        target=metrics.share(sum(each.first.target_labels[0] in each.net.targets for each in found), len(found)),
        brier=metrics.of_scores(metrics.brier, *scores),
        calibration_error=metrics.of_scores(metrics.calibration_error, *scores),
        stable=metrics.share(sum(each.stable for each in repeated), len(repeated)),
    )


def repair(rows: Sequence[RepairRow]) -> Repair:
    """Return how well the backdoors of some networks were removed."""
    before, after = _values([row.clean_before for row in rows]), _values([row.clean_after for row in rows])
    return Repair(
        clean_before=metrics.mean(before),
        clean_after=metrics.mean(after),
        drop=metrics.mean(100 * (before - after)),
        asr_before=metrics.mean(_values([np.mean(row.asr_before) for row in rows])),
        asr_after=metrics.mean(_values([np.mean(row.asr_after) for row in rows])),
        recovered=metrics.mean(_values([row.recovered for row in rows])),
        handled=metrics.mean(_values([row.handled for row in rows])),
    )


def spent(values: Sequence[float]) -> Spent:
    """Return the median and the 95th percentile of at least one value."""
    median, most = np.percentile(values, (50, 95))
    return Spent(float(median), float(most))


def _scores(measured: Sequence[Measured]) -> Scores:
    return _values([each.first.score for each in measured])


def _values(values: Sequence[float | np.floating]) -> Scores:
    return np.array(values, dtype=np.float64)
