"""Read `.keras` (a zip) and `.h5` files."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import h5py

from goodnet.classifier import PartialShape
from goodnet.errors import ModelError
from goodnet.formats.archive import LARGEST_EXPANSION
from goodnet.formats.keras.audit import audit
from goodnet.formats.keras.config import build_model, layer_list
from goodnet.formats.keras.head import strip_head
from goodnet.formats.keras.layers import Config, Dialect
from goodnet.formats.keras.weights import NamedWeightsFile, NumberedWeights, Weights, text
from goodnet.formats.loaded import Format, LoadedNetwork, ReadOptions

LARGEST_CONFIG = 64 * 2**20


def _is_keras(path: Path, head: bytes) -> bool:
    if not head.startswith(b"PK") or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return "config.json" in archive.namelist()


def _is_hdf5(path: Path, head: bytes) -> bool:
    return head.startswith(b"\x89HDF\r\n\x1a\n")


def _member(archive: zipfile.ZipFile, name: str, largest: int | None = None) -> bytes:
    info = archive.getinfo(name)
    if largest is not None and info.file_size > largest:
        raise ModelError(f"{name} in the archive is {info.file_size} bytes; expected at most {largest}")
    if info.file_size > LARGEST_EXPANSION * max(info.compress_size, 2**20):
        raise ModelError(f"{name} in the archive would expand to {info.file_size} bytes, as a zip bomb does")
    return archive.read(info)


def _parse(raw: str | bytes, what: str) -> Config:
    try:
        config = json.loads(raw)
    except ValueError as error:
        raise ModelError(f"expected JSON in {what}: {error}") from error
    if not isinstance(config, dict):
        raise ModelError(f"expected a JSON object in {what}, got {type(config).__name__}")
    return config


def read_keras(path: Path, options: ReadOptions) -> LoadedNetwork:
    """Read a `.keras` archive: config.json, metadata.json and model.weights.h5."""
    with zipfile.ZipFile(path) as archive:
        config = _parse(_member(archive, "config.json", LARGEST_CONFIG), "config.json")
        metadata: Config = {}
        if "metadata.json" in archive.namelist():
            metadata = _parse(_member(archive, "metadata.json", LARGEST_CONFIG), "metadata.json")
        audit(config)
        if "model.weights.h5" not in archive.namelist():
            raise ModelError("expected model.weights.h5 in the .keras archive; it holds no weights")
        raw = _member(archive, "model.weights.h5")
    with h5py.File(io.BytesIO(raw), "r") as file:
        return _build(path, config, NumberedWeights(file), str(metadata.get("keras_version", "3")), "keras")


def read_hdf5(path: Path, options: ReadOptions) -> LoadedNetwork:
    """Read an HDF5 file as `model.save("x.h5")` writes it."""
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ModelError(f"expected a whole HDF5 file, but it is damaged or cut off: {error}") from error
    with file:
        if "model_config" not in file.attrs:
            raise ModelError(
                "expected a Keras model in the HDF5 file, but it has no model_config (members: "
                f"{', '.join(list(file)[:5]) or 'none'}); for weights only, save the whole model with model.save"
            )
        config = _parse(text(file.attrs["model_config"]), "model_config")
        audit(config)
        group = file.get("model_weights", file)
        return _build(path, config, NamedWeightsFile(group), text(file.attrs.get("keras_version", "2")), "keras-h5")


def _build(path: Path, config: Config, weights: Weights, version: str, name: str) -> LoadedNetwork:
    layers = layer_list(config)
    dialect = Dialect(keras_2=version.split(".")[0] in ("1", "2"), channels_first=_channels_first(config))
    graph = build_model(config, weights, dialect)
    removed = strip_head(graph)
    warnings: tuple[str, ...] = ()
    if removed == "sigmoid":
        warnings = ("the model ends in a sigmoid per class; goodnet works with the logits before it",)
    return LoadedNetwork(graph, _input_shape(config, layers, dialect), None, name, warnings)


def _channels_first(config: Config) -> bool:
    for layer in layer_list(config):
        inner = layer.get("config", {})
        if isinstance(inner, dict) and "layers" in inner:
            if _channels_first(layer):
                return True
        elif isinstance(inner, dict) and inner.get("data_format") == "channels_first":
            return True
    return False


def _input_shape(config: Config, layers: list[Config], dialect: Dialect) -> PartialShape:
    """Return (C, H, W) from the input layer, or from the first layer of a Sequential."""
    shape: Any = None
    for layer in layers[:1] if config["class_name"] == "Sequential" else layers:
        inner = layer.get("config", {})
        shape = inner.get("batch_shape") or inner.get("batch_input_shape")
        if shape is None and "layers" in inner:
            return _input_shape(layer, layer_list(layer), dialect)
        if shape is not None:
            break
    if shape is None:
        build = config["config"].get("build_input_shape") if isinstance(config["config"], dict) else None
        shape = build if isinstance(build, list) else None
    if shape is None:
        return (None, None, None)
    if len(shape) != 4:
        raise ModelError(f"expected a model of images (batch, height, width, channels), got an input of shape {shape}")
    first, second, third = (None if size is None else int(size) for size in shape[1:])
    return (first, second, third) if dialect.channels_first else (third, first, second)


KERAS_FORMAT = Format("Keras .keras archive", _is_keras, read_keras)
HDF5_FORMAT = Format("Keras HDF5 file", _is_hdf5, read_hdf5)
