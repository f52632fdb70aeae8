"""Reports made by hand."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import torch

from goodnet.report.schema import CostFacts, ImageFacts, LabelReport, ModelFacts, ScanReport, Status
from goodnet.triggers import Trigger


def entry(label: int, status: Status = "found", flagged: bool = False, size: float | None = 1107.2) -> LabelReport:
    figures: dict[str, Any] = {each.name: 1.0 for each in fields(LabelReport)}
    known = {"label": label, "status": status, "flagged": flagged, "trigger_size": size}
    known |= {"family": "patch", "victim": None}
    return LabelReport(**{**figures, **known, "anomaly_index": -12.3, "score": 0.9949})


def report(*entries: LabelReport, shape: tuple[int, int, int] = (3, 12, 8)) -> ScanReport:
    flagged = tuple(each.label for each in entries if each.flagged)
    mask = torch.zeros(1, *shape[1:])
    mask[:, -3:, -3:] = 1
    return ScanReport(
        verdict="backdoored" if flagged else "clean",
        score=0.99,
        reasons=tuple(f"label {label}: because [of] this" for label in flagged) or ("no label stands out",),
        target_labels=flagged,
        labels=entries,
        model=ModelFacts("net.onnx", "0" * 64, "onnx", 1283, shape, "--pixel-range 0,1"),
        images=ImageFacts("faces.h5", 8, True, 0.875),
        cost=CostFacts(247_040, 1000, 201.7, "cpu", "bfloat16"),
        preset="fast",
        seed=0,
        versions={},
        warnings=("only 8 images",),
        triggers={each.label: Trigger(each.label, mask, torch.zeros(shape), family="patch") for each in entries},
    )
