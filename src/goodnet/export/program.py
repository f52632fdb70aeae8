"""GoodNets as programs by torch.export, with what they say of themselves as an extra file inside."""

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
    """Write a GoodNet: input (batch, C, H, W) in 0..1, output (batch, N + 1).

    Raises:
        ModelError: the network cannot be exported.
    """
    try:
        with on_cpu(good) as (network, example), torch.no_grad():
            program = torch.export.export(network, (example,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    except Exception as error:
        reason = in_short(error)
        raise ModelError(f"this network cannot be exported by torch.export ({reason}); save it as .onnx") from error
    with path.open("wb") as file:
        torch.export.save(program, file, extra_files={NAME: good.facts.to_json()})
