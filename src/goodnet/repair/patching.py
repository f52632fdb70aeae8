"""The paper's own repair, as the reference (Wang et al., IEEE S&P 2019, "patching via unlearning").

One epoch over 10 % of the training images, a single reversed trigger stamped on 20 % of them, labels kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from goodnet.classifier import freeze
from goodnet.repair.task import Task, trainable_copy


@dataclass(frozen=True)
class PatchingConfig:
    """The paper's setting.

    Attributes:
        epochs: passes over the images.
        stamped: share of the images that carry the trigger, 0..1.
        images_per_step: images a step.
        learning_rate: of Adam; the paper names none, its published code compiles the network with Keras' default.
    """

    epochs: int = 1
    stamped: float = 0.2
    images_per_step: int = 32
    learning_rate: float = 1e-3


@dataclass(frozen=True)
class Patching:
    """Fine-tune for one epoch with one reversed trigger on a fifth of the images."""

    config: PatchingConfig = PatchingConfig()
    name: str = "paper"

    def repair(self, task: Task) -> nn.Module:
        """Return a patched copy of the task's network."""
        config, images, model = self.config, task.images, task.model
        network, weights = trainable_copy(model)
        optimizer = torch.optim.Adam(weights, lr=config.learning_rate)
        generator = torch.Generator().manual_seed(task.seed)
        by_label = {trigger.label: trigger for trigger in reversed(task.triggers.triggers())}
        triggers = list(by_label.values())
        stamped = images.pixels.clone()
        chosen = (torch.rand(len(stamped), generator=generator) < config.stamped).nonzero().flatten().to(model.device)
        for number, trigger in enumerate(triggers):
            part = chosen[number :: len(triggers)]
            stamped[part] = trigger.stamp(stamped[part])
        for _ in range(config.epochs):
            order = torch.randperm(len(stamped), generator=generator).to(model.device)
            for index in order.split(config.images_per_step):
                loss = functional.cross_entropy(network(model.preprocessing(stamped[index])), images.labels[index])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        task.cost.image_gradients += config.epochs * len(stamped)
        return freeze(network)
