"""Fit the input filter of a repaired network to clean images, and measure it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from goodnet.classifier import Classifier
from goodnet.engine import Engine
from goodnet.goodnet import GoodNet
from goodnet.guard import Guard, GuardConfig, GuardedNetwork
from goodnet.layers import activations, classifying_layer
from goodnet.repair.images import RepairImages, vary
from goodnet.repair.reversed import ANY, TriggerSet
from goodnet.report.repair import FilterFigures
from goodnet.triggers import Trigger

IMAGES = 256
VARIANTS = 8
FEWEST = 20
STAMPED = 64
SHOWN = 0.2
"""Share of a pixel, 0..1, that a mask takes if the pixel counts as the trigger's place."""

AGREED = 0.5
"""Share of a label's triggers, 0..1, that have to be in the same place."""

LARGEST_PLACE = 0.25
"""Share of the image, 0..1, beyond which too little is left to paint over the trigger's place."""


def fit_guard(
    old: Engine,
    new: Engine,
    images: RepairImages,
    triggers: TriggerSet,
    config: GuardConfig,
    seed: int,
) -> GuardedNetwork:
    """Return both networks with a filter whose threshold keeps the false-positive rate on clean images.

    Args:
        old: the BadNet.
        new: the repaired network.
        images: clean images; those of a flagged label, and variants of them, set the label's threshold.
        triggers: reversed triggers of the flagged labels.
        config: the rate, and how the evidence is weighed.
        seed: of the variants.
    """
    model = old.classifier
    labels = sorted(set(triggers.labels.tolist()))
    everything = torch.cat([images.pixels, images.held_pixels])
    classifying = classifying_layer(model, model.network, everything[:1])
    profile = None if classifying is None else _profile(model, classifying, images, triggers, labels, config)
    guard = Guard(model.classes, labels, _spread_out(triggers), 0 if profile is None else profile.shape[1])
    guard = guard.to(old.device)
    generator = torch.Generator().manual_seed(seed)
    guard.evidence_weight.fill_(config.evidence_weight)
    _fit_pixels(guard, everything)
    if classifying is not None and profile is not None:
        guard.neurons.copy_(profile)
        _fit_neurons(guard, activations(model, model.network, classifying, everything))
    every = triggers.triggers()
    for label in labels:
        guard.places[label] = _place([each for each in every if each.label == label])
    answers = old.predict(everything).argmax(1)
    truth = torch.cat([images.labels, images.held_labels])
    judged = guard.flagged[answers] > 0
    allowed = config.doubted / max(float(judged.float().mean()), config.doubted)
    of_others = everything[~judged][:STAMPED], truth[~judged][:STAMPED]
    others = _compared(guard, old, new, *of_others, None, generator)
    for label in labels:
        own = answers == label
        lost, worse, said = _compared(guard, old, new, everything[own], truth[own], label, generator)
        _, *stamped = _both(old, new, _stamped(images, triggers, label), label)
        if len(lost) >= FEWEST:
            rate, towards = config.false_positive_rate, config.towards_triggered
        else:
            # What the repair does to inputs of other labels shows what it does to clean ones.
            lost, worse, said = (torch.cat(each) for each in zip((lost, worse, said), others, strict=True))
            rate, towards = config.unknown_rate, config.towards_unknown
        _fit_threshold(guard, label, lost, rate, guard.lost_odds(*stamped), config.stamped_quantile, towards)
        _fit_doubt(guard, label, lost, worse, allowed, config.most_doubted)
        for victim in set(triggers.victims[triggers.labels == label].tolist()) - {ANY}:
            _fit_victim(guard, label, victim, worse * (said == victim), allowed)
    return GuardedNetwork(model.network, new.classifier.network, model.preprocessing, guard, classifying).eval()


def filter_figures(good: GoodNet, old: Engine, images: RepairImages, triggers: TriggerSet, seed: int) -> FilterFigures:
    """Measure the filter on held-out images, variants of them, and held-out images with triggers stamped on."""
    generator = torch.Generator().manual_seed(seed)
    flagged = torch.tensor(good.facts.target_labels)

    def judged_of(pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return which images the filter judges, and what the GoodNet says of them all."""
        return torch.isin(old.predict(pixels).argmax(1).cpu(), flagged), good.scores(pixels).argmax(1)

    held = images.held_labels.cpu()
    judged, said = judged_of(_variants(images.held_pixels, generator, 4))
    # What the BadNet calls a blend of a few images is no clean input of that label.
    judged &= torch.isin(held.repeat(4), flagged) & (not images.shared)
    wrong, total = 0, 0
    for number in range(len(triggers)):
        chosen = triggers.stampable(number, images.held_labels)[:STAMPED]
        sent, answers = judged_of(triggers.only(number).stamp(images.held_pixels[chosen])[0])
        wrong += int((sent & (answers != good.num_classes) & (answers != held[chosen.cpu()])).sum())
        total += int(sent.sum())
    called = (said == good.num_classes) & judged
    return FilterFigures(
        set_to=good.facts.false_positive_rate,
        false_positive_rate=float(called.sum() / judged.sum()) if bool(judged.any()) else None,
        false_negative_rate=wrong / total if total else None,
        clean=int(judged.sum()),
        stamped=total,
    )


def _profile(
    model: Classifier,
    classifying: str,
    images: RepairImages,
    triggers: TriggerSet,
    labels: Sequence[int],
    config: GuardConfig,
) -> Tensor:
    """Return for each label the weights of the neurons that its triggers drive most beyond clean images, (L, F)."""
    clean = activations(model, model.network, classifying, images.pixels[:IMAGES]).mean(0)
    rows = []
    for label in labels:
        stamped = activations(model, model.network, classifying, _stamped(images, triggers, label)).mean(0)
        driven = (stamped - clean).topk(max(1, round(config.driven_neurons * len(clean)))).indices
        rows.append(torch.zeros_like(clean).index_fill(0, driven, 1 / len(driven)))
    return torch.stack(rows)


def _place(triggers: Sequence[Trigger]) -> Tensor:
    """Return where most of a label's triggers are, with the pixels around it, 1 or 0, (H, W); nowhere if that is large.

    Triggers that are all over the image, as those of blended attacks, have no place.
    """
    masks = torch.stack([each.mask.amax(0) for each in triggers])
    agreed = ((masks > SHOWN).float().mean(0) >= AGREED).float()
    grown = functional.max_pool2d(agreed[None], 3, stride=1, padding=1)[0]
    return grown if float(grown.mean()) <= LARGEST_PLACE else torch.zeros_like(grown)


def _fit_pixels(guard: Guard, clean: Tensor) -> None:
    """Note how close clean images come to each trigger: the closest is where evidence begins."""
    distances = torch.cat([guard.distances(part) for part in clean.split(256)])
    guard.deviation.copy_(distances.std(0).clamp_min(1e-6) if len(clean) > 1 else torch.ones_like(guard.usual))
    guard.usual.copy_(distances.amin(0))


def _fit_neurons(guard: Guard, fired: Tensor) -> None:
    """Note how hard each label's neurons fire on clean images: the hardest is where evidence begins."""
    firing = guard.firing(fired)
    guard.firing_deviation.copy_(firing.std(0).clamp_min(1e-6) if len(fired) > 1 else torch.ones_like(firing[0]))
    guard.usual_firing.copy_(firing.amax(0))


def _both(old: Engine, new: Engine, images: Tensor, label: int | None) -> tuple[Tensor, Tensor, Tensor]:
    """Return which images (n, C, H, W) the BadNet sends to a label, all for None, and both networks' logits of these.

    The first is bool (n,), the others (m, N).
    """
    if not len(images):
        none = torch.zeros(0, old.classifier.classes, device=old.device)
        return torch.zeros(0, dtype=torch.bool, device=old.device), none, none
    before, after = old.predict(images), new.predict(images)
    sent = before.argmax(1) == label if label is not None else torch.ones_like(before[:, 0], dtype=torch.bool)
    return sent, before[sent], after[sent]


def _compared(
    guard: Guard,
    old: Engine,
    new: Engine,
    images: Tensor,
    truth: Tensor,
    label: int | None,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what the repair does to clean images (n, C, H, W) of classes (n,) and variants of them.

    Of those that the BadNet sends to a label (of all for None): the lost log odds (m,), 1 where the BadNet alone is
    right, -1 where the repaired network alone is, 0 elsewhere (m,), and the repaired network's answers (m,).
    """
    sent, before, after = _both(old, new, _variants(images, generator), label)
    truth = truth.repeat(VARIANTS)[sent]
    right_before, right_after = ((each.argmax(1) == truth).float() for each in (before, after))
    return guard.lost_odds(before, after), right_before - right_after, after.argmax(1)


def _fit_threshold(
    guard: Guard, label: int, clean: Tensor, rate: float, stamped: Tensor, quantile: float, towards: float
) -> None:
    """Set a label's threshold and the unit that it is measured in."""
    if len(clean) < 2:
        return
    threshold = float(clean.quantile(1 - rate))
    if len(stamped):
        threshold += towards * max(float(stamped.quantile(quantile)) - threshold, 0.0)
    guard.threshold[label] = threshold
    guard.unit[label] = max(float(clean.std()), 1e-3)


def _fit_doubt(guard: Guard, label: int, lost: Tensor, worse: Tensor, allowed: float, most: float) -> None:
    """Set from which lost odds on the repaired network decides inputs of a label.

    Args:
        guard: to set.
        label: the label.
        lost: the lost odds of clean inputs (n,).
        worse: how much worse the repaired network does on each of them (n,).
        allowed: what it may do worse, on average over all of them, 0..1.
        most: share of them, 0..1, that it may decide.
    """
    if not len(lost):
        return
    order = lost.argsort(descending=True)
    fair = (worse[order].cumsum(0) <= allowed * len(lost)).nonzero()
    count = min(int(fair.max()) + 1 if len(fair) else 0, int(most * len(lost)))
    guard.doubt[label] = lost[order[count]]


def _fit_victim(guard: Guard, label: int, victim: int, worse: Tensor, allowed: float) -> None:
    """Let the repaired network decide what it takes for the victim of a label, if it does not do too badly there.

    Args:
        guard: to set.
        label: the label.
        victim: the only class that its trigger works on.
        worse: how much worse it does then on each clean input of the label (n,).
        allowed: what it may do worse, on average over all of them, 0..1.
    """
    if float(worse.sum()) <= allowed * len(worse):
        guard.victim[label] = victim


def _variants(images: Tensor, generator: torch.Generator, count: int = VARIANTS) -> Tensor:
    """Return images and `count` - 1 variants of each."""
    return torch.cat([images, *(vary(images, generator) for _ in range(count - 1))]) if len(images) else images


def _stamped(images: RepairImages, triggers: TriggerSet, label: int) -> Tensor:
    """Return held-out images of other classes with a label's triggers stamped on."""
    victims = images.held_pixels[images.held_labels != label][:STAMPED]
    return triggers.only((triggers.labels == label).nonzero().flatten()).stamp(victims).flatten(0, 1)


def _spread_out(triggers: TriggerSet, most: int = 16) -> list[Trigger]:
    """Return at most `most` of the triggers, every label's in turn."""
    everything = triggers.triggers()
    if len(everything) <= most:
        return everything
    step = len(everything) / most
    return [everything[int(number * step)] for number in range(most)]
