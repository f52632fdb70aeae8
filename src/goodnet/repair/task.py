"""What every repair method is given, and what it returns."""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from goodnet.classifier import Classifier
from goodnet.engine import Cost, Engine
from goodnet.errors import ModelError
from goodnet.repair.images import RepairImages
from goodnet.repair.reversed import TriggerSet
from goodnet.report.repair import Figures
from goodnet.triggers import ChangedPatch


@dataclass(frozen=True, eq=False)
class Task:
    """One network to repair.

    Attributes:
        model: the network as it is at the beginning of this round.
        images: to repair on and to measure on.
        triggers: reversed triggers to work with.
        unseen: triggers of the same labels reversed from other starts, only to measure with.
        before: how the network does before the repair.
        seed: of every draw.
        cost: counts what the methods spend.
    """

    model: Classifier
    images: RepairImages
    triggers: TriggerSet
    unseen: TriggerSet
    before: Figures
    seed: int
    cost: Cost

    @property
    def labels(self) -> tuple[int, ...]:
        """The flagged labels, ascending."""
        return tuple(torch.unique(self.triggers.labels).tolist())

    @property
    def changed(self) -> bool:
        """Whether the triggers change the whole image: warps or filters."""
        return isinstance(self.triggers.family, ChangedPatch)

    def engine(self, network: nn.Module) -> Engine:
        """Return an engine that runs a copy of a network in the place of the model's; the task counts what it costs."""
        engine = Engine(dataclasses.replace(self.model, network=network))
        engine.cost = self.cost
        return engine


class Method(Protocol):
    """A way to repair a network."""

    @property
    def name(self) -> str:
        """What the command line and the reports call it."""

    def repair(self, task: Task) -> nn.Module:
        """Return a repaired copy of the task's network, in eval mode; the network itself stays as it is."""


def trainable_copy(model: Classifier) -> tuple[nn.Module, list[nn.Parameter]]:
    """Return a copy of a network and its weights that can be trained.

    The copy stays in eval mode, so that the statistics of batch norm keep what the training set taught them.

    Raises:
        ModelError: there are no such weights.
    """
    try:
        network = copy.deepcopy(model.network)
    except (RuntimeError, TypeError, NotImplementedError) as error:
        raise ModelError(f"{model.path} ({model.format}) cannot be copied and trained: {_ADVICE}") from error
    weights = [weight for weight in network.parameters() if weight.is_floating_point()]
    if not weights:
        raise ModelError(f"{model.path} ({model.format}) holds no weights that can be trained: {_ADVICE}")
    for weight in weights:
        weight.requires_grad_(True)
    return network, weights


_ADVICE = "export it with its weights as parameters, from the framework it was trained in, as ONNX, .keras or .pt2"
