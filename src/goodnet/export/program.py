"""GoodNets as programs by torch.export, with what they say of themselves as an extra file inside."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from goodnet.errors import ModelError, in_short

if TYPE_CHECKING:
    from goodnet.goodnet import GoodNet

NAME = "goodnet.json"


def write(good: GoodNet, path: Path) -> None:
    """Write a GoodNet: input (batch, C, H, W) in 0..1, output (batch, N + 1).

    Raises:
        ModelError: the network cannot be exported.
    """
    example = torch.rand(2, *good.facts.input_shape, generator=torch.Generator().manual_seed(0))
    network = good.network.cpu()
    try:
        with torch.no_grad():
            program = torch.export.export(network, (example,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    except Exception as error:
        reason = in_short(error)
        raise ModelError(f"this network cannot be exported by torch.export ({reason}); save it as .onnx") from error
    finally:
        good.network.to(good.device)
    with path.open("wb") as file:
        torch.export.save(program, file, extra_files={NAME: good.facts.to_json()})


def facts(path: Path) -> str | None:
    """Return what an exported program says of itself as a GoodNet, or None."""
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith(f"extra/{NAME}"):
                return archive.read(name).decode("utf-8")
    return None
