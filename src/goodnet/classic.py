"""The classic preset: Neural Cleanse as published (Wang et al., IEEE S&P 2019, and the authors' code), to compare with.

One label at a time, up to 1000 steps of 31 mini-batches of 32 images; Adam at 0.1 with betas 0.5 and 0.9; the weight of
the mask's L1 norm starts at 0, becomes 0.001 once the ASR holds, and is then doubled while it holds and divided by
2^1.5 while it does not; the smallest mask at an ASR of 0.99 is kept. Images of the target's own class are not left
out, as in the original.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from goodnet.checkpoint import Batch, Checkpoint
from goodnet.engine import Engine
from goodnet.evidence.statistics import Statistics, statistics
from goodnet.examine import Findings
from goodnet.inversion import ImagePool, generator_for
from goodnet.progress import Progress
from goodnet.search import Found
from goodnet.triggers import Patch, Trigger
from goodnet.verdict import Decision


@dataclass(frozen=True)
class ClassicConfig:
    """The settings of the original code, under its names."""

    steps: int = 1000
    mini_batches: int = 31
    batch_size: int = 32
    learning_rate: float = 0.1
    betas: tuple[float, float] = (0.5, 0.9)
    initial_cost: float = 1e-3
    multiplier_up: float = 2.0
    multiplier_down: float = 2.0**1.5
    attack_success_threshold: float = 0.99
    patience: int = 5
    early_stop_patience: int = 25
    anomaly_threshold: float = 2.0


@dataclass
class CostSchedule:
    """The dynamic weight of the mask's size, as in the original code."""

    config: ClassicConfig
    cost: float = 0.0
    holding: int = 0
    up: int = 0
    down: int = 0
    raised: bool = False
    lowered: bool = False

    def update(self, asr: float) -> None:
        """Take the ASR of one step into account."""
        config = self.config
        holds = asr >= config.attack_success_threshold
        if self.cost == 0:
            self.holding = self.holding + 1 if holds else 0
            if self.holding >= config.patience:
                self.cost, self.up, self.down, self.raised, self.lowered = config.initial_cost, 0, 0, False, False
        self.up, self.down = (self.up + 1, 0) if holds else (0, self.down + 1)
        if self.up >= config.patience:
            self.up, self.raised = 0, True
            self.cost *= config.multiplier_up
        elif self.down >= config.patience:
            self.down, self.lowered = 0, True
            self.cost /= config.multiplier_down


def examine(
    engine: Engine,
    pool: ImagePool,
    labels: Sequence[int],
    seed: int,
    progress: Progress,
    checkpoint: Checkpoint | None,
) -> Findings:
    """Return what the original method finds of labels, one after the other."""
    found = []
    for label in labels:
        finished = None if checkpoint is None else checkpoint.load("classic", label)
        if finished is None:
            before = engine.cost.copy()
            facts, tensors = reverse(engine, pool, label, seed, ClassicConfig())
            finished = Batch(engine.cost - before, {label: facts}, {label: tensors})
            if checkpoint is not None:
                checkpoint.save("classic", label, finished)
        else:
            engine.cost.add(finished.cost)
        facts = finished.facts[label]
        trigger = Trigger(label, finished.tensors[label]["mask"], finished.tensors[label]["pattern"])
        found.append(Found(label, trigger, facts["size"], facts["size"], facts["asr"], NO_TRANSFER))
        progress.update("classic", len(found), len(labels), engine.cost)
    evidence = statistics(found)
    return Findings(found, evidence, decide([evidence[each.label] for each in found]))


NO_TRANSFER = {"margin_noise": 0.0, "margin_blank": 0.0, "gained_noise": 0.0, "gained_blank": 0.0}


def reverse(
    engine: Engine, pool: ImagePool, label: int, seed: int, config: ClassicConfig
) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Reverse one label's trigger; return its size and ASR, and mask (1, H, W) and pattern (C, H, W).

    The original returns the last mask where the ASR was never reached; so do we, with infinite size.
    """
    family, generator = Patch(), generator_for(seed, label, "classic")
    _, channels, height, width = pool.pixels.shape
    uniform = torch.rand(channels + 1, height, width, generator=generator).clamp(1e-4, 1 - 1e-4)[None]
    # The original optimises tanh(x) / 2 + 0.5, which is sigmoid(2x): the same curve at half the logit.
    halves = (uniform.logit() / 2).to(engine.device)
    mask, pattern = (part.clone().requires_grad_() for part in (halves[:, :1], halves[:, 1:]))
    optimizer = torch.optim.Adam([mask, pattern], lr=config.learning_rate, betas=config.betas)
    schedule = CostSchedule(config)
    targets = torch.full((config.batch_size,), label, device=engine.device)
    best: tuple[float, float, Tensor, Tensor] | None = None
    stale, least = 0, math.inf
    for _ in range(config.steps):
        hits, sizes = 0, 0.0
        for _ in range(config.mini_batches):
            index = torch.randint(len(pool.pixels), (config.batch_size,), generator=generator)
            current = {"mask": 2 * mask, "pattern": 2 * pattern}
            logits = engine.logits(family.stamp(current, pool.pixels[index][None]).flatten(0, 1))
            size = family.size(current).sum()
            loss = functional.cross_entropy(logits, targets) + schedule.cost * size
            mask.grad, pattern.grad = torch.autograd.grad(loss, [mask, pattern])
            optimizer.step()
            engine.count_gradients(config.batch_size)
            hits += int((logits.argmax(1) == label).sum())
            sizes += float(size.detach())
        asr, size_now = hits / (config.mini_batches * config.batch_size), sizes / config.mini_batches
        if asr >= config.attack_success_threshold and (best is None or size_now < best[0]):
            best = (size_now, asr, mask.detach().clone(), pattern.detach().clone())
        if best is not None:
            stale = stale + 1 if best[0] >= least else 0
            least = min(least, best[0])
        if schedule.raised and schedule.lowered and stale >= config.early_stop_patience:
            break
        schedule.update(asr)
    size_now, asr, mask, pattern = best or (math.inf, asr, mask.detach(), pattern.detach())
    return {"size": size_now, "asr": asr}, {"mask": (2 * mask[0]).sigmoid(), "pattern": (2 * pattern[0]).sigmoid()}


def decide(evidence: Sequence[Statistics], threshold: float = ClassicConfig.anomaly_threshold) -> Decision:
    """Return the original's verdict: labels with a small mask and an anomaly index above 2 are targets.

    The score is a logistic curve around the threshold; the original has no probability.
    """
    scores = {each.label: 1 / (1 + math.exp(threshold - max(each.classic_index, -50.0))) for each in evidence}
    ranked = sorted(evidence, key=lambda each: (-each.classic_index, each.label))
    flagged = tuple(each.label for each in ranked if each.classic_index > threshold)
    reasons = tuple(
        f"label {each.label}: classic anomaly index {each.classic_index:.2f}, threshold {threshold:g}"
        for each in ranked[: max(1, len(flagged))]
    )
    best = scores[ranked[0].label] if ranked else 0.5
    return Decision("backdoored" if flagged else "clean", best, flagged, scores, reasons)
