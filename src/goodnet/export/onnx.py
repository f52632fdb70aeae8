"""GoodNets as ONNX: one file with its weights inside, and what it says of itself in the model's metadata."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from goodnet.errors import MissingExtraError, ModelError, in_short
from goodnet.export.example import on_cpu

if TYPE_CHECKING:
    from goodnet.goodnet import GoodNet

KEY = "goodnet"
OPSET = 18
TOLERANCE = 1e-3


def write(good: GoodNet, path: Path) -> None:
    """Write a GoodNet; where onnxruntime is installed, only if it gives the answers of the network itself.

    Input `images` (batch, C, H, W) in 0..1, output `scores` (batch, N + 1).

    Raises:
        ModelError: the network cannot be exported, or answers differently as ONNX.
        MissingExtraError: onnx or onnxscript is missing.
    """
    onnx = import_onnx()
    with on_cpu(good) as (network, example):
        model = onnx.load_from_string(_export(network, example))
    entry = model.metadata_props.add()
    entry.key, entry.value = KEY, good.facts.to_json()
    onnx.save(model, str(path))
    _compare(path, example, good.scores(example))


def write_network(network: nn.Module, example: torch.Tensor, path: Path) -> None:
    """Write a network that is no GoodNet, under the same conditions.

    Args:
        network: in eval mode, on the CPU; input `images` (batch, C, H, W), output `scores` (batch, N).
        example: some images (n, C, H, W).
        path: where to.

    Raises:
        ModelError: the network cannot be exported, or answers differently as ONNX.
        MissingExtraError: onnx or onnxscript is missing.
    """
    import_onnx()
    path.write_bytes(_export(network, example))
    with torch.no_grad():
        _compare(path, example, network(example))


def import_onnx() -> ModuleType:
    """Return the package onnx.

    Raises:
        MissingExtraError: it is missing, or onnxscript is, which torch's exporter needs.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("writing ONNX models", "onnx") from error
    return onnx


def facts(path: Path) -> str | None:
    """Return what an ONNX file says of itself as a GoodNet, or None."""
    with path.open("rb") as file:
        if file.read(1) != b"\x08":
            return None
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    return next((str(entry.value) for entry in model.metadata_props if entry.key == KEY), None)


def _export(network: nn.Module, example: torch.Tensor) -> bytes:
    """Return the ONNX file of a network that takes any number of images."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    names: dict[str, Any] = {"input_names": ["images"], "output_names": ["scores"], "opset_version": OPSET}
    try:
        try:
            program = torch.onnx.export(
                network,
                (example,),
                dynamo=True,
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                external_data=False,
                verbose=False,
                **names,
            )
            assert program is not None
            content: bytes = program.model_proto.SerializeToString()
            return content
        except Exception:
            buffer = io.BytesIO()
            torch.onnx.export(
                network,
                (example,),
                buffer,  # type: ignore[arg-type] # torch's stub knows paths only
                dynamo=False,
                dynamic_axes={"images": {0: "batch"}, "scores": {0: "batch"}},
                **names,
            )
            return buffer.getvalue()
    except Exception as error:
        reason = in_short(error)
        raise ModelError(f"this network cannot be exported as ONNX ({reason}); save it as .pt2 instead") from error
    finally:
        logger.setLevel(level)


def _compare(path: Path, example: torch.Tensor, scores: torch.Tensor) -> None:
    """Compare with onnxruntime, if it is there: the file is to give these scores for the example."""
    try:
        import onnxruntime
    except ImportError:
        logging.getLogger(__name__).info("onnxruntime is not installed, so the exported file was not compared")
        return
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    got = session.run(None, {"images": example.numpy()})[0]
    wanted = scores.numpy()
    if got.shape != wanted.shape or not np.allclose(got, wanted, rtol=TOLERANCE, atol=TOLERANCE * np.abs(wanted).max()):
        raise ModelError("the exported ONNX file does not answer as the network does; save it as .pt2 instead")
