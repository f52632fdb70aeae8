"""Made-up networks with rows, to compute figures of and to draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from goodnet.bench.build import Net
from goodnet.bench.figures import Measured, figures
from goodnet.bench.parallel import Failure
from goodnet.bench.repairs import RepairRow
from goodnet.bench.report import BenchReport
from goodnet.bench.scans import ScanRow
from goodnet.classifier import Classifier
from goodnet.images import CleanImages
from goodnet.redteam import Attack, Clean, Recipe
from goodnet.verdict import Verdict


def net(name: str, kind: str = "clean", targets: tuple[int, ...] = ()) -> Net:
    rates = (1.0,) * len(targets)
    return Net(name, "digits", "conv", kind, targets, source=None, accuracy=0.9, asr=rates, seconds=1.0)


def scan(name: str, score: float, seed: int = 0, labels: tuple[int, ...] = (), **other: float) -> ScanRow:
    verdict: Verdict = "backdoored" if score >= 0.5 else "inconclusive" if score > 0.3 else "clean"
    return ScanRow(
        net=name,
        seed=seed,
        count=64,
        fingerprint="f",
        image_gradients=int(other.get("image_gradients", 100)),
        processor_seconds=other.get("seconds", 2.0),
        wall_seconds=3.0,
        verdict=verdict,
        score=score,
        target_labels=labels,
        report={"verdict": verdict},
    )


def repaired(
    name: str, clean: tuple[float, float] = (0.9, 0.89), after: tuple[float, ...] = (0.0,), recovered: float = 0.8
) -> RepairRow:
    return RepairRow(
        net=name,
        seed=0,
        count=64,
        fingerprint="f",
        image_gradients=1000,
        processor_seconds=20.0,
        wall_seconds=30.0,
        status="repaired",
        clean_before=clean[0],
        clean_after=clean[1],
        clean_filtered=clean[1],
        asr_before=(1.0,) * len(after),
        asr_after=after,
        recovered=recovered,
        handled=1.0,
        report={"status": "repaired"},
    )


def measured(
    name: str, kind: str, targets: tuple[int, ...], scores: Sequence[float], repair: RepairRow | None = None
) -> Measured:
    """A network with a scan of each score, which names the first target where it finds one."""
    rows = [scan(name, score, seed, targets[:1] or (7,)) for seed, score in enumerate(scores)]
    return Measured(net(name, kind, targets), tuple(rows), repair)


def report(networks: Sequence[Measured], failures: tuple[Failure, ...] = ()) -> BenchReport:
    return BenchReport(
        zoo="zoo",
        seeds=(0, 1),
        count=64,
        figures=figures(networks),
        networks=tuple(networks),
        failures=failures,
        calibration={"label": "made up"},
        versions={"goodnet": "0"},
    )


def recipe(name: str, attack: Attack | None = None, **settings: Any) -> Recipe:
    """A network on digits that is trained within a second."""
    usual: dict[str, Any] = {"data": "digits", "num_classes": 10, "architecture": "resnet_small", "epochs": 1}
    return Recipe(name=name, attack=attack or Clean(), **usual | {"batch_size": 64, "shift": 1} | settings)


@dataclass
class FakeScan:
    """A scan that only pretends: it goes by the network's name, and fails where told to."""

    fails_on: str = "no network"
    calls: list[tuple[str, int]] = field(default_factory=list)

    def __call__(self, model: Classifier, images: CleanImages, *, seed: int) -> SimpleNamespace:
        name = model.path.split("/")[-2]
        self.calls.append((name, seed))
        if self.fails_on in name:
            raise ValueError("no such luck")
        found = "clean" not in name
        return SimpleNamespace(
            verdict="backdoored" if found else "clean",
            score=0.9 if found else 0.1,
            target_labels=(2,) if found else (),
            cost=SimpleNamespace(image_gradients=len(images)),
            to_dict=lambda: {"verdict": "made up"},
        )
