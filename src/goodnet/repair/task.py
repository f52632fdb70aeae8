"""What every repair method is given, and what it returns."""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from goodnet.classifier import Classifier, freeze
from goodnet.engine import Cost, Engine, choose_engine
from goodnet.errors import ModelError
from goodnet.repair.images import RepairImages
from goodnet.repair.measure import Outcome
from goodnet.repair.reversed import TriggerSet


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
    before: Outcome
    seed: int
    cost: Cost

    @property
    def labels(self) -> tuple[int, ...]:
        """The flagged labels, ascending."""
        return tuple(torch.unique(self.triggers.labels).tolist())


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


def engine_of(model: Classifier, network: nn.Module, like: Engine | None = None) -> Engine:
    """Return an engine that runs a frozen copy of another network behind a model's preprocessing."""
    changed = dataclasses.replace(model, network=freeze(copy.deepcopy(network)))
    if like is not None:
        return Engine(changed, like.bfloat16)
    return Engine(changed)


def fast_engine(model: Classifier, images: Tensor) -> Engine:
    """Return the engine to search with."""
    return choose_engine(model, images[:256])


_ADVICE = "export it with its weights as parameters, from the framework it was trained in, as ONNX, .keras or .pt2"
