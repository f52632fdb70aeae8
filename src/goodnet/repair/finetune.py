"""Fine-tuning on clean images alone: the baseline that every repair has to beat (Liu et al., RAID 2018)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from goodnet.classifier import freeze
from goodnet.repair.images import vary
from goodnet.repair.task import Task, trainable_copy


@dataclass(frozen=True)
class FineTuneConfig:
    """How to fine-tune.

    Attributes:
        steps: SGD steps with Nesterov momentum .9.
        images_per_step: images a step.
        learning_rate: at the start; falls to 0 as a cosine.
        largest_gradient: the gradient's norm is clipped to this.
    """

    steps: int = 100
    images_per_step: int = 48
    learning_rate: float = 4e-3
    largest_gradient: float = 2.0


@dataclass(frozen=True)
class FineTune:
    """Train on for a little on clean images with their labels; no trigger is used."""

    config: FineTuneConfig = FineTuneConfig()
    name: str = "finetune"

    def repair(self, task: Task) -> nn.Module:
        """Return a fine-tuned copy of the task's network."""
        config, images, model = self.config, task.images, task.model
        network, weights = trainable_copy(model)
        optimizer = torch.optim.SGD(weights, lr=config.learning_rate, momentum=0.9, nesterov=True)
        generator = torch.Generator().manual_seed(task.seed)
        for step in range(config.steps):
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * (1 + math.cos(math.pi * step / config.steps)) / 2
            index = torch.randint(len(images.pixels), (config.images_per_step,), generator=generator).to(model.device)
            logits = network(model.preprocessing(vary(images.pixels[index], generator)))
            loss = functional.cross_entropy(logits, images.labels[index])
            optimizer.zero_grad()
            loss.backward()
            if bool(torch.isfinite(nn.utils.clip_grad_norm_(weights, config.largest_gradient))):
                optimizer.step()
        task.cost.image_gradients += config.steps * config.images_per_step
        return freeze(network)
