"""GoodNets as TorchScript, for networks that came as TorchScript and that no other exporter takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from goodnet.errors import ModelError, in_short
from goodnet.export.example import on_cpu
from goodnet.export.notes import NAME

if TYPE_CHECKING:
    from goodnet.goodnet import GoodNet


def write(good: GoodNet, path: Path) -> None:
    """Write a GoodNet: input (batch, C, H, W) in 0..1, output (batch, N + 1); its facts are an extra file inside.

    Raises:
        ModelError: the network cannot be traced.
    """
    try:
        with on_cpu(good) as (network, example), torch.no_grad():
            traced = torch.jit.trace(network, example)
        torch.jit.save(traced, str(path), _extra_files={NAME: good.facts.to_json()})
    except RuntimeError as error:
        reason = in_short(error)
        raise ModelError(f"this network cannot be written as TorchScript ({reason})") from error
