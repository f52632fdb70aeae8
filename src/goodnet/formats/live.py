"""Models that are already in memory: torch.nn.Module, torch.export.ExportedProgram and keras.Model."""

from __future__ import annotations

import copy
import io
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

from goodnet.errors import ModelError
from goodnet.formats.exported import network_of
from goodnet.formats.keras import KERAS_FORMAT
from goodnet.formats.loaded import LoadedNetwork, ReadOptions

PROBABILITIES = "the softmax at the end was taken off, so that goodnet works with logits; the answers are the same"


def recognises(source: object) -> bool:
    """Whether `source` is a live model."""
    return isinstance(source, (nn.Module, torch.export.ExportedProgram)) or _is_keras(source)


def read(source: object, options: ReadOptions) -> LoadedNetwork:
    """Return a copy of a live model; the user's own stays as it is."""
    if _is_keras(source):
        return _read_keras(source, options)
    if isinstance(source, torch.export.ExportedProgram):
        return network_of(copy.deepcopy(source))
    assert isinstance(source, nn.Module)
    if any(isinstance(each, nn.parameter.UninitializedParameter) for each in source.parameters()):
        raise ModelError("the model has lazy layers without weights so far; call it on an image first")
    if isinstance(source, torch.jit.ScriptModule):
        return LoadedNetwork(_copied_script(source), options.input_shape)
    network = copy.deepcopy(source).cpu()
    removed = strip_softmax(network)
    return LoadedNetwork(network, options.input_shape, None, "torch", (PROBABILITIES,) if removed else ())


def _copied_script(source: torch.jit.ScriptModule) -> nn.Module:
    # deepcopy gives such a module parameters that are no leaves.
    saved = io.BytesIO()
    torch.jit.save(source, saved)
    saved.seek(0)
    network: nn.Module = torch.jit.load(saved, map_location="cpu")
    return network


def strip_softmax(network: nn.Module) -> bool:
    """Replace a softmax that ends a chain of modules by nothing; return whether there was one."""
    parent = network
    while isinstance(parent, nn.Sequential) and len(parent):
        name, last = list(parent.named_children())[-1]
        if isinstance(last, (nn.Softmax, nn.LogSoftmax)):
            setattr(parent, name, nn.Identity())
            return True
        parent = last
    return False


def _is_keras(source: object) -> bool:
    # Whoever has a Keras model has imported Keras; nobody else needs it.
    keras: Any = sys.modules.get("keras")
    return keras is not None and isinstance(source, getattr(keras, "Model", ()))


def _read_keras(model: Any, options: ReadOptions) -> LoadedNetwork:
    """Convert a live Keras model by way of its own file format, so that there is one converter only."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        return KERAS_FORMAT.read(path, options)
