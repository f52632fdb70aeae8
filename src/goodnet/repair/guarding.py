"""Fit the input filter of a repaired network to clean images, and measure it."""

from __future__ import annotations

import torch
from torch import Tensor

from goodnet.engine import Engine
from goodnet.guard import Guard, GuardConfig, GuardFigures
from goodnet.repair.images import RepairImages, vary
from goodnet.repair.reversed import TriggerSet
from goodnet.triggers import Trigger

VARIANTS = 8
FEWEST = 20
STAMPED = 64


def fit_guard(
    old: Engine,
    new: Engine,
    images: RepairImages,
    triggers: TriggerSet,
    config: GuardConfig,
    seed: int,
) -> Guard:
    """Return a filter whose threshold keeps the false-positive rate on clean images and their variants.

    Args:
        old: the BadNet.
        new: the repaired network.
        images: clean images; those of a flagged label set the label's threshold.
        triggers: reversed triggers of the flagged labels.
        config: the rate, and how the evidence is weighed.
        seed: of the variants.
    """
    labels = sorted(set(triggers.labels.tolist()))
    kept = _spread_out(triggers)
    guard = Guard(old.classifier.classes, labels, kept).to(old.device)
    generator = torch.Generator().manual_seed(seed)
    everything = torch.cat([images.pixels, images.held_pixels])
    guard.evidence_weight.fill_(config.evidence_weight)
    _fit_evidence(guard, everything)
    answers = old.predict(everything).argmax(1)
    others = _variants(everything[guard.flagged[answers] == 0][:STAMPED], generator)
    for label in labels:
        own = _variants(everything[answers == label], generator)
        clean = _disagreements(guard, old, new, own, label)
        if len(clean) < FEWEST:
            # Too little is known of this label's clean inputs; those of other labels show how sure the repaired
            # network is of an answer that it keeps.
            clean = _disagreements(guard, old, new, others, None)
        stamped = _disagreements(guard, old, new, _stamped(images, triggers, label), label)
        _fit_threshold(guard, label, clean, stamped, config)
    return guard


def guard_figures(
    guard: Guard, old: Engine, new: Engine, images: RepairImages, triggers: TriggerSet, seed: int
) -> GuardFigures:
    """Measure the filter on held-out images, variants of them, and held-out images with triggers stamped on."""
    generator = torch.Generator().manual_seed(seed)
    clean = torch.cat([images.held_pixels, _variants(images.held_pixels, generator, 3)])
    truth = images.held_labels.repeat(len(clean) // len(images.held_labels))
    called, judged, _ = _answers(guard, old, new, clean)
    targets = judged & guard.flagged[truth].bool()
    wrong, total = 0, 0
    for number, target in enumerate(triggers.labels.tolist()):
        chosen = (images.held_labels != target).nonzero().flatten()[:STAMPED]
        one = {name: value[number : number + 1] for name, value in triggers.parameters.items()}
        stamped = triggers.family.stamp(one, images.held_pixels[chosen].unsqueeze(0))[0]
        backdoored, sent, said = _answers(guard, old, new, stamped)
        wrong += int((sent & ~backdoored & (said != images.held_labels[chosen])).sum())
        total += int(sent.sum())
    return GuardFigures(
        false_positive_rate=float((called & targets).sum() / targets.sum()) if bool(targets.any()) else None,
        false_negative_rate=wrong / total if total else None,
        clean=int(targets.sum()),
        stamped=total,
    )


def _answers(guard: Guard, old: Engine, new: Engine, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return which images (n, C, H, W) are called backdoored, which are judged, and the label without the filter."""
    before, after = old.predict(images), new.predict(images)
    judged = guard.judged(before)
    suspicious = torch.cat(
        [guard.suspicion(*parts) for parts in zip(images.split(256), before.split(256), after.split(256), strict=True)]
    )
    return judged & (suspicious > 0), judged, torch.where(judged, after.argmax(1), before.argmax(1))


def _fit_evidence(guard: Guard, clean: Tensor) -> None:
    """Note how close clean images come to each trigger: the closest is where evidence begins."""
    distances = torch.cat([guard.distances(part) for part in clean.split(256)])
    guard.deviation.copy_(distances.std(0).clamp_min(1e-6) if len(clean) > 1 else torch.ones_like(guard.usual))
    guard.usual.copy_(distances.amin(0))


def _disagreements(guard: Guard, old: Engine, new: Engine, images: Tensor, label: int | None) -> Tensor:
    """Return the disagreement on those images (n, C, H, W) that the BadNet sends to a label; on all for None."""
    if not len(images):
        return torch.zeros(0, device=old.device)
    before, after = old.predict(images), new.predict(images)
    sent = torch.ones_like(before[:, 0], dtype=torch.bool) if label is None else before.argmax(1) == label
    return guard.disagreement(before[sent], after[sent])


def _fit_threshold(guard: Guard, label: int, clean: Tensor, stamped: Tensor, config: GuardConfig) -> None:
    """Set a label's threshold and the unit that it is measured in."""
    if len(clean) < 2:
        return
    low = float(clean.quantile(1 - config.false_positive_rate))
    high = float(stamped.quantile(config.stamped_quantile)) if len(stamped) else low
    guard.threshold[label] = low + config.towards_triggered * max(high - low, 0.0)
    guard.unit[label] = max(float(clean.std()), 1e-3)


def _variants(images: Tensor, generator: torch.Generator, count: int = VARIANTS) -> Tensor:
    """Return images and `count` - 1 variants of each."""
    return torch.cat([images, *(vary(images, generator) for _ in range(count - 1))]) if len(images) else images


def _stamped(images: RepairImages, triggers: TriggerSet, label: int) -> Tensor:
    """Return held-out images of other classes with a label's triggers stamped on."""
    victims = images.held_pixels[images.held_labels != label][:STAMPED]
    rows = (triggers.labels == label).nonzero().flatten()
    one = {name: value[rows] for name, value in triggers.parameters.items()}
    return triggers.family.stamp(one, victims.expand(len(rows), *victims.shape)).flatten(0, 1)


def _spread_out(triggers: TriggerSet, most: int = 16) -> list[Trigger]:
    """Return at most `most` of the triggers, every label's in turn."""
    everything = triggers.triggers()
    if len(everything) <= most:
        return everything
    step = len(everything) / most
    return [everything[int(number * step)] for number in range(most)]
