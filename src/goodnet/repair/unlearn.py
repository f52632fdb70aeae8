"""Unlearning: train a network to answer triggered images as it answers the same images without the trigger.

Neural Cleanse (Wang et al., IEEE S&P 2019) fine-tunes for one epoch with one reversed trigger stamped on 20 % of the
images. Here many reversed triggers are stamped, and they go on looking for what is left of the backdoor while the
network unlearns it, as in adversarial unlearning (Zeng et al., I-BAU, ICLR 2022): the real trigger is never known, so
whatever works like it has to go. What the network says of clean images is held by distillation from the old network.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from goodnet.classifier import freeze
from goodnet.engine import fast_bfloat16
from goodnet.repair.images import mirrored, mix, vary
from goodnet.repair.measure import logit_distance, spread
from goodnet.repair.task import Task, trainable_copy


@dataclass(frozen=True)
class UnlearnConfig:
    """How to unlearn.

    Attributes:
        steps: SGD steps, whatever the number of images.
        clean_images: clean images a step.
        own_share: share of them, 0..1, that are of a flagged label: what looks most like a triggered image to the
            network, and is forgotten first.
        stamped_images: images a step that each trigger is stamped on.
        learning_rate: of SGD with Nesterov momentum .9, after `warm_up` steps; falls to 0 as a cosine.
        warm_up: steps in which the learning rate rises.
        largest_gradient: the gradient's norm is clipped to this. Stamped images have huge losses at first, which
            would destroy the network.
        clean_weight: weight of the clean images' distance to their old logits against that of the stamped ones.
        trigger_learning_rate: of Adam on the triggers; the family scales it for each parameter.
        growth: how many times larger than at the start a trigger may get before its size costs; what is much larger
            than the planted trigger finds no backdoor but the nature of images.
        size_weight: cost of a pixel beyond that.
        old_triggers: share of the stamped images that carry a trigger as it was at the start.
        strength: range of the factor by which a stamped mask is made weaker or stronger.
        shift: largest move of an image, as a share of its height and width.
        light: largest change of an image's contrast, as a factor.
        mirror: whether images are mirrored; the old network says what it makes of that.
    """

    steps: int = 200
    clean_images: int = 48
    own_share: float = 0.25
    stamped_images: int = 4
    learning_rate: float = 4e-3
    warm_up: int = 20
    largest_gradient: float = 2.0
    clean_weight: float = 1.5
    trigger_learning_rate: float = 0.1
    growth: float = 2.0
    size_weight: float = 0.05
    old_triggers: float = 0.5
    strength: tuple[float, float] = (0.6, 3.0)
    shift: float = 0.0625
    light: float = 0.2
    mirror: bool = False

    def rate_at(self, step: int) -> float:
        """Return the learning rate at a step."""
        warm = min(1.0, (step + 1) / max(self.warm_up, 1))
        return self.learning_rate * warm * (1 + math.cos(math.pi * step / self.steps)) / 2


CHANGES = UnlearnConfig(steps=400)
"""Where warps or filters are unlearned: each of them changes every image in another way, so it takes longer."""

FEW_IMAGES = UnlearnConfig(learning_rate=1e-3, clean_weight=15.0, shift=0.15, light=0.4, mirror=True)
"""Where a handful of images has to stand for all classes: small steps, and much made of each image."""


@dataclass(frozen=True)
class Unlearn:
    """Unlearn a distribution of triggers while it looks for what is left of the backdoor.

    Attributes:
        config: how.
        changes: how where the triggers are warps or filters.
        few: how where there are too few images to hold any out.
        name: of the method.
    """

    config: UnlearnConfig = UnlearnConfig()
    changes: UnlearnConfig = CHANGES
    few: UnlearnConfig = FEW_IMAGES
    name: str = "unlearn"

    def repair(self, task: Task) -> nn.Module:
        """Return a copy of the task's network that has unlearned the triggers."""
        config = self.changes if task.changed else self.config
        return _Unlearning(task, self.few if task.images.shared else config).run()


class _Unlearning:
    """The state of one run: the network, the triggers, and their optimisers."""

    def __init__(self, task: Task, config: UnlearnConfig) -> None:
        self.task, self.config = task, config
        self.network, self.weights = trainable_copy(task.model)
        self.old = freeze(copy.deepcopy(task.model.network))
        self.device = task.model.device
        self.generator = torch.Generator().manual_seed(task.seed)
        self.bfloat16 = fast_bfloat16(self.device) and any(isinstance(m, nn.Conv2d) for m in self.network.modules())
        self.family, self.targets = task.triggers.family, task.triggers.labels
        self.first = {name: value.detach().clone() for name, value in task.triggers.parameters.items()}
        self.state = {name: value.clone().requires_grad_() for name, value in self.first.items()}
        self.largest = config.growth * self.family.size(self.first)
        groups = [
            {"params": [value], "lr": config.trigger_learning_rate * self.family.paces[name]}
            for name, value in self.state.items()
        ]
        self.attacker = torch.optim.Adam(groups, betas=(0.5, 0.9))
        self.optimizer = torch.optim.SGD(self.weights, lr=config.learning_rate, momentum=0.9, nesterov=True)
        with torch.no_grad():
            self.scale = spread(self._call(self.old, task.images.pixels[:512])) / 5
        self.own = torch.isin(task.images.labels, self.targets.to(self.device)).nonzero().flatten()
        self.victims = [task.triggers.stampable(number, task.images.labels) for number in range(len(task.triggers))]

    def run(self) -> nn.Module:
        for step in range(self.config.steps):
            for group in self.optimizer.param_groups:
                group["lr"] = self.config.rate_at(step)
            victims, clean = self._draw()
            with torch.no_grad():
                wanted = self._call(self.old, torch.cat([victims.flatten(0, 1), clean]))
            self._attack(victims)
            self._unlearn(self._stamped(victims), clean, wanted)
            self.task.cost.image_gradients += 2 * victims.shape[0] * victims.shape[1] + len(clean)
            self.task.cost.forward_passes += len(wanted)
        return freeze(self.network)

    def _call(self, network: nn.Module, images: Tensor) -> Tensor:
        """Return float32 logits (B, N)."""
        inputs = self.task.model.preprocessing(images)
        with torch.amp.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            output: Tensor = network(inputs.contiguous(memory_format=torch.channels_last))
        return output.float()

    def _draw(self) -> tuple[Tensor, Tensor]:
        """Return images to stamp (K, B, C, H, W) and clean ones (n, C, H, W), varied and blended anew."""
        pixels = self.task.images.pixels
        rows = [
            each[torch.randint(len(each), (self.config.stamped_images,), generator=self.generator)]
            for each in self.victims
        ]
        own = round(self.config.own_share * self.config.clean_images) if len(self.own) else 0
        chosen = torch.randint(len(pixels), (self.config.clean_images - own,), generator=self.generator)
        owned = torch.randint(max(len(self.own), 1), (own,), generator=self.generator)
        index = torch.cat([*rows, chosen.to(self.device), self.own[owned.to(self.device)]])
        images = pixels[index]
        if self.config.mirror:
            images = mirrored(images, self.generator)
        images = mix(vary(images, self.generator, self.config.shift, self.config.light), self.generator)
        stamped = len(rows) * self.config.stamped_images
        return images[:stamped].unflatten(0, (len(rows), -1)), images[stamped:]

    def _attack(self, victims: Tensor) -> None:
        """Let the triggers take one step towards what still works on the network as it is now."""
        logits = self._call(self.network, self.family.stamp(self.state, victims).flatten(0, 1))
        targets = self.targets.repeat_interleave(victims.shape[1])
        errors = functional.cross_entropy(logits, targets, reduction="sum") / victims.shape[1]
        excess = (self.family.size(self.state) - self.largest).clamp_min(0).sum()
        values = list(self.state.values())
        gradients = torch.autograd.grad(errors + self.config.size_weight * excess, values)
        for value, gradient in zip(values, gradients, strict=True):
            value.grad = gradient
        self.attacker.step()

    @torch.no_grad()
    def _stamped(self, victims: Tensor) -> Tensor:
        """Return the victims (K, B, C, H, W) with triggers of now and of the start, stronger and weaker."""
        count, each = victims.shape[:2]
        old = torch.rand(count, generator=self.generator) < self.config.old_triggers
        parameters: Mapping[str, Tensor] = {
            name: torch.where(_along(old.to(self.device), value), self.first[name], value)
            for name, value in self.state.items()
        }
        effect = self.family.stamp(parameters, victims) - victims
        low, high = self.config.strength
        strength = low + (high - low) * torch.rand(count, each, 1, 1, 1, generator=self.generator)
        return (victims + strength.to(self.device) * effect).clamp(0, 1)

    def _unlearn(self, stamped: Tensor, clean: Tensor, wanted: Tensor) -> None:
        """Take one step towards the old answers on clean images, and the same answers on stamped ones."""
        count = stamped.shape[0] * stamped.shape[1]
        logits = self._call(self.network, torch.cat([stamped.flatten(0, 1), clean]))
        distance = logit_distance(logits, wanted, self.scale)
        divergence = functional.kl_div(
            logits[:count].log_softmax(1), wanted[:count].log_softmax(1), reduction="none", log_target=True
        ).sum(1)
        loss = (distance[:count] + divergence).mean() / 2 + self.config.clean_weight * distance[count:].mean()
        self.optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.weights, self.config.largest_gradient)
        if bool(torch.isfinite(norm)):  # one overflow must not destroy the network
            self.optimizer.step()


def _along(choice: Tensor, value: Tensor) -> Tensor:
    return choice.view(-1, *[1] * (value.ndim - 1))
