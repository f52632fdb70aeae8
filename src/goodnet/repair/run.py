"""repair: from a BadNet and clean images to a GoodNet."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from goodnet.classifier import Classifier
from goodnet.engine import Cost, choose_engine
from goodnet.errors import ImagesError, UsageError
from goodnet.goodnet import GoodNet
from goodnet.images import CleanImages, fit_to
from goodnet.preflight import check
from goodnet.progress import Progress, Silent
from goodnet.repair.assemble import assemble, unchanged
from goodnet.repair.choice import methods_for
from goodnet.repair.images import split
from goodnet.repair.job import Job, RepairConfig
from goodnet.repair.rounds import run_rounds, spent
from goodnet.repair.task import trainable_copy
from goodnet.report.schema import ScanReport
from goodnet.scan import scan
from goodnet.verdict import Verdict


def repair(
    model: Classifier,
    images: CleanImages,
    report: ScanReport | None = None,
    *,
    method: str = "auto",
    labels: Sequence[int] | None = None,
    triggered: CleanImages | None = None,
    seed: int = 0,
    explicit: bool = False,
    resize: bool = False,
    config: RepairConfig | None = None,
    progress: Progress | None = None,
    scanned: Callable[[ScanReport], object] | None = None,
) -> GoodNet:
    """Remove the backdoor from a model.

    Args:
        model: from `load_model`.
        images: clean images, from `load_images`; a few per cent of the training set, or as few as eight.
        report: of a scan of this model; it is scanned first where there is none.
        method: "unlearn", "prune", "finetune" or "paper", or "auto" to try them and choose by what they do.
        labels: the labels to repair, instead of those that the report flags; the model is then not scanned first.
        triggered: images with the attacker's trigger and their true labels, only to measure with.
        seed: of every random draw.
        explicit: whether the model's preprocessing was set on purpose and must not be replaced by what fits better.
        resize: whether images may be resized and their colours converted to fit the model.
        config: how.
        progress: is told what is going on.
        scanned: is given the report of the scan that is made first, as soon as it is there.

    Returns:
        The GoodNet, with its RepairReport. Where the scan found no backdoor, the network in it is the model's own.

    Raises:
        UsageError: the report belongs to another model, a label is out of range, or there is no such method.
        ImagesError: the images do not fit the model, or are too few to repair with.
        PreflightError: model and images do not belong together.
        ModelError: the model cannot be trained.
    """
    started = time.monotonic()
    config, progress = config or RepairConfig(), progress or Silent()
    methods = methods_for(method)
    if report is not None and report.model.sha256 != model.sha256:
        raise UsageError(
            f"expected a scan report of {model.path} (sha256 {model.sha256[:12]}...), got one of {report.model.path} "
            f"(sha256 {report.model.sha256[:12]}...); scan this model, or leave the report out"
        )
    if triggered is not None and triggered.labels is None:
        raise ImagesError(
            f"the triggered images of {triggered.source} have no labels; their true labels are needed to measure with"
        )
    ready = check(model, images, explicit=explicit, resize=resize)
    _require_labels(labels, ready.model.classes)
    cost = Cost()
    if report is None and labels is None:
        report = scan(model, images, seed=seed, explicit=explicit, resize=resize, progress=progress)
        cost.add(spent(report))
        if scanned is not None:
            scanned(report)
    found = report.target_labels if report is not None else ()
    flagged = tuple(sorted(set(found if labels is None else labels)))
    shown = None if triggered is None else fit_to(triggered, ready.model.shape, resize)
    verdict: Verdict = "backdoored" if report is None else report.verdict
    entries = report.labels if report is not None else ()
    victims = {each.label: each.victim for each in entries if each.victim is not None}
    surest = found[0] if found and labels is None else None
    job = Job(ready, verdict, victims, surest, seed, config, progress, cost, shown, started)
    if not flagged:
        return unchanged(job)
    trainable_copy(ready.model)  # complains before the work, not after it
    engine = choose_engine(ready.model, ready.images.pixels[:256])
    parts = split(ready.images, engine, seed)
    return assemble(job, engine, parts, run_rounds(job, engine, parts, flagged, methods))


def _require_labels(labels: Sequence[int] | None, classes: int) -> None:
    wrong = [label for label in labels or () if not 0 <= label < classes]
    if wrong:
        raise UsageError(f"expected labels to repair in 0..{classes - 1}, got {', '.join(map(str, wrong))}")
