"""Logits from networks that answer with probabilities, or with their scores inside of a tuple or dict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

TINY = torch.finfo(torch.float32).tiny
RESHAPING = ("Alias", "Clone", "Reshape", "Squeeze", "ToCopy", "UnsafeView", "Unsqueeze", "View")
NOTES = {
    "softmax": "the model answers with probabilities; goodnet works with their logarithms, and where a class gets a "
    "probability of 0 its search has no gradient: a model without the softmax is searched better",
    "sigmoid": "the model answers with one probability a class; goodnet works with the logits they stand for",
}


class Logits(nn.Module):
    """A network's scores as logits (B, N).

    Attributes:
        network: returns scores (B, N) or (B, N, 1, 1), alone or as `scores_in` finds them.
        undo: "softmax" for the logarithm of probabilities, "sigmoid" for the logit of each, None for neither. One
            probability an image becomes two classes.
    """

    def __init__(self, network: nn.Module, undo: str | None) -> None:
        super().__init__()
        self.network = network
        self.undo = undo

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, C, H, W) to logits (B, N)."""
        scores: Tensor = scores_in(self.network(images))
        if self.undo == "softmax":
            return scores.clamp(min=TINY).log()
        if self.undo == "sigmoid":
            scores = scores.clamp(TINY, 1 - 2**-24)
            scores = scores.log() - torch.log1p(-scores)
            return torch.cat([torch.zeros_like(scores), scores], dim=1) if scores.shape[1] == 1 else scores
        return scores


def scores_in(output: Any) -> Any:
    """Return the tensor of scores in what a network answers, (B, N); the answer itself where that cannot be told.

    That is what is called `logits`, as transformers and torchvision do, or else the only tensor there is.
    """
    if not isinstance(output, Tensor):
        named = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", None)
        parts = output.values() if isinstance(output, Mapping) else output if isinstance(output, (tuple, list)) else ()
        tensors = [part for part in parts if isinstance(part, Tensor)]
        output = named if isinstance(named, Tensor) else tensors[0] if len(tensors) == 1 else output
    if isinstance(output, Tensor) and output.ndim > 2 and all(size == 1 for size in output.shape[2:]):
        return output.flatten(1)
    return output


def with_logits(network: nn.Module, inputs: Tensor) -> tuple[nn.Module, tuple[str, ...]]:
    """Return the network, wrapped where it needs to be, and what the user should know of that.

    Args:
        network: any network.
        inputs: (B, C, H, W) of its own pixel range, by which its answers are judged.
    """
    with torch.enable_grad():
        answer = network(inputs.detach().requires_grad_())
    scores = scores_in(answer)
    if not isinstance(scores, Tensor) or scores.ndim != 2 or not scores.is_floating_point():
        return network, ()
    undo = _probabilities(scores)
    if scores is answer and undo is None:
        return network, ()
    return Logits(network, undo).train(network.training), (NOTES[undo],) if undo else ()


def _probabilities(scores: Tensor) -> str | None:
    """Return whether scores (B, N) are those of a "softmax" or of a "sigmoid"."""
    if not bool(((scores >= 0) & (scores <= 1)).all()):
        return None
    if scores.shape[1] > 1 and bool(((scores.double().sum(1) - 1).abs() < 1e-3).all()):
        return "softmax"
    return "sigmoid" if _comes_from_sigmoid(scores) else None  # small logits can lie between 0 and 1, too


def _comes_from_sigmoid(scores: Tensor) -> bool:
    """Whether the last operation, apart from what only changes the shape or type, was a sigmoid."""
    step = scores.grad_fn
    while step is not None and step.name().startswith(RESHAPING):
        step = step.next_functions[0][0]
    return step is not None and step.name().startswith("Sigmoid")
