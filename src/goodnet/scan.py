"""scan: is there a backdoor, which labels does it target, what does its trigger look like?"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from goodnet import classic
from goodnet.blind import scan_blind
from goodnet.budget import Budget
from goodnet.calibration import Calibration, shipped_calibration
from goodnet.checkpoint import Checkpoint, fingerprint
from goodnet.classifier import Classifier
from goodnet.engine import Engine, choose_engine
from goodnet.errors import ImagesError
from goodnet.examine import Examination, Findings
from goodnet.images import CleanImages
from goodnet.inversion import ImagePool
from goodnet.preflight import check
from goodnet.preflight.check import PreflightResult
from goodnet.progress import Progress, Silent
from goodnet.report.facts import cost_facts, image_facts, model_facts, versions
from goodnet.report.schema import AllToAllReport, LabelReport, PairReport, ScanReport, Status
from goodnet.search import Found
from goodnet.version import __version__

logger = logging.getLogger(__name__)

Preset = Literal["fast", "classic"]

SPLIT_FROM = 64
"""From so many images on, one half is searched on and the other measured on."""

MOST_IMAGES = 256
"""Images, at most, that a fast scan works with."""


def scan(
    model: Classifier,
    images: CleanImages | None,
    *,
    preset: Preset = "fast",
    labels: Sequence[int] | None = None,
    seed: int = 0,
    explicit: bool = False,
    resize: bool = False,
    budget: Budget | None = None,
    calibration: Calibration | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> ScanReport:
    """Look for a backdoor in a model.

    For every label the smallest trigger is reversed that turns clean images of the other classes into it (Neural
    Cleanse, Wang et al., IEEE S&P 2019); a label whose trigger is unusually small at the same attack success rate,
    or unusually strong on images that show nothing, is the target of a backdoor.

    Args:
        model: from `load_model`.
        images: clean images, from `load_images`; 8 are enough to begin with, 100 to 256 are better. None scans without,
            by margins and weights alone, which finds less.
        preset: "fast", or "classic" for the original Neural Cleanse, one label at a time.
        labels: the labels to look at; all of them by default.
        seed: of every random draw.
        explicit: whether the model's preprocessing was set on purpose and must not be replaced by what fits better.
        resize: whether the images may be resized and their colours converted to fit the model.
        budget: which labels get how many steps.
        calibration: how the evidence becomes a probability; the shipped one by default.
        checkpoint: folder in which finished labels are kept until the scan is done; None for nowhere.
        resume: whether to go on with what an interrupted scan of the same model, images and settings left there.
        progress: is told after each step and each batch of labels.

    Raises:
        ImagesError: the images do not fit the model, or labels are out of range.
        PreflightError: model and images do not belong together under the model's preprocessing.
        ModelError: the network fails on the images.
        CheckpointError: the checkpoint cannot be written.
    """
    started = time.monotonic()
    progress = progress or Silent()
    budget = budget or Budget()
    if images is None:
        if preset == "classic":
            raise ImagesError("the classic preset needs clean images, got none")
        model = model.bound_to(model.shape)
        return scan_blind(model, _wanted(labels, model.classes), seed, budget, calibration or shipped_calibration())
    ready = check(model, images, explicit=explicit, resize=resize)
    wanted = _wanted(labels, ready.model.classes)
    sample = _shuffled(ready.images, seed, len(ready.images) if preset == "classic" else MOST_IMAGES)
    engine = choose_engine(ready.model, sample.pixels[:MOST_IMAGES])
    pool, held_out = _split(sample, engine, halves=preset == "fast")
    skipped = [label for label in wanted if not (len(pool.others(label)) and len(held_out.others(label)))]
    searchable = [label for label in wanted if label not in skipped]
    keeper = None
    if checkpoint is not None:
        settings = (__version__, preset, budget, wanted, seed, ready.settings, engine.bfloat16)
        name = fingerprint(model.sha256, settings, [sample.pixels, pool.classes, held_out.classes])
        keeper = Checkpoint(Path(checkpoint), name, resume)
    if preset == "classic":
        findings = classic.examine(engine, pool, searchable, seed, progress, keeper)
    else:
        usual = calibration or shipped_calibration()
        every = ready.images.pixels
        spent = budget.among(len(searchable))
        examination = Examination(engine, pool, held_out, every, spent, usual, seed, progress, keeper)
        findings = examination.run(searchable, skipped, between_classes=labels is None)
    decision, mapping, pair = findings.decision, findings.mapping, findings.pair
    report = ScanReport(
        verdict=decision.verdict,
        score=decision.score,
        reasons=decision.reasons,
        target_labels=decision.flagged,
        labels=_labels(findings, skipped),
        model=model_facts(ready.model, ready.settings),
        images=image_facts(images, ready.clean_accuracy),
        cost=cost_facts(engine.cost, time.monotonic() - started, engine.device, engine.bfloat16),
        preset=preset,
        seed=seed,
        versions=versions(),
        warnings=_warnings(ready, pool is held_out, skipped),
        all_to_all=None if mapping is None else AllToAllReport(mapping.rate, mapping.targets, mapping.trigger.size),
        pair=None
        if pair is None
        else PairReport(pair.victim, pair.target, pair.ratio, pair.index, pair.nearness, pair.unseen, pair.pairs),
        triggers={each.label: each.trigger for each in findings.found if each.trigger}
        | {label: each.trigger for label, each in findings.instead.items()},
    )
    if keeper is not None:
        keeper.remove()
    return report


def _wanted(labels: Sequence[int] | None, classes: int) -> list[int]:
    """Return the labels to look at, ascending and each once."""
    if labels is None:
        return list(range(classes))
    wrong = [label for label in labels if not 0 <= label < classes]
    if wrong or not labels:
        came = ", ".join(map(str, wrong)) or "none"
        raise ImagesError(f"expected labels to scan in 0..{classes - 1}, got {came}")
    return sorted(set(labels))


def _shuffled(images: CleanImages, seed: int, count: int) -> CleanImages:
    """Return at most `count` of the images, drawn at random."""
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    return images.take(order[:count])


def _split(images: CleanImages, engine: Engine, halves: bool) -> tuple[ImagePool, ImagePool]:
    """Return the images to search on and those to measure on; the same where there are too few for two halves."""
    pixels = images.pixels.to(engine.device)
    answers = engine.predict(pixels).argmax(1)
    pool = ImagePool(pixels, answers if images.labels is None else images.labels.to(engine.device))
    if not halves or len(images) < SPLIT_FROM:
        return pool, pool
    half = len(images) // 2
    return ImagePool(pixels[:half], pool.classes[:half]), ImagePool(pixels[half:], pool.classes[half:])


def _labels(findings: Findings, skipped: Sequence[int]) -> tuple[LabelReport, ...]:
    """Return one entry a label, most suspicious first."""
    entries, decision = [], findings.decision
    for each in findings.found:
        about, instead = findings.evidence[each.label], findings.instead.get(each.label)
        size = each.size if instead is None else instead.pixels
        entries.append(
            LabelReport(
                label=each.label,
                anomaly_index=about.size_index,
                size_ratio=about.ratio,
                universal_ratio=about.universal_ratio,
                classic_index=about.classic_index,
                noise_index=about.noise_index,
                blank_index=about.blank_index,
                transfer=about.transfer,
                warp_lead=about.warp_lead,
                filter_lead=about.filter_lead,
                additive_ratio=about.additive_ratio,
                wave_lead=about.wave_lead,
                margin_ratio=about.margin_ratio,
                attraction=about.attraction,
                weight_index=about.weight_index,
                positive_index=about.positive_index,
                coincidence=about.coincidence,
                coverage=about.coverage,
                trigger_size=size if math.isfinite(size) else None,
                asr=each.asr if instead is None else instead.rate,
                score=decision.scores.get(each.label, 0.0),
                flagged=each.label in decision.flagged,
                family="patch" if instead is None else instead.trigger.family,
                victim=None if instead is None else instead.trigger.victim,
                status=_status(each),
            )
        )
    entries += [LabelReport(label) for label in skipped]
    order = {"screened": 1, "failed": 2, "skipped": 3}
    return tuple(
        sorted(entries, key=lambda e: (not e.flagged, order.get(e.status, 0), -e.score, -e.anomaly_index, e.label))
    )


def _status(found: Found) -> Status:
    if found.trigger is None:
        return "screened"
    if np.isnan(found.size):
        return "failed"
    return "found" if np.isfinite(found.size) else "unreached"


def _warnings(ready: PreflightResult, same_images: bool, skipped: Sequence[int]) -> tuple[str, ...]:
    warnings = [*ready.model.warnings, *ready.warnings]
    if same_images:
        warnings.append(
            f"only {len(ready.images)} images, so triggers were measured on the images they were searched on; "
            f"{SPLIT_FROM} or more allow an independent measurement"
        )
    if skipped:
        warnings.append(
            f"no images of other classes for labels {', '.join(map(str, skipped))}: these were not searched"
        )
    return tuple(warnings)
