"""Runs goodnet's own presets."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import torch
from measure import LabelRecord, Meter, Outcome, Task, neural_cleanse_outcome, read_task, versions

import goodnet
from goodnet import classic
from goodnet.engine import Engine
from goodnet.images import CleanImages
from goodnet.inversion import ImagePool

PACKAGES = "goodnet", "torch"


def run(task: Task) -> Outcome:
    """Scan with one of the presets."""
    model = goodnet.load_model(task.network)
    with torch.no_grad():
        pixels = torch.from_numpy(task.images)
        task.check(model.logits(pixels).softmax(1).numpy())
    images = CleanImages(pixels, torch.from_numpy(task.classes))
    classes = task.probabilities.shape[1]
    meter = Meter(task.labels, task.seconds)
    count, reverse = Engine.count_gradients, classic.reverse

    def count_gradients(engine: Engine, number: int) -> None:
        count(engine, number)
        meter.count(number)

    def watched_reverse(engine: Engine, pool: ImagePool, label: int, *settings: Any) -> tuple[Any, Any]:
        meter.begin(label)
        facts, tensors = reverse(engine, pool, label, *settings)
        meter.finish(label, facts["size"])
        return facts, tensors

    with (
        patch.object(Engine, "count_gradients", count_gradients),
        patch.object(classic, "reverse", watched_reverse),
        meter,
    ):
        labels = range(task.labels) if task.labels < classes else None
        report = goodnet.scan(model, images, preset=task.variant, labels=labels, seed=task.seed)
    if task.variant == "classic":
        config = classic.ClassicConfig()
        most = config.steps * config.mini_batches * config.batch_size
        return neural_cleanse_outcome(meter, classes, PACKAGES, most)
    complete = task.labels == classes and not meter.cut
    return Outcome(
        spent=meter.spent,
        cut=meter.cut,
        records=[] if meter.cut else [LabelRecord(entry.label, entry.trigger_size) for entry in report.labels],
        anomaly_indices={entry.label: entry.anomaly_index for entry in report.labels} if complete else {},
        verdict=report.verdict if complete else None,
        flagged=list(report.target_labels) if complete else [],
        versions=versions(PACKAGES),
        probability=report.score if complete else None,
    )


if __name__ == "__main__":
    task = read_task()
    torch.set_num_threads(1)
    run(task).write(task.record)
