"""Pruning: cut off the neurons that the reversed triggers drive (the first repair of Wang et al., IEEE S&P 2019).

Neurons of the layer before the logits are ranked by how much stronger they fire on stamped images than on clean ones,
and cut in that order until the triggers work no more, or clean accuracy has fallen as far as is allowed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from goodnet.classifier import freeze
from goodnet.engine import Engine
from goodnet.errors import ModelError
from goodnet.layers import activations, classifying_layer
from goodnet.repair.task import Task, trainable_copy

IMAGES = 128


@dataclass(frozen=True)
class PruneConfig:
    """When to stop.

    Attributes:
        enough: mean ASR of the reversed triggers, 0..1, at which the backdoor counts as gone.
        largest_loss: of clean accuracy, 0..1, on the images that are repaired on.
        step: share of the neurons cut at a time, 0..1.
        most: share of the neurons cut at most, 0..1.
    """

    enough: float = 0.01
    largest_loss: float = 0.02
    step: float = 0.01
    most: float = 0.5


@dataclass(frozen=True)
class Prune:
    """Cut the neurons that the reversed triggers drive."""

    config: PruneConfig = PruneConfig()
    name: str = "prune"

    def repair(self, task: Task) -> nn.Module:
        """Return a copy of the task's network without those neurons.

        Raises:
            ModelError: the network's neurons cannot be reached.
        """
        config, images = self.config, task.images
        network, _ = trainable_copy(task.model)
        network = freeze(network)
        classifying = classifying_layer(task.model, network, images.pixels[:1])
        if classifying is None:
            raise ModelError(
                f"the neurons of {task.model.path} ({task.model.format}) cannot be reached, so it cannot be pruned; "
                "use --method unlearn"
            )
        order = _driven(task, network, classifying)
        weight: Tensor = network.get_submodule(classifying).weight  # type: ignore[assignment]
        original = weight.detach().clone()
        size = max(1, round(config.step * len(order)))
        accepted, reference = 0, _right(task, task.engine(network))
        for count in range(size, max(size, round(config.most * len(order))) + 1, size):
            weight[:, order[:count]] = 0
            engine = task.engine(network)
            if reference - _right(task, engine) > config.largest_loss:
                break
            accepted = count
            rates = task.triggers.asr(engine, images.pixels[:IMAGES], images.labels[:IMAGES])
            if float(rates.nanmean()) <= config.enough:
                break
        weight.copy_(original)
        weight[:, order[:accepted]] = 0
        return network


def _driven(task: Task, network: nn.Module, classifying: str) -> Tensor:
    """Return the neurons, those first that stamped images drive most beyond clean ones."""
    pixels = task.images.pixels[:IMAGES]
    clean = activations(task.model, network, classifying, pixels).mean(0)
    rows = pixels[: max(8, IMAGES // len(task.triggers))]
    with torch.no_grad():
        stamped = activations(task.model, network, classifying, task.triggers.stamp(rows).flatten(0, 1)).mean(0)
    task.cost.forward_passes += len(pixels) + len(rows) * len(task.triggers)
    return (stamped - clean).argsort(descending=True)


def _right(task: Task, engine: Engine) -> float:
    answers = engine.predict(task.images.pixels).argmax(1)
    return float((answers == task.images.labels).float().mean())
