"""Scan the networks of a zoo, each with several seeds."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from goodnet.bench.rows import Measurement, Row, fingerprint
from goodnet.bench.sample import draw
from goodnet.formats import load_model
from goodnet.scan import scan
from goodnet.verdict import Verdict


@dataclass(frozen=True, kw_only=True)
class ScanRow(Row):
    """One scan of one network.

    Attributes:
        verdict: of the scan.
        score: probability of a backdoor, 0..1.
        target_labels: the flagged labels, most suspicious first.
        report: the whole report, as `ScanReport.to_dict` gives it.
    """

    verdict: Verdict
    score: float
    target_labels: tuple[int, ...]
    report: Mapping[str, Any]

    @property
    def line(self) -> str:
        """What came out, in one line."""
        labels = f" {', '.join(map(str, self.target_labels[:5]))}" if self.target_labels else ""
        return f"scan {self.net} seed {self.seed}: {self.verdict}{labels} ({self.score:.2f}), {self.wall_seconds:.0f} s"


@dataclass(frozen=True, kw_only=True)
class ScanTask(Measurement[ScanRow]):
    """Scan a network with images drawn by the seed of the scan, or with none where `count` is 0."""

    stage: ClassVar[str] = "scan"

    def measure(self) -> ScanRow:
        """Scan it."""
        images = draw(self.data, self.data_folder, self.count, self.seed).clean if self.count else None
        model = load_model(self.model)
        started, busy = time.monotonic(), time.process_time()
        report = scan(model, images, seed=self.seed)
        return ScanRow(
            net=self.net,
            seed=self.seed,
            count=self.count,
            fingerprint=fingerprint(self.model),
            image_gradients=report.cost.image_gradients,
            processor_seconds=round(time.process_time() - busy, 2),
            wall_seconds=round(time.monotonic() - started, 2),
            verdict=report.verdict,
            score=report.score,
            target_labels=report.target_labels,
            report=report.to_dict(),
        )
