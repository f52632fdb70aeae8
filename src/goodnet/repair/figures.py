"""The figures of a repair report."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from goodnet.engine import Engine
from goodnet.errors import ImagesError
from goodnet.goodnet import GoodNet
from goodnet.images import CleanImages
from goodnet.report.repair import RealTriggerFigures


def real_trigger_figures(
    good: GoodNet, old: Engine, triggered: CleanImages, labels: Sequence[int]
) -> RealTriggerFigures:
    """Return what becomes of images with the real trigger on them and their true labels.

    Raises:
        ImagesError: all of them are of a flagged label.
    """
    assert triggered.labels is not None
    targets = torch.tensor(labels)
    victims = ~torch.isin(triggered.labels, targets)
    truth, pixels = triggered.labels[victims], triggered.pixels[victims]
    if not len(truth):
        raise ImagesError(
            f"all images of {triggered.source} are of a flagged label; none can show the trigger's effect"
        )
    before = old.predict(pixels).argmax(1).cpu()
    scores = good.scores(pixels)
    off, on = scores[:, :-1].argmax(1), scores.argmax(1)
    caught = on == good.num_classes
    return RealTriggerFigures(
        images=len(truth),
        asr_before=float(torch.isin(before, targets).float().mean()),
        asr_after=float(torch.isin(off, targets).float().mean()),
        recovered=float((off == truth).float().mean()),
        caught=float(caught.float().mean()),
        handled=float((caught | (on == truth)).float().mean()),
    )
