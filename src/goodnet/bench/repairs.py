"""Repair the infected networks of a zoo, and measure with the attacker's own triggers, which the repair never sees."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, ClassVar

import torch
from torch import Tensor

from goodnet.bench.build import Triggered, load_triggered
from goodnet.bench.rows import Measurement, Row, fingerprint
from goodnet.bench.sample import Sample, draw, read_once
from goodnet.classifier import Classifier
from goodnet.errors import ImagesError
from goodnet.formats import load_model
from goodnet.goodnet import GoodNet
from goodnet.repair import repair
from goodnet.report.reading import scan_report


@dataclass(frozen=True, kw_only=True)
class RepairRow(Row):
    """One repair of one network; all shares in 0..1.

    "After" is the GoodNet with its filter off, so that every input gets one of the N classes.

    Attributes:
        status: of the repair.
        clean_before: clean accuracy of the BadNet, on test images that the repair was not given.
        clean_after: of the GoodNet.
        clean_filtered: of the GoodNet with the filter on; an image called backdoored counts as wrong.
        asr_before: of each trigger, on images that the repair was not given either.
        asr_after: of each trigger.
        recovered: share of the triggered images that get their true class; mean over the triggers.
        handled: share that gets its true class or is called backdoored with the filter on; mean over the triggers.
        report: the whole report, as `RepairReport.to_dict` gives it.
    """

    status: str
    clean_before: float
    clean_after: float
    clean_filtered: float
    asr_before: tuple[float, ...]
    asr_after: tuple[float, ...]
    recovered: float
    handled: float
    report: Mapping[str, Any]

    @property
    def line(self) -> str:
        """What came out, in one line."""
        return (
            f"repair {self.net}: {self.status}, accuracy {self.clean_before:.1%} -> {self.clean_after:.1%}, "
            f"ASR {fmean(self.asr_before):.1%} -> {fmean(self.asr_after):.1%}, recovered {self.recovered:.1%}, "
            f"{self.wall_seconds:.0f} s"
        )


@dataclass(frozen=True, kw_only=True)
class RepairTask(Measurement[RepairRow]):
    """Repair a network with the images that it was scanned with.

    Attributes:
        scanned: the report of the scan of this seed, as `ScanReport.to_dict` gives it.
    """

    stage: ClassVar[str] = "repair"
    scanned: Mapping[str, Any] = field(compare=False)

    def measure(self) -> RepairRow:
        """Repair it and look at what came out."""
        sample = draw(self.data, self.data_folder, self.count, self.seed)
        attacked = unseen(load_triggered(self.folder, read_once(self.data, self.data_folder)), sample)
        model = load_model(self.model)
        started, busy = time.monotonic(), time.process_time()
        good = repair(model, sample.clean, scan_report(self.scanned, f"of {self.net}"), seed=self.seed)
        processor_seconds, wall_seconds = time.process_time() - busy, time.monotonic() - started
        assert good.report is not None
        return RepairRow(
            net=self.net,
            seed=self.seed,
            count=self.count,
            fingerprint=fingerprint(self.model),
            image_gradients=good.report.cost.image_gradients,
            processor_seconds=round(processor_seconds, 2),
            wall_seconds=round(wall_seconds, 2),
            status=good.report.status,
            report=good.report.to_dict(),
            **figures(model, good, sample, attacked),
        )


def unseen(triggered: Sequence[Triggered], sample: Sample) -> list[Triggered]:
    """Return the triggered images of each trigger whose clean originals the repair is not given.

    Raises:
        ImagesError: none is left to measure with.
    """
    left = [each.take(torch.from_numpy(~sample.drawn)[each.index]) for each in triggered]
    if not len(sample.rest) or not all(len(each.labels) for each in left):
        raise ImagesError(f"{len(sample.clean)} clean images leave no test images to measure with; give fewer")
    return left


def figures(model: Classifier, good: GoodNet, sample: Sample, attacked: Sequence[Triggered]) -> dict[str, Any]:
    """Return what a row says of the network before and after the repair."""
    truth = sample.rest.labels
    assert truth is not None
    clean = good.scores(sample.rest)
    scores = [good.scores(each.pixels) for each in attacked]
    off = [each[:, :-1].argmax(1) for each in scores]
    on = [each.argmax(1) for each in scores]
    return {
        "clean_before": _share(_answers(model, sample.rest.pixels) == truth),
        "clean_after": _share(clean[:, :-1].argmax(1) == truth),
        "clean_filtered": _share(clean.argmax(1) == truth),
        "asr_before": tuple(_share(_answers(model, each.pixels) == each.targets) for each in attacked),
        "asr_after": tuple(_share(said == each.targets) for said, each in zip(off, attacked, strict=True)),
        "recovered": fmean(_share(said == each.labels) for said, each in zip(off, attacked, strict=True)),
        "handled": fmean(
            _share((said == each.labels) | (said == good.num_classes)) for said, each in zip(on, attacked, strict=True)
        ),
    }


@torch.no_grad()
def _answers(model: Classifier, pixels: Tensor) -> Tensor:
    return torch.cat([model.logits(batch).argmax(1) for batch in pixels.split(256)])


def _share(which: Tensor) -> float:
    return float(which.float().mean())
